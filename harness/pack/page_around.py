"""What stands around the values of a page: nothing may change what they say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from harness.core.text import visible
from harness.pack.page_reading import Mark, PageRead
from harness.report.pictures import of_uri, size_of

CARRIED = re.compile(r"data:image/(png|webp);base64,[A-Za-z0-9+/]+=*")
WITH_CELLS = re.compile(
    r"predictions/.+\.csv|comparisons > .+ > discordant|page > (labels > suspects|failures > unsure) > .+"
    r"|explanations > sets > .+"
)
OPENING, CLOSING = "([\"'\u201c\u2018", ")],.;:!?\"'\u201d\u2019"
# What each sign of a bound stands before.
BOUNDS = {
    "\u2265": re.compile("protocol > content > criteria > .+ > floor|page > results > joint_recall > .+"),
    "\u2264": re.compile("protocol > content > criteria > .+ > ceiling"),
}


def pictures(page: PageRead, *, allowed: str) -> Iterator[str]:
    """Pictures that are none of the page's own, stand where no report has one, or show what may not leave with it.

    Args:
        allowed: `[report] images` of the protocol.
    """
    for picture in page.pictures:
        if CARRIED.fullmatch(picture.src) is None:
            yield f"a picture is no PNG or WebP that the page carries: {picture.src[:60]!r}"
        elif picture.size is not None and picture.size != _size(picture.src):
            yield f"the frame of a picture has another shape than its bytes: {picture.name!r}"
        of_cell = picture.digest is not None and WITH_CELLS.fullmatch(picture.rows or "") is not None
        if not picture.in_figure and not of_cell:
            yield "a picture stands outside of every figure and beside no cell's digest"
        elif allowed == "none" and not picture.in_figure:
            yield "a picture of a cell stands on the page, and the protocol lets none out"


def _size(src: str) -> tuple[str, ...]:
    return tuple(str(side) for side in size_of(of_uri(src) or b""))


def unseen(page: PageRead) -> Iterator[str]:
    """Characters that cannot be seen, or that turn others round."""
    texts = [page.title, *page.spoken, *(text for text, _ in page.loose)]
    marked = [text for mark, _ in page.marks for text in (mark.text, mark.title or "")]
    for text in (*texts, *marked):
        if visible(text) != text:
            yield f"characters that cannot be seen stand in {visible(text)[:100]!r}"


def neighbour(mark: Mark) -> str | None:
    """What is wrong with the text around a mark, or None."""
    before, after = mark.before[-1:], mark.after[:1]
    if not before.isspace() and before not in OPENING:
        return f"{before!r} stands right before {mark.text!r}"
    if not after.isspace() and after not in CLOSING:
        return f"{after!r} stands right after {mark.text!r}"
    sign = mark.before.rstrip()[-1:]
    if sign and unicodedata.category(sign) in ("Sm", "Pd") and not _is_asked(sign, mark):
        return f"{sign!r} stands before {mark.text!r}"
    return None


def _is_asked(sign: str, mark: Mark) -> bool:
    """Whether it is `n = 5`, a dash, or the sign of a bound."""
    return sign in "=\u2014" or (sign in BOUNDS and BOUNDS[sign].fullmatch(mark.path or "") is not None)
