"""Are the explained cells those that the page pictures, and does what is told of them follow from the rest?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.metrics.explanations import N_NEAREST, Explained, Explanations, Method, agreement, places_of
from harness.report.sections.failures import to_explain
from harness.run.results import RunResults

Problem = tuple[str, str]  # field, and what is wrong there


def explained_again(found: Explanations, run: RunResults) -> tuple[Explanations, list[Problem]]:
    """The same with what follows from predictions, split and maps made anew, and where it contradicts them."""
    problems: list[Problem] = []
    nothing_given = found.no_maps is not None and found.no_nearest is not None
    wanted = {} if nothing_given else dict(to_explain(run))
    if {name: [cell.sha256 for cell in cells] for name, cells in found.sets.items()} != {
        name: [digest for digest, _ in cells] for name, cells in wanted.items()
    }:
        return found, [("sets", "these are not the cells that the page pictures")]
    sets = {}
    for name, cells in found.sets.items():
        seen = run.predictions[name]
        rows = {digest: row for row, digest in reversed(list(enumerate(seen.digests)))}
        made = []
        for place, cell in enumerate(cells):
            broken = [(f"sets > {name} > {place} > {field}", said) for field, said in _broken(cell, found, run)]
            problems += broken
            row = rows[cell.sha256]
            called, reference = seen.classes[seen.predicted[row]], seen.classes[seen.labels[row]]
            agreed = None if broken or cell.map is None or cell.control is None else agreement(cell.map, cell.control)
            told = {"path": seen.paths[row], "label": reference, "predicted": called, "agreement": agreed}
            made.append(replace(cell, **told))
        sets[name] = tuple(made)
    if problems:
        return replace(found, sets={}), problems  # nothing can be drawn of a map that is none
    return replace(found, sets=sets, n_compared=_n_compared(found, run)), []


def _n_compared(found: Explanations, run: RunResults) -> int:
    return len(run.split.train) if found.no_nearest is None and run.split is not None else 0


def _broken(cell: Explained, found: Explanations, run: RunResults) -> Iterable[Problem]:
    if (found.method is None) != (found.no_maps is not None):
        yield "map", "there are maps where it is said why there are none, or the other way round"
    for field, packed in (("map", cell.map), ("control", cell.control)):
        if not _is_map(packed, found.method):
            yield field, "it is no map of as many places as its layer has"
    train = {(each.sha256, each.path, each.label) for each in run.split.train} if run.split is not None else set()
    if len(cell.nearest) != (0 if found.no_nearest is not None else min(N_NEAREST, len(train))):
        yield "nearest", "other training pictures are named than the nearest few"
    if any((each.sha256, each.path, each.label) not in train for each in cell.nearest):
        yield "nearest", "a picture is named that is not in the train part"
    distances = [round(each.distance, 8) for each in cell.nearest]  # those alike stand in the order of their digests
    if distances != sorted(distances) or any(not 0 <= each <= 2 for each in distances):
        yield "nearest", "the distances do not go from the nearest on"


def _is_map(packed: str | None, method: Method | None) -> bool:
    if method is None or packed is None:
        return packed is None and method is None
    try:
        return len(places_of(packed)) == method.rows * method.columns
    except ValueError:
        return False
