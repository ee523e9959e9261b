"""What does an image file show before anybody looks at the cell: its header, and the coarsest of its pixels?

Pillow parses a header (JPEG tables, sampling, comments, EXIF) without decoding. Names of folders are never read (they
name the class).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import get_sampling

from harness.data.decoding import format_of
from harness.data.records import CellImage

ABSENT = "absent"
THUMBNAIL_PX = 32
# Reducing a picture to no less than twice the thumbnail leaves something to average over.
REDUCED_PX, REDUCTIONS = 2 * THUMBNAIL_PX, (8, 4, 2)
LONGEST_VALUE = 80
SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
# ITU-T T.81 (1992), Annex K.1, row by row: what libjpeg scales by its "quality".
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32),
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the header of one file says. Nothing here depends on what the cell looks like, but for the number of bytes.

    unit:     what the image must not be counted apart from: its patient, slide or, failing those, its content.
    mode:     Pillow's colour mode of the file as stored.
    tables:   "JPEG quality 75" for the standard tables at a libjpeg quality, "own tables <digest>" for any others,
              "absent" where the format has none.
    sampling: chroma sampling of a JPEG such as "4:2:0", else "absent".
    markers:  the application and comment segments of a JPEG in their order, else "absent".
    header:   every other (field, value) of the header, sorted: comments, EXIF tags, text chunks, resolution, profile.
    """

    path: str
    label: str
    unit: str
    sha256: str
    n_bytes: int
    width_px: int
    height_px: int
    format: str
    mode: str
    tables: str
    sampling: str
    markers: str
    header: tuple[tuple[str, str], ...]

    @property
    def size(self) -> str:
        return f"{self.width_px}x{self.height_px}"

    @property
    def stem(self) -> str:
        """The file's name without its folders and its suffix."""
        return PurePosixPath(self.path).stem

    @property
    def bytes_per_pixel(self) -> float:
        return self.n_bytes / (self.width_px * self.height_px)

    def values(self) -> dict[str, str]:
        """Every fact as text, by the name of its kind. A header field that another file has and this one lacks is
        `ABSENT`; whoever compares files fills it in."""
        return {
            "size": self.size,
            "format": self.format,
            "mode": self.mode,
            "JPEG tables": self.tables,
            "chroma sampling": self.sampling,
            "markers": self.markers,
            **dict(self.header),
        }


@dataclass(frozen=True, slots=True, eq=False)
class SetFacts:
    """The header and the coarse pixels of every file of one set, in the order of the images.

    thumbnails: (n, 32, 32, 3) uint8 RGB, squeezed to a square.
    borders:    (n, 6) mean and standard deviation of each channel in the outermost ring of pixels, in [0, 1].
    """

    files: tuple[FileFacts, ...]
    thumbnails: np.ndarray
    borders: np.ndarray

    def at(self, positions: Sequence[int]) -> SetFacts:
        """The facts of some of the images only."""
        chosen = np.asarray(positions, dtype=np.int64)
        return SetFacts(tuple(self.files[i] for i in chosen), self.thumbnails[chosen], self.borders[chosen])


def coarse(picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """(32, 32, 3) uint8 and (6,) of an RGB picture, as `SetFacts` has them.

    The border is that of the picture reduced by 2, 4 or 8, so far as twice a thumbnail is left: a ring of about a
    sixtieth of the side, whatever the format and the size.
    """
    factor = next((n for n in REDUCTIONS if min(picture.size) >= n * REDUCED_PX), 1)
    reduced = picture.reduce(factor) if factor > 1 else picture
    thumbnail = reduced.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return np.asarray(thumbnail), _border(np.asarray(reduced))


def _border(pixels: np.ndarray) -> np.ndarray:
    sides = (pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1])
    ring = np.concatenate(sides).astype(np.float64) / 255.0
    return np.concatenate([ring.mean(axis=0), ring.std(axis=0)])


def file_facts(opened: Image.Image, info: Mapping[Any, Any], image: CellImage, content: bytes) -> FileFacts:
    """What the header of an opened file says.

    Args:
        info: Pillow's `info` before any pixel was decoded; what follows the pixels is not part of the header.
    Raises:
        Exception: whatever Pillow's parsers make of a header that is broken.
    """
    is_jpeg = opened.format in ("JPEG", "MPO")
    return FileFacts(
        path=image.path,
        label=image.label,
        unit=image.unit,
        sha256=image.sha256,
        n_bytes=image.n_bytes,
        width_px=opened.width,
        height_px=opened.height,
        format=opened.format or format_of(content) or "unknown",
        mode=opened.mode,
        tables=name_of_tables(opened.quantization) if is_jpeg else ABSENT,
        sampling=_sampling(opened) if is_jpeg else ABSENT,
        markers=" ".join(name for name, _ in opened.applist) if is_jpeg else ABSENT,
        header=tuple(sorted(_header(opened, info))),
    )


def _sampling(opened: Image.Image) -> str:
    return "grey" if opened.mode == "L" else SAMPLINGS.get(get_sampling(opened), "another")


def _header(opened: Image.Image, info: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for field, value in info.items():
        if field not in ("exif", "jfif"):  # read tag by tag below; said again by jfif_version
            yield str(field), _text(value)
    for tag, value in opened.getexif().items():
        yield f"EXIF {ExifTags.TAGS.get(tag, tag)}", _text(value)


def _text(value: Any) -> str:
    """A header's value as short printable text; long ones by their digest, so that they can still be told apart."""
    text = value.decode("latin-1").rstrip("\0\n ") if isinstance(value, bytes) else str(value).strip()
    text = text.encode("ascii", "backslashreplace").decode()
    if len(text) > LONGEST_VALUE or not text.isprintable():
        return f"{len(text)} characters, SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return text


def name_of_tables(tables: dict[int, Sequence[int]]) -> str:
    """What to call the quantisation tables of a JPEG: by quality if they are libjpeg's, else by digest.

    >>> name_of_tables({0: LUMINANCE, 1: CHROMINANCE})
    'JPEG quality 50'
    """
    present = tuple(tuple(tables[key]) for key in sorted(tables))
    quality = _standard_tables().get(present)
    if quality is not None:
        return f"JPEG quality {quality}"
    return f"own tables {hashlib.sha256(repr(present).encode()).hexdigest()[:8]}"


@cache
def _standard_tables() -> dict[tuple[tuple[int, ...], ...], int]:
    """Quality by tables, for colour (two tables) and grey (one)."""
    standard: dict[tuple[tuple[int, ...], ...], int] = {}
    for quality in range(1, 101):
        luminance, chrominance = _scaled(LUMINANCE, quality), _scaled(CHROMINANCE, quality)
        standard[(luminance,)] = standard[luminance, chrominance] = quality
    return standard


def _scaled(table: Sequence[int], quality: int) -> tuple[int, ...]:
    """libjpeg's `jpeg_set_quality`, baseline."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((value * scale + 50) // 100, 1), 255) for value in table)
