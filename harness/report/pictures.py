"""A picture as a page carries it: a data URI that names what its bytes are."""

from __future__ import annotations

import base64
import binascii

from harness.data.decoding import open_picture

KINDS = ("png", "webp")  # what the name of a figure's file may end in


def kind_of(content: bytes) -> str | None:
    """`png` or `webp` by the first bytes; None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def suffix_of(content: bytes) -> str:
    """What its file's name ends in; `png` for anything that is neither."""
    return kind_of(content) or "png"


def size_of(content: bytes) -> tuple[int, int]:
    """(width, height) in pixels by its head, without decoding it; of what does not open those of a square."""
    try:
        return open_picture(content, formats=[kind.upper() for kind in KINDS]).size
    except Exception:  # whatever Pillow makes of a broken head
        return 1, 1


def as_uri(content: bytes) -> str:
    """The bytes of a picture as a data URI."""
    return f"data:image/{suffix_of(content)};base64,{base64.b64encode(content).decode('ascii')}"


def of_uri(uri: str) -> bytes | None:
    """The bytes of a data URI that `as_uri` may have made; None for any other address."""
    head, _, coded = uri.partition(",")
    if head not in [f"data:image/{kind};base64" for kind in KINDS]:
        return None
    try:
        return base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        return None
