"""Images decoded ahead: the same pixels in the same order, whoever decodes, and never more than a few batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.core import PILImage
from PIL import Image

from harness.core.errors import DataError
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model import prefetch
from harness.model.decoders import Decoders
from harness.model.fitting import fitted
from harness.model.images import Images, images_of
from harness.model.prefetch import CHUNK, ROUNDS_AHEAD, batches_ahead, fit_all, fitted_batches
from harness.model.records import Preprocessing

HOW = Preprocessing(size_px=24, resize="squish")


@pytest.fixture
def images(manifest: Manifest) -> Images:
    return images_of(manifest.images, manifest.root, formats=("PNG",))


@pytest.fixture
def two() -> Iterator[Decoders]:
    made = Decoders(2)
    yield made
    made.close()


@pytest.mark.parametrize(("resize", "method"), [("squish", ResizeMethod.Squish), ("crop", ResizeMethod.Crop)])
def test_any_size_is_fitted_as_fastai_fits_it_to_the_bit(resize: str, method: str):
    rng = np.random.default_rng(5)
    by_fastai = Resize(40, method=method)
    for width, height in [*rng.integers(20, 140, (40, 2)).tolist(), (40, 40), (40, 90), (360, 363), (400, 17)]:
        frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        wanted = np.asarray(by_fastai(PILImage(Image.fromarray(frame)), split_idx=1))
        assert np.array_equal(fitted(frame, Preprocessing(40, resize)), wanted), (width, height)  # type: ignore[arg-type]


def in_batches(images: Images, **how: object) -> list[np.ndarray]:
    said: dict[str, object] = {"workers": 3, "batch_size": 7, "progress": silent, "label": "", **how}
    return list(fitted_batches(images, HOW, **said))  # type: ignore[arg-type]


def test_threads_processes_and_memory_give_the_same_batches(images: Images, monkeypatch: pytest.MonkeyPatch):
    alone = np.stack([fitted(images.frame(place), HOW) for place in range(len(images))])
    asked: list[int] = []
    monkeypatch.setattr(prefetch, "decoders", lambda n: asked.append(n) or made)
    monkeypatch.setattr(prefetch, "WORTH_PROCESSES", len(images))
    made = Decoders(2)
    try:
        for given, device in ((images, "cpu"), (images, "cuda"), (replace(images, files=None), "cuda")):
            batches = in_batches(given, device=device)
            assert [len(each) for each in batches] == [7] * 8 + [4]
            assert np.array_equal(np.concatenate(batches), alone)
        assert np.array_equal(fit_all(images, HOW, workers=2, progress=silent, label="", device="cuda"), alone)
    finally:
        made.close()
    assert asked == [3, 2]  # of files on a GPU alone


def test_some_and_changed_images_are_what_they_say(images: Images):
    some = images.take([5, 3])
    assert some.files is not None
    assert [each.path.name for each in some.files] == [Path(images.names[place]).name for place in (5, 3)]
    assert images.changed(lambda frame, place: 255 - frame(place)).files is None
    dark = in_batches(images.changed(lambda frame, place: 0 * frame(place)))
    assert not np.concatenate(dark).any()


def test_what_comes_next_is_made_while_a_batch_is_used_and_no_more_than_that():
    lock, made, second = threading.Lock(), [0], threading.Event()

    def fill(first: int, into: np.ndarray) -> None:
        into[:] = (np.arange(first, first + len(into)) % 256)[:, None]
        with lock:
            made[0] += len(into)
        if first >= 10:
            second.set()

    batches = batches_ahead(fill, 1000, (1,), workers=2, batch_size=10)
    assert next(batches).ravel().tolist() == list(range(10))
    assert second.wait(60)  # nobody has asked for it
    most = 10 + 10 + 10 * -(-ROUNDS_AHEAD * 2 * CHUNK // 10)
    before = -1
    while made[0] != before:  # until nothing more is made
        before = made[0]
        time.sleep(0.05)
    assert made[0] <= most < 1000
    assert [int(each[0, 0]) for each in batches] == [start % 256 for start in range(10, 1000, 10)]
    assert made[0] == 1000


def test_whoever_stops_in_the_middle_waits_for_nothing_more():
    filled: list[int] = []
    batches = batches_ahead(lambda first, into: filled.append(first), 10_000, (1,), workers=2, batch_size=10)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(filled) < 100


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_file_that_changed_or_is_broken_is_named(
    images: Images, tmp_path: Path, device: str, two: Decoders, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(prefetch, "decoders", lambda n: two)
    monkeypatch.setattr(prefetch, "WORTH_PROCESSES", 2)
    assert images.files is not None
    broken = tmp_path / "broken.png"
    broken.write_bytes(images.files[1].path.read_bytes()[:200])
    other = replace(images.files[0], sha256="0" * 64)
    for bad, said in ((replace(other, path=broken, sha256=None), "does not decode"), (other, "changed while the run")):
        files = (*images.files[:20], bad, *images.files[21:])
        with pytest.raises(DataError, match=said) as error:
            in_batches(replace(images, files=files), device=device)
        assert str(bad.path) in str(error.value)
    assert len(in_batches(images, device=device)) == 9  # and it goes on after an error


def test_a_decoding_process_that_dies_is_an_error_and_another_takes_its_place(images: Images):
    made = Decoders(1)
    try:
        into = np.empty((2, 24, 24, 3), np.uint8)
        assert images.files is not None
        made.decode(images.files[:2], HOW, into)
        process = made._free.get()
        process.kill()
        process.wait()
        made._free.put(process)
        with pytest.raises(DataError, match="died"):
            made.decode(images.files[:2], HOW, into)
        made.decode(images.files[:2], HOW, into)
        assert np.array_equal(into[1], fitted(images.frame(1), HOW))
    finally:
        made.close()
