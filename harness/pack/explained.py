"""Are the explained cells those that the page pictures, and does what is told of them follow from the rest?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from harness.metrics.explanations import (
    FULL,
    N_NEAREST,
    SEED,
    Explained,
    Explanations,
    Method,
    agreement,
    places_of,
    with_mask,
)
from harness.report.sections.failures import to_explain
from harness.run.results import RunResults

Problem = tuple[str, str]  # field, and what is wrong there


def explained_again(found: Explanations, run: RunResults) -> tuple[Explanations, list[Problem]]:
    """The same with what follows from predictions, split and maps made anew, and where it contradicts them."""
    nothing_given = found.no_maps is not None and found.no_nearest is not None
    wanted = {} if nothing_given else dict(to_explain(run))
    if {name: [cell.sha256 for cell in cells] for name, cells in found.sets.items()} != {
        name: [digest for digest, _ in cells] for name, cells in wanted.items()
    }:
        return found, [("sets", "these are not the cells that the page pictures")]
    if problems := list(_told_of_method(found)):
        return replace(found, sets={}), problems
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
            made.append(_masked(replace(cell, **told)) if not broken else replace(cell, **told))
        sets[name] = tuple(made)
    if problems:
        return replace(found, sets={}), problems  # nothing can be drawn of a map that is none
    return replace(found, sets=sets, n_compared=_n_compared(found, run)), []


def _told_of_method(found: Explanations) -> Iterable[Problem]:
    for field, why in (
        ("no_maps", found.no_maps),
        ("no_nearest", found.no_nearest),
        ("no_masks", found.no_masks),
    ):
        if why is not None and not why.strip():
            yield field, "it says nothing"
    if (found.method is None) != (found.no_maps is not None):
        yield "method", "there are maps where it is said why there are none, or the other way round"
    how = found.method
    if how is not None and not (
        re.fullmatch(r"captum [0-9][\w.+]*", how.by)
        and re.fullmatch(r"[\w.]+", how.layer)
        and min(how.rows, how.columns) >= 1
        and 0 < how.crop <= 1
        and how.seed == SEED
    ):
        yield "method", "no run of this harness made its maps so"


def _n_compared(found: Explanations, run: RunResults) -> int:
    return len(run.split.train) if found.no_nearest is None and run.split is not None else 0


def _broken(cell: Explained, found: Explanations, run: RunResults) -> Iterable[Problem]:
    for field, packed in (("map", cell.map), ("control", cell.control)):
        if not _is_map(packed, found.method):
            yield field, "it is no map of as many places as its layer has, 255 where it is largest"
    if not _is_mask(cell.mask, found):
        yield "mask", "it is no mask of as many places as its map has, or no mask was of use"
    train = {(each.sha256, each.path, each.label) for each in run.split.train} if run.split is not None else set()
    if len({(each.sha256, each.path) for each in cell.nearest}) != len(cell.nearest):
        yield "nearest", "a picture is named twice"
    if len(cell.nearest) != (0 if found.no_nearest is not None else min(N_NEAREST, len(train))):
        yield "nearest", "other training pictures are named than the nearest few"
    if any((each.sha256, each.path, each.label) not in train for each in cell.nearest):
        yield "nearest", "a picture is named that is not in the train part"
    distances = [round(each.distance, 8) for each in cell.nearest]  # those alike stand in the order of their digests
    if distances != sorted(distances) or any(not 0 <= each <= 2 for each in distances):
        yield "nearest", "the distances do not go from the nearest on"


def _masked(cell: Explained) -> Explained:
    return replace(cell, inside=None, area=None) if cell.mask is None else with_mask(cell, cell.mask)


def _is_mask(packed: str | None, found: Explanations) -> bool:
    if packed is None:
        return True
    try:
        how = found.method
        return how is not None and found.no_masks is None and len(places_of(packed)) == how.rows * how.columns
    except ValueError:
        return False


def _is_map(packed: str | None, method: Method | None) -> bool:
    if method is None or packed is None:
        return packed is None and method is None
    try:
        places = places_of(packed)
        return len(places) == method.rows * method.columns and places.max() in (0, FULL)
    except ValueError:
        return False
