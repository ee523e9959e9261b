"""Does the exported ONNX file say of every judged cell what was judged?"""

from __future__ import annotations

from harness.core.digests import file_digest
from harness.metrics.parity import Parity
from harness.model.onnx_runtime import engine
from harness.model.onnx_writing import ONNX
from harness.run.graph import Asking, stage
from harness.run.recipes.onnx import RUNS, OnnxAnswers, read_parity
from harness.run.stages.model import machine, pictures
from harness.run.stages.predictions import predictions
from harness.run.stages.training_checks import onnx_file


@stage(onnx_file, pictures, predictions, keeps=OnnxAnswers, runs=RUNS)
def onnx_parity(run: Asking, sets: tuple[str, ...]) -> Parity:
    """How far the file's answers for these sets are from those that were judged."""
    file, shown = run(onnx_file), tuple(run(pictures, name) for name in sets)
    judged = {name: run(predictions, name) for name in sets}
    answers = run.keep("onnx-answers", OnnxAnswers(file, shown, machine(run)))
    return Parity(ONNX, file_digest(file), file.stat().st_size, engine(), read_parity(answers, shown, judged))
