"""What cannot be asked of a classifier that existed before the run? Its training was not this run's to watch."""

from __future__ import annotations

from harness.metrics.estimates import Unavailable
from harness.model.records import JudgedModel
from harness.protocol.needs import EXPORT, OTHER_SEEDS, REPEATED_TRAINING, TRAINING, TRAINING_CELLS

EXISTING = "--model judges a classifier that exists"


def lacking(need: str, model: JudgedModel | None) -> Unavailable | None:
    """Why a metric's need is not met by the judged classifier; None where it is, or where one was trained.

    Whoever judges a file asks for no training: such a criterion blocks nothing, and is listed as not assessed.
    """
    if model is None:
        return None
    reason = _reason(need, model)
    if reason is None:
        return None
    # Its own file says that it was trained on other cells than this run's train part; this run's test cells may
    # be among them. That is a question which somebody must answer.
    refuted = need == TRAINING_CELLS and model.cells == "others than this split's"
    return Unavailable(f"{EXISTING}: {reason}", not_asked=not refuted)


def _reason(need: str, model: JudgedModel) -> str | None:
    if need == TRAINING_CELLS and not model.knows_its_cells:
        return f"the cells that it was trained on are {_stated(model)}"
    if need == EXPORT and model.format == "fastai pickle":
        return None
    return {
        REPEATED_TRAINING: "no training was repeated",
        OTHER_SEEDS: "there is none of another seed",
        TRAINING: "its training is not part of this run",
        EXPORT: "its training is not part of this run",
    }.get(need)


def _stated(model: JudgedModel) -> str:
    return "not known" if model.cells == "unknown" else "others than this run's train part, by its file's word"
