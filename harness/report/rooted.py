"""Gives each row of a table the path that its values have in common, so that each value names only the rest of it.

`<tr data-at="verdicts > A1">` and in it `<data data-in="outcome">` say `<data data-path="verdicts > A1 > outcome">` in
fewer bytes, since a row has many values.
"""

from __future__ import annotations

import html
import re
from collections import Counter

from markupsafe import Markup

from harness.report.places import SEPARATOR

ROW = re.compile(r"<tr(?P<attributes>[^>]*)>(?P<inside>.*?)</tr>", re.DOTALL)
PATH = re.compile(r' data-path="([^"]*)"')
REST = re.compile(r' data-in="([^"]*)"')
AT = re.compile(r' data-at="([^"]*)"')
BETWEEN = html.escape(SEPARATOR)  # as it stands in an attribute


def rooted(body: Markup) -> Markup:
    """The inside of a `<table>`; it reads our own templates' markup, in which every text from outside is escaped."""
    return Markup(ROW.sub(_rooted_row, body))


def with_whole_paths(page: str) -> str:
    """A page as it would be without this module: every value names its whole path."""

    def row(found: re.Match[str]) -> str:
        at = AT.search(found["attributes"])
        if at is None:
            return found[0]
        inside = REST.sub(lambda rest: f' data-path="{at[1]}{BETWEEN}{rest[1]}"', found["inside"])
        return f"<tr{AT.sub('', found['attributes'])}>{inside}</tr>"

    return ROW.sub(row, page)


def _rooted_row(row: re.Match[str]) -> str:
    root = _shortest(PATH.findall(row["inside"]))
    if root is None:
        return row[0]
    inside = row["inside"].replace(f' data-path="{root}{BETWEEN}', ' data-in="')
    return f'<tr{row["attributes"]} data-at="{root}">{inside}</tr>'


def _shortest(paths: list[str]) -> str | None:
    """The beginning that saves the most if it is written once; None where none saves anything."""
    roots: Counter[str] = Counter()
    for path in paths:
        steps = path.split(BETWEEN)
        roots.update(BETWEEN.join(steps[:n]) for n in range(1, len(steps)))

    def saved(root: str) -> int:
        return roots[root] * (len(root + BETWEEN) + len("path") - len("in")) - len(f' data-at="{root}"')

    best = max(roots, key=lambda root: (saved(root), root), default=None)
    return best if best is not None and saved(best) > 0 else None
