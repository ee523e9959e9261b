"""Is the same picture in two places? Duplicates within and across parts, sets and labels.

The same pixels are found by digest; the same picture turned, mirrored, rescaled, cropped a little or re-encoded is
found by `resemblance`. How well that works is itself measured: `measure_detector` plants duplicates and counts.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from harness.core.errors import DataError
from harness.data.hashing import THUMBNAIL_PX, ImageHashes, hash_pictures
from harness.data.records import Split
from harness.data.resemblance import WHOLE_FRAME_TOLERANCE, Resemblances, featureless, resembling
from harness.protocol.records import PARTS

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
    correlation: of the two aligned 64 px grey thumbnails; 1 for the same pixels.
    detail:      the same after taking away what is blurred; what tells a duplicate from a look-alike.
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
        conflict = "; LABEL CONFLICT: one of the two labels is wrong" if self.label_conflict else ""
        return f"{self.first} and {self.second}: {how}{conflict}"


@dataclass(frozen=True, slots=True, order=True)
class PartLeak:
    """A duplicate whose two images are in different parts of the split."""

    pair: DuplicatePair
    first_part: str
    second_part: str

    def __str__(self) -> str:
        return f"{self.first_part} and {self.second_part} share a picture: {self.pair}"


@dataclass(frozen=True, slots=True)
class DetectorRow:
    """How many planted duplicates of one kind were found.

    named: of those found, how many had the expected pose.
    """

    transform: str
    planted: int
    found: int
    named: int


@dataclass(frozen=True, slots=True)
class DetectorRecord:
    """What `find_duplicates` finds and what it makes up, on given pictures. Counts only; bounds are `judge`'s.

    false_alarms: pairs of different given pictures that were reported, though not by pixels, in any of the searches.
    n_pairs:      pairs of different given pictures, each of which could have been a false alarm.
    """

    rows: tuple[DetectorRow, ...]
    false_alarms: tuple[DuplicatePair, ...]
    n_pairs: int


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
    near = resembling(_thumbnails(representatives), workers=workers)
    for index in range(len(near.first)):
        a, b = int(near.first[index]), int(near.second[index])
        sizes = [hashes.sizes_px[row] for hashes, row in (representatives[a], representatives[b])]
        forth, back = (_transform(near, index, sizes, reverse=reverse) for reverse in (False, True))
        correlation, detail = round(float(near.correlation[index]), 4), round(float(near.detail[index]), 4)
        for i, j in _pairs_between(groups[a], groups[b]):
            first, second, how = (places[i], places[j], forth) if i < j else (places[j], places[i], back)
            pairs.append(DuplicatePair(first, second, "near", how, min(correlation, 1.0), min(detail, 1.0)))
    return tuple(sorted(pairs))


def unsearchable(sets: Sequence[ImageHashes]) -> tuple[ListedImage, ...]:
    """Images too smooth to be compared (blank, a mere gradient): duplicates among them are found by pixels only."""
    return tuple(
        sorted(
            ListedImage(hashes.set, hashes.paths[row], hashes.labels[row])
            for hashes in sets
            for row in np.flatnonzero(featureless(hashes.thumbnails))
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


# --- measuring the detector ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plant:
    """One way to make a near duplicate. pose: how `POSE_NAMES` calls it."""

    name: str
    make: Callable[[Image.Image], Image.Image]
    pose: str = "upright"


def _reencoded(picture: Image.Image, *, quality: int = 90) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def _turned(method: Image.Transpose) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: _reencoded(picture.transpose(method))


def _rescaled(factor: float) -> Callable[[Image.Image], Image.Image]:
    def make(picture: Image.Image) -> Image.Image:
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        return _reencoded(picture.resize(size, Image.Resampling.BICUBIC))

    return make


def _cropped(share: float, *, left: float, top: float) -> Callable[[Image.Image], Image.Image]:
    """Keeps `share` of each side; left and top: how much of what goes, goes there."""

    def make(picture: Image.Image) -> Image.Image:
        width, height = max(1, round(picture.width * share)), max(1, round(picture.height * share))
        x, y = round((picture.width - width) * left), round((picture.height - height) * top)
        return _reencoded(picture.crop((x, y, x + width, y + height)))

    return make


def _combined(picture: Image.Image) -> Image.Image:
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    return _reencoded(_rescaled(0.5)(_cropped(0.9, left=0.3, top=0.8)(turned)), quality=50)


# Every one is re-encoded as JPEG (quality 90 where no other is named), as whoever makes such a copy would do.
PLANTS: tuple[Plant, ...] = (
    Plant("rotated 90", _turned(Image.Transpose.ROTATE_90), "rotated 90"),
    Plant("rotated 180", _turned(Image.Transpose.ROTATE_180), "rotated 180"),
    Plant("rotated 270", _turned(Image.Transpose.ROTATE_270), "rotated 270"),
    Plant("flipped left-right", _turned(Image.Transpose.FLIP_LEFT_RIGHT), "flipped left-right"),
    Plant("flipped top-bottom", _turned(Image.Transpose.FLIP_TOP_BOTTOM), "flipped top-bottom"),
    Plant("transposed", _turned(Image.Transpose.TRANSPOSE), "transposed"),
    Plant("transversed", _turned(Image.Transpose.TRANSVERSE), "transversed"),
    Plant("rescaled x0.5", _rescaled(0.5)),
    Plant("rescaled x1.5", _rescaled(1.5)),
    Plant("JPEG quality 50", lambda picture: _reencoded(picture, quality=50)),
    Plant("JPEG quality 30", lambda picture: _reencoded(picture, quality=30)),
    Plant("cropped to 95 %, middle", _cropped(0.95, left=0.5, top=0.5)),
    Plant("cropped to 95 %, corner", _cropped(0.95, left=0.0, top=1.0)),
    Plant("cropped to 90 %, middle", _cropped(0.9, left=0.5, top=0.5)),
    Plant("cropped to 90 %, edge", _cropped(0.9, left=0.5, top=0.0)),
    Plant("cropped to 90 %, corner", _cropped(0.9, left=1.0, top=0.0)),
    Plant("brightness x1.2", lambda picture: _reencoded(ImageEnhance.Brightness(picture).enhance(1.2))),
    Plant("brightness x0.8", lambda picture: _reencoded(ImageEnhance.Brightness(picture).enhance(0.8))),
    Plant("grey", lambda picture: _reencoded(picture.convert("L").convert("RGB"))),
    Plant("rotated 90, cropped to 90 %, rescaled x0.5, JPEG quality 50", _combined, "rotated 90"),
)
# What is known to be missed; measured too, so that nobody takes the list above for all there is.
BEYOND: tuple[Plant, ...] = (
    Plant("cropped to 85 %, middle", _cropped(0.85, left=0.5, top=0.5)),
    Plant("cropped to 80 %, middle", _cropped(0.8, left=0.5, top=0.5)),
    Plant("cropped to 85 %, corner", _cropped(0.85, left=0.0, top=0.0)),
    Plant("rotated 5", lambda picture: _reencoded(picture.rotate(5, Image.Resampling.BICUBIC))),
    Plant("blurred, 3 % of the side", lambda picture: _reencoded(_rescaled(1 / 12)(picture).resize(picture.size))),
)


def measure_detector(
    pictures: Mapping[str, Image.Image], *, workers: int, plants: Sequence[Plant] = PLANTS
) -> DetectorRecord:
    """Plant a duplicate of every picture in every way, search, and count what was found and what was made up.

    Args:
        pictures: by name, no two the same. Names are kept in false alarms.
    Raises:
        DataError: two of the pictures have the same pixels: which of the two a find belongs to could not be said.
    """
    names = sorted(pictures)
    originals = hash_pictures([pictures[name] for name in names], set_name="original", label="original")
    if len(set(originals.pixel_digests)) < len(names):
        raise DataError("two of the pictures have the same pixels. Give every picture once to measure the detector.")
    rows, alarms = [], set()
    for plant in plants:
        planted = hash_pictures([plant.make(pictures[name]) for name in names], set_name="planted", label="planted")
        found = named = 0
        for pair in find_duplicates([originals, planted], workers=workers):
            if pair.first.path != pair.second.path:
                alarms.add(_renamed(pair, names))
            else:
                found += 1
                named += _pose_of(pair) == plant.pose
        rows.append(DetectorRow(plant.name, len(names), found, named))
    return DetectorRecord(tuple(rows), tuple(sorted(alarms)), len(names) * (len(names) - 1) // 2)


def _pose_of(pair: DuplicatePair) -> str:
    step = pair.transform.split(", ")[0]
    return step if step in POSE_NAMES else "upright"


def _renamed(pair: DuplicatePair, names: Sequence[str]) -> DuplicatePair:
    first, second = (ListedImage(image.set, names[int(image.path)], image.label) for image in (pair.first, pair.second))
    return DuplicatePair(first, second, pair.kind, pair.transform, pair.correlation, pair.detail)
