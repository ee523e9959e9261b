"""Scores a few judged cells again when the run ends: in a fresh process, one at a time, on the CPU.

The process is isolated: neither PYTHONPATH nor plugins nor anything that was changed in this one reaches it. What it is
given are files: the classifier's and the images'.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.core.processes import limited_environment
from harness.judge.rescored import Rescored, RescoredCell, chosen
from harness.metrics.predictions import Predictions
from harness.model.images import readable_by_anybody
from harness.model.onnx_runtime import Files, answers_elsewhere

TIMEOUT_S = 600
MOST_SAID = 300
SCRIPT = Path(__file__).with_name("rescoring_reader.py")
GIVEN = "predictions were given, and no classifier that could be asked again"


def rescore(
    predictions: Mapping[str, Predictions],
    *,
    run: str,
    classifier: Mapping[str, object],
    protocol: Path,
    roots: Mapping[str, Path],
    formats: Mapping[str, Sequence[str]],
) -> Rescored:
    """What the classifier says of the drawn cells of each of these sets.

    Args:
        classifier: what opens it, as `rescoring_reader` reads it; "onnx" where the run exported a graph.
        roots, formats: of the images of each set.
    """
    if "onnx" in classifier:
        return _by_graph(predictions, run=run, graph=Path(str(classifier["onnx"])), roots=roots, formats=formats)
    cells = [
        {"set": name, "path": found.paths[row], "sha256": found.digests[row], "root": str(roots[name].resolve())}
        | {"formats": list(formats[name])}
        for name, found in predictions.items()
        for row in chosen(found, run=run)
    ]
    request = {
        # Where the package lies, which an isolated Python does not look for.
        "home": str(Path(__file__).resolve().parents[2]),
        "cwd": str(Path.cwd()),
        "protocol": str(protocol.resolve()),
        "classifier": dict(classifier),
        "cells": cells,
    }
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder).resolve() / "request.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(SCRIPT), str(asked)],
                capture_output=True,
                check=False,
                cwd=folder,
                # A command is somebody's own program, and may need its environment; nothing of it reaches our Python.
                env=dict(os.environ) if "command" in classifier else limited_environment(),
                timeout=TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Rescored(not_done=f"no fresh process answered ({type(error).__name__})")
    return _answers(done, cells)


def _by_graph(
    predictions: Mapping[str, Predictions],
    *,
    run: str,
    graph: Path,
    roots: Mapping[str, Path],
    formats: Mapping[str, Sequence[str]],
) -> Rescored:
    """The same of a training's exported graph, in a process that has neither torch nor this project."""
    rows = {name: chosen(found, run=run) for name, found in predictions.items()}
    with tempfile.TemporaryDirectory() as copies:
        sets = [
            Files(
                name,
                tuple(
                    readable_by_anybody(
                        roots[name] / predictions[name].paths[row],
                        Path(copies) / f"{number}-{row}.png",
                        formats=formats[name],
                    )
                    for row in each
                ),
                tuple(formats[name]),
            )
            for number, (name, each) in enumerate(rows.items())
        ]
        try:
            _, answers = answers_elsewhere(graph.read_bytes(), sets, batch_size=1)
        except (HarnessError, OSError) as error:
            return Rescored(not_done=f"no fresh process answered: {str(error)[:MOST_SAID]}")
    return Rescored(
        tuple(
            RescoredCell(name, predictions[name].paths[row], predictions[name].digests[row], tuple(map(float, said)))
            for name, each in rows.items()
            for row, said in zip(each, answers[name], strict=True)
        )
    )


def _answers(done: subprocess.CompletedProcess[bytes], cells: Sequence[Mapping[str, Any]]) -> Rescored:
    try:
        rows = json.loads(done.stdout.splitlines()[-1])["probabilities"] if done.returncode == 0 else None
    except (ValueError, LookupError, TypeError):
        rows = None
    if rows is None or len(rows) != len(cells):
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return Rescored(not_done=f"the fresh process ended with {done.returncode}: {' '.join(said)[:MOST_SAID]}")
    return Rescored(
        tuple(
            RescoredCell(cell["set"], cell["path"], cell["sha256"], tuple(map(float, row)))
            for cell, row in zip(cells, rows, strict=True)
        )
    )
