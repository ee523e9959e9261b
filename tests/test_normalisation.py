"""Each image's own background made white: by hand, what it must not notice, and that it is everywhere or nowhere."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from drawn import decoded, scored
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.core.digests import file_digest
from harness.core.errors import WeightsError
from harness.data.records import Manifest
from harness.metrics.predictions import predictions_of
from harness.model.exports import EXPORT, Claims, classifier_bytes, export_learner, unpickled
from harness.model.model_file import read_model
from harness.model.networks import normalise, untrained
from harness.model.normalisation import DARKEST, BackgroundWhite, first_layer
from harness.model.preprocessing import CellPixels
from harness.model.records import Preprocessing
from harness.model.torch_network import network_of
from harness.model.weights import read_tensors
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.training import IMAGENET_MEAN, IMAGENET_STD, Normalisation, TrainingPlan, WeightsPlan
from harness.run.export_check import exported_differences

PROTOCOLS = DEFAULT_PROTOCOL.parent
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))


def whitened(light: torch.Tensor) -> torch.Tensor:
    """(n, 3, h, w) in [0, 1], before and after: without ImageNet's statistics around it."""
    white: torch.Tensor = BackgroundWhite()((light - MEAN) / STD) * STD + MEAN
    return white


def images(n: int = 2, *, seed: int = 0, size_px: int = 10) -> torch.Tensor:
    """Light between 0.3 and 0.9: cells are never black, and a camera is set not to clip the slide."""
    return 0.3 + 0.6 * torch.rand(n, 3, size_px, size_px, generator=torch.Generator().manual_seed(seed))


def test_the_nineteenth_of_twenty_pixels_becomes_white_and_the_others_keep_their_share_of_it():
    # By hand: 20 pixels of 0.04, 0.08 ... 0.80; 95 % of them are at most 0.76. 0.38 is not among them; 0.40 / 0.76 is.
    light = (torch.arange(1, 21) * 0.04).view(1, 1, 4, 5).expand(1, 3, 4, 5)
    white = whitened(light)
    expected = torch.minimum(light / 0.76, torch.ones(()))
    assert white == pytest.approx(expected, abs=1e-6)
    assert white[0, 0, 3, 4] == pytest.approx(1.0)  # the brightest pixel does not become brighter than white
    assert white[0, 0, 1, 4] == pytest.approx(0.4 / 0.76)


def test_each_channel_has_a_background_of_its_own():
    # A yellow slide, as another laboratory's: its blue is dark, and a grey cell on it lets half the light through.
    slide = torch.tensor([0.9, 0.8, 0.5]).view(1, 3, 1, 1).expand(1, 3, 10, 10).clone()
    slide[:, :, 4:6, 4:6] /= 2
    white = whitened(slide)
    assert white[:, :, 0, 0] == pytest.approx(torch.ones(1, 3))
    assert white[:, :, 4, 4] == pytest.approx(torch.full((1, 3), 0.5))


@settings(deadline=None)
@given(st.lists(st.floats(0.2, 1.1), min_size=3, max_size=3), st.integers(0, 100))
def test_a_gain_of_each_channel_changes_nothing(gains: list[float], seed: int):
    light = images(seed=seed)
    assert whitened(light * torch.tensor(gains).view(1, 3, 1, 1)) == pytest.approx(whitened(light), abs=1e-5)


@settings(deadline=None)
@given(st.integers(0, 100))
def test_brighter_stays_brighter_and_doing_it_again_changes_nothing(seed: int):
    light = images(seed=seed)
    white = whitened(light)
    order = light.flatten(2).argsort(dim=2)
    assert bool((white.flatten(2).gather(2, order).diff(dim=2) >= -1e-6).all())
    assert bool((white >= light - 1e-6).all())
    assert whitened(white) == pytest.approx(white, abs=1e-5)


def test_how_dark_the_cell_is_against_its_slide_stays():
    # What standardisation would take away: a pale and a dark cell on the same slide must remain pale and dark.
    pale, dark = (torch.full((1, 3, 10, 10), 0.8) for _ in range(2))
    pale[:, :, 3:7, 3:7], dark[:, :, 3:7, 3:7] = 0.6, 0.2
    assert whitened(pale)[0, 0, 4, 4] == pytest.approx(0.75)
    assert whitened(dark)[0, 0, 4, 4] == pytest.approx(0.25)


def test_an_image_is_normalised_by_itself_whatever_is_beside_it():
    three = torch.cat([images(1, seed=1), images(1, seed=2) * 0.3, images(1, seed=3)])
    together = whitened(three)
    for place, one in enumerate(three):
        assert torch.equal(whitened(one[None])[0], together[place])


def test_a_black_image_stays_black_and_no_number_is_lost():
    assert whitened(torch.zeros(1, 3, 4, 4)) == pytest.approx(torch.zeros(1, 3, 4, 4), abs=1e-5)
    assert whitened(torch.full((1, 3, 4, 4), DARKEST / 2)) == pytest.approx(torch.full((1, 3, 4, 4), 0.5), abs=1e-4)
    assert whitened(torch.full((1, 3, 1, 1), 0.4)) == pytest.approx(torch.ones(1, 3, 1, 1))


def test_what_the_network_holds_is_the_same_to_the_bit():
    light = (images(3) - MEAN) / STD
    assert torch.equal(first_layer()(light), BackgroundWhite()(light))


def test_bfloat16_training_normalises_in_full_precision():
    light = (images(3) - MEAN) / STD
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = first_layer()(light)
    assert torch.equal(inside, BackgroundWhite()(light))


# --- in the network, and so wherever the network is ----------------------------------------------


@pytest.fixture(scope="module")
def cells(manifest: Manifest) -> CellPixels:
    return decoded(manifest, manifest.images[::6])


def model_of(plan: TrainingPlan, cells: CellPixels, how: Normalisation) -> nn.Sequential:
    torch.manual_seed(5)
    return untrained(plan.model_copy(update={"normalisation": how}), n_classes=5, weights_file=None, train=cells)[
        0
    ].eval()


def loaded_from(file: Path, how: Normalisation) -> nn.Sequential:
    shown = Preprocessing(32, "squish", normalisation=how)
    state = read_tensors(file, sha256=None)
    return network_of(state, architecture="resnet18", n_classes=5, how=shown, where=str(file)).eval()


def lit(cells: CellPixels, *gains: float) -> CellPixels:
    """The same cells, a camera that takes each channel with another gain."""
    return CellPixels(cells.images, np.rint(cells.pixels * np.array(gains)).astype(np.uint8), cells.labels)


def test_a_network_says_the_same_of_a_cell_under_another_lamp_and_without_the_layer_it_does_not(
    small_plan: TrainingPlan, cells: CellPixels
):
    apart = {}
    for how in get_args(Normalisation):
        model = model_of(small_plan, cells, how)
        apart[how] = np.abs(scored(model, cells) - scored(model, lit(cells, 0.9, 0.8, 0.6))).max()
    assert apart["background-white"] < 0.02  # rounding to grey levels
    assert apart["imagenet"] > 5 * apart["background-white"]


def test_the_layer_has_no_tensors_and_moves_no_name(small_plan: TrainingPlan, cells: CellPixels):
    plain, white = (model_of(small_plan, cells, how) for how in ("imagenet", "background-white"))
    assert list(white.state_dict()) == list(plain.state_dict())
    # The features that detection measures are those of the same body.
    assert white[0](torch.zeros(1, 3, 32, 32)).shape == plain[0](torch.zeros(1, 3, 32, 32)).shape


def test_loaded_weights_answer_as_the_network_that_they_come_from(
    tmp_path: Path, small_plan: TrainingPlan, cells: CellPixels
):
    model = model_of(small_plan, cells, "background-white")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    loaded = {how: scored(loaded_from(tmp_path / "weights.pth", how), cells) for how in get_args(Normalisation)}
    assert np.allclose(loaded["background-white"], scored(model, cells), atol=1e-6)  # another memory layout
    assert not np.allclose(loaded["imagenet"], loaded["background-white"], atol=1e-3)


def test_unfolded_batchnorm_takes_its_statistics_from_what_the_network_will_see(
    tmp_path: Path, small_plan: TrainingPlan, cells: CellPixels
):
    # Under another lamp the network is shown the same, so its first statistics must be the same.
    file = tmp_path / "folded.npz"
    weight = torch.randn(64, 3, 7, 7, generator=torch.Generator().manual_seed(1)).numpy()
    np.savez(file, **{"conv1.weight": weight, "conv1.bias": np.zeros(64, dtype=np.float32)})
    source = WeightsPlan(
        source="file", file=str(file), sha256=file_digest(file), layout="torchvision-folded", partial=True
    )
    plan = small_plan.model_copy(update={"weights": source, "normalisation": "background-white"})
    here, there = (
        untrained(plan, n_classes=5, weights_file=file, train=shown)[0].state_dict()
        for shown in (cells, lit(cells, 0.9, 0.8, 0.6))
    )
    # Names are places: conv1, bn1 and so on, with no place for the layer in front of them.
    assert there["0.1.running_mean"] == pytest.approx(here["0.1.running_mean"], abs=0.1)  # of up to 20
    assert there["0.1.running_var"] == pytest.approx(here["0.1.running_var"], rel=0.05)


@pytest.mark.slow
def test_plain_fastai_opens_the_export_and_it_normalises_too(
    tmp_path: Path, small_plan: TrainingPlan, manifest: Manifest, cells: CellPixels
):
    model, path = model_of(small_plan, cells, "background-white"), tmp_path / EXPORT
    export_learner(model, classes=manifest.classes, how=Preprocessing(32, "squish"), path=path)
    ours = predictions_of(cells.images, scored(model, cells), set_name="validation", classes=manifest.classes)
    assert exported_differences(path, ours, manifest.root) == ()
    without = nn.Sequential(model[0][1:], model[1])
    others = predictions_of(cells.images, scored(without, cells), set_name="validation", classes=manifest.classes)
    assert len(exported_differences(path, others, manifest.root)) == len(cells.images)
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        said = [str(argument) for _, argument, _ in pickletools.genops(archive.read(name)) if argument is not None]
    assert any("kthvalue" in word for word in said)
    assert not [word for word in said if "harness" in word]


def test_a_model_that_was_made_for_another_normalisation_is_refused(
    tmp_path: Path, small_plan: TrainingPlan, cells: CellPixels
):
    protocol = read_protocol(PROTOCOLS / "leukocyte-offline.toml")
    claims = Claims(classes=protocol.dataset.classes, architecture="resnet18", normalisation="background-white")
    file = tmp_path / "classifier.safetensors"
    file.write_bytes(classifier_bytes(model_of(small_plan, cells, "background-white").state_dict(), claims))
    with pytest.raises(WeightsError, match=r"normalisation = 'background-white', the protocol says 'imagenet'"):
        read_model(file, protocol, trusted=())


@pytest.mark.parametrize("name", ["leukocyte", "leukocyte-offline", "leukocyte-quick"])
def test_the_recipes_normalise_as_published(name: str):
    assert read_protocol(PROTOCOLS / f"{name}.toml").training.normalisation == "imagenet"


@pytest.mark.slow
def test_the_weights_of_an_export_keep_their_names(
    tmp_path: Path, small_plan: TrainingPlan, manifest: Manifest, cells: CellPixels
):
    # --model export.pkl reads the tensors and lays the protocol's own normalisation before them.
    model, path = model_of(small_plan, cells, "background-white"), tmp_path / EXPORT
    export_learner(model, classes=manifest.classes, how=Preprocessing(32, "squish"), path=path)
    file = tmp_path / "classifier.safetensors"
    file.write_bytes(unpickled(path.read_bytes())[0])
    loaded = loaded_from(file, "background-white")
    assert np.allclose(scored(loaded, cells), scored(model, cells), atol=1e-6)


def test_normalising_in_two_steps_is_what_the_network_is_given(cells: CellPixels):
    seen = first_layer()(normalise(torch.from_numpy(cells.pixels), Preprocessing(32, "squish")))
    light = torch.from_numpy(cells.pixels).permute(0, 3, 1, 2) / 255
    assert seen * STD + MEAN == pytest.approx(whitened(light), abs=1e-5)
