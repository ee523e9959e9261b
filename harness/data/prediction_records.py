"""Predictions that existed before the run: what the evidence says of their files. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.core.digests import digest_of


@dataclass(frozen=True, slots=True)
class PredictionsFile:
    """One file of predictions, as it was read.

    set:            "dataset", or the external set that it speaks of.
    file:           its name; sha256 and n_bytes are of the bytes that were read.
    format:         "CSV" or "Parquet".
    kept_as:        where the pack has it, byte for byte.
    keyed_by:       what names the image of a row: "path" or "SHA-256".
    n_rows:         rows below the column names.
    printed:        how its probabilities are printed, such as "4 decimals"; `tolerance` follows from it.
    tolerance:      by how much a row may miss the sum 1 by printed rounding alone, at most.
    n_renormalised: rows that missed it by more than a float32 may, and were divided by their sum.
    largest_miss:   by how much the worst row missed 1.
    n_tied:         rows with two largest probabilities, which count as the first of the two classes.
    unread:         columns that were not used.
    label_column:   the one of them that holds labels: reference labels come from the data. None where there is none.
    n_other_labels: rows where it says something else than the data.
    """

    set: str
    file: str
    sha256: str
    n_bytes: int
    format: Literal["CSV", "Parquet"]
    kept_as: str
    keyed_by: Literal["path", "SHA-256"]
    n_rows: int
    printed: str
    tolerance: float
    n_renormalised: int
    largest_miss: float
    n_tied: int
    unread: tuple[str, ...] = ()
    label_column: str | None = None
    n_other_labels: int = 0


@dataclass(frozen=True, slots=True)
class GivenPredictions:
    """Predictions that existed before the run, and were judged (--predictions) instead of asking a classifier.

    files: in the order in which they were named.
    cells: whether it is stated which cells the classifier was trained on: by --split, not by parts that came with the
           data; "unknown" where there are no parts, and every cell is judged as test.
    parts: the parts of the dataset whose every cell has a row.
    """

    files: tuple[PredictionsFile, ...]
    cells: Literal["unknown", "not stated", "stated by the split"] = "unknown"
    parts: tuple[str, ...] = ()

    @property
    def knows_its_cells(self) -> bool:
        return self.cells == "stated by the split"

    @property
    def divided(self) -> bool:
        """Whether the dataset has parts, so that not every cell is judged as test."""
        return self.cells != "unknown"

    @property
    def undivided(self) -> bool:
        """Whether every cell was judged as test; not of a run that stopped before it fitted them to the images."""
        return bool(self.parts) and not self.divided

    def digest(self, set_name: str) -> str:
        """What identifies the answers on a set: the digest of its file."""
        digests = [each.sha256 for each in self.of(set_name)]
        return digests[0] if len(digests) == 1 else digest_of(sorted(digests))

    def of(self, set_name: str) -> tuple[PredictionsFile, ...]:
        """The files that speak of a set; of a part of the dataset, those of the dataset."""
        name = set_name if set_name in {each.set for each in self.files} else "dataset"
        return tuple(each for each in self.files if each.set == name)
