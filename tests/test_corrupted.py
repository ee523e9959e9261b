"""Corrupted and turned cells through a classifier: every answer in its place, the same twice, whatever the door."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import MeanColour, classifier_of, decoded, scored

from harness.core.errors import InvalidPredictions
from harness.core.progress import silent
from harness.data.corruptions import corrupt_set, turned
from harness.data.records import Manifest
from harness.metrics.estimates import Unavailable
from harness.metrics.stability import Robustness, stability
from harness.model.classifier import CHECKED_IMAGES, Classifier, Machine, predict
from harness.model.corrupted import corrupted_predictions
from harness.model.images import Images, frames_of, images_of
from harness.model.networks import untrained
from harness.model.preprocessing import CellPixels
from harness.protocol.stress import RobustnessPlan
from harness.protocol.training import TrainingPlan

PLAN = RobustnessPlan(
    kinds=("stain", "second_cell"),
    severities=(1, 3),
    agreed={"stain": 3, "second_cell": 1, "jpeg": 5},
    invariances=("rotation_90",),
    seed=7,
)


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> CellPixels:
    return decoded(manifest, manifest.images[::5])


@pytest.fixture(scope="module")
def model(cells: CellPixels, small_plan: TrainingPlan) -> torch.nn.Sequential:
    torch.manual_seed(3)
    return untrained(small_plan, n_classes=5, weights_file=None, train=cells)[0].eval()


CPU = Machine("cpu", 5, workers=2, progress=silent)


@pytest.fixture(params=["a network", "probabilities alone"])
def door(request: pytest.FixtureRequest, model: torch.nn.Sequential) -> Classifier:
    return classifier_of(model, batch_size=5) if request.param == "a network" else MeanColour()


def files(manifest: Manifest) -> tuple[Images, list[str]]:
    some = manifest.images[::5]
    return images_of(some, manifest.root, formats=("PNG",)), [image.sha256 for image in some]


def corrupted(door: Classifier, images: Images, digests: list[str]) -> dict[str, np.ndarray]:
    return corrupted_predictions(door, images, PLAN, digests=digests, machine=CPU)


def test_every_kind_severity_and_transform_is_scored_for_every_cell(door: Classifier, manifest: Manifest):
    found = corrupted(door, *files(manifest))
    assert sorted(found) == ["rotation_90", "second_cell 1", "second_cell 3", "stain 1", "stain 3"]
    for probabilities in found.values():
        assert probabilities.shape == (12, 5)
        assert np.allclose(probabilities.sum(axis=1), 1)


def test_the_same_cells_are_corrupted_the_same_way_twice(door: Classifier, manifest: Manifest):
    once, again = corrupted(door, *files(manifest)), corrupted(door, *files(manifest))
    assert all(np.array_equal(once[name], again[name]) for name in once)
    assert not np.array_equal(once["stain 1"], once["stain 3"])


def test_the_order_of_the_cells_changes_no_cell_s_answer(door: Classifier, manifest: Manifest):
    images, digests = files(manifest)
    order = np.arange(len(images))[::-1]
    back = corrupted(door, images.take(order), [digests[i] for i in order])
    for name, probabilities in corrupted(door, images, digests).items():
        assert np.allclose(back[name][order], probabilities, atol=1e-5), name


def test_steadiness_is_asked_once_and_not_of_every_corruption(manifest: Manifest):
    images, digests = files(manifest)
    door = MeanColour()
    found = corrupted(door, images, digests)
    n = len(images)
    # Every image once in each pass; in the first also some twice in one batch, and some again one by one.
    assert len(door.shapes) == len(found) * n + 3 * min(n, CHECKED_IMAGES)


def test_a_classifier_that_answers_at_random_is_found_at_the_first_corruption(manifest: Manifest):
    class Random(MeanColour):
        def predict_proba(self, images: Images) -> np.ndarray:
            return np.random.default_rng().dirichlet(np.ones(5), len(images))

    with pytest.raises(InvalidPredictions, match="shown the same"):
        corrupted(Random(), *files(manifest))


def test_a_network_s_corruptions_act_on_what_it_prepares(
    model: torch.nn.Sequential, cells: CellPixels, manifest: Manifest
):
    found = corrupted(classifier_of(model, batch_size=5), *files(manifest))
    digests = [image.sha256 for image in cells.images]
    for name, pixels in {
        "rotation_90": turned(cells.pixels, "rotation_90"),
        "stain 3": corrupt_set(cells.pixels, digests, "stain", 3, seed=7),
        "second_cell 1": corrupt_set(cells.pixels, digests, "second_cell", 1, seed=7),
    }.items():
        alone = scored(model, CellPixels(cells.images, pixels, cells.labels), batch_size=5)
        assert np.array_equal(found[name], alone), name


def test_without_prepared_arrays_corruptions_act_on_the_frames(manifest: Manifest):
    images, digests = files(manifest)
    whole = np.stack([images.frame(i) for i in range(len(images))])
    found, door = corrupted(MeanColour(), images, digests), MeanColour()
    for kind, severity in (("stain", 3), ("second_cell", 1)):
        alone = predict(door, frames_of(corrupt_set(whole, digests, kind, severity, seed=7)))
        assert np.array_equal(found[f"{kind} {severity}"], alone), kind


def test_frames_of_any_size_and_shape_are_corrupted(manifest: Manifest):
    rng, digests = np.random.default_rng(4), [image.sha256 for image in manifest.images[:3]]
    frames = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((40, 60, 3), (48, 48, 3), (33, 20, 3))]
    door = MeanColour()
    found = corrupted(door, frames_of(frames), digests)
    assert all(len(rows) == 3 for rows in found.values())
    assert (60, 40, 3) in door.shapes  # a turned one


def test_a_kind_that_was_not_drawn_has_no_number():
    nothing = Robustness((), (), None, {})
    for metric, kind in (("disturbed_accuracy", "stain"), ("flip_rate", "any")):
        assert isinstance(stability(nothing, metric, kind=kind, plan=PLAN, set_name="test"), Unavailable)
