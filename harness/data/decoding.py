"""Opens one image file without trusting it: what kind is it, and does it decode to the last pixel?"""

from __future__ import annotations

import io
import os
import stat
import warnings
from dataclasses import replace
from pathlib import Path

from PIL import Image

from harness.errors import DataError
from harness.protocol import ImageRules
from harness.records import ImageFacts

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
JPEG_SCAN, JPEG_END = b"\xff\xda", b"\xff\xd9"
REFUSED_AS_TOO_LARGE = "refused before decoding"


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; never a link, pipe or device, even one put there since the listing.

    Raises:
        FileNotFoundError: it is gone.
        DataError: it is something other than a regular file, or cannot be read.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be read ({error.strerror}). Make it a regular, readable file; links are not "
            "followed."
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{str(path)!r} is not a regular file. Move it out of the data folder.")
    return open(descriptor, "rb")  # noqa: PTH123 - there is no Path, only a descriptor


def max_bytes(rules: ImageRules) -> int:
    """The most bytes that an honest file can have: its pixels uncompressed (4 channels, 16 bits) and 1 MiB beside."""
    return 8 * rules.max_side_px**2 + 2**20


def format_of(content: bytes) -> str | None:
    """The format that the first bytes announce, whatever the file is called; None if they announce none."""
    return next((name for name, at, mark in SIGNATURES if content[at : at + len(mark)] == mark), None)


def strict_pillow() -> None:
    """Turn Pillow's warnings into errors; call inside `warnings.catch_warnings()`.

    Pillow only warns of a decompression bomb, of truncated TIFF data and of a broken multi-picture JPEG.
    """
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    warnings.filterwarnings("error", category=UserWarning, module=r"PIL\.")


def image_facts(path: Path, rules: ImageRules) -> ImageFacts:
    """Read and fully decode one image file; `path` of the result is `path` itself, with forward slashes.

    Raises:
        FileNotFoundError, DataError: the file cannot be read at all.
    """
    with open_regular(path) as file:
        content = file.read(max_bytes(rules) + 1)
    with warnings.catch_warnings():
        strict_pillow()
        return facts_of(content, path=path.as_posix(), rules=rules)


def facts_of(content: bytes, *, path: str, rules: ImageRules) -> ImageFacts:
    """What decoding the bytes of one file shows. Raw pixels: EXIF orientation is not applied.

    Whatever is wrong with the bytes ends up in `error`, nothing is raised. A format that the protocol does not accept
    is named and not decoded. `mode` is Pillow's, or the stored one such as "RGB;16B" where Pillow would drop bits.
    Threads may share this function; `strict_pillow` must be in force around them.
    """
    kind = format_of(content)
    if kind is None:
        error = f"no image: the file begins with {content[:16]!r}" if content else "the file is empty (0 bytes)"
        return ImageFacts(path, None, None, None, None, error)
    if len(content) > max_bytes(rules):
        error = f"{REFUSED_AS_TOO_LARGE}: over {max_bytes(rules):,} bytes, the most that the largest image can need"
        return ImageFacts(path, None, None, kind, None, error)
    if kind not in rules.formats:
        error = f"not decoded: the content is {kind}, accepted are {', '.join(rules.formats)}"
        return ImageFacts(path, None, None, kind, None, error)
    return _decoded(content, kind, path=path, rules=rules)


def _decoded(content: bytes, kind: str, *, path: str, rules: ImageRules) -> ImageFacts:
    seen = ImageFacts(path, None, None, kind, None)
    try:
        with Image.open(io.BytesIO(content), formats=(kind,)) as image:
            # Pillow may find another format inside the announced one, such as MPO (several pictures) in a JPEG.
            seen = ImageFacts(path, image.width, image.height, image.format or kind, _stored_mode(image))
            error = _refusal(image, rules)
            if error is None:
                image.load()  # `verify()` would pass a JPEG that was cut in half
                error = _cut_off(content, kind)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        error = f"{REFUSED_AS_TOO_LARGE}: {bomb}"
    except Exception as problem:  # a hostile file can make a parser raise anything; all of it means "unreadable"
        error = f"does not decode: {str(problem) or type(problem).__name__}"
    return replace(seen, error=error)


def _refusal(image: Image.Image, rules: ImageRules) -> str | None:
    if image.width * image.height > rules.max_side_px**2:
        return f"{REFUSED_AS_TOO_LARGE}: {image.width} x {image.height} px"
    if (n_frames := getattr(image, "n_frames", 1)) > 1:
        return f"holds {n_frames} pictures, and which one is the cell is not known"
    return None


def _stored_mode(image: Image.Image) -> str:
    # Pillow reads 16-bit RGB as 8-bit "RGB" without a word; only the decoder's arguments still tell.
    arguments = image.tile[0][3] if image.tile else ""
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw if isinstance(raw, str) and ";16" in raw else image.mode


def _cut_off(content: bytes, kind: str) -> str | None:
    # Pillow is content when the last row is there; a file without its end marker was still cut off.
    if kind == "JPEG" and content.rfind(JPEG_END) < content.rfind(JPEG_SCAN):
        return "does not decode: cut off, the end-of-image marker is missing"
    return None
