"""What cannot be asked of what existed before the run? A training that nobody watched; images that nobody can answer.

Whoever judges a file asks for no training, and whoever judges predictions for no new image: criteria that need these
are not assessed, and block nothing. One function each says so for the live run and for a pack that is read.
"""

from __future__ import annotations

from typing import TypeAlias

from harness.data.prediction_records import GivenPredictions
from harness.metrics.estimates import Unavailable
from harness.model.records import JudgedModel
from harness.protocol.criteria import metric_table
from harness.protocol.datasets import PINNED_BY
from harness.protocol.names import PARTS
from harness.protocol.needs import (
    ANSWERS_ON_TRAIN,
    ANSWERS_ON_VALIDATION,
    EXPORT,
    NEW_IMAGES,
    OTHER_SEEDS,
    PREPARED_ARRAYS,
    REPEATED_TRAINING,
    SPLIT,
    TRAINING,
    TRAINING_CELLS,
)

EXISTING = "judges a classifier that exists"
GIVEN = "not applicable: --predictions judges answers that exist"
NO_TRAINING = {
    REPEATED_TRAINING: "no training was repeated",
    OTHER_SEEDS: "there is none of another seed",
    TRAINING: "its training is not part of this run",
    EXPORT: "its training is not part of this run",
}
NO_CLASSIFIER = {
    **NO_TRAINING,
    EXPORT: "there is no classifier whose file could be opened",
    NEW_IMAGES: "nobody answers for a new image",
    PREPARED_ARRAYS: "nobody answers for a new image",
}
# What was judged; None where a classifier was trained by the run.
Judged: TypeAlias = JudgedModel | GivenPredictions | None


def lacking(need: str, judged: Judged) -> Unavailable | None:
    """Why a metric's need is not met by what is judged; None where it is, or where a classifier was trained."""
    match judged:
        case JudgedModel():
            return _lacked_by_model(need, judged)
        case GivenPredictions():
            reason = _reason_of_predictions(need, judged)
            return Unavailable(f"{GIVEN}: {reason}", not_asked=True) if reason is not None else None
        case None:
            return None


def unanswered(set_name: str, judged: Judged) -> Unavailable | None:
    """Why there are no predictions of a set that is there; None where there are, or where a classifier is asked.

    Nobody asks for train or validation where a file of predictions leaves them out. The test part is what a run is
    for; an external set that it was given, and its criteria, ask for an answer, too.
    """
    if not isinstance(judged, GivenPredictions):
        return None
    if set_name in PARTS:
        if set_name in judged.parts:
            return None
        return Unavailable(f"{GIVEN}: they do not cover {set_name}", not_asked=set_name != "test")
    if any(each.set == set_name for each in judged.files):
        return None
    return Unavailable(f"there are no predictions of set {set_name}: no --predictions {set_name}=FILE")


def nobody_asked(
    metric: str, question: str, set_name: str, judged: Judged, *, without_baseline: bool, unpinned: bool
) -> bool:
    """Whether a criterion that was not assessed blocks nothing, because nothing here asks for it.

    Args:
        without_baseline: no baseline was given, by a protocol that does not insist on one.
        unpinned: the protocol pins no digest of the dataset.
    """
    if (question == "regression" and without_baseline) or (metric == PINNED_BY and unpinned):
        return True
    entry = metric_table().get(metric)
    reasons = [unanswered(set_name, judged), *(lacking(need, judged) for need in (entry.needs if entry else ()))]
    return any(reason is not None and reason.not_asked for reason in reasons)


def _lacked_by_model(need: str, model: JudgedModel) -> Unavailable | None:
    if need in (NEW_IMAGES, PREPARED_ARRAYS) and model.card is not None:
        why = model.card.why_not({need})
        return None if why is None else Unavailable(why, not_asked=True)
    if need == TRAINING_CELLS and not model.knows_its_cells:
        reason: str | None = f"the cells that it was trained on are {_stated(model)}"
    elif need == EXPORT and model.format == "fastai pickle":
        reason = None
    else:
        reason = NO_TRAINING.get(need)
    if reason is None:
        return None
    # Its own file says that it was trained on other cells than this run's train part; this run's test cells may
    # be among them. That is a question which somebody must answer.
    refuted = need == TRAINING_CELLS and model.cells == "others than this split's"
    option = "--model" if model.command is None else "--model-command"
    return Unavailable(f"{option} {EXISTING}: {reason}", not_asked=not refuted)


def _stated(model: JudgedModel) -> str:
    return "not known" if model.cells == "unknown" else "others than this run's train part, by its file's word"


def _reason_of_predictions(need: str, given: GivenPredictions) -> str | None:
    if need == SPLIT and not given.divided:
        return "no split was given, and every cell is judged as test"
    if need == TRAINING_CELLS and not given.knows_its_cells:
        return "the cells that the classifier was trained on are not known"
    if need == ANSWERS_ON_TRAIN and "train" not in given.parts:
        return "they do not cover train"
    if need == ANSWERS_ON_VALIDATION and "validation" not in given.parts:
        return "they do not cover validation, on which it would be fitted"
    return NO_CLASSIFIER.get(need)
