"""Reads predictions that existed before the run (--predictions), a CSV or Parquet table, and fits them to the images.

The table says what was predicted, never what is right: reference labels are those of the data. What it can mean in two
ways is refused with how many rows there are of it and which come first.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.core.errors import InvalidPredictions, MissingData
from harness.core.files import read_plain
from harness.core.numbers import SUMS_TO_ONE
from harness.core.text import brief
from harness.data.likely_paths import LikelyPaths
from harness.data.prediction_records import PredictionsFile
from harness.data.prediction_tables import MOST_FILE_BYTES, Cells, class_columns, read_cells, refuse_foreign
from harness.data.printed_numbers import number_of, printing_of
from harness.data.problems import Problems
from harness.data.records import CellImage
from harness.data.tables import relative_path

PATH_COLUMNS = ("path", "filepath", "filename", "file", "image", "image_path")
DIGEST_COLUMN = "sha256"
LABEL_COLUMNS = ("label", "reference", "reference_label", "true_label", "target", "y_true", "ground_truth")
# What a table calls the class that its maker took; held to the probabilities, so that no column is read as another.
PREDICTED_COLUMNS = (
    *("prediction", "predicted", "predictions", "pred", "y_pred", "predicted_label", "predicted_class"),
    *("pred_label", "pred_class", "prediction_label"),
)
ALSO = (*LABEL_COLUMNS, *PREDICTED_COLUMNS)
# What misses a sum of 1 by less is kept to the bit: at the tolerance itself, the order of a sum would decide whether a
# pack can be read again.
KEPT = SUMS_TO_ONE / 2
# What rounding may explain at most, however few digits are printed: with none, a row of zeros would be "rounded".
MOST_ROUNDING = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class PredictionsTable:
    """One file of predictions, read and checked as far as it can be without the images.

    content:       its bytes, all of which were hashed.
    paths, digests: of each row, as they are written; empty where the table has no such column.
    labels, predicted: of each row, where the table has them.
    probabilities: (n_rows, n_classes) float64 in the order of the protocol's classes; every row sums to 1.
    places:        where each row stands, such as "line 7".
    """

    record: PredictionsFile
    content: bytes
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    probabilities: np.ndarray
    places: tuple[str, ...]


PREDICT_THEM = "Predict every image of the set, and add a row for each."


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What the tables of one set say of its images.

    files:   their records, with how often their labels differ from the data's.
    answers: path of an image -> its probabilities.
    """

    set: str
    files: tuple[PredictionsFile, ...]
    answers: Mapping[str, np.ndarray]

    def covers(self, images: Iterable[CellImage]) -> bool:
        return all(image.path in self.answers for image in images)

    def names_any_of(self, images: Iterable[CellImage]) -> bool:
        return any(image.path in self.answers for image in images)

    def probabilities(self, images: Sequence[CellImage], *, of: str, advice: str = PREDICT_THEM) -> np.ndarray:
        """(n_images, n_classes), in the order of the images.

        Args:
            advice: what to do where rows are missing.
        Raises:
            InvalidPredictions: an image has no row; says how many, and names the first.
        """
        missing = [image.path for image in images if image.path not in self.answers]
        if missing:
            raise InvalidPredictions(
                f"{self.names}: {len(missing)} of the {len(images)} images of {of} have no row, first "
                f"{', '.join(map(repr, missing[:3]))}. {advice}"
            )
        return np.array([self.answers[image.path] for image in images])

    @property
    def names(self) -> str:
        return ", ".join(f"--predictions {each.file}" for each in self.files)


# --- reading ----------------------------------------------------------------------------------


def read_predictions_file(file: Path, *, set_name: str, classes: tuple[str, ...], number: int = 1) -> PredictionsTable:
    """Read a table of predictions, once.

    Args:
        set_name: "dataset", or the external set that it speaks of.
        number: counts the tables of one set from 1.
    Raises:
        MissingData: no such file.
        InvalidPredictions: see `parse_predictions`; or the file cannot be read, is too large, or calls cells another
            class than its own probabilities do.
    """
    try:
        content = read_plain(file, most_bytes=MOST_FILE_BYTES, follow_link=True)
    except FileNotFoundError:
        raise MissingData(f"--predictions {file}: file not found. Correct the path.") from None
    except OSError as error:
        raise InvalidPredictions(
            f"--predictions {file} cannot be read ({error.strerror}). Name a CSV or Parquet file with a row per image."
        ) from None
    table = parse_predictions(content, name=file.name, set_name=set_name, classes=classes, number=number)
    _refuse_other_predictions(table, classes)
    return table


def parse_predictions(
    content: bytes, *, name: str, set_name: str, classes: tuple[str, ...], number: int = 1
) -> PredictionsTable:
    """The table in these bytes.

    Raises:
        InvalidPredictions: it is not such a table; a column is missing, doubled or one too many; rows are not
            probabilities. Says where, how often, and what to do.
    """
    where = f"--predictions {name}"
    cells = read_cells(content, where=where, classes=classes, keys=(DIGEST_COLUMN, *PATH_COLUMNS), also=ALSO)
    columns = class_columns(cells.header, classes, where=where)
    refuse_foreign(cells, classes, where=where)
    digest_column = DIGEST_COLUMN if DIGEST_COLUMN in cells.header and DIGEST_COLUMN not in classes else None
    path_column = next((each for each in PATH_COLUMNS if each in cells.header and each not in classes), None)
    if digest_column is None and path_column is None:
        raise InvalidPredictions(
            f"{where}: no column says which image a row speaks of; its columns are {brief(list(cells.header))}. Add a "
            f"column {PATH_COLUMNS[0]!r} (as in the manifest) or {DIGEST_COLUMN!r}."
        )
    label_column, predicted_column = (
        next((each for each in names if each in cells.header and each not in classes), None)
        for names in (LABEL_COLUMNS, PREDICTED_COLUMNS)
    )
    numbers = _numbers(cells, [columns[each] for each in classes], where=where)
    printing = printing_of([row[columns[each]] for row in cells.rows for each in classes])
    tolerances = np.clip(printing.rounding_of(numbers).sum(axis=1), SUMS_TO_ONE, MOST_ROUNDING)
    used = {digest_column, path_column, *(cells.header[index] for index in columns.values())}
    unread = tuple(each for each in cells.header if each not in used)
    _refuse_improbable(numbers, tolerances, cells, unread, str(printing), where=where)
    sums = numbers.sum(axis=1)
    rounded = np.abs(sums - 1) > KEPT
    probabilities = np.where(rounded[:, None], numbers / sums[:, None], numbers)
    largest = probabilities.max(axis=1, keepdims=True)
    suffix = ".csv" if cells.format == "CSV" else ".parquet"
    record = PredictionsFile(
        set=set_name,
        file=name,
        sha256=hashlib.sha256(content).hexdigest(),
        n_bytes=len(content),
        format=cells.format,
        kept_as=f"predictions/given/{set_name}{'' if number == 1 else f'+{number}'}{suffix}",
        keyed_by="SHA-256" if digest_column else "path",
        n_rows=len(cells.rows),
        printed=str(printing),
        tolerance=float(tolerances.max()),
        n_renormalised=int(rounded.sum()),
        largest_miss=float(np.abs(sums - 1).max()),
        n_tied=int(((probabilities == largest).sum(axis=1) > 1).sum()),
        unread=unread,
        label_column=label_column,
    )
    return PredictionsTable(
        record,
        content,
        paths=_column(cells, path_column),
        digests=_column(cells, digest_column),
        labels=_column(cells, label_column),
        predicted=_column(cells, predicted_column),
        probabilities=probabilities,
        places=cells.places,
    )


def _column(cells: Cells, name: str | None) -> tuple[str, ...]:
    return () if name is None else tuple(row[cells.header.index(name)] for row in cells.rows)


def _numbers(cells: Cells, columns: Sequence[int], *, where: str) -> np.ndarray:
    """(n_rows, n_columns) float64.

    Raises:
        InvalidPredictions: a cell is empty, NaN, infinite or no number.
    """
    numbers = np.array([[number_of(row[column]) for column in columns] for row in cells.rows], dtype=np.float64)
    if (bad := ~np.isfinite(numbers)).any():
        rows = np.flatnonzero(bad.any(axis=1)).tolist()
        shown = [
            f"{cells.places[row]}, {cells.header[columns[int(np.argmax(bad[row]))]]!r}: "
            f"{brief(cells.rows[row][columns[int(np.argmax(bad[row]))]])}"
            for row in rows[:3]
        ]
        raise InvalidPredictions(
            f"{where}: {len(rows)} of {len(cells.rows)} rows hold a cell that is not a finite number, first "
            f"{'; '.join(shown)}. Write every probability with a decimal point, such as 0.25."
        )
    return numbers


def _refuse_improbable(
    numbers: np.ndarray, tolerances: np.ndarray, cells: Cells, unread: Sequence[str], printing: str, *, where: str
) -> None:
    """
    Raises:
        InvalidPredictions: rows are below 0, or miss the sum 1 by more than their rounding explains.
    """
    sums = numbers.sum(axis=1)
    negative = (numbers < 0).any(axis=1)
    bad = np.flatnonzero(negative | (np.abs(sums - 1) > tolerances)).tolist()
    if not bad:
        return
    shown = "; ".join(
        f"{cells.places[row]}: {np.array2string(numbers[row][:10], precision=4)} adds up to {sums[row]:.6g}"
        for row in bad[:3]
    )
    if negative.any():
        remedy = "Values below 0 are not probabilities: if these are logits, apply softmax before they are written"
    elif np.all(np.abs(sums[bad] - 100) < 1):
        remedy = "If these are per cent, divide them by 100"
    else:
        others = f"; columns that are not classes of the protocol: {', '.join(map(repr, unread))}" if unread else ""
        remedy = (
            f"With {printing} rounding explains at most {tolerances.max():.2g}. Write the probabilities of exactly the "
            f"protocol's classes, with more digits{others}"
        )
    raise InvalidPredictions(
        f"{where}: {len(bad)} of {len(numbers)} rows are not probabilities, first {shown}. {remedy}."
    )


def _refuse_other_predictions(table: PredictionsTable, classes: Sequence[str]) -> None:
    """Where a table says in words which class each row was called, its probabilities must say so too.

    Raises:
        InvalidPredictions: they do not; as where columns were named in another order than the numbers were written in.
    """
    places = {name.casefold(): place for place, name in enumerate(classes)}
    called = [places.get(word.strip().casefold()) for word in table.predicted]
    if not called or None in called:  # codes, numbers, or words of its own, which are not guessed at
        return
    own = table.probabilities[np.arange(len(called)), np.array(called, dtype=np.int64)]
    largest = table.probabilities.max(axis=1)
    # Ties by rounding: two numbers that are printed alike, or that were alike before they were divided by their sum.
    bad = np.flatnonzero(own < largest - max(table.record.tolerance, SUMS_TO_ONE)).tolist()
    if bad:
        shown = "; ".join(
            f"{table.places[row]}: {table.predicted[row]!r} with {own[row]:.4g}, and "
            f"{classes[int(table.probabilities[row].argmax())]!r} has {largest[row]:.4g}"
            for row in bad[:3]
        )
        raise InvalidPredictions(
            f"--predictions {table.record.file}: {len(bad)} of {len(called)} rows are called another class in the "
            f"table's own words than the one that has the largest probability, first {shown}. Are the columns named in "
            "another order than they were written in? If a threshold decided, remove the column of its words: what is "
            "judged is the class with the largest probability."
        )


# --- fitting to images ------------------------------------------------------------------------


def answers_for(tables: Sequence[PredictionsTable], images: Sequence[CellImage], *, set_name: str) -> Answered:
    """Match rows to the images of a set. An image without a row is not an error here: see `Answered.probabilities`.

    Raises:
        InvalidPredictions: rows that speak of no image, of one that another row speaks of, or of several; says of
            each kind how many there are, names the first, and says what to do.
    """
    finder, problems = _Finder(images), Problems()
    answers: dict[str, np.ndarray] = {}
    taken: dict[str, str] = {}
    files = []
    for table in tables:
        n_other = 0
        several = len(tables) > 1
        for row, place in enumerate(table.places):
            here = f"{table.record.file}, {place}" if several else place
            for image in finder.find(table, row, here, problems):
                if image.path in taken:
                    detail = f"{here} ({image.path!r}) is already on {taken[image.path]}"
                    problems.add("doubled rows", detail, "Keep one row per image.")
                    continue
                taken[image.path] = here
                answers[image.path] = table.probabilities[row]
                n_other += bool(table.labels) and table.labels[row] != image.label
        files.append(replace(table.record, n_other_labels=n_other))
    found = Answered(set_name, tuple(files), answers)
    if problems:
        raise InvalidPredictions(
            f"{found.names} does not fit the set {set_name!r} of {len(images)} images:\n{problems}"
        )
    return found


class _Finder:
    """Finds the image that a row names."""

    def __init__(self, images: Iterable[CellImage]) -> None:
        self._by_path: dict[str, CellImage] = {}
        self._by_name: dict[str, list[CellImage]] = defaultdict(list)
        self._by_digest: dict[str, list[CellImage]] = defaultdict(list)
        self._likely: LikelyPaths | None = None
        for image in images:
            self._by_path[image.path] = image
            self._by_name[image.filename].append(image)
            self._by_digest[image.sha256].append(image)

    def find(self, table: PredictionsTable, row: int, here: str, problems: Problems) -> Iterator[CellImage]:
        """One image; every image of the same content where the digest alone names it; none, and the problem."""
        digest = table.digests[row] if table.digests else None
        path = table.paths[row] if table.paths else None
        if digest is None:
            assert path is not None  # a table has one of the two columns
            yield from self._at(table, path, here, problems)
            return
        if not re.fullmatch("[0-9a-f]{64}", digest):
            remedy = "Write the SHA-256 of the file's bytes as 64 hexadecimal digits in lower case."
            problems.add("unusable digests", f"{here}: {brief(digest)}", remedy)
            return
        found = self._by_digest.get(digest, [])
        if not found:
            remedy = "Remove these rows, or name the data that they speak of; was an image saved anew?"
            problems.add("foreign rows", f"{here} (SHA-256 {digest[:12]}...) is not an image of the set", remedy)
            return
        named = None if path is None else self._by_path.get(path)
        if named is not None and named.sha256 != digest:
            detail = f"{here} names {path!r}, and the digest of {found[0].path!r}"
            problems.add("rows of two images", detail, "Correct one of the two columns, or leave it out.")
            return
        yield from [named] if named is not None else found

    def _at(self, table: PredictionsTable, written: str, here: str, problems: Problems) -> Iterator[CellImage]:
        try:
            path = relative_path(written)
        except ValueError as error:
            told = str(error).rstrip(".") if (close := self._close(written, "unusable paths", problems)) else str(error)
            perhaps = f"; here perhaps {close}" if close else ""
            problems.add("unusable paths", f"{here}: {told}{perhaps}", "Write paths as in the manifest.")
            return
        if (image := self._by_path.get(path)) is not None:
            yield image
            return
        alike = [] if "/" in path else self._by_name.get(path, [])
        if len(alike) > 1:
            detail = f"{here}: {path!r} is {', '.join(repr(each.path) for each in alike[:3])}"
            problems.add("ambiguous file names", detail, "Write the path as in the manifest, or the SHA-256.")
        elif alike:
            yield alike[0]
        else:
            remedy = "Remove these rows, or write paths as in the manifest: relative to the data folder."
            if others := [each for each in table.record.unread if each in PATH_COLUMNS]:
                remedy += f" Of several columns that could name the image one was read, and not {', '.join(others)}: "
                remedy += "leave the one that is meant."
            close = self._close(written, "foreign rows", problems)
            perhaps = f"; {close} is close to it, and is not guessed" if close else ""
            problems.add("foreign rows", f"{here} ({path!r}) is not an image of the set{perhaps}", remedy)

    def _close(self, written: str, kind: str, problems: Problems) -> str | None:
        """The image that was probably meant; only for those that will be shown, since it takes time."""
        if not problems.shows_more(kind):
            return None
        if self._likely is None:
            self._likely = LikelyPaths(self._by_path)
        return self._likely.close_to(written)
