"""Every misclassified cell of test and external sets by confusion pair, and the least sure correct ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from markupsafe import Markup

from harness.data.leakage import DuplicatePair, ListedImage
from harness.metrics.explanations import Explained
from harness.metrics.predictions import Predictions
from harness.protocol.names import PARTS
from harness.report.section import Material, Section
from harness.report.veils import veils
from harness.report.wording import MOST_ROWS
from harness.run.results import RunResults

# Pictures travel with the page, so there is an end to them; what is not shown is listed all the same.
MOST_OF_A_PAIR, MOST_OF_A_SET = 12, 60
MOST_UNSURE = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """line: of the cell in its table of predictions, where 1 is the heading."""

    digest: str
    line: int

    def place(self, name: str) -> tuple[str, str]:
        return f"predictions/{name}.csv", str(self.line)


@dataclass(frozen=True, slots=True)
class Unsure:
    """A cell that was classified correctly, and nearly was not.

    p_label:  the probability of its class, which is the largest.
    other:    the class with the next largest; p_other: its probability.
    """

    sha256: str
    path: str
    label: str
    p_label: float
    other: str
    p_other: float


@dataclass(frozen=True, slots=True)
class Look:
    """One explained cell. veils: the drawings of its map and its control, to be laid over its picture."""

    sha256: str
    veils: tuple[tuple[str, Markup], ...]
    nearest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetView:
    """One set. pictured: whether any of its misclassified cells has a picture; unsure_pictured: of the unsure ones.

    looks: its cells that were explained; masked: whether any of them has a mask.
    """

    name: str
    classes: tuple[str, ...]
    cells: tuple[Cell, ...]
    n_pairs: int
    unsure: tuple[Unsure, ...]
    pictured: bool
    unsure_pictured: bool
    looks: tuple[Look, ...]
    masked: bool

    @property
    def folded(self) -> bool:
        return self.name != "test" or len(self.cells) > MOST_ROWS


def view(page: Material) -> list[SetView]:
    found = []
    for name, each in _judged(page.run).items():
        cells, unsure = misclassified(page.run, each), unsure_of(page.run, each)
        found.append(
            SetView(
                name,
                each.classes,
                cells,
                n_pairs=len(set(_pairs(page.run, each).values())),
                unsure=unsure,
                pictured=any(cell.digest in page.thumbnails for cell in cells),
                unsure_pictured=any(cell.sha256 in page.thumbnails for cell in unsure),
                looks=_looks(page.run, name),
                masked=any(cell.mask is not None for cell in _explained(page.run, name)),
            )
        )
    return found


def _looks(run: RunResults, name: str) -> tuple[Look, ...]:
    method = None if run.explanations is None else run.explanations.method
    return tuple(
        Look(
            cell.sha256,
            () if method is None else veils(cell, method, ("explanations", "sets", name, place)),
            tuple(each.sha256 for each in cell.nearest),
        )
        for place, cell in enumerate(_explained(run, name))
    )


def _explained(run: RunResults, name: str) -> tuple[Explained, ...]:
    return () if run.explanations is None else run.explanations.sets.get(name, ())


def _judged(run: RunResults) -> dict[str, Predictions]:
    return {name: each for name, each in run.predictions.items() if name not in ("train", "validation")}


Pair = tuple[int, int]  # reference and what it counts as called, as in the confusion matrix


def misclassified(run: RunResults, found: Predictions) -> tuple[Cell, ...]:
    """The frequent confusion pairs first; of one pair the most confident first."""
    pairs = _pairs(run, found)
    counts, confidence = Counter(pairs.values()), found.confidence

    def order(row: int) -> tuple[object, ...]:
        return -counts[pairs[row]], pairs[row], -confidence[row], found.paths[row]

    return tuple(Cell(found.digests[row], row + 2) for row in sorted(pairs, key=order))


def _pairs(run: RunResults, found: Predictions) -> dict[int, Pair]:
    """Row of each cell that counts as wrong -> its pair; a picture of two labels is never called its own."""
    counted = run.counted(found)
    called = dict(
        zip(counted.paths, zip(counted.labels.tolist(), counted.counted_as.tolist(), strict=True), strict=True)
    )
    return {row: called[found.paths[row]] for row in run.wrong_rows(found)}


def unsure_of(run: RunResults, found: Predictions) -> tuple[Unsure, ...]:
    """The correctly classified cells with the smallest confidence; of two classes at least."""
    counted = run.counted(found)
    if len(counted.classes) < 2:
        return ()
    rows = np.flatnonzero(counted.correct).tolist()
    rows.sort(key=lambda row: (counted.confidence[row], counted.digests[row], counted.paths[row]))
    return tuple(_unsure(counted, row) for row in rows[:MOST_UNSURE])


def _unsure(found: Predictions, row: int) -> Unsure:
    probabilities = found.probabilities[row]
    label = int(found.labels[row])
    other = max((i for i in range(len(found.classes)) if i != label), key=lambda i: probabilities[i])
    return Unsure(
        sha256=found.digests[row],
        path=found.paths[row],
        label=found.classes[label],
        p_label=float(probabilities[label]),
        other=found.classes[other],
        p_other=float(probabilities[other]),
    )


def shown_cells(run: RunResults) -> set[str]:
    """Digests of the cells of this section that the protocol lets the page picture, as many as it has room for."""
    allowed = run.protocol.report.images
    if allowed == "none":
        return set()
    return {digest for found in _judged(run).values() for digest in _shown_of(run, found)}


def _shown_of(run: RunResults, found: Predictions) -> tuple[str, ...]:
    """The same of one set, in the order of the page, each once."""
    shown: dict[str, None] = {}
    pairs, pictured = _pairs(run, found), Counter[Pair]()
    for cell in misclassified(run, found):
        pair = pairs[cell.line - 2]
        if pictured[pair] < MOST_OF_A_PAIR and pictured.total() < MOST_OF_A_SET:
            pictured[pair] += 1
            shown[cell.digest] = None
    if run.protocol.report.images == "all":
        shown |= dict.fromkeys(each.sha256 for each in unsure_of(run, found))
    return tuple(shown)


def to_explain(run: RunResults) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """(set, (digest, what it was called) of each cell that the page pictures): whose maps it shows, set by set.

    None where the protocol lets no picture out, or has none drawn: a map is seen over its picture.
    """
    if run.protocol.report.images == "none" or not run.protocol.report.figures:
        return ()
    asked = []
    for name, found in _judged(run).items():
        called = {digest: found.classes[found.predicted[row]] for row, digest in enumerate(found.digests)}
        asked.append((name, tuple((digest, called[digest]) for digest in _shown_of(run, found))))
    return tuple((name, cells) for name, cells in asked if cells)


def lookalikes(run: RunResults) -> set[str]:
    """Digests of the training pictures that stand beside these cells; they are no errors."""
    if run.explanations is None or run.protocol.report.images != "all":
        return set()
    return {each.sha256 for cells in run.explanations.sets.values() for cell in cells for each in cell.nearest}


# --- what else is known of a cell ---


def _known(run: RunResults, found: Predictions) -> dict[str, list[str]]:
    """Line of a misclassified cell -> what the searches for copies and shortcuts found of it; only where they did."""
    source = "dataset" if found.set in PARTS else found.set
    copies: dict[tuple[str, str], list[str]] = {}
    for pair in run.duplicates or ():
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            copies.setdefault((one.set, one.path), []).append(_copy(pair, other))
    known = {}
    for row in run.wrong_rows(found):
        path = found.paths[row]
        if said := [*copies.get((source, path), ()), *_shortcuts(run, source, path)]:
            known[str(row + 2)] = said
    return known


def _copy(pair: DuplicatePair, other: ListedImage) -> str:
    how = "same pixels as" if pair.kind == "same pixels" else "shows the picture of"
    return f"{how} {other}"


def _shortcuts(run: RunResults, source: str, path: str) -> Iterator[str]:
    if run.shortcuts is None or source != "dataset":
        return
    for finding in run.shortcuts.findings:
        if path in finding.paths:
            kinds = ", ".join(kind for kind, _ in finding.facts)
            yield f"its file's header ({kinds}) tells something of the class {finding.linked}"


def facts(run: RunResults) -> dict[str, object]:
    """wrong: set -> how many; pairs: the confusion pairs, frequent ones first; unsure: the least sure correct cells.

    known: set -> line of a misclassified cell -> what else was found of it.
    """
    judged = _judged(run)
    return {
        "wrong": {name: len(run.wrong_rows(found)) for name, found in judged.items()},
        "pairs": {name: _pair_facts(run, found) for name, found in judged.items()},
        "unsure": {name: [asdict(each) for each in unsure_of(run, found)] for name, found in judged.items()},
        "known": {name: said for name, found in judged.items() if (said := _known(run, found))},
    }


def _pair_facts(run: RunResults, found: Predictions) -> list[Mapping[str, object]]:
    counts = Counter(_pairs(run, found).values())
    pairs = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"reference": found.classes[reference], "predicted": found.classes[predicted], "n": n}
        for (reference, predicted), n in pairs
    ]


SECTION = Section("failures", "Looking at errors", view, facts=facts)
