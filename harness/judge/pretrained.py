"""What does nobody ask of a classifier that existed before the run? Its training was not this run's to watch."""

from __future__ import annotations

from harness.metrics.estimates import Unavailable
from harness.model.records import JudgedModel
from harness.protocol.records import SEED_METRICS, Criterion

OF_ITS_CELLS = ("accuracy_gap", "judged_cells_in_fits")
OF_ITS_EXPORT = ("exported_model_differences",)


def unasked(criterion: Criterion, model: JudgedModel | None) -> Unavailable | None:
    """Why this criterion is not asked of the judged classifier; None where it is, or where one was trained.

    Whoever judges a file asks for no training: such a criterion blocks nothing, and is listed as not assessed.
    """
    if model is None:
        return None
    reason = _reason(criterion, model)
    if reason is None:
        return None
    # Its own file says that it was trained on other cells than this run's train part; this run's test cells may
    # be among them. No question that nobody asked.
    refuted = criterion.metric in OF_ITS_CELLS and model.cells == "others than this split's"
    return Unavailable(reason, not_asked=not refuted)


def _reason(criterion: Criterion, model: JudgedModel) -> str | None:
    existing = "--model judges a classifier that exists"
    if criterion.question == "reproducibility":
        return f"{existing}: no training was repeated"
    if criterion.metric in SEED_METRICS:
        return f"{existing}: there is none of another seed"
    if criterion.question != "training":
        return None
    if criterion.metric in OF_ITS_CELLS:
        return None if model.knows_its_cells else f"{existing}: the cells that it was trained on are {_told(model)}"
    if criterion.metric in OF_ITS_EXPORT and model.format == "fastai pickle":
        return None
    return f"{existing}: its training is not part of this run"


def _told(model: JudgedModel) -> str:
    return "not known" if model.cells == "unknown" else "others than this run's train part, by its file's word"
