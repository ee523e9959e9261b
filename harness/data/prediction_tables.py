"""The cells of a table of predictions as text, from CSV or Parquet; which of its columns is which class."""

from __future__ import annotations

import csv
import difflib
import importlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harness.core.errors import InvalidPredictions
from harness.core.kinds import kind_of
from harness.core.text import brief
from harness.data.printed_numbers import number_of

# Far above any honest table, far below what would hurt the machine that reads it.
MOST_FILE_BYTES = 2**27
MOST_UNPACKED_BYTES = 2**30  # as a Parquet file's own footer states it
MOST_ROWS = 1_000_000
MOST_COLUMNS = 1_000
LONGEST_LINE = 2**17
DELIMITERS = (",", ";", "\t", "|")
PREFIX = "p_"  # of the columns of a pack's own predictions
PARQUET = b"PAR1"
WITHOUT_PYARROW = "pyarrow, which reads it, cannot be imported"


@dataclass(frozen=True, slots=True)
class Cells:
    """A table as text. places: where each row stands, such as "line 7"."""

    format: Literal["CSV", "Parquet"]
    header: tuple[str, ...]
    rows: list[list[str]]
    places: tuple[str, ...]


def read_cells(
    content: bytes, *, where: str, classes: Sequence[str], keys: Sequence[str], also: Sequence[str]
) -> Cells:
    """The table in these bytes, whatever its file is called.

    Args:
        where: the file's name, for errors.
        classes, keys, also: columns whose cells are needed. Of Parquet no other is read.
    Raises:
        InvalidPredictions: it is neither CSV nor Parquet, has no rows, or more than any table of predictions.
    """
    if not content.strip():
        raise InvalidPredictions(f"{where}: the file is empty. Write a header and a row per image.")
    if content.startswith(PARQUET):
        cells = _parquet(content, where, {*classes, *(PREFIX + each for each in classes), *keys, *also})
    else:
        cells = _csv(content, where, classes)
    if not cells.rows:
        raise InvalidPredictions(f"{where}: no rows below the header. Write a row per image.")
    return cells


def class_columns(header: Sequence[str], classes: Sequence[str], *, where: str) -> dict[str, int]:
    """Class -> its column: called as the class is, or with "p_" before it, in any order.

    Raises:
        InvalidPredictions: a class has no column, or two.
    """
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise InvalidPredictions(f"{where}: the column {repeated[0]!r} is there twice. Keep one of them.")
    plain = [name for name in classes if name in header]
    prefixed = [name for name in classes if PREFIX + name in header]
    if both := [name for name in plain if name in prefixed]:
        raise InvalidPredictions(
            f"{where}: the class {both[0]!r} has two columns, {both[0]!r} and {PREFIX + both[0]!r}. Keep one of them."
        )
    before = PREFIX if len(prefixed) > len(plain) else ""
    absent = [name for name in classes if before + name not in header]
    if absent:
        alone = " Is that the line with the column names?" if len(header) == 1 else ""
        raise InvalidPredictions(
            f"{where}: {len(absent)} of {len(classes)} classes have no column, first "
            f"{_with_likeness(before + absent[0], header)}. The columns are {brief(list(header))}; write one for each "
            f"class of the protocol: {', '.join(classes)}.{alone}"
        )
    return {name: list(header).index(before + name) for name in classes}


def refuse_foreign(cells: Cells, classes: Sequence[str], *, where: str) -> None:
    """
    Raises:
        InvalidPredictions: a "p_" column is of no class. One of zeros alone takes nothing from the others: a pack
            writes such for each kind of cell that the classifier does not know.
    """
    if not any(PREFIX + name in cells.header for name in classes):
        return
    for place, name in enumerate(cells.header):
        foreign = name.startswith(PREFIX) and name[len(PREFIX) :] not in classes
        if foreign and any(number_of(row[place]) != 0.0 for row in cells.rows):
            raise InvalidPredictions(
                f"{where}: the column {name!r} is of no class of the protocol, which are {', '.join(classes)}. Judge "
                "it by a protocol that names its classes."
            )


def _with_likeness(name: str, header: Sequence[str]) -> str:
    folded = {each.strip().casefold(): each for each in header}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return repr(name) + (f" ({folded[close[0]]!r} is close to it, and is not guessed)" if close else "")


# --- CSV --------------------------------------------------------------------------------------


def _csv(content: bytes, where: str, classes: Sequence[str]) -> Cells:
    if (kind := kind_of(content)) is not None:
        raise InvalidPredictions(
            f"{where} is {kind[0]}: {kind[1]}. What is read is a CSV (UTF-8) or a Parquet file with a row per image."
        )
    if b"\0" in content[:4096]:
        raise InvalidPredictions(f"{where} is neither CSV nor Parquet. Write one of these, with a row per image.")
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    reader = csv.reader(_lines(text), strict=True, delimiter=_delimiter(text, classes))
    rows: list[list[str]] = []
    places: list[str] = []
    try:
        header = next(reader)
        _refuse_too_many(where, len(header), "columns", MOST_COLUMNS)
        class_columns(header, classes, where=where)  # of another table, its rows would be complained of
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise InvalidPredictions(
                    f"{where}, line {line}: {len(cells)} cells under {len(header)} column names. Write one cell per "
                    "column."
                )
            if cells:
                rows.append(cells)
                places.append(f"line {line}")
                _refuse_too_many(where, len(rows), "rows", MOST_ROWS)
            line = reader.line_num + 1
    except (csv.Error, StopIteration) as error:
        why = str(error) or "it has no header"
        raise InvalidPredictions(
            f"{where}, line {reader.line_num}: not readable as CSV ({why}). Correct that line."
        ) from None
    return Cells("CSV", tuple(header), rows, tuple(places))


def _delimiter(text: str, classes: Sequence[str]) -> str:
    """What separates the column names: that which makes most class names columns."""
    first = text[:LONGEST_LINE].split("\n", 1)[0].rstrip("\r")

    def n_classes(delimiter: str) -> int:
        names = {name.strip('"').removeprefix(PREFIX) for name in first.split(delimiter)}
        return len(names.intersection(classes))

    return max(DELIMITERS, key=n_classes)  # the comma, where none does


def _lines(text: str) -> Iterator[str]:
    for line in io.StringIO(text, newline=""):
        if len(line) > LONGEST_LINE:  # the reader would make an object of each of its millions of cells
            raise csv.Error(f"the line has more than {LONGEST_LINE:,} characters")
        yield line


def _refuse_too_many(where: str, n: int, what: str, most: int) -> None:
    if n > most:
        raise InvalidPredictions(f"{where}: more than {most:,} {what} are claimed. Is this the table of predictions?")


# --- Parquet ----------------------------------------------------------------------------------


def _parquet(content: bytes, where: str, wanted: set[str]) -> Cells:
    pyarrow, parquet = _pyarrow(where)
    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        footer, header = file.metadata, tuple(file.schema_arrow.names)
        _refuse_too_many(where, footer.num_rows, "rows", MOST_ROWS)
        _refuse_too_many(where, len(header), "columns", MOST_COLUMNS)
        unpacked = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        _refuse_too_many(where, unpacked, "bytes", MOST_UNPACKED_BYTES)
        read = [name for name in header if name in wanted or name.startswith(PREFIX)]
        table = _unpacked(pyarrow, parquet, content, file, read, where)
        columns = {
            name: _texts(pyarrow, table.column(name), f"{where}, column {name!r}") for name in table.column_names
        }
        n_rows = table.num_rows
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        if isinstance(error, InvalidPredictions):
            raise
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidPredictions(f"{where} is not readable as Parquet ({why}). Write it anew, or as CSV.") from None
    nothing = [""] * n_rows
    rows = [list(cells) for cells in zip(*(columns.get(name, nothing) for name in header), strict=True)]
    return Cells("Parquet", header, rows, tuple(f"row {number}" for number in range(1, n_rows + 1)))


def _unpacked(pyarrow: Any, parquet: Any, content: bytes, file: Any, read: Sequence[str], where: str) -> Any:
    """The columns that are read. A text that is written once may stand in every row, and a footer counts it once:
    texts stay in their dictionary, and are counted before each row gets its own.
    """
    footer = file.metadata
    chunks = [footer.row_group(g).column(n) for g in range(footer.num_row_groups) for n in range(footer.num_columns)]
    # This encoding has no dictionary: a text is what it has more than the one before. So few rows are read at once.
    shared = {c.path_in_schema: c.total_uncompressed_size for c in chunks if "DELTA_BYTE_ARRAY" in c.encodings}
    at_once = max(1, min(MOST_ROWS, MOST_UNPACKED_BYTES // max([1, *shared.values()])))
    texts = [n for n in read if n not in shared and _is_text(pyarrow, file.schema_arrow.field(n).type)]
    opened, batches, n_bytes = parquet.ParquetFile(io.BytesIO(content), read_dictionary=texts), [], 0
    for batch in opened.iter_batches(batch_size=at_once, columns=list(read)):
        n_bytes += sum(_n_bytes(pyarrow, column) for column in batch.columns)
        _refuse_too_many(where, n_bytes, "bytes", MOST_UNPACKED_BYTES)
        batches.append(batch)
    return pyarrow.Table.from_batches(batches) if batches else opened.read(columns=list(read))


def _n_bytes(pyarrow: Any, column: Any) -> int:
    """What the column has when every row has its own text."""
    kind = column.type
    if not pyarrow.types.is_dictionary(kind) or not _is_text(pyarrow, kind.value_type):
        return int(column.nbytes)
    compute = importlib.import_module("pyarrow.compute")
    lengths = compute.binary_length(column.dictionary).cast(pyarrow.int64())
    return int(compute.sum(lengths.take(column.indices)).as_py() or 0)


def _is_text(pyarrow: Any, kind: Any) -> bool:
    types = pyarrow.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _pyarrow(where: str) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InvalidPredictions(
            f"{where} is a Parquet file, and {WITHOUT_PYARROW} ({error}). Install the extra: "
            "pip install 'leukocyte-harness[parquet]', or write a CSV."
        ) from None


def _texts(pyarrow: Any, column: Any, where: str) -> list[str]:
    """Cells as the shortest text that reads back to the same value; an absent one is empty."""
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if _is_text(pyarrow, kind):
        return ["" if value is None else value for value in column.to_pylist()]
    if pyarrow.types.is_float16(kind):  # which rounds by 0.0002, and prints more digits than that
        raise InvalidPredictions(f"{where} is of half precision, too coarse for probabilities. Write it as float32.")
    if pyarrow.types.is_float32(kind):
        return ["" if value is None else str(np.float32(value)) for value in column.to_pylist()]
    if pyarrow.types.is_float64(kind) or pyarrow.types.is_integer(kind):
        return ["" if value is None else repr(value) for value in column.to_pylist()]
    if pyarrow.types.is_decimal(kind):
        return ["" if value is None else str(value) for value in column.to_pylist()]
    raise InvalidPredictions(f"{where} is of type {kind}. Write numbers as floats, paths and digests as text.")
