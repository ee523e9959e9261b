"""What can a report state about a set of cells? The records that pass from readers to search to audit.

Every statement keeps the places it was read at. Numbers are integers and fractions; nothing here is a float.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from harness.claims.shares import Band as Band
from harness.claims.shares import Printed as Printed
from harness.claims.shares import Rounding as Rounding
from harness.claims.shares import printed as printed
from harness.claims.shares import whole as whole
from harness.core.errors import HarnessError


class UnreadableReport(HarnessError, ValueError):
    """A report that cannot be read as one: absent, empty, binary, or not saying what its format demands."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a statement was read. line: counted from 1; text: the line itself, markup removed."""

    file: str
    line: int
    text: str = field(compare=False)


# --- what is stated -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Size:
    """The set has n cells."""

    n: int

    def __str__(self) -> str:
        return f"{self.n:,} images"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of right predictions, as printed. An error rate of x is the accuracy 1 - x with the same unit."""

    share: Printed

    def __str__(self) -> str:
        return f"accuracy {self.share.text}"


@dataclass(frozen=True, slots=True)
class Errors:
    """Exactly so many wrong predictions. "k of n correct" is Size(n) and Errors(n - k)."""

    count: int

    def __str__(self) -> str:
        return f"exactly {self.count:,} error{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class PerClass:
    """Every class has between `least` and `most` cells (a stratified split may round)."""

    least: int
    most: int

    def __str__(self) -> str:
        span = f"{self.least:,}" if self.least == self.most else f"{self.least:,} or {self.most:,}"
        return f"{span} images per class"


@dataclass(frozen=True, slots=True)
class Supports:
    """The support column: (class, cells)."""

    counts: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return "supports " + ", ".join(f"{name} {count:,}" for name, count in self.counts)


@dataclass(frozen=True, slots=True)
class Row:
    """What is printed about one class; None where the report prints nothing.

    specificity, npv: of this class against all others.
    """

    name: str
    precision: Printed | None = None
    recall: Printed | None = None
    f1: Printed | None = None
    specificity: Printed | None = None
    npv: Printed | None = None

    @property
    def shares(self) -> tuple[Printed | None, Printed | None, Printed | None]:
        return self.precision, self.recall, self.f1

    @property
    def is_of_nothing(self) -> bool:
        """Precision 1 beside recall 0: no cell was predicted as this class, and the report prints 1 for 0 of 0."""
        return (
            self.precision is not None
            and self.precision.is_whole
            and self.recall is not None
            and self.recall.value == 0
        )

    @property
    def every(self) -> tuple[Printed | None, ...]:
        return (*self.shares, self.specificity, self.npv)

    @property
    def is_perfect(self) -> bool:
        return all(share is None or share.is_whole for share in self.every)

    def __str__(self) -> str:
        named = zip(("precision", "recall", "F1", "specificity", "NPV"), self.every, strict=True)
        return f"{self.name} " + ", ".join(f"{name} {share.text}" for name, share in named if share)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the class table. One row, or all rows that print nothing but 1."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        if len(self.rows) == 1:
            return str(self.rows[0])
        return f"{', '.join(row.name for row in self.rows)} all {_shortest(self.rows)}"


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Counts behind shares printed as k/n: (class, correct, support or None, predicted or None)."""

    counts: tuple[tuple[str, int, int | None, int | None], ...]

    def __str__(self) -> str:
        parts = []
        for name, correct, support, predicted in self.counts:
            of = [
                f"{support} cells" if support is not None else "",
                f"{predicted} predicted" if predicted is not None else "",
            ]
            parts.append(f"{name} {correct} correct of " + " and ".join(filter(None, of)))
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Directions:
    """Errors by direction: (reference, predicted, count). exclusive: the report says that these are all."""

    cells: tuple[tuple[str, str, int], ...]
    exclusive: bool

    def __str__(self) -> str:
        said = ", ".join(f"{count} {reference} predicted {guess}" for reference, guess, count in self.cells)
        return f"the only errors: {said}" if self.exclusive else said


@dataclass(frozen=True, slots=True)
class FalseCounts:
    """False positives and false negatives: (class, "FP" or "FN", count)."""

    counts: tuple[tuple[str, str, int], ...]

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind} for {name}" for name, kind, count in self.counts)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A printed confusion matrix: rows reference, columns predicted."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        right = sum(row[i] for i, row in enumerate(self.counts))
        return f"confusion matrix with {right:,} of {sum(map(sum, self.counts)):,} on its diagonal"


@dataclass(frozen=True, slots=True)
class Averages:
    """An average row of the class table. kind: "macro", "weighted" (by support) or "micro" (of the summed counts)."""

    kind: str
    precision: Printed | None
    recall: Printed | None
    f1: Printed | None

    @property
    def shares(self) -> tuple[Printed | None, Printed | None, Printed | None]:
        return self.precision, self.recall, self.f1

    def __str__(self) -> str:
        named = zip(("precision", "recall", "F1"), self.shares, strict=True)
        return f"{self.kind} average " + ", ".join(f"{name} {share.text}" for name, share in named if share)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """True and false positives and negatives of a question with two answers; None where one is not printed."""

    tp: int | None = None
    fp: int | None = None
    fn: int | None = None
    tn: int | None = None

    def __str__(self) -> str:
        named = zip(("TP", "FP", "FN", "TN"), (self.tp, self.fp, self.fn, self.tn), strict=True)
        return ", ".join(f"{name} {count:,}" for name, count in named if count is not None)


@dataclass(frozen=True, slots=True)
class Sides:
    """How many cells are positive, and how many negative."""

    positives: int | None = None
    negatives: int | None = None

    def __str__(self) -> str:
        named = zip((self.positives, self.negatives), ("positives", "negatives"), strict=True)
        return ", ".join(f"{count:,} {name}" for count, name in named if count is not None)


@dataclass(frozen=True, slots=True)
class Score:
    """One number about a whole set. name: "sensitivity", "specificity", "precision", "npv", "f1",
    "balanced accuracy", "mcc", "kappa" or "auc"."""

    name: str
    share: Printed

    def __str__(self) -> str:
        return f"{self.name} {self.share.text}"


@dataclass(frozen=True, slots=True)
class Worked:
    """A share beside the fraction that it is said to be: "(12 + 15)/30 = 90 %"."""

    fraction: str
    value: Fraction
    share: Printed

    def __str__(self) -> str:
        return f"{self.fraction} = {self.share.text}"


@dataclass(frozen=True, slots=True)
class Mean:
    """A printed mean of the shares that are listed beside it, such as those of folds. of: what each is called."""

    of: tuple[str, ...]
    shares: tuple[Printed, ...]
    share: Printed

    def __str__(self) -> str:
        return f"mean {self.share.text} of {len(self.shares)} values ({', '.join(s.text for s in self.shares)})"


Content: TypeAlias = (
    Size
    | Accuracy
    | Errors
    | PerClass
    | Supports
    | Rows
    | ClassCounts
    | Directions
    | FalseCounts
    | Matrix
    | Averages
    | Outcomes
    | Sides
    | Score
    | Worked
    | Mean
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that the report states about one set, and every place that states it.

    set:  "test", "validation", "train", "external", "dataset" or the report's own name of a set.
    note: how it follows, where it is not printed as such ("500 per class x 15 %, stratified").
    table: the first line of the table that it is from.
    """

    set: str
    content: Content
    places: tuple[Place, ...]
    note: str = ""
    from_table: bool = False
    table: int | None = None

    @property
    def lines(self) -> str:
        return lines_of(self.places)

    @property
    def is_result(self) -> bool:
        """Whether it says more than how large a set is."""
        return not isinstance(self.content, Size | PerClass | Sides | Supports)

    def __str__(self) -> str:
        return f"{self.content}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong by itself, found while reading: an impossible share, k above n."""

    message: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that was recognised and not understood. is_result: whether it states a result."""

    message: str
    line: int
    is_result: bool = True


@dataclass(frozen=True, slots=True)
class Pin:
    """A version that the report says was used. name: lower case, as the package index knows it."""

    name: str
    version: str
    place: Place


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file that the report shows or lists. path: as written."""

    path: str
    place: Place
    is_figure: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of prose with the set that it speaks of, for the reading of words."""

    set: str | None
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class ReportClaims:
    """Everything that was read from one report.

    classes:  every class that a table, a matrix or the TOML names, in order. Where tables of other classes stand
              beside them (another task), those of most tables.
    coverage: set -> (classes covered, classes in all, place), where the report says so.
    unbound:  statements whose set is not clear: printed, never combined.
    prints_bounds: whether the report speaks of intervals or bounds at all.
    open_sets: sets whose table does not say that its classes are all there are: predicted counts need not add up.
    unread:   what looks like results and was left alone, and why.
    """

    name: str
    classes: tuple[str, ...]
    statements: tuple[Statement, ...]
    problems: tuple[Problem, ...] = ()
    unbound: tuple[Statement, ...] = ()
    pins: tuple[Pin, ...] = ()
    files: tuple[FileReference, ...] = ()
    file_totals: tuple[tuple[int, int, Place], ...] = ()  # (said, listed, where)
    sentences: tuple[Sentence, ...] = ()
    coverage: tuple[tuple[str, int, int, Place], ...] = ()
    prints_bounds: bool = False
    unread: tuple[Unread, ...] = ()
    open_sets: frozenset[str] = frozenset()

    @property
    def sets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(statement.set for statement in self.statements))

    def of(self, name: str) -> tuple[Statement, ...]:
        return tuple(statement for statement in self.statements if statement.set == name)


def names_of(content: Content) -> tuple[str, ...]:
    """The classes that a content names."""
    match content:
        case Supports(counts):
            return tuple(name for name, _ in counts)
        case ClassCounts(class_counts):
            return tuple(name for name, *_ in class_counts)
        case FalseCounts(false_counts):
            return tuple(name for name, *_ in false_counts)
        case Rows(rows):
            return tuple(row.name for row in rows)
        case Directions(cells):
            return tuple(name for cell in cells for name in cell[:2])
        case Matrix(classes):
            return classes
    return ()


def lines_of(places: tuple[Place, ...]) -> str:
    """
    >>> lines_of((Place("a", 3, ""), Place("a", 9, ""), Place("a", 3, "")))
    'lines 3, 9'
    """
    files = list(dict.fromkeys(place.file for place in places))
    parts = []
    for file in files:
        numbers = sorted({place.line for place in places if place.file == file})
        said = f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        parts.append(said if len(files) == 1 else f"{file} {said}")
    return "; ".join(parts)


def _shortest(rows: tuple[Row, ...]) -> str:
    texts = {share.text for row in rows for share in row.shares if share}
    return min(texts, key=lambda text: (len(text), text))
