"""Does what a pack says of its exported ONNX file agree with the rest of the pack?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.metrics.parity import TOLERANCE, Parity
from harness.metrics.predictions import Predictions

TAKEN = (
    "that the exported ONNX file says what was judged: how far apart its answers are is recorded; the file is in "
    "models/, and `pytest suites/ --model` judges it"
)


def parity_findings(
    parity: Parity, *, sums: Mapping[str, str], predictions: Mapping[str, Predictions]
) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) for whatever the digests and predictions of the pack refute."""
    held = sums.get(f"models/{parity.file}", "no such file")
    if held != parity.sha256:
        yield "parity > sha256", f"{parity.sha256} is written, the sums list {held} in models/"
    if "test" not in {each.set for each in parity.sets}:
        yield "parity > sets", "the test part was not asked again"
    for each in parity.sets:
        field = f"parity > sets > {each.set}"
        judged = predictions.get(each.set)
        if judged is None or len(judged.digests) != each.n:
            n = 0 if judged is None else len(judged.digests)
            yield field, f"{each.n} cells are written, predictions/ has {n}"
        if not each.differing and not each.largest <= TOLERANCE:
            yield field, f"probabilities differ by {each.largest:g}, and no cell is said to be predicted differently"
