"""What a classifier said of each cell of one set, beside the reference label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.core.digests import digest_of
from harness.core.errors import InvalidPredictions
from harness.core.numbers import SUMS_TO_ONE, real_numbers
from harness.data.records import CellImage, labels_of


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What the classifier said of each cell of one set, beside the reference label.

    set:           name of the set ("test", "validation", "train" or an external set).
    classes:       column names of `probabilities`.
    paths:         (n_cells,) relative paths.
    digests:       (n_cells,) SHA-256 of each image file.
    labels:        (n_cells,) int64, a column index of `probabilities`.
    probabilities: (n_cells, n_classes) float64, no value below 0, each row summing to 1.
    groups:        (n_cells,) str or None; cells of one patient (slide, site) are not independent.
    columns:       such as "site" -> (n_cells,) what the label table says of each cell, "" where it says nothing.
    other:         (n_cells,) int64 or None; another label that a copy of the cell's picture carries, -1 where none
                   does. Whatever is said of such a cell is wrong.
    n_left_out:    cells of the set that show a picture again and are not among these (`metrics.copies`).
    """

    set: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    groups: tuple[str, ...] | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    other: np.ndarray | None = None
    n_left_out: int = 0

    def __post_init__(self) -> None:
        # The digest is of bytes: the same numbers in another type would refute the pack that they are written to.
        if not isinstance(self.probabilities, np.ndarray) or self.probabilities.dtype != np.float64:
            object.__setattr__(self, "probabilities", self._as_float64(self.probabilities))
        p, n = self.probabilities, len(self.digests)
        if p.shape != (n, len(self.classes)) or self.labels.shape != (n,) or len(self.paths) != n:
            raise InvalidPredictions(
                f"set {self.set!r}: {n} cells of {len(self.classes)} classes need probabilities of shape "
                f"({n}, {len(self.classes)}) and {n} labels; got {p.shape} and {self.labels.shape}. "
                "Was a batch dropped? Score every cell of the set exactly once."
            )
        if self.groups is not None and len(self.groups) != n:
            raise InvalidPredictions(f"set {self.set!r}: {len(self.groups)} groups for {n} cells. Name one per cell.")
        if uneven := [name for name, values in self.columns.items() if len(values) != n]:
            raise InvalidPredictions(f"set {self.set!r}: column {uneven[0]!r} does not speak of {n} cells, one by one.")
        out_of_range = self.labels[(self.labels < 0) | (self.labels >= len(self.classes))]
        if out_of_range.size:
            raise InvalidPredictions(
                f"set {self.set!r}: label index {out_of_range[0]} has no column among {self.classes}. "
                "Labels and probabilities must count the same classes in the same order."
            )
        valid = (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1.0) <= SUMS_TO_ONE)  # False for NaN too
        if not valid.all():
            row = int(np.argmin(valid))
            raise InvalidPredictions(
                f"set {self.set!r}: {np.sum(~valid)} of {n} rows are not probabilities; the first is row {row} "
                f"({self.paths[row]}): {p[row].round(3)}. If these are logits, apply softmax in "
                "harness/model/classifier.py."
            )

    def _as_float64(self, given: object) -> np.ndarray:
        try:
            return real_numbers(given)
        except ValueError as error:
            raise InvalidPredictions(
                f"set {self.set!r}: `probabilities` is {error}. Give a NumPy array of float64."
            ) from None

    @property
    def predicted(self) -> np.ndarray:
        """(n_cells,) int64 column of the largest probability; a tie goes to the first class in `classes`."""
        return np.asarray(np.argmax(self.probabilities, axis=1))

    @property
    def counted_as(self) -> np.ndarray:
        """(n_cells,) int64 class that each cell counts as called: `predicted`, and never its own where it has two."""
        if self.other is None:
            return self.predicted
        return np.where((self.other >= 0) & (self.predicted == self.labels), self.other, self.predicted)

    @property
    def correct(self) -> np.ndarray:
        return np.asarray(np.equal(self.counted_as, self.labels))

    @property
    def confidence(self) -> np.ndarray:
        """(n_cells,) each cell's largest probability."""
        return np.asarray(np.max(self.probabilities, axis=1))

    @property
    def digest(self) -> str:
        """Digest of every probability to the last bit, by image content."""
        rows = sorted(zip(self.digests, self.labels.tolist(), map(bytes, self.probabilities), strict=True))
        return digest_of([[digest, label, row.hex()] for digest, label, row in rows])


def widened(probabilities: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Probabilities with a column of zeros for each class that the classifier does not know: it names none of them.

    >>> widened(np.array([[0.25, 0.75]]), ["monocyte", "neutrophil", "blast"]).tolist()
    [[0.25, 0.75, 0.0]]
    """
    further = np.zeros((len(probabilities), len(classes) - probabilities.shape[1]))
    return np.hstack([probabilities, further]) if further.size else probabilities


def predictions_of(
    images: Sequence[CellImage], probabilities: np.ndarray, *, set_name: str, classes: tuple[str, ...]
) -> Predictions:
    """The predictions of these images, one row each, in their order."""
    return Predictions(
        set=set_name,
        classes=classes,
        paths=tuple(image.path for image in images),
        digests=tuple(image.sha256 for image in images),
        labels=labels_of(images, classes),
        probabilities=probabilities,
        groups=groups_of(images),
        columns=_columns_of(images),
    )


def _columns_of(images: Sequence[CellImage]) -> dict[str, tuple[str, ...]]:
    told = [image.columns for image in images]
    return {
        name: tuple(each.get(name, "") for each in told) for name in sorted({name for each in told for name in each})
    }


def groups_of(images: Sequence[CellImage]) -> tuple[str, ...] | None:
    """The patient, slide or site of each image; None where not one of them names any."""
    # One image without an id must not turn all the others into independent cells: it is a group by itself.
    grouped = any(image.patient or image.slide or image.site for image in images)
    return tuple(image.cluster for image in images) if grouped else None


def grouping_of(groups: Sequence[str]) -> str:
    """What groups of `predictions_of` are, in words: patients or slides, unless cells name nothing but their site."""
    kinds = {group.partition(":")[0] for group in groups}
    if "site" not in kinds:
        return "patients or slides"
    return "patients, slides or sites" if kinds & {"patient", "slide"} else "sites"
