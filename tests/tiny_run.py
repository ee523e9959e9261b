"""A validation run of seconds, in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.core.places import PROJECT
from harness.forkserver import AVAILABLE, ForkServer
from harness.plugin import DEFAULT_PROTOCOL

Pytest = Callable[..., subprocess.CompletedProcess[str]]
TIMEOUT_S = 600.0

# The embedded protocol, cut down to seconds. It shows wiring: what ten seconds of training reach is not required.
TINY = f"""
extends = "{DEFAULT_PROTOCOL.as_posix()}"

[identity]
id = "tiny"

[dataset]
images_per_class = 12
images = {{ formats = ["PNG"], min_side_px = 48, max_side_px = 48 }}
synthetic = {{ images_per_class = 12, size_px = 48 }}

[training]
image_size_px = 32
batch_size = 8
lr_finder = {{ iterations = 10 }}

[[training.phases]]
name = "phase1"
max_epochs = 1

[[training.phases]]
name = "phase2"
max_epochs = 1

[report]
figures = false

[robustness]
kinds = ["stain", "rotation"]
severities = [2, 3]
invariances = ["rotation_90", "flip_horizontal"]
agreed = {{ stain = 3, rotation = 2 }}

[detection]
kinds = ["blank", "noise"]
inputs_per_kind = 10

[reproducibility]
images_per_class = 6

[throughput]
blocks = 1
pause_s = 0.0
queries = 30
offline_rounds = 5
offline_images = 8

[[external]]
name = "second_laboratory"
images = {{ min_side_px = 48, max_side_px = 48 }}

[[external]]
name = "nine_monocytes"
images = {{ min_side_px = 48, max_side_px = 48 }}

[[criteria]]
id = "A1"
required = false

[[criteria]]
id = "R1"
required = false

[[criteria]]
id = "N1"
required = false

[[criteria]]
id = "F6"
required = false

[[criteria]]
id = "G1"
floor = -0.5
rationale = "Nine cells prove little."

[[criteria]]
id = "T2"
ceiling = 60.0
rationale = "A test machine may be busy."

[[criteria]]
id = "T4"
floor = 0.01
rationale = "A test machine may be busy."
"""


# A worker of pytest-xdist says so in its environment, and pytest-benchmark then times nothing.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


# A fork reads it as Python does when it starts.
READ_BY_FORKS = "PYTHONPATH"


def run_pytest(
    *arguments: str, cwd: Path | None = None, interpreter: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`pytest` with these arguments in a process of its own, and what it said.

    The process is forked from one that has imported the large libraries; a fresh interpreter imports them for seconds.
    What that cannot do has one: another folder, or what Python alone reads when it starts; and so has a test that asks
    for it with `interpreter`, as where the memory of the process is limited. The words of a forked process are
    in `stdout` and in `stderr` alike, in the order in which a terminal shows them.
    """
    whole = {**ENVIRONMENT, "PYTHONPATH": str(PROJECT), **environment}
    at_start = [name for name, said in environment.items() if said and name.startswith("PYTHON")]
    if AVAILABLE and cwd is None and not interpreter and set(at_start) <= {READ_BY_FORKS}:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output"
            code = _server().run(["pytest", *arguments], whole, output=output, timeout_s=TIMEOUT_S)
            said = output.read_text(encoding="utf-8", errors="replace")
        return subprocess.CompletedProcess(["pytest", *arguments], code, said, said)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=cwd or PROJECT,
        env=whole,
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def _server() -> ForkServer:
    """One for all runs of this process; each worker of pytest-xdist is a process, and has its own."""
    server = ForkServer(cwd=PROJECT, environment={**ENVIRONMENT, "PYTHONPATH": str(PROJECT)})
    atexit.register(server.close)
    return server


# Stages of the images alone: no classifier has had a say in what they keep.
OF_IMAGES = ("smears", "copies")


def apart(place: Path, name: str, *, stages: Sequence[str] | None = None) -> Path:
    """Another --reports folder, with kept stages of the first and nothing that is known of its looks.

    Args:
        place: has `reports`, the first folder.
        name: of the other one, relative to `place`, or a whole path.
        stages: the names of those that it starts with; None for all.
    """
    reports, kept = place / name, place / "reports" / ".stages"
    for folder in sorted(kept.iterdir()) if stages is None else map(kept.joinpath, stages):
        shutil.copytree(folder, reports / ".stages" / folder.name, copy_function=os.link)
    return reports


def evidence_of(pack: Path) -> dict[str, Any]:
    return json.loads((pack / "evidence.json").read_text())  # type: ignore[no-any-return]


def verdicts_of(pack: Path) -> dict[str, Any]:
    """Criterion -> its verdict in evidence.json."""
    return {verdict["criterion"]: verdict for verdict in evidence_of(pack)["verdicts"]}
