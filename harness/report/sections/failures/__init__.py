"""Every misclassified cell of the test part and of each external set, by path."""

from __future__ import annotations

from dataclasses import dataclass

from harness.metrics.predictions import Predictions
from harness.report.section import Material, Section
from harness.report.wording import MOST_ROWS
from harness.run.results import RunResults


@dataclass(frozen=True, slots=True)
class Cell:
    """line: of the cell in its table of predictions, where 1 is the heading."""

    digest: str
    line: int

    def place(self, name: str) -> tuple[str, str]:
        return f"predictions/{name}.csv", str(self.line)


@dataclass(frozen=True, slots=True)
class SetView:
    name: str
    classes: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def folded(self) -> bool:
        return self.name != "test" or len(self.cells) > MOST_ROWS


def view(page: Material) -> list[SetView]:
    return [
        SetView(name, found.classes, _misclassified(found, page.run.wrong_rows(found)))
        for name, found in _judged(page.run).items()
    ]


def _judged(run: RunResults) -> dict[str, Predictions]:
    return {name: each for name, each in run.predictions.items() if name not in ("train", "validation")}


def _misclassified(found: Predictions, rows: list[int]) -> tuple[Cell, ...]:
    return tuple(Cell(found.digests[row], row + 2) for row in sorted(rows, key=lambda row: found.paths[row]))


def facts(run: RunResults) -> dict[str, object]:
    return {"wrong": {name: len(run.wrong_rows(found)) for name, found in _judged(run).items()}}


SECTION = Section("failures", "Every misclassified cell", view, facts=facts)
