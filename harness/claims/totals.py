"""Is a total beside a class table that of the table, or of the whole dataset? "Total support: 110"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.claims.binding import Results
from harness.claims.merging import Found
from harness.claims.records import Content, Size, Supports, Unread

_TOTAL = re.compile(r"\W*(?:grand\s+)?total\b[^:=\d]{0,40}[:=]|\W*support\s*\(total\)", re.IGNORECASE)
_OF_TABLE = re.compile(r"\bsupport\b", re.IGNORECASE)


def of_totals(found: Sequence[Found], tables: Sequence[Results]) -> tuple[list[Found], list[Unread]]:
    """Totals that the one table above them in their section adds up to are its own, and so is a total support.

    Any other may be of the dataset. Where nothing else says so it is not checked.
    """
    out: list[Found] = []
    unread: list[Unread] = []
    for entry in found:
        size, place = entry.content, entry.places[0]
        own = [each for each in tables if each.table.heading == entry.section and each.last_line < place.line]
        sums = [(each.name, n) for each in own for read in each.reading.found if (n := _sum(read.content)) is not None]
        is_total = isinstance(size, Size) and entry.set == "dataset" and not entry.from_table
        if not isinstance(size, Size) or not is_total or len(sums) != 1 or not _TOTAL.match(place.text):
            out.append(entry)
        elif size.n == sums[0][1] or _OF_TABLE.search(place.text):
            out.append(replace(entry, set=sums[0][0], from_table=True))
        else:
            out.append(entry)
            if not any(e.content == size and e.set == "dataset" and e.places != entry.places for e in found):
                why = (
                    f"line {place.line}: {size.n:,} in all, and {sums[0][1]:,} in the table above: of what is not said"
                )
                unread.append(Unread(why, place.line))
    return out, unread


def _sum(content: Content) -> int | None:
    return sum(n for _, n in content.counts) if isinstance(content, Supports) else None
