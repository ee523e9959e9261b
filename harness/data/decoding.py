"""Opens one image file without trusting it: what kind is it, and does it decode to the last pixel?

Pillow decodes inside C, where nothing can stop it. So time and memory are bounded before it sees a byte: by the file's
size, by its announced pixels and by how many pieces it is made of. docs/hostile-files.md has the worst that is left.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from harness.core.errors import DataError
from harness.core.files import open_plain
from harness.core.kinds import kind_of
from harness.data.records import ImageFacts
from harness.protocol.datasets import LARGEST_SIDE_PX, ImageRules
from harness.protocol.modes import DEEP_GREY, why_not

H = TypeVar("H")
T = TypeVar("T")
Header = Callable[[Image.Image, Mapping[Any, Any]], H]
# First bytes of the formats that turn up in image folders. Recognising one runs no parser, so that a format which the
# protocol does not accept can be named without Pillow ever seeing its bytes.
SIGNATURES: tuple[tuple[str, int, bytes], ...] = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("TIFF", 0, b"II+\x00"),
    ("TIFF", 0, b"MM\x00+"),
    ("GIF", 0, b"GIF8"),
    ("WEBP", 8, b"WEBP"),
    ("HEIF", 4, b"ftyp"),
    ("JPEG2000", 0, b"\x00\x00\x00\x0cjP  "),
    ("FITS", 0, b"SIMPLE  ="),
    ("DICOM", 128, b"DICM"),
    ("PSD", 0, b"8BPS"),
    ("PDF", 0, b"%PDF-"),
)
FORMAT_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".png": "PNG",
    ".gif": "GIF",
    ".webp": "WEBP",
}
JPEG_SCAN, JPEG_END = b"\xff\xda", b"\xff\xd9"
REFUSED_AS_TOO_LARGE = "refused before decoding"

# The most that any image may have, whatever a protocol says of its own. Pillow itself warns from 89 million pixels on.
MOST_PIXELS = LARGEST_SIDE_PX**2
MOST_BYTES = 8 * MOST_PIXELS + 2**20
# A progressive JPEG repeats its whole picture in every scan, and a scan can be ten bytes long: a few kilobytes buy
# seconds. libjpeg's own scripts have 10 scans.
MOST_SCANS = 64
# Pillow walks segments and chunks in Python. A colour profile of 16 MiB makes 255 segments; libpng writes a chunk for
# every 8 KiB.
MOST_SEGMENTS = 2_000
MOST_CHUNKS = 65_536
MOST_STRAY_BYTES = 65_536  # between the segments of a JPEG, which Pillow skips one by one
# Inside the data of a scan a marker code of 0 is a stuffed byte, and 0xD0 to 0xD7 only restart the decoder.
JPEG_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
JPEG_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
JPEG_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; never a link, pipe or device, even one put there since the listing.

    Raises:
        FileNotFoundError: it is gone.
        DataError: it is something other than a regular file, or cannot be read.
    """
    try:
        return open_plain(path, follow_link=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be read ({error.strerror}). Make it a regular, readable file, or move it out of the "
            "data folder; links are not followed."
        ) from None


def read_regular(path: Path, *, n_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file, at most `n_bytes` of them and one more: whoever gets that one knows it is too long.

    Raises:
        FileNotFoundError, DataError: as `open_regular`.
    """
    with open_regular(path) as file:
        return file.read(n_bytes + 1)


def format_of(content: bytes) -> str | None:
    """The format that the first bytes announce, whatever the file is called; None if they announce none."""
    return next((name for name, at, mark in SIGNATURES if content[at : at + len(mark)] == mark), None)


def strict_pillow() -> None:
    """Turn Pillow's warnings into errors; call inside `warnings.catch_warnings()`.

    Pillow only warns of a decompression bomb, of truncated TIFF data and of a broken multi-picture JPEG.
    """
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    warnings.filterwarnings("error", category=UserWarning, module=r"PIL\.")


def open_picture(content: bytes, *, formats: Sequence[str], max_pixels: int = MOST_PIXELS) -> Image.Image:
    """The image in these bytes with its header read and no pixel decoded: the one way to Pillow in the harness.

    For whoever decodes after `facts_of` has told what is wrong with which file. Where that did not keep a file out,
    such as behind a gate that was opened on purpose, its caps still hold.

    Raises:
        ValueError: it is in none of the formats, or larger or of more pieces than any honest image.
        Exception: whatever Pillow's parser makes of a header that is broken.
    """
    kind = format_of(content)
    if kind is None or kind not in formats:
        raise ValueError(f"the content is {kind or 'no image'}, accepted are {', '.join(formats)}")
    if (problem := _too_many_pieces(content, kind)) is not None:
        raise ValueError(f"{REFUSED_AS_TOO_LARGE}: {problem}")
    image = Image.open(io.BytesIO(content), formats=(kind,))
    if image.width * image.height > max_pixels:
        raise ValueError(f"{REFUSED_AS_TOO_LARGE}: {image.width} x {image.height} px")
    return image


def rgb_of(image: Image.Image) -> Image.Image:
    """The picture as 8-bit RGB, turned as its EXIF orientation says: the one way from a file to pixels.

    Integrity, training, scoring, the search for copies and every figure see what this returns. What stands in
    `harness.protocol.modes` is done: 16-bit grey is scaled, opacity is left out. Where integrity did not keep a mode
    out, such as behind a gate that was opened on purpose, it is refused here.

    Raises:
        ValueError: a mode that does not become RGB without a guess.
        Exception: whatever Pillow's decoders make of broken data.
    """
    mode = _stored_mode(image)
    if (reason := why_not(mode)) is not None:
        raise ValueError(f"colour mode {mode}: {reason}")
    image.load()
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    upright = ImageOps.exif_transpose(image) if turned else image
    if mode in DEEP_GREY:
        grey = np.asarray(upright).astype(np.uint32)
        upright = Image.fromarray(((grey + 128) // 257).astype(np.uint8))  # 65535 = 255 * 257
    # A copy of every picture would cost a tenth of its decoding.
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def is_plain(image: Image.Image) -> bool:
    """Whether any program that takes this picture as RGB gets the pixels that `rgb_of` gives."""
    return _stored_mode(image) not in DEEP_GREY and image.getexif().get(ExifTags.Base.Orientation, 1) == 1


@dataclass(frozen=True, slots=True, eq=False)
class Decoded(Generic[H]):
    """What decoding the bytes of one file shows.

    facts:   sides are those of the picture as it is shown, its EXIF orientation applied. Whatever is wrong with the
             bytes is in `error`. `mode` is Pillow's; where Pillow would drop bits it is the stored one, such as
             "RGB;16B", and where a pixel is transparent it says so, such as "RGBA with transparent pixels": its colour
             is nobody's word.
    picture: as `rgb_of` gives it, where the bytes hold one at all: also of a file that is refused for what lies around
             its first picture, so that stages behind a gate that was opened on purpose see what Pillow sees.
    shown:   whether the file is whole and its picture can be had without a guess.
    header:  what the reader of the header made of the opened file; None where it was not opened or raised.
    """

    facts: ImageFacts
    picture: Image.Image | None = None
    shown: bool = False
    header: H | None = None


def facts_of(content: bytes, *, path: str, rules: ImageRules) -> ImageFacts:
    """What decoding the bytes of one file shows; see `decode`."""
    return decode(content, path=path, rules=rules, header=lambda *_: None).facts


def decode(content: bytes, *, path: str, rules: ImageRules, header: Header[H]) -> Decoded[H]:
    """Decode the bytes of one file, once for everybody who asks something of it; nothing is raised.

    A format that the protocol does not accept is named and not decoded. Threads may share this function;
    `strict_pillow` must be in force around them.

    Args:
        header: reads what it wants of the opened file, and of its `info` as it was before any pixel was decoded.
    """
    kind = format_of(content)
    if kind is None:
        return Decoded(ImageFacts(path, None, None, None, None, _no_image(content)))
    if len(content) > rules.max_bytes:
        most = f"over {rules.max_bytes:,} bytes, the most that the largest image can need"
        return Decoded(_too_large(ImageFacts(path, None, None, kind, None), most))
    if kind not in rules.formats:
        error = f"not decoded: the content is {kind}, accepted are {', '.join(rules.formats)}"
        return Decoded(ImageFacts(path, None, None, kind, None, error))
    return _decoded(content, kind, path=path, rules=rules, header=header)


def _no_image(content: bytes) -> str:
    if not content:
        return "the file is empty (0 bytes)"
    found = kind_of(content)
    return f"no image: the file is {found[0]}" if found else f"no image: the file begins with {content[:16]!r}"


def _decoded(content: bytes, kind: str, *, path: str, rules: ImageRules, header: Header[H]) -> Decoded[H]:
    seen = ImageFacts(path, None, None, kind, None)
    if (problem := _too_many_pieces(content, kind)) is not None:
        return Decoded(_too_large(seen, problem))
    said: H | None = None
    try:
        with Image.open(io.BytesIO(content), formats=(kind,)) as image:
            # Pillow may find another format inside the announced one, such as MPO (several pictures) in a JPEG.
            stored, info = _stored_mode(image), dict(image.info)
            seen = ImageFacts(path, image.width, image.height, image.format or kind, stored)
            if image.width * image.height > rules.max_side_px**2:
                return Decoded(_too_large(seen, f"{image.width} x {image.height} px"))
            several = _several_pictures(image)
            # Loading takes the orientation out of a TIFF; and to ask a PNG for its EXIF is to load it.
            said = _if_it_can(lambda: header(image, info)) if kind != "PNG" else None
            if several is not None:
                return Decoded(replace(seen, error=several), _if_it_can(lambda: rgb_of(image)), header=said)
            image.load()  # `verify()` would pass a JPEG that was cut in half
            said = _if_it_can(lambda: header(image, info)) if kind == "PNG" else said
            error = _cut_off(content, kind)
            if _is_transparent(image):
                seen = replace(seen, mode=f"{stored} with transparent pixels")
            if error is not None or why_not(str(seen.mode)) is not None:
                return Decoded(replace(seen, error=error), _if_it_can(lambda: rgb_of(image)), header=said)
            picture = rgb_of(image)
            seen = replace(seen, width_px=picture.width, height_px=picture.height)
            return Decoded(seen, picture, shown=True, header=said)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        return Decoded(_too_large(seen, bomb), header=said)
    except Exception as problem:  # a hostile file can make a parser raise anything; all of it means "unreadable"
        return Decoded(replace(seen, error=f"does not decode: {str(problem) or type(problem).__name__}"), header=said)


def _if_it_can(read: Callable[[], T]) -> T | None:
    """What nobody's verdict rests on, of a file that is refused already or that is read on: a parser may raise."""
    try:
        return read()
    except Exception:
        return None


def _too_large(seen: ImageFacts, what: object) -> ImageFacts:
    return replace(seen, error=f"{REFUSED_AS_TOO_LARGE}: {what}", too_large=True)


def _several_pictures(image: Image.Image) -> str | None:
    if getattr(image, "is_animated", False):
        # To count the pages of a TIFF is to parse each of them.
        n = "several" if image.format == "TIFF" else getattr(image, "n_frames", "several")
        return f"holds {n} pictures, and which one is the cell is not known"
    return None


def _too_many_pieces(content: bytes, kind: str) -> str | None:
    """Why a parser should not be handed these bytes, though they are few enough; None where it may."""
    match kind:
        case "JPEG":
            return _too_many_segments(content)
        case "PNG":
            return _too_many_chunks(content)
        case _:
            return None


def _too_many_segments(content: bytes) -> str | None:
    """Walks from marker to marker as a decoder does, up to the end of the image."""
    at, n_segments, n_scans, n_stray, marker = 2, 0, 0, 0, JPEG_MARKER
    while (found := marker.search(content, at)) is not None:
        code, n_segments = found[0][1], n_segments + 1
        n_stray += found.start() - at if marker is JPEG_MARKER else 0
        n_scans += code == JPEG_SCAN[1]
        if n_scans > MOST_SCANS:
            return f"a JPEG of more than {MOST_SCANS} scans"
        if n_segments > MOST_SEGMENTS or n_stray > MOST_STRAY_BYTES:
            return f"more than {MOST_SEGMENTS:,} segments or {MOST_STRAY_BYTES:,} stray bytes"
        if code == JPEG_END[1]:
            return None
        at, marker = found.end(), JPEG_AFTER_SCAN if code == JPEG_SCAN[1] else JPEG_MARKER
        if code not in JPEG_ALONE:
            at += max(2, int.from_bytes(content[at : at + 2], "big"))
    return None


def _too_many_chunks(content: bytes) -> str | None:
    at, n_chunks = 8, 0
    while at < len(content):
        n_chunks += 1
        if n_chunks > MOST_CHUNKS:
            return f"a PNG of more than {MOST_CHUNKS:,} chunks"
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return None


def _stored_mode(image: Image.Image) -> str:
    # Pillow reads 16-bit RGB as 8-bit "RGB" without a word; only the decoder's arguments still tell.
    arguments = image.tile[0][3] if image.tile else ""
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw if isinstance(raw, str) and ";16" in raw else image.mode


def _is_transparent(image: Image.Image) -> bool:
    """Whether opacity, which decoding to RGB leaves out, says anything at all: a channel, or a colour that is clear."""
    if "A" in image.getbands():
        return bool(image.getchannel("A").getextrema() != (255, 255))
    if "transparency" not in image.info:
        return False
    if image.mode not in ("1", "L", "P", "RGB"):
        return True  # which Pillow does not turn into a channel
    return bool(image.convert("RGBA").getchannel("A").getextrema() != (255, 255))


def _cut_off(content: bytes, kind: str) -> str | None:
    # Pillow is content when the last row is there; a file without its end marker was still cut off.
    if kind == "JPEG" and content.rfind(JPEG_END) < content.rfind(JPEG_SCAN):
        return "does not decode: cut off, the end-of-image marker is missing"
    return None
