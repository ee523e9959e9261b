"""A pack's predictions, row by row from their CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from harness.core.errors import EvidenceError, InvalidPredictions
from harness.core.spreadsheet import active, inert
from harness.metrics.predictions import Predictions
from harness.pack.files import EVIDENCE, SUMS
from harness.pack.read import Pack, read_classes, require_field


def read_predictions(pack: Pack, set_name: str, *, further_classes: Sequence[str] = ()) -> Predictions:
    """What the classifier said of each cell of a set, to the last bit, checked against the evidence.

    Raises:
        EvidenceError: names file, row and field of the first thing that is not as the harness writes it.
    """
    evaluated = require_field(pack, "predictions", kind=dict)
    if set_name not in evaluated:
        raise EvidenceError(
            f"{pack.name} has no predictions of the set {set_name!r}; its sets are "
            f"{', '.join(map(repr, evaluated)) or 'none'}. Name one of these, or another pack."
        )
    classes, name = (*read_classes(pack), *further_classes), f"predictions/{set_name}.csv"
    where = f"{pack.name}/{name}"
    rows = _Rows(where, classes, pack.read(name))
    try:
        predictions = Predictions(
            set=set_name,
            classes=classes,
            paths=tuple(rows.paths),
            digests=tuple(rows.digests),
            labels=np.array(rows.labels, dtype=np.int64),
            probabilities=np.array(rows.probabilities, dtype=np.float64).reshape(-1, len(classes)),
        )
    except InvalidPredictions as error:
        raise EvidenceError(f"{where}: {error}") from None
    n, digest = (
        require_field(pack, "predictions", set_name, "n", kind=int),
        require_field(pack, "predictions", set_name, "digest", kind=str),
    )
    if n != len(rows.digests):
        raise EvidenceError(f"{where}: {len(rows.digests)} cells, {EVIDENCE} says {n}. Fetch the pack anew.")
    if digest != predictions.digest:
        raise EvidenceError(
            f"{where}: these predictions have the digest {predictions.digest}, {EVIDENCE} says {digest}. One of the "
            "two was edited after the run: fetch the pack anew."
        )
    return predictions


class _Rows:
    """The columns of predictions/<set>.csv, each cell checked."""

    def __init__(self, where: str, classes: tuple[str, ...], content: bytes) -> None:
        self.paths: list[str] = []
        self.digests: list[str] = []
        self.labels: list[int] = []
        self.probabilities: list[list[float]] = []
        header = ["sha256", "path", "label", "predicted", *(f"p_{name}" for name in classes)]
        column = {name: index for index, name in enumerate(classes)}
        # Bytes of a file name that are not UTF-8 are kept as they are.
        text = content.decode("utf-8", "surrogateescape")
        if not text.endswith("\n"):
            raise _misfit(f"{where}: the last row breaks off.")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            if (found := next(reader)) != header:
                raise _misfit(f"{where}, row 1: the columns are {found}, expected are {header}.")
            for row, cells in enumerate(reader, start=2):
                here = f"{where}, row {row}"
                if len(cells) != len(header):
                    raise _misfit(f"{here}: {len(cells)} fields under {len(header)} column names.")
                self._add(here, cells, column)
        except csv.Error as error:
            raise _misfit(f"{where}, line {reader.line_num}: not readable as CSV ({error}).") from None
        if len(set(self.paths)) != len(self.paths):
            path, n = Counter(self.paths).most_common(1)[0]
            raise _misfit(f"{where}: path {path!r} is in {n} rows. Each cell is scored once.")

    def _add(self, here: str, cells: list[str], column: Mapping[str, int]) -> None:
        sha256, path, label, predicted, *numbers = cells
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise _misfit(f"{here}, field sha256: {sha256!r} is not a SHA-256 digest in lower case.")
        for field, name in (("label", label), ("predicted", predicted)):
            if name not in column:
                raise _misfit(f"{here}, field {field}: {name!r} is none of the classes {', '.join(column)}.")
        probabilities = [
            _probability(f"{here}, field p_{name}", cell) for name, cell in zip(column, numbers, strict=True)
        ]
        if not math.isclose(math.fsum(probabilities), 1.0, rel_tol=0, abs_tol=1e-6):
            raise _misfit(f"{here}: the probabilities add up to {math.fsum(probabilities):.9g}, not to 1.")
        largest = probabilities.index(max(probabilities))  # the first of equals, as everywhere
        if column[predicted] != largest:
            raise _misfit(
                f"{here}, field predicted: {predicted!r}, but {list(column)[largest]!r} has the largest probability."
            )
        self.paths.append(_path(f"{here}, field path", path))
        self.digests.append(sha256)
        self.labels.append(column[label])
        self.probabilities.append(probabilities)


def _misfit(what: str) -> EvidenceError:
    return EvidenceError(
        f"{what} The table was edited together with {SUMS}, or not written by the harness: fetch the pack anew "
        "from where it was made."
    )


def _probability(here: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if repr(value) != cell or not 0 <= value <= 1:  # False for NaN too
        raise _misfit(f"{here}: {cell[:40]!r} is not a probability as the harness writes it, such as 0.25.")
    return value


def _path(here: str, cell: str) -> str:
    """The path that a cell means, which is what the harness would write for it."""
    path = active(cell)
    if not cell or inert(path) != cell:
        raise _misfit(f"{here}: {cell!r} is not a path as the harness writes it.")
    return path
