"""Predictions that existed before the run: which row speaks of which image, and what they cover."""

from __future__ import annotations

from typing import Literal

from harness.data.prediction_files import PREDICT_THEM, Answered, answers_for
from harness.data.prediction_records import GivenPredictions, PredictionsFile
from harness.data.records import Manifest, Split
from harness.judge.pretrained import Judged
from harness.protocol.names import PARTS
from harness.run.graph import Asking, stage
from harness.run.setting import Setting
from harness.run.stages.data import split
from harness.run.stages.external import external, listing
from harness.run.stages.model import model

SAY_WHICH = "No split was given, so every image is a test image: if only some are, say which with --split FILE. Else:"


@stage(listing)
def answered(run: Asking, set_name: str) -> Answered:
    """What the files say of the images of an external set, or of the dataset that a part is of.

    Raises:
        InvalidPredictions: rows that speak of no image, of several, or of one that another row speaks of.
    """
    found = run(listing, set_name)
    tables = [each for each in run.setting.options.predictions if each.record.set == found.name]
    return answers_for(tables, found.images, set_name=found.name)


@stage(answered, split, external)
def given(run: Asking) -> GivenPredictions | None:
    """The predictions that are judged instead of asking a classifier, with the parts that they cover.

    Raises:
        InvalidPredictions: as `answered`; also where the test part, or some of another, has no row.
    """
    tables = run.setting.options.predictions
    if not tables:
        return None
    parts, own = run(split), run(answered, "test")
    files: list[PredictionsFile] = [*own.files]
    for name in dict.fromkeys(each.record.set for each in tables if each.record.set != "dataset"):
        there = isinstance(run(external).get(name), Manifest)  # one that is not there cannot be matched
        files += run(answered, name).files if there else [t.record for t in tables if t.record.set == name]
    return GivenPredictions(
        tuple(files),
        cells=whose_word(run.setting, parts),
        parts=covered(own, parts),
    )


def whose_word(setting: Setting, parts: Split) -> Literal["unknown", "not stated", "stated by the split"]:
    """As `cells` of `GivenPredictions`."""
    if parts.source == "undivided":
        return "unknown"
    return "stated by the split" if setting.options.split_is_stated else "not stated"


@stage(model, given)
def judged(run: Asking) -> Judged:
    """What existed before the run and is judged; None where a classifier is trained."""
    return run(model) or run(given)


def covered(own: Answered, parts: Split) -> tuple[str, ...]:
    """The parts whose every cell has a row: the test part, and of the others all cells or none.

    Raises:
        InvalidPredictions: the test part, or some of another, has no row.
    """
    advice = f"{SAY_WHICH} {PREDICT_THEM}" if parts.source == "undivided" else PREDICT_THEM
    covered = []
    for part in PARTS:
        cells = parts.part(part)
        if part == "test" or own.names_any_of(cells):
            own.probabilities(cells, of=part, advice=advice)  # which refuses a part that is covered in part
            covered.append(part)
    return tuple(covered)
