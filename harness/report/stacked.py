"""Gives each cell of a table the heading of its column, which a narrow screen shows instead of the row of headings."""

from __future__ import annotations

import re

from markupsafe import Markup

HEADS = re.compile(r"<thead[^>]*>.*?</thead>", re.DOTALL)
HEAD = re.compile(r"<th [^>]*>(.*?)</th>", re.DOTALL)
ROW = re.compile(r"<tr[^>]*>.*?</tr>", re.DOTALL)
CELL = re.compile(r"<(?P<tag>td|th)(?P<attributes>[^>]*)>")
SPAN = re.compile(r' colspan="(\d+)"')
# Columns whose cells say by themselves what they are: a word in its box, a picture.
SELF_EVIDENT = ("", "Outcome", "Image")


def labelled(body: Markup) -> Markup:
    """The inside of a `<table>` with `data-label` on each cell of its body that stands under a heading.

    It reads our own templates' markup, in which every text from outside is escaped by now.
    """
    heading = HEADS.search(body)
    if heading is None:
        return body
    heads = [str(Markup(each).striptags()) for each in HEAD.findall(heading[0])]
    rows = ROW.sub(lambda row: _labelled_row(row[0], heads), body[heading.end() :])
    return Markup(body[: heading.end()]) + Markup(rows)


def _labelled_row(row: str, heads: list[str]) -> str:
    column = 0

    def labelled_cell(cell: re.Match[str]) -> str:
        nonlocal column
        head = heads[column] if column < len(heads) else ""
        spanned = SPAN.search(cell["attributes"])
        column += int(spanned[1]) if spanned else 1
        if cell["tag"] == "th" or spanned or head in SELF_EVIDENT or "data-label" in cell["attributes"]:
            return cell[0]
        return f'<td data-label="{Markup.escape(head)}"{cell["attributes"]}>'

    return CELL.sub(labelled_cell, row)
