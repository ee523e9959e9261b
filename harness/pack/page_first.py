"""What a page begins with: the box of the verdict, the headline, and each required criterion as one line.

Pages have these since decision 0051, and the limits in the open; `is_asked` tells from the evidence whether a page is
one of those. What stands there is derived from the evidence, and each part has its own values and no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.text import visible
from harness.pack.page_reading import PageRead, Tile
from harness.protocol.names import PARTS
from harness.report.places import written

Found = tuple[str, str]  # the place, and what is wrong there
MOVED = 1  # of what moved and is not declared, likewise
NAMED = 6  # of the criteria that block, in the open; the box of the verdict folds the others
LIMITS = ["Limit", "What must not be said because of it"]
HEADLINE = "the headline"


def is_asked(document: Mapping[str, Any]) -> bool:
    """Whether the page of this evidence begins so: its version recorded the margins of the lines."""
    return "margins" in document["page"]["verdict"]


def beginning(page: PageRead, document: Mapping[str, Any]) -> Iterator[Found]:
    """Where the box, the headline or the limits are not those that follow from the evidence."""
    yield from _headline(page, document)
    yield from _box(page, document)
    limits = [table for table in page.tables if table.heads == LIMITS]
    if len(limits) != 1 or limits[0].folded:
        yield "limits", "the limits do not stand in the open, once"


# --- the headline ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tile that follows from the evidence.

    of:      what its title names after a colon, or None.
    paths:   of its values.
    bounded: the path before which "\u2265" stands, or None.
    """

    title: str
    of: str | None = None
    paths: tuple[str, ...] = ()
    bounded: str | None = None

    @property
    def whole_title(self) -> str:
        return _plain(self.title if self.of is None else f"{self.title}: {visible(self.of)}")


def _headline(page: PageRead, document: Mapping[str, Any]) -> Iterator[Found]:
    if page.n_headlines != 1:
        yield HEADLINE, f"it stands on the page {page.n_headlines} times, and once on a report"
    wanted = list(_tiles(document))
    titles = [_plain(tile.title) for tile in page.tiles]
    if titles != [each.whole_title for each in wanted]:
        yield HEADLINE, f"it has {titles}, and {[each.whole_title for each in wanted]} follows from the evidence"
        return
    for tile, each in zip(page.tiles, wanted, strict=True):
        yield from _tile(tile, each)


def _tile(tile: Tile, wanted: Wanted) -> Iterator[Found]:
    paths = tuple(mark.path for mark in tile.marks)
    if paths != wanted.paths:
        yield HEADLINE, f"{wanted.whole_title!r} shows {paths}, and {wanted.paths} on a report"
    for mark in tile.marks:
        if mark.path == wanted.bounded and not mark.before.rstrip().endswith("\u2265"):
            yield HEADLINE, f"{mark.text!r} is a lower bound, and the sign of one is not before it"


def _tiles(document: Mapping[str, Any]) -> Iterator[Wanted]:
    evaluations, level = document["evaluations"], "page > level"
    if "test" not in evaluations:
        yield Wanted("Accuracy on test")
    else:
        yield Wanted("Accuracy on test", None, _accuracy("test"))
        if (name := _worst_class(evaluations["test"])) is not None:
            bound = written(("page", "results", "joint_recall", "test", name))
            has_bound = document["page"]["results"]["joint_recall"]["test"][name] is not None
            paths = (written(("evaluations", "test", "per_class", name, "recall")), level, bound)
            yield Wanted("Worst class on test", name, paths, bound if has_bound else None)
    if (name := _worst_set(evaluations)) is not None:
        yield Wanted("Worst external set", name, _accuracy(name))
    else:
        yield Wanted("Worst external set")


def _accuracy(name: str) -> tuple[str, ...]:
    here = ("evaluations", name, "accuracy")
    return written(here), "page > level", written((*here, "display"))


def _worst_class(test: Mapping[str, Any]) -> str | None:
    counts = {
        name: (row[i], sum(row)) for i, (name, row) in enumerate(zip(test["classes"], test["confusion"], strict=True))
    }
    return _least(counts)


def _worst_set(evaluations: Mapping[str, Any]) -> str | None:
    external = (name for name in evaluations if name not in PARTS)
    return _least({name: (evaluations[name]["accuracy"]["k"], evaluations[name]["n"]) for name in external})


def _least(counts: Mapping[str, tuple[int, int]]) -> str | None:
    """The first of the names with the least k/n, of those that have an n."""
    shares = {name: k / n for name, (k, n) in counts.items() if n}
    return min(shares, key=lambda name: shares[name], default=None)


# --- the box --------------------------------------------------------------------------------------


def _box(page: PageRead, document: Mapping[str, Any]) -> Iterator[Found]:
    """Where the box of the verdict keeps back what the run did not pass for."""
    boxed = {mark.path for mark, _ in page.marks if mark.boxed}
    shown = {mark.path for mark, _ in page.marks if mark.boxed and not mark.folded}
    moved = [n for n, change in enumerate(document.get("changes") or ()) if not change.get("told")]
    for n in moved:
        for field in _moved_fields(document["changes"][n]):
            if (path := written(("changes", n, field))) not in boxed:
                yield (
                    path,
                    "this moved after a look or beside the baseline, and the box of the verdict does not say it",
                )
    undeclared = [n for n in moved if document["changes"][n]["amendment"] is None]
    in_the_open = sum(written(("changes", n, "key")) in shown for n in undeclared)
    if in_the_open < min(MOVED, len(undeclared)):
        yield "changes", f"{len(undeclared)} moved and are not declared, and {in_the_open} are named in the open"
    for n in range(len(document["page"]["verdict"].get("contradictions") or ())):
        if (path := written(("page", "verdict", "contradictions", n))) not in boxed:
            yield path, "a judged answer was not given again, and the box of the verdict does not say it"
    for path in _told(document):
        if path not in shown:
            yield path, "the box of the verdict does not say this in the open"
    blocking = [each["criterion"] for each in document["verdicts"] if _blocks(each)]
    for name in blocking:
        for field in ("criterion", "outcome"):
            if (path := written(("verdicts", name, field))) not in boxed:
                yield path, "this keeps the run from passing, and the box of the verdict does not say it"
    named = sum(written(("verdicts", name, "criterion")) in shown for name in blocking)
    if named < min(NAMED, len(blocking)):
        yield "verdicts", f"{len(blocking)} criteria keep the run from passing, and {named} are named in the open"


def _moved_fields(change: Mapping[str, Any]) -> Iterator[str]:
    """What the box says of a change: its key and both values, where there are two."""
    yield "key"
    yield from (side for side in ("old", "new") if change[side])


def _told(document: Mapping[str, Any]) -> Iterator[str]:
    yield "run > passed"
    yield "protocol > content > identity > intended_use"
    if document["run"]["stopped_because"] is not None:
        yield "run > stopped_because"
    if document["page"]["verdict"]["blocking"]:
        yield from ("page > verdict > blocking", "page > verdict > required")
    for verdict in document["verdicts"]:
        if verdict["waiver"] is not None:
            yield written(("verdicts", verdict["criterion"], "waiver", "reason"))


def _blocks(verdict: Mapping[str, Any]) -> bool:
    excused = verdict["outcome"] == "not assessed" and (verdict["waiver"] is not None or verdict["not_asked"])
    return bool(verdict["required"]) and verdict["outcome"] != "passed" and not excused


def _plain(text: str) -> str:
    return " ".join(text.split())
