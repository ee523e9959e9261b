"""Is the same picture in two places? Duplicates within and across parts, sets and labels.

The same pixels are found by digest; the same picture mirrored, turned by quarters, rescaled, cropped a little or
re-encoded by `resemblance`; turned by any angle, shifted, covered or relit by `recognition`. How well that works is
measured by benchmarks/duplicate_search.py and benchmarks/copies.py, which plant duplicates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DataError
from harness.data.hashing import THUMBNAIL_PX, ImageHashes
from harness.data.landmarks import pictured
from harness.data.motions import motion_in_words
from harness.data.recognition import recognised
from harness.data.records import Split
from harness.data.resemblance import WHOLE_FRAME_TOLERANCE, Resemblances, featureless, resembling
from harness.protocol.names import PARTS

# What `Resemblances.poses` means, counter-clockwise as in Pillow: how the second picture comes from the first.
POSE_NAMES = (
    "upright",
    "flipped left-right",
    "flipped top-bottom",
    "rotated 180",
    "transposed",
    "rotated 270",
    "rotated 90",
    "transversed",
)
RESCALED_FROM = 0.03  # pixels on a side that cropping does not explain, as a fraction
ALL_PAIRS_UP_TO = 50
# Half a thumbnail's side. Of fewer pixels the finest detail that tells a copy from a look-alike is interpolated: digits
# of 8 px, enlarged, were taken for each other.
LEAST_SEARCHED_PX = THUMBNAIL_PX // 2
LEAST_PICTURED, FRAMES_AT_ONCE = 0.75, 512


@dataclass(frozen=True, slots=True, order=True)
class ListedImage:
    """One image of one set."""

    set: str
    path: str
    label: str

    def __str__(self) -> str:
        return f"{self.path!r} ({self.set}, {self.label})"  # repr: a file name may hold anything


@dataclass(frozen=True, slots=True, order=True)
class DuplicatePair:
    """Two images that show the same picture. `first` sorts before `second`.

    kind:        "same pixels" (decoded, whatever the files are) or "near".
    transform:   how the second comes from the first, such as "rotated 90, cropped to 90 %"; degrees counter-clockwise.
    correlation: of the two aligned 64 px grey thumbnails, or of what of them fits; 1 for the same pixels.
    detail:      the same after taking away what is blurred, of the median tile where some may be covered; what tells a
                 duplicate from a look-alike.
    """

    first: ListedImage
    second: ListedImage
    kind: Literal["same pixels", "near"]
    transform: str
    correlation: float
    detail: float

    @property
    def label_conflict(self) -> bool:
        """Whether the reference labels differ, so that at least one is wrong."""
        return self.first.label != self.second.label

    def __str__(self) -> str:
        how = "the same pixels" if self.kind == "same pixels" else f"{self.transform}, correlation {self.detail:.3f}"
        conflict = "; LABEL CONFLICT: one picture, two labels" if self.label_conflict else ""
        return f"{self.first} and {self.second}: {how}{conflict}"


@dataclass(frozen=True, slots=True, order=True)
class PartLeak:
    """A duplicate whose two images are in different parts of the split."""

    pair: DuplicatePair
    first_part: str
    second_part: str

    def __str__(self) -> str:
        return f"{self.first_part} and {self.second_part} share a picture: {self.pair}"


# --- finding ------------------------------------------------------------------------------------


def find_duplicates(sets: Sequence[ImageHashes], *, workers: int) -> tuple[DuplicatePair, ...]:
    """Every duplicate within and across the sets, sorted; neither the order of sets nor of images has a say.

    Images of equal pixels are searched for once, and each of them is listed with whatever is found. Of more than fifty
    that are all equal, each is paired with the first and with the next one only: no part, set or label that they
    share goes unseen, and ten thousand copies do not make fifty million pairs. Blank and other featureless images
    resemble each other and are not compared, except by their pixels: see `unsearchable`.

    Raises:
        DataError: a set is given twice, or lists a path twice.
    """
    places, owners = _places(sets)
    by_content: dict[str, list[int]] = defaultdict(list)
    for number, (hashes, row) in enumerate(owners):
        by_content[hashes.pixel_digests[row]].append(number)
    groups = sorted(by_content.values())  # the first of each group sorts before its others
    pairs = [
        DuplicatePair(places[i], places[j], "same pixels", "same pixels", 1.0, 1.0)
        for group in groups
        for i, j in _pairs_within(group)
    ]
    representatives = [owners[group[0]] for group in groups]
    for near in _near(representatives, workers=workers):
        for i, j in _pairs_between(groups[near.first], groups[near.second]):
            first, second, how = (places[i], places[j], near.forth) if i < j else (places[j], places[i], near.back)
            pairs.append(DuplicatePair(first, second, "near", how, near.correlation, near.detail))
    return tuple(sorted(pairs))


@dataclass(frozen=True, slots=True)
class _Near:
    """Two representatives that show the same picture. forth: how the second comes from the first; back: the reverse."""

    first: int
    second: int
    forth: str
    back: str
    correlation: float
    detail: float


def _near(owners: Sequence[tuple[ImageHashes, int]], *, workers: int) -> Iterator[_Near]:
    """By the whole frame first, which names a transform best; then, of those not found so, by landmarks."""
    thumbnails = _thumbnails(owners)
    small = np.array([_too_small(hashes.sizes_px[row])[0] for hashes, row in owners], dtype=bool)
    compared = np.flatnonzero(~(featureless(thumbnails) | small))
    upright = resembling(thumbnails, workers=workers, rows=compared[~_framed(thumbnails, compared)])
    seen = set(zip(upright.first.tolist(), upright.second.tolist(), strict=True))
    for index in range(len(upright.first)):
        a, b = int(upright.first[index]), int(upright.second[index])
        sizes = [hashes.sizes_px[row] for hashes, row in (owners[a], owners[b])]
        forth, back = (_transform(upright, index, sizes, reverse=reverse) for reverse in (False, True))
        yield _Near(a, b, forth, back, _rounded(upright.correlation[index]), _rounded(upright.detail[index]))
    turned = recognised(thumbnails, workers=workers, rows=compared)
    for index in range(len(turned.first)):
        a, b = int(turned.first[index]), int(turned.second[index])
        if (a, b) not in seen:
            sizes = [hashes.sizes_px[row] for hashes, row in (owners[a], owners[b])]
            forth, back = (motion_in_words(turned.motions[index], *sizes, reverse=reverse) for reverse in (False, True))
            yield _Near(a, b, forth, back, _rounded(turned.correlation[index]), _rounded(turned.detail[index]))


def _framed(thumbnails: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of each row, whether much was laid around or over it: by the whole frame, frames are alike."""
    return np.concatenate([
        pictured(thumbnails[rows[at : at + FRAMES_AT_ONCE]]).mean(axis=(1, 2)) < LEAST_PICTURED
        for at in range(0, max(1, len(rows)), FRAMES_AT_ONCE)
    ])  # fmt: skip


def _rounded(correlation: np.floating[Any]) -> float:
    return min(round(float(correlation), 4), 1.0)


def unsearchable(sets: Sequence[ImageHashes]) -> tuple[ListedImage, ...]:
    """Images too smooth (blank, a mere gradient) or too small to be compared: of these, only equal pixels are found."""
    return tuple(
        sorted(
            ListedImage(hashes.set, hashes.paths[row], hashes.labels[row])
            for hashes in sets
            for row in np.flatnonzero(featureless(hashes.thumbnails) | _too_small(hashes.sizes_px))
        )
    )


def across_parts(pairs: Iterable[DuplicatePair], split: Split, *, set_name: str) -> tuple[PartLeak, ...]:
    """Duplicates within the set that was split whose images are in different parts.

    Raises:
        DataError: the set has an image in `pairs` that is in no part: pairs and split are not of the same manifest.
    """
    part_of = {image.path: part for part in PARTS for image in split.part(part)}
    leaks = []
    for pair in pairs:
        if not pair.first.set == pair.second.set == set_name:
            continue
        for image in (pair.first, pair.second):
            if image.path not in part_of:
                raise DataError(
                    f"set {set_name!r}: {image.path!r} is in no part of the split. Search the duplicates of the "
                    "manifest that was split."
                )
        parts = part_of[pair.first.path], part_of[pair.second.path]
        if parts[0] != parts[1]:
            leaks.append(PartLeak(pair, *parts))
    return tuple(sorted(leaks))


def across_sets(pairs: Iterable[DuplicatePair]) -> tuple[DuplicatePair, ...]:
    """Duplicates whose images are in different sets: an external set that holds one is not independent."""
    return tuple(sorted(pair for pair in pairs if pair.first.set != pair.second.set))


def label_conflicts(pairs: Iterable[DuplicatePair]) -> tuple[DuplicatePair, ...]:
    """Duplicates with two labels."""
    return tuple(sorted(pair for pair in pairs if pair.label_conflict))


def _places(sets: Sequence[ImageHashes]) -> tuple[list[ListedImage], list[tuple[ImageHashes, int]]]:
    """Every image in the order of (set, path), and where its hashes are."""
    listed = sorted(
        ((ListedImage(hashes.set, hashes.paths[row], hashes.labels[row]), number, row)
         for number, hashes in enumerate(sets) for row in range(len(hashes.paths)))
    )  # fmt: skip
    for (one, *_), (other, *_) in pairwise(listed):
        if (one.set, one.path) == (other.set, other.path):
            raise DataError(
                f"set {one.set!r} lists {one.path!r} twice. Give every set once, under a name of its own, and list "
                "every image once."
            )
    return [image for image, _, _ in listed], [(sets[number], row) for _, number, row in listed]


def _too_small(sizes_px: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray(sizes_px.reshape(-1, 2).min(axis=1) < LEAST_SEARCHED_PX)


def _thumbnails(owners: Sequence[tuple[ImageHashes, int]]) -> NDArray[np.uint8]:
    if not owners:
        return np.empty((0, THUMBNAIL_PX, THUMBNAIL_PX), dtype=np.uint8)
    whole = owners[0][0].thumbnails
    if len(owners) == len(whole) and all(
        hashes is owners[0][0] and at == row for at, (hashes, row) in enumerate(owners)
    ):
        return whole  # one set without copies, already in order: 100,000 thumbnails are 400 MB, once is enough
    return np.array([hashes.thumbnails[row] for hashes, row in owners])


def _pairs_within(group: Sequence[int]) -> Iterator[tuple[int, int]]:
    if len(group) <= ALL_PAIRS_UP_TO:
        yield from combinations(group, 2)
    else:
        yield from sorted({(group[0], other) for other in group[1:]} | set(pairwise(group)))


def _pairs_between(one: Sequence[int], other: Sequence[int]) -> Iterator[tuple[int, int]]:
    if len(one) * len(other) <= ALL_PAIRS_UP_TO**2:
        yield from product(one, other)
    else:
        yield from sorted({(one[0], i) for i in other} | {(i, other[0]) for i in one})


def _transform(near: Resemblances, index: int, sizes: Sequence[NDArray[np.int64]], *, reverse: bool) -> str:
    """How the second comes from the first; `reverse`: how the first comes from the second."""
    pose, (down, right) = int(near.poses[index]), near.scales[index].tolist()
    shifts = near.shifts[index].tolist()
    wider, narrower = (sizes[1], sizes[0]) if near.wide[index] else (sizes[0], sizes[1])
    width, height = (wider[1], wider[0]) if pose & 4 else (wider[0], wider[1])
    from_wider = bool(near.wide[index]) == reverse
    steps = [] if pose == 0 else [POSE_NAMES[pose if from_wider else {5: 6, 6: 5}.get(pose, pose)]]
    if min(down, right) < 1 - WHOLE_FRAME_TOLERANCE:
        shares = sorted({f"{share * 100:.0f} %" for share in (down, right)})
        steps.append(("cropped to " if from_wider else "uncropped from ") + " x ".join(shares))
    elif max(map(abs, shifts)) > WHOLE_FRAME_TOLERANCE:
        steps.append("shifted")
    zoom = float(np.sqrt(narrower[0] * narrower[1] / (width * right * height * down)))
    if abs(zoom - 1) > RESCALED_FROM:
        steps.append(f"rescaled x{zoom if from_wider else 1 / zoom:.2g}")
    return ", ".join(steps) or "re-encoded"
