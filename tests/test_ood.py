"""Inputs without a cell: a score for each, of the classifier's features where it has them, else of probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from drawn import MeanColour, classifier_of, decoded

from harness.core.errors import InvalidPredictions
from harness.core.progress import silent
from harness.data.records import Manifest, labels_of
from harness.metrics.ood_scores import ood_score
from harness.model.classifier import Classifier
from harness.model.images import Images, images_of
from harness.model.networks import untrained
from harness.model.ood import COMMON_PX, ood_features, ood_score_of
from harness.protocol.stress import DetectionPlan
from harness.protocol.training import TrainingPlan

SCORES = ("confidence", "entropy", "mahalanobis")


@pytest.fixture(scope="module")
def network(manifest: Manifest, small_plan: TrainingPlan) -> torch.nn.Sequential:
    torch.manual_seed(3)
    cells = decoded(manifest, manifest.images[:8])
    return untrained(small_plan, n_classes=5, weights_file=None, train=cells)[0].eval()


class Embeds(MeanColour):
    """Shows features of frames, and takes no prepared arrays."""

    card = replace(MeanColour.card, abilities=("probabilities", "new images", "features"))

    def embed(self, images: Images) -> np.ndarray:
        return np.stack([images.frame(i).std(axis=(0, 1)) for i in range(len(images))])


@pytest.fixture(params=["a network", "features of frames", "probabilities alone"])
def door(request: pytest.FixtureRequest, network: torch.nn.Sequential) -> Classifier:
    if request.param == "a network":
        return classifier_of(network, batch_size=4)
    return Embeds() if request.param == "features of frames" else MeanColour()


def plan_of(score: str) -> DetectionPlan:
    return DetectionPlan(score=score, true_positive_rate=0.9, kinds=("blank", "noise"), inputs_per_kind=10, seed=1)


def seen_by(door: Classifier, manifest: Manifest, score: str) -> dict[str, np.ndarray]:
    images = images_of(manifest.images[::5], manifest.root, formats=("PNG",))
    sets = {"test": images, "validation": images}
    return ood_features(door, plan_of(score), train=images, sets=sets, progress=silent)


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("score", SCORES)
def test_every_cell_and_every_input_without_one_has_a_score(door: Classifier, manifest: Manifest, score: str):
    labels = labels_of(manifest.images[::5], manifest.classes)

    def scores() -> dict[str, np.ndarray]:
        used = ood_score_of(plan_of(score), door.card)
        return ood_score(used, seen_by(door, manifest, score), train_labels=labels)

    found = scores()
    assert {name: len(values) for name, values in found.items()} == {
        "test": 12,
        "validation": 12,
        "blank": 10,
        "noise": 10,
    }
    assert all(np.isfinite(values).all() for values in found.values())
    assert np.array_equal(found["test"], found["validation"])
    assert all(np.array_equal(values, scores()[name]) for name, values in found.items())


def test_without_features_the_score_is_of_probabilities_and_says_so(manifest: Manifest):
    assert ood_score_of(plan_of("mahalanobis"), MeanColour.card) == "confidence"
    assert ood_score_of(plan_of("entropy"), MeanColour.card) == "entropy"
    assert ood_score_of(plan_of("mahalanobis"), Embeds.card) == "mahalanobis"
    assert seen_by(MeanColour(), manifest, "mahalanobis")["train"].shape == (12, 5)
    assert seen_by(Embeds(), manifest, "mahalanobis")["train"].shape == (12, 3)


def test_inputs_without_a_cell_have_the_size_that_the_classifier_sees(manifest: Manifest, network: torch.nn.Sequential):
    door = MeanColour()
    seen_by(door, manifest, "confidence")
    assert set(door.shapes) == {(48, 48, 3), (COMMON_PX, COMMON_PX, 3)}
    assert seen_by(classifier_of(network), manifest, "mahalanobis")["blank"].shape == (10, 512)


SPOILED = {"lacks a row": lambda found: found[:-1], "not finite": lambda found: np.where(found > 0, np.nan, found)}


class SpoiledNetwork:
    """A network whose answers for frames and arrays are spoiled, each in the same way."""

    def __init__(self, door: Classifier, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
        self.card, self._door, self._spoil = door.card, cast(Any, door), spoil

    def predict_proba(self, images: Images) -> np.ndarray:
        return self._spoil(self._door.predict_proba(images))

    def prepare(self, images: Images) -> np.ndarray:
        return cast(np.ndarray, self._door.prepare(images))

    def forward(self, arrays: np.ndarray) -> np.ndarray:
        return self._spoil(self._door.forward(arrays))

    def embed(self, images: Images) -> np.ndarray:
        return self._spoil(self._door.embed(images))

    def features(self, arrays: np.ndarray) -> np.ndarray:
        return self._spoil(self._door.features(arrays))


class SpoiledColour(Embeds):
    def __init__(self, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self._spoil = spoil

    def predict_proba(self, images: Images) -> np.ndarray:
        return self._spoil(super().predict_proba(images))

    def embed(self, images: Images) -> np.ndarray:
        return self._spoil(super().embed(images))


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
@pytest.mark.parametrize("score", ["confidence", "mahalanobis"])
def test_an_answer_that_lacks_a_row_or_is_not_finite_is_refused(
    manifest: Manifest, network: torch.nn.Sequential, score: str, spoil: Callable[[np.ndarray], np.ndarray]
):
    for door in (SpoiledNetwork(classifier_of(network), spoil), SpoiledColour(spoil)):
        with pytest.raises(InvalidPredictions, match=r"11 rows|not finite|shape .11, "):
            seen_by(door, manifest, score)
