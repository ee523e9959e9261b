"""Is a page written as a report is, and what are its tags and texts? Asked of its bare text, without a parser.

A browser and a parser may read odd markup differently (`<!-->`, `</style/>`, a `<` that begins nothing), and some of it
takes a parser very long. No report has any: what is not written as the templates write it is refused, not read. What
then is left are complete tags with text between them, which all read alike.
"""

from __future__ import annotations

import re
from html import unescape
from typing import NamedTuple

DOCTYPE = "<!DOCTYPE html>"
ATTRIBUTE = re.compile(r"[ \n]+([a-z][a-z-]*)(?:=\"([^\"<>]*)\")?")
TAG = re.compile(r"<(?:/([a-z][a-z0-9]*)|([a-z][a-z0-9]*)((?:[ \n]+[a-z][a-z-]*(?:=\"[^\"<>]*\")?)*))>([^<]*)")
# What a page has once. The text of the last two is no markup: a browser looks for nothing in it but their end.
ONCE = ("<head>", "</head>", "<body>", "</body>", "</html>", "<title>", "</title>", "<style>", "</style>")
RAW = (re.compile("<title>[^<]*</title>"), re.compile("<style>[^<]*</style>"))
VOID = ("meta", "br", "img")
DEEPEST = 64


class Piece(NamedTuple):
    """A tag and the text behind it. given: its attributes; n_given: how many are written, one twice counted twice."""

    tag: str
    closes: bool
    given: dict[str, str]
    n_given: int
    text: str


def pieces_of(html: str) -> list[Piece] | str:
    """A page, tag by tag; or why it is not to be read, in one sentence."""
    text = html.strip()
    if not text.startswith(DOCTYPE):
        return f"it does not begin with {DOCTYPE}"
    pieces: list[Piece] = []
    place, depth = text.find("<", len(DOCTYPE)), 0
    if text[len(DOCTYPE) : place].strip():
        return f"text stands between {DOCTYPE} and its first tag"
    while place < len(text):
        found = TAG.match(text, place)
        if found is not None:
            pieces.append(_piece(*found.groups(default="")))
            depth += 0 if pieces[-1].tag in VOID else -1 if pieces[-1].closes else 1
        if found is None or depth > DEEPEST:
            return f"what stands at {text[place : place + 40]!r} is no tag that a report has"
        place = found.end()
    for tag in ONCE:
        if (n := text.count(tag)) != 1:
            return f"{tag} stands on it {n} times, and once on a report"
    head = text[: text.index("</head>")]
    if any(raw.search(head) is None for raw in RAW):
        return "its title or its style is not as it is on a report"
    return pieces


def _piece(closed: str, opened: str, attributes: str, text: str) -> Piece:
    said = text if opened == "style" else unescape(text)
    if not attributes:
        return Piece(closed or opened, bool(closed), {}, 0, said)
    written = ATTRIBUTE.findall(attributes)
    return Piece(opened, False, {name: unescape(value) for name, value in written}, len(written), said)
