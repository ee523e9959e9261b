"""Was anything fitted on cells that it is judged on?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.core.digests import digest_of
from harness.data.records import CellImage
from harness.metrics.counts import counted
from harness.protocol.needs import TRAINING_CELLS


@dataclass(frozen=True, slots=True)
class Fit:
    """Something whose value was taken from cells: weights, the kept epoch, a temperature.

    what:   what was fitted, and whether verdicts rest on it.
    on:     name of the set that it was fitted on; n and cells: how many cells, and their digest.
    shared: judged set -> how many of its cells are among those fitted on, where there are any.
    """

    what: str
    on: str
    n: int
    cells: str
    shared: dict[str, int]


DRAWN = ", drawn"  # ends the name of the cells of an external set that a classifier is adapted with
FITTING_PARTS = ("train", "validation")


def fit_of(what: str, on: str, cells: Sequence[CellImage], *, judged: Mapping[str, Sequence[CellImage]]) -> Fit:
    """What was fitted on these cells, and which judged sets hold some of them, by content.

    Args:
        what: such as "temperature".
        on: name of the set.
        judged: name -> cells of every set that a verdict is given on.
    """
    contents = {cell.sha256 for cell in cells}
    shared = {name: sum(cell.sha256 in contents for cell in others) for name, others in judged.items()}
    return Fit(what, on, len(cells), digest_of(sorted(contents)), {name: n for name, n in shared.items() if n})


def fits_on_judged_cells(fits: Iterable[Fit]) -> tuple[str, ...]:
    """One line for each fit that knows cells which it is judged on; a set by its name, a cell by its content."""
    lines = []
    for fit in fits:
        if fit.on not in FITTING_PARTS and not fit.on.endswith(DRAWN):
            lines.append(f"{fit.what} was fitted on {fit.on}, which is judged; fit on {' or '.join(FITTING_PARTS)}")
        lines += [
            f"{fit.what} was fitted on {fit.on}, which holds {n} of the images of {name}"
            for name, n in fit.shared.items()
            if name != fit.on
        ]
    return tuple(lines)


METRICS = (
    counted(
        "judged_cells_in_fits",
        "training",
        "Things that were fitted on cells which they are judged on.",
        needs=frozenset({TRAINING_CELLS}),
    ),
)
