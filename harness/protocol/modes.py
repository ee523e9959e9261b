"""Which stored colour modes become 8-bit RGB without a guess, and why the others do not.

The names are Pillow's; where Pillow would drop bits, those of what is stored, such as "RGB;16B" (docs/images.md).
`harness.data.decoding` does to each what stands here.
"""

from __future__ import annotations

PLAIN = ("RGB", "L", "1", "P", "YCbCr")
# Of these a channel of opacity is left out; integrity names a file in which it is not full everywhere.
WITH_OPACITY = ("RGBA", "LA", "PA")
# 16-bit grey is scaled over the whole range, 65535 being white; of the others Pillow keeps the upper byte.
DEEP_GREY = ("I;16", "I;16B", "I;16L")
DEEP_COLOUR = ("RGB;16B", "RGB;16L", "RGB;16N", "RGBA;16B", "RGBA;16L", "LA;16B")
ACCEPTABLE = (*PLAIN, *WITH_OPACITY, *DEEP_GREY, *DEEP_COLOUR)

INTEGER = "whole numbers of 32 bits have no agreed white"
TRANSPARENT = "where a pixel is transparent, nothing says which colour lies behind it"
NOT_ACCEPTABLE = {
    "F": "floating-point pixels have no agreed white",
    "I": INTEGER,
    "CMYK": "the colours of printing inks follow from a profile of the press, not from the file alone",
    "LAB": "the white point of Lab colours is not stored",
    "HSV": "no format stores it",
    "RGBX": "nothing says what the fourth channel holds",
    "RGBa": TRANSPARENT,
    "La": TRANSPARENT,
}


def why_not(mode: str) -> str | None:
    """Why a protocol cannot accept this mode; None for one that it can.

    >>> why_not("L"), why_not("F")
    (None, 'floating-point pixels have no agreed white')
    """
    if mode in ACCEPTABLE:
        return None
    if "transparent" in mode:
        return TRANSPARENT
    return NOT_ACCEPTABLE.get(mode, "nothing says how it becomes 8-bit RGB")
