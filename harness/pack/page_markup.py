"""Is a page written as a report is? Asked of its bare text, before any parser sees it.

A browser and a parser may read odd markup differently (`<!-->`, `</style/>`, a `<` that begins nothing), and some of it
takes a parser very long. No report has any: what is not written as the templates write it is refused, not read.
"""

from __future__ import annotations

import re

DOCTYPE = "<!DOCTYPE html>"
TAG = re.compile(r"<(?:/[a-z][a-z0-9]*|[a-z][a-z0-9]*(?:[ \n]+[a-z][a-z-]*(?:=\"[^\"<>]*\")?)*)>")
# What a page has once. The text of the last two is no markup: a browser looks for nothing in it but their end.
ONCE = ("<head>", "</head>", "<body>", "</body>", "</html>", "<title>", "</title>", "<style>", "</style>")
RAW = (re.compile("<title>[^<]*</title>"), re.compile("<style>[^<]*</style>"))
VOID_TAGS = ("<meta ", "<br", "<img ")
DEEPEST = 64


def refusal(html: str) -> str | None:
    """Why a page is not to be read, in one sentence, or None."""
    text = html.strip()
    if not text.startswith(DOCTYPE):
        return f"it does not begin with {DOCTYPE}"
    if (place := _no_tag(text, len(DOCTYPE))) is not None:
        return f"what stands at {text[place : place + 40]!r} is no tag that a report has"
    for tag in ONCE:
        if (n := text.count(tag)) != 1:
            return f"{tag} stands on it {n} times, and once on a report"
    head = text[: text.index("</head>")]
    if any(raw.search(head) is None for raw in RAW):
        return "its title or its style is not as it is on a report"
    return None


def _no_tag(text: str, start: int) -> int | None:
    """Where the first `<` stands that begins no complete tag."""
    depth = 0
    place = text.find("<", start)
    while place >= 0:
        tag = TAG.match(text, place)
        if tag is None:
            return place
        if tag[0].startswith("</"):
            depth -= 1
        elif not tag[0].startswith(VOID_TAGS):
            depth += 1
        if depth > DEEPEST:
            return place
        place = text.find("<", tag.end())
    return None
