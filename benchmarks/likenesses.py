"""Is a picture known again by 63 signs after it was saved anew, and how often is another one taken for it?

    python -m benchmarks likenesses ../shared/data

Prints, of every tenth image of `leukocytes`, the share that differs in at most two signs from itself after each way of
saving it anew, and for each real set the share of one half that comes so near to any picture of the other half.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from harness.data.hashing import thumbnail
from harness.judge.likenesses import MOST_SIGNS_APART, signs_of, turned

SEED, SETS = 20_260, ("leukocytes", "pbc_unseen_dev", "jtsc", "bccd")
SUFFIXES = (".jpg", ".jpeg", ".png")


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def of_levels(picture: Image.Image, change: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    return Image.fromarray(np.clip(change(np.asarray(picture).astype(float)), 0, 255).astype(np.uint8))


def noisy(levels: np.ndarray) -> np.ndarray:
    return np.asarray(levels + np.random.default_rng(SEED).normal(0, 8, levels.shape))


def cut(picture: Image.Image, px: int) -> Image.Image:
    return picture.crop((px, px, picture.width - px, picture.height - px))


WAYS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 95": lambda p: as_jpeg(p, 95),
    "JPEG of quality 50": lambda p: as_jpeg(p, 50),
    "halved": lambda p: p.resize((p.width // 2, p.height // 2)),
    "10 % darker": lambda p: of_levels(p, lambda levels: 0.9 * levels),
    "noise of 8 grey levels": lambda p: of_levels(p, noisy),
    "gamma 1.3": lambda p: of_levels(p, lambda levels: 255 * (levels / 255) ** 1.3),
    "cropped by 2 px a side": lambda p: cut(p, 2),
    "mirrored": ImageOps.mirror,
    "a quarter turn, JPEG of 70": lambda p: as_jpeg(p.transpose(Image.Transpose.ROTATE_90), 70),
    "cropped to 90 %": lambda p: cut(p, p.width // 20),
}


def signs(pictures: Sequence[Image.Image]) -> np.ndarray:
    return signs_of(np.array([thumbnail(each) for each in pictures]))


def nearest(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) in how many signs each differs from the nearest of the others, however it is turned."""
    return np.array([np.bitwise_count(each[:, None] ^ others).min() for each in turned(one).T])


def main() -> int:
    data = Path(sys.argv[1])
    opened: dict[str, list[Image.Image]] = {}
    for name in SETS:
        files = sorted(file for file in (data / name).glob("*/*") if file.suffix in SUFFIXES)
        opened[name] = [Image.open(file).convert("RGB") for file in files]
    tenth = opened["leukocytes"][::10]
    own = signs(tenth)
    for how, saved in WAYS.items():
        apart = np.bitwise_count(turned(signs([saved(each) for each in tenth])) ^ own).min(axis=0)
        print(f"{how:<26} known again {np.sum(apart <= MOST_SIGNS_APART)} of {len(tenth)}", flush=True)
    for name, pictures in opened.items():
        order, found = np.random.default_rng(SEED).permutation(len(pictures)), signs(pictures)
        half, others = found[order[: len(order) // 2]], found[order[len(order) // 2 :]]
        apart = nearest(half, others)
        near = np.sum(apart <= MOST_SIGNS_APART)
        print(f"half of {name:<16} near one of the other half {near} of {len(half)}, nearest {apart.min()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
