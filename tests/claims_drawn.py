"""The same table as programs and markups draw it. Head and rows are text; nothing is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

Row: TypeAlias = Sequence[str]
Drawing: TypeAlias = Callable[[Row, Sequence[Row]], str]


def _widths(head: Row, rows: Sequence[Row]) -> list[int]:
    return [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]


def _padded(row: Row, widths: Sequence[int]) -> list[str]:
    return [f" {cell:<{width}} " for cell, width in zip(row, widths, strict=True)]


def grid(head: Row, rows: Sequence[Row]) -> str:
    """A grid table of reStructuredText."""
    widths = _widths(head, rows)
    lines = {mark: "+" + "+".join(mark * (width + 2) for width in widths) + "+\n" for mark in "-="}
    drawn = ["|" + "|".join(_padded(row, widths)) + "|\n" for row in rows]
    top = lines["-"] + "|" + "|".join(_padded(head, widths)) + "|\n" + lines["="]
    return top + "".join(row + lines["-"] for row in drawn)


def boxed(head: Row, rows: Sequence[Row]) -> str:
    """PrettyTable; what sums up apart from the rest."""
    widths = _widths(head, rows)
    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    drawn = ["|" + "|".join(_padded(row, widths)) + "|\n" for row in (head, *rows)]
    return border + drawn[0] + border + "".join(drawn[1:-2]) + border + "".join(drawn[-2:]) + border


def heavy(head: Row, rows: Sequence[Row]) -> str:
    """A table of the package rich."""
    widths = _widths(head, rows)
    top, below, end = (
        left + middle.join(line * (width + 2) for width in widths) + right + "\n"
        for left, line, middle, right in ("┏━┳┓", "┡━╇┩", "└─┴┘")
    )
    body = "".join("│" + "│".join(_padded(row, widths)) + "│\n" for row in rows)
    return f"```\n{top}┃{'┃'.join(_padded(head, widths))}┃\n{below}{body}{end}```\n"


def simple(head: Row, rows: Sequence[Row]) -> str:
    """A simple table of reStructuredText, as a directive holds it."""
    widths = _widths(head, rows)
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    text = [rule, lines[0], rule, *lines[1:-1], "  ".join("-" * width for width in widths), lines[-1], rule]
    return ".. table:: Classes\n\n" + "".join(f"   {line.rstrip()}\n" for line in text)


def under_rule(head: Row, rows: Sequence[Row]) -> str:
    """The "simple" format of tabulate: a rule below the head alone."""
    widths = _widths(head, rows)
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]]) + "\n"


def listed(head: Row, rows: Sequence[Row]) -> str:
    """A list-table of reStructuredText."""
    items = [[("* - " if k == 0 else "  - ") + cell for k, cell in enumerate(row)] for row in (head, *rows)]
    body = "".join(f"   {line.rstrip()}\n" for row in items for line in row)
    return f".. list-table:: Classes\n   :header-rows: 1\n\n{body}"


def quoted(head: Row, rows: Sequence[Row]) -> str:
    """A csv-table of reStructuredText."""
    heads = ", ".join(f'"{cell}"' for cell in head)
    body = "".join("   " + ", ".join(f'"{cell}"' for cell in row) + "\n" for row in rows)
    return f".. csv-table:: Classes\n   :header: {heads}\n\n{body}"


def asciidoc(head: Row, rows: Sequence[Row]) -> str:
    body = "".join("\n".join(f"|{cell}" for cell in row) + "\n\n" for row in rows)
    return f"|===\n{' '.join(f'|{cell}' for cell in head)}\n\n{body}|===\n"


def wiki(head: Row, rows: Sequence[Row]) -> str:
    """MediaWiki."""
    body = "".join(f'|-\n| style="text-align:left" | {" || ".join(row)}\n' for row in rows)
    return f'{{| class="wikitable"\n! {" !! ".join(head)}\n{body}|}}\n'


def org(head: Row, rows: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "+".join("---" for _ in head) + "|", *lines[1:]]) + "\n"


def aligned(head: Row, rows: Sequence[Row]) -> str:
    """pandas' to_string: the names left, numbers right, and nothing between columns but spaces."""
    full = [row for row in rows if all(row)]
    widths = _widths(head, full)
    lines = [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in (head, *full)
    ]
    rest = [f"{row[0]}: {next(cell for cell in row[1:] if cell)}" for row in rows if not all(row)]
    return "\n".join([*lines, "", *rest]) + "\n"


DRAWINGS: dict[str, Drawing] = {
    "grid": grid,
    "box": boxed,
    "heavy box": heavy,
    "rules": simple,
    "rule below the head": under_rule,
    "list-table": listed,
    "csv-table": quoted,
    "AsciiDoc": asciidoc,
    "MediaWiki": wiki,
    "Org": org,
    "columns": aligned,
}
