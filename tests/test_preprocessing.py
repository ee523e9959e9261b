"""Pixels as the network sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from drawn import decoded
from fastai.data.transforms import IntToFloatTensor, Normalize
from fastai.torch_core import TensorImage
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.core import PILImage
from PIL import Image

from harness.core.errors import DataError
from harness.data.records import Manifest
from harness.model.fitting import fitted
from harness.model.images import frames_of, images_of, read_frame
from harness.model.networks import normalise
from harness.model.preprocessing import CellPixels, reduced
from harness.model.records import Preprocessing
from harness.protocol.training import IMAGENET_MEAN, IMAGENET_STD


def decode(path: Path, *, size_px: int, resize: Literal["squish", "crop"], formats: tuple[str, ...]) -> np.ndarray:
    return fitted(read_frame(path, formats=formats), Preprocessing(size_px=size_px, resize=resize))


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    path = tmp_path / "wide.png"
    pixels = np.random.default_rng(1).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(("resize", "method"), [("squish", ResizeMethod.Squish), ("crop", ResizeMethod.Crop)])
def test_decoding_equals_fastai_s_validation_pipeline_to_the_bit(wide: Path, resize: str, method: str):
    by_fastai = np.asarray(Resize(40, method=method)(PILImage.create(wide), split_idx=1))
    assert np.array_equal(decode(wide, size_px=40, resize=resize, formats=("PNG",)), by_fastai)


@pytest.mark.parametrize("resize", ["squish", "crop"])
def test_what_has_the_size_already_is_left_alone(resize: Literal["squish", "crop"]):
    # So corruptions that act on prepared arrays, and inputs that are drawn at that size, reach the network as they are.
    frame = np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert np.array_equal(fitted(frame, Preprocessing(40, resize)), frame)


def test_a_crop_keeps_its_share_around_the_centre_and_a_filter_is_pillow_s():
    # 224 of 256, as torchvision and timm evaluate ImageNet networks, here at an eighth.
    frame = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    by_hand = Image.fromarray(frame).resize((32, 32), Image.Resampling.BICUBIC).crop((2, 2, 30, 30))
    assert np.array_equal(fitted(frame, Preprocessing(28, "squish", filter="bicubic", crop=0.875)), np.asarray(by_hand))


def test_channels_and_value_range_become_what_the_card_says():
    pixels = torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8)
    caffe = Preprocessing(
        1, "squish", channels="BGR", value_range=(0.0, 255.0), mean=(1.0, 2.0, 3.0), deviation=(1.0, 1.0, 2.0)
    )
    assert normalise(pixels, caffe).flatten().tolist() == pytest.approx([50.0, -2.0, 126.0])
    symmetric = Preprocessing(1, "squish", value_range=(-1.0, 1.0), mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0))
    assert normalise(pixels, symmetric).flatten().tolist() == pytest.approx([1.0, -1.0, -0.6])


def test_squish_keeps_the_whole_frame_and_crop_its_proportions(tmp_path: Path):
    # Left half black, right half white, twice as wide as high.
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[:, 60:] = 255
    path = tmp_path / "halves.png"
    Image.fromarray(pixels).save(path)
    white = {r: decode(path, size_px=32, resize=r, formats=("PNG",)).mean() / 255 for r in ("squish", "crop")}
    assert white["squish"] == pytest.approx(0.25, abs=0.02)  # 20 of 80 columns
    assert white["crop"] == pytest.approx(0.0, abs=0.02)  # the middle 40 columns end where white begins


def test_normalising_equals_fastai_s_to_the_bit():
    pixels = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8)
    batch = IntToFloatTensor()(TensorImage(pixels.permute(0, 3, 1, 2)))
    by_fastai = Normalize.from_stats(IMAGENET_MEAN, IMAGENET_STD, cuda=False)(batch)
    assert torch.equal(normalise(pixels, Preprocessing(8, "squish")), torch.Tensor(by_fastai))


def test_images_are_taken_and_changed_one_by_one_and_carry_no_label(manifest: Manifest):
    images = images_of(manifest.images, manifest.root, formats=("PNG",), label="test")
    some = images.take([3, 1])
    assert some.names == (manifest.images[3].path, manifest.images[1].path)
    assert np.array_equal(some.frame(1), images.frame(1))
    assert np.array_equal(images.changed(lambda frame, i: 255 - frame(i)).frame(2), 255 - images.frame(2))
    assert (images.label, some.label, len(some)) == ("test", "", 2)
    assert frames_of([images.frame(0)]).names == ("frame 0",)


def test_the_number_of_workers_changes_nothing(manifest: Manifest):
    one, four = (decoded(manifest, manifest.images, workers=workers).pixels for workers in (1, 4))
    assert np.array_equal(one, four)


@pytest.mark.parametrize("content", [b"", b"<html>not an image</html>", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_does_not_decode_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "cell.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cell.png' does not decode.*integrity suite"):
        decode(path, size_px=32, resize="squish", formats=("PNG",))


def test_a_format_that_the_protocol_does_not_accept_is_never_parsed(wide: Path):
    with pytest.raises(DataError, match="does not decode"):
        decode(wide, size_px=32, resize="squish", formats=("JPEG",))


def test_reducing_averages_squares_of_pixels_and_keeps_what_has_the_size():
    pixels = np.random.default_rng(3).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    cells = CellPixels((), pixels, np.array([0, 1]))
    half = reduced(cells, size_px=4)
    assert half.pixels[1, 0, 0, 2] == np.rint(pixels[1, :2, :2, 2].mean())
    assert half.pixels.shape == (2, 4, 4, 3)
    assert np.array_equal(half.labels, cells.labels)
    assert reduced(cells, size_px=8) is cells


def test_reducing_what_was_decoded_larger_is_close_to_decoding_it_smaller(wide: Path):
    smooth = np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None] * np.ones((96, 1, 3), dtype=np.uint8)
    path = wide.with_name("smooth.png")
    Image.fromarray(smooth).save(path)
    large, small = (decode(path, size_px=size, resize="crop", formats=("PNG",)) for size in (48, 24))
    again = reduced(CellPixels((), large[None], np.array([0])), size_px=24).pixels[0]
    assert np.abs(again.astype(int) - small).max() <= 3
