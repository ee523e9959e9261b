"""A validation run of seconds, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.plugin import DEFAULT_PROTOCOL, PROJECT

Pytest = Callable[..., subprocess.CompletedProcess[str]]

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
queries = 30
offline_rounds = 5
offline_images = 20

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

[[criteria]]
id = "T2"
ceiling = 60.0

[[criteria]]
id = "T4"
floor = 0.01
"""


# A worker of pytest-xdist says so in its environment, and pytest-benchmark then times nothing.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def run_pytest(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=cwd or PROJECT,
        env={**ENVIRONMENT, "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def evidence_of(pack: Path) -> dict[str, Any]:
    return json.loads((pack / "evidence.json").read_text())  # type: ignore[no-any-return]


def verdicts_of(pack: Path) -> dict[str, Any]:
    """Criterion -> its verdict in evidence.json."""
    return {verdict["criterion"]: verdict for verdict in evidence_of(pack)["verdicts"]}
