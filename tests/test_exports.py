"""export.pkl as a stranger finds it."""

from __future__ import annotations

import pickletools
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import decoded, scored
from torch import nn

from harness.core.errors import TrainingError
from harness.data.records import CellImage, Manifest
from harness.metrics.predictions import Predictions, predictions_of
from harness.model.exports import EXPORT, export_learner
from harness.model.networks import untrained
from harness.model.records import Preprocessing
from harness.protocol.training import TrainingPlan
from harness.run import export_check
from harness.run.export_check import exported_differences
from harness.run.recipes.export import CHECKED_IMAGES, some_cells


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, manifest: Manifest, small_plan: TrainingPlan
) -> tuple[Path, Predictions]:
    torch.manual_seed(5)
    some = manifest.images[::6]
    cells = decoded(manifest, some)
    model, _ = untrained(small_plan, n_classes=5, weights_file=None, train=cells)
    path = tmp_path_factory.mktemp("export") / EXPORT
    export_learner(model, classes=manifest.classes, how=Preprocessing(32, "squish"), path=path)
    return path, predictions_of(
        some, scored(model, cells, batch_size=4), set_name="validation", classes=manifest.classes
    )


def test_plain_fastai_opens_it_and_says_the_same(exported: tuple[Path, Predictions], manifest: Manifest):
    assert exported_differences(*exported, manifest.root) == ()


@pytest.mark.slow
def test_probabilities_that_are_not_the_exported_model_s_are_named(
    exported: tuple[Path, Predictions], manifest: Manifest
):
    path, predictions = exported
    swapped = replace(predictions, probabilities=predictions.probabilities[:, ::-1])
    found = exported_differences(path, swapped, manifest.root)
    assert len(found) == len(predictions.digests)
    assert predictions.paths[0] in found[0]


@pytest.mark.slow
def test_another_vocabulary_is_a_difference(exported: tuple[Path, Predictions], manifest: Manifest):
    path, predictions = exported
    (line,) = exported_differences(path, replace(predictions, classes=manifest.classes[::-1]), manifest.root)
    assert "every cell" in line
    assert str(list(manifest.classes)) in line


def test_a_tie_that_rounding_breaks_the_other_way_is_no_difference(
    exported: tuple[Path, Predictions], manifest: Manifest, monkeypatch: pytest.MonkeyPatch
):
    """As criterion F8 has it of the ONNX file: float32 may name either of two classes that are equally likely."""
    tied = np.tile([0.4 + 1e-7, 0.4 - 1e-7, 0.2, 0.0, 0.0], (len(exported[1].digests), 1))
    judged = replace(exported[1], probabilities=tied)

    def answers(probabilities: np.ndarray) -> None:
        monkeypatch.setattr(export_check, "reopened_predictions", lambda *_: (manifest.classes, probabilities))

    answers(tied[:, [1, 0, 2, 3, 4]])
    assert exported_differences(exported[0], judged, manifest.root) == ()
    answers(tied[:, [2, 1, 0, 3, 4]])
    assert len(exported_differences(exported[0], judged, manifest.root)) == len(tied)


def test_no_class_of_this_project_is_in_the_file(exported: tuple[Path, Predictions]):
    with zipfile.ZipFile(exported[0]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        said = [str(argument) for _, argument, _ in pickletools.genops(archive.read(name)) if argument is not None]
    assert any("fastai" in word for word in said)
    assert not [word for word in said if "harness" in word or "fixtures" in word]


def test_the_file_knows_neither_where_it_was_written_nor_what_was_drawn_before(tmp_path: Path):
    """The same network gives the same bytes, so that two runs' files can be compared by digest."""
    torch.manual_seed(7)
    model, written = nn.Sequential(nn.Sequential(nn.Conv2d(3, 5, 3)), nn.Sequential(nn.Flatten(), nn.LazyLinear(2))), []
    model(torch.zeros(1, 3, 32, 32))
    for name in ("here", "elsewhere"):
        random.seed(name)
        folder = tmp_path / name
        folder.mkdir()
        before = random.getstate()
        export_learner(model, classes=("a", "b"), how=Preprocessing(32, "squish"), path=folder / EXPORT)
        assert random.getstate() == before
        written.append((folder / EXPORT).read_bytes())
    assert written[0] == written[1]
    assert str(tmp_path).encode() not in written[0]


@pytest.mark.slow
def test_a_file_that_does_not_open_is_an_error(tmp_path: Path, exported: tuple[Path, Predictions], manifest: Manifest):
    broken = tmp_path / EXPORT
    broken.write_bytes(b"not a pickle")
    with pytest.raises(TrainingError, match="does not open with plain load_learner"):
        exported_differences(broken, exported[1], manifest.root)


def test_cells_of_patients_are_checked_with_all_that_is_known_of_them():
    """Every training on more than forty validation cells of a table with patients ended in an error, after hours."""
    images = [CellImage(f"{n}.png", "a", f"{n:064}", 1, patient=f"P{n % 7}") for n in range(2 * CHECKED_IMAGES + 3)]
    every = predictions_of(images, np.tile([1.0, 0.0], (len(images), 1)), set_name="validation", classes=("a", "b"))
    some = some_cells(every)
    assert CHECKED_IMAGES <= len(some.paths) < len(images)
    rows = [every.paths.index(path) for path in some.paths]
    assert some.columns == {"patient": tuple(every.columns["patient"][row] for row in rows)}
    assert some.groups == tuple(every.groups[row] for row in rows)
