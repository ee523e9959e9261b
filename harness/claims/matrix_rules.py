"""What is asked of a confusion matrix: rules for its classes, its sums and its averages, and a budget of work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from harness.claims.records import Band
from harness.claims.spans import ANY, Span

Cell: TypeAlias = tuple[int, int, int]  # (reference, predicted, count)
WORK = 400_000  # elementary steps of one question


class Answer(Enum):
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNDECIDED = "not decided"


class TooMuchWork(Exception):  # internal: becomes UNDECIDED
    """The budget is spent."""


@dataclass(frozen=True, slots=True)
class ClassRule:
    """What one class must satisfy. None: nothing is said."""

    support: Span = ANY
    precision: Band | None = None
    recall: Band | None = None
    f1: Band | None = None
    false_negatives: int | None = None
    false_positives: int | None = None
    correct: int | None = None
    predicted: int | None = None

    @property
    def is_free(self) -> bool:
        return self == FREE


FREE = ClassRule()


@dataclass(frozen=True, slots=True)
class AverageRule:
    """A printed mean over classes; weighted by support or plain."""

    weighted: bool
    precision: Band | None
    recall: Band | None
    f1: Band | None


@dataclass(frozen=True, slots=True)
class MatrixQuestion:
    """One question. cells: counts off the diagonal; exclusive: all others are 0."""

    rules: tuple[ClassRule, ...]
    n: Span = ANY
    errors: Span = ANY
    accuracy: Band | None = None
    cells: tuple[Cell, ...] = ()
    exclusive: bool = False
    averages: tuple[AverageRule, ...] = ()


class Budget:
    def __init__(self, work: int) -> None:
        self.left = work

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise TooMuchWork
