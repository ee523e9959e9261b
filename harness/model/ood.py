"""Collects what an out-of-distribution score is made of: for training cells, other cells and inputs without a cell.

That is the classifier's features where it gives any, else its probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.core.progress import Report
from harness.data.backgrounds import background_of
from harness.data.image_arrays import resized
from harness.data.no_cells import no_cell
from harness.model.classifier import (
    Classifier,
    PreparedEmbedding,
    Preparing,
    embed,
    predict,
    predict_prepared,
    whole_features,
)
from harness.model.images import Images, frames_of
from harness.model.records import ModelCard
from harness.protocol.stress import DetectionPlan

FEATURE_SCORES = ("mahalanobis",)
WITHOUT_FEATURES = "confidence"  # the baseline of Hendrycks and Gimpel (2017), which needs nothing but probabilities
# The size of inputs without a cell where the classifier's own is not known: ImageNet's.
COMMON_PX = 224

Shown = Images | np.ndarray


def ood_score_of(plan: DetectionPlan, card: ModelCard) -> str:
    """The score that is used: the protocol's, or one of probabilities where that needs features that nobody gives."""
    needs_features = plan.score in FEATURE_SCORES
    return WITHOUT_FEATURES if needs_features and card.why_not({"features"}) else plan.score


def ood_features(
    classifier: Classifier,
    plan: DetectionPlan,
    *,
    train: Images,
    sets: Mapping[str, Images],
    progress: Report,
) -> dict[str, np.ndarray]:
    """Features, or probabilities, of cells and of inputs without a cell; `ood_score_of` says which.

    Returns:
        Name of the set -> one row a cell, in the order of its cells; kind -> one row an input without a cell; "train"
        -> the train part's rows.
    Raises:
        InvalidPredictions: an input has no row, or one that is not finite or no distribution.
    """
    see, prepare = _seeing(classifier, of_features=ood_score_of(plan, classifier.card) in FEATURE_SCORES)
    how = classifier.card.preprocessing
    size_px = COMMON_PX if how is None else how.size_px
    shown: dict[str, Shown] = {name: prepare(images) for name, images in {"train": train, **sets}.items()}
    seen = shown["train"]
    like = background_of(
        np.stack([resized(seen.frame(i), size_px) for i in range(len(seen))]) if isinstance(seen, Images) else seen
    )
    for place, kind in enumerate(plan.kinds):
        rng = np.random.default_rng([plan.seed, place])
        drawn = [no_cell(kind, size_px=size_px, like=like, rng=rng) for _ in range(plan.inputs_per_kind)]
        shown[kind] = frames_of(drawn) if isinstance(seen, Images) else np.stack(drawn)
    found = {}
    for done, (name, inputs) in enumerate(shown.items()):
        progress("inputs without a cell", done, len(shown), name)
        found[name] = see(inputs)
    progress("inputs without a cell", len(shown), len(shown), "")
    return found


def _seeing(
    classifier: Classifier, *, of_features: bool
) -> tuple[Callable[[Any], np.ndarray], Callable[[Images], Shown]]:
    """(how inputs are answered, how images become inputs): arrays where the classifier prepares any, decoded once.

    Every answer is one whole row for each input, or is refused.
    """
    if of_features:
        if isinstance(classifier, PreparedEmbedding):
            return (lambda arrays: whole_features(classifier.features(arrays), frames_of(arrays))), classifier.prepare
        return (lambda images: embed(classifier, images)), _as_they_are
    # That its answers are steady, the predictions of the same cells have asked.
    if isinstance(classifier, Preparing):
        return (
            lambda arrays: predict_prepared(classifier, arrays, frames_of(arrays), known_steady=True)
        ), classifier.prepare
    return (lambda images: predict(classifier, images, known_steady=True)), _as_they_are


def _as_they_are(images: Images) -> Images:
    return images
