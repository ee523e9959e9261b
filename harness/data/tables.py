"""A label table (CSV) as rows: which column says what, and which says nothing to anybody?

Columns are read under the names that the protocol gives them, else under their own; nothing is guessed. A column that
nothing reads is listed, and one that looks like a patient, slide, site or part must be spoken of.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import DataError, MissingData
from harness.core.files import open_plain, read_plain
from harness.core.kinds import kind_of
from harness.core.spreadsheet import active
from harness.core.text import shortened
from harness.data.suggestions import toml_table, toml_text
from harness.protocol.names import part_called
from harness.protocol.sets import COLUMN_ROLES, ColumnPlan

PATH_COLUMNS = ("filepath", "path")
FILENAME = "filename"  # read beside a path: the two must agree
DELIMITERS = (",", ";", "\t", "|")

# Far above any honest table, far below what would hurt the machine that reads it.
MOST_TABLE_BYTES = 2**26  # some 400,000 rows with their digests
LONGEST_LINE = 2**16
MOST_ROWS = 1_000_000
MOST_COLUMNS = 100
MOST_STEPS = 32  # of a path, its file name included
LONGEST_PATH = 1024

# What a column with such a name is likely to hold, in English and a few neighbouring languages. Used only to ask
# before it is left unread. Cells of one patient in two parts make the test part a memory test.
LIKELY = {
    "patient": (
        *("patient", "patientin", "paciente", "paziente", "pat", "subject", "subj", "proband", "donor", "case"),
        *(
            "person",
            "individual",
            "participant",
            "volunteer",
            "animal",
            "mouse",
            "rat",
            "rabbit",
            "dog",
            "cow",
            "horse",
        ),
        *("mrn", "pid", "sample", "specimen", "group", "cluster", "family", "owner", "encounter", "visit", "accession"),
        *("study", "barcode", "fall", "spender", "probe", "sujet", "sujeto", "caso", "donneur", "donante", "donatore"),
        *("malade", "pacjent", "pacient", "пациент", "患者", "病人", "病例", "환자"),
    ),
    "slide": (
        *("slide", "smear", "wsi", "film", "block", "plate", "well", "chip", "cartridge", "batch", "run", "session"),
        *("acquisition", "series", "objektträger", "objekttraeger", "ausstrich", "präparat", "praeparat", "frottis"),
        *("frotis", "vetrino", "玻片"),
    ),
    "site": (
        *("site", "center", "centre", "hospital", "clinic", "lab", "laboratory", "institution", "institute"),
        *("scanner", "microscope", "camera", "device", "instrument", "klinik", "krankenhaus", "labor", "zentrum"),
        *("standort", "mikroskop", "kamera", "hôpital", "hopital", "centro", "laboratoire", "医院"),
    ),
    "split": ("split", "subset", "partition", "fold", "istrain", "istest"),
}
# An id as programs and people write it ("P-001", "S12/3"); and a number with its unit ("40x", "0.25 um"), no id.
ID_LIKE = re.compile(r"(?=.*[^\W\d_])(?=.*\d)[\w./# -]{2,64}")
WITH_UNIT = re.compile(r"[\d.,]+ ?[^\W\d_]{1,3}")
PADDED = re.compile(r"0\d+")  # with a zero before it, as no program writes a width, grade or count
FEWEST_IDS = 3
# What path and label columns are often called; for the table that an error prints, never to read by.
OFTEN = {
    "path": ("file", "filename", "file_name", "image", "images", "img", "image_path", "image_id", "imagepath", "name"),
    "label": ("class", "classes", "category", "cell_type", "celltype", "type", "target", "diagnosis", "y", "labels"),
}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the line of the file it starts on, and its cells by what they say ("path", "label", "patient" ...)."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A label table.

    columns:   what is read -> the column it is read from.
    unread:    columns that nothing reads, in their order.
    delimiter: what separates the cells.
    """

    rows: tuple[TableRow, ...]
    columns: Mapping[str, str]
    unread: tuple[str, ...]
    delimiter: str


@dataclass(frozen=True, slots=True)
class _Form:
    """How the table is written: its delimiter, and whether a space follows it everywhere on the first line."""

    delimiter: str
    spaced: bool = False

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self.delimiter, skipinitialspace=self.spaced, strict=True)


def read_table(
    file: Path,
    *,
    required: Sequence[str],
    refusal: type[DataError],
    columns: ColumnPlan | None = None,
    set_name: str = "dataset",
) -> Table:
    """The rows of a CSV that has a header, a path column and the `required` ones.

    UTF-8; bytes of a file name that are not are kept as they are (surrogateescape). Blank lines are skipped.

    Args:
        columns: what the columns are called, where it is not as the harness calls them.
        set_name: whose table it is; decides where the remedy is to be written.
    Raises:
        MissingData: no such file.
        refusal: unreadable as CSV, a column or cell too few or too many, or a column that looks like a patient, slide,
            site or part and that the protocol says nothing of.
    """
    plan = columns or ColumnPlan()
    try:
        content = read_plain(file, most_bytes=MOST_TABLE_BYTES, follow_link=True)
    except FileNotFoundError:
        raise MissingData(f"there is no file {file}. Correct the name.") from None
    except OSError as error:
        raise refusal(f"{file} cannot be read ({error.strerror}). Name a CSV with one row per image.") from None
    _refuse_other_kinds(file, content, refusal)
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    form = _form_of(text, plan, required)
    lines = _Lines(text)
    try:
        reader = form.reader(iter(lines))
        header = next(reader, [])
        roles = _columns_read(file, header, plan, required, refusal, set_name)
        places = {role: header.index(name) for role, name in roles.items()}
        others = [_Unread(n, name) for n, name in enumerate(header) if name not in {*roles.values(), *plan.unused}]
        rows = tuple(_rows(file, reader, lines, len(header), places, others, refusal))
    except csv.Error as error:
        raise refusal(f"{file}, line {lines.n}: not readable as CSV ({error}). Correct that line.") from None
    unread = tuple(name for name in header if name not in roles.values())
    suspects = {name: role for name in unread if name not in plan.unused and (role := likely_role(name)) is not None}
    suspects = {each.name: role for each in others if (role := each.role) is not None} | suspects
    _refuse_unspoken(file, [(name, suspects[name]) for name in unread if name in suspects], roles, refusal, set_name)
    return Table(rows, roles, unread, form.delimiter)


def columns_of(file: Path, columns: ColumnPlan | None = None) -> Mapping[str, str]:
    """What a label table has -> the column it is in; nothing where the first line is no such list.

    `read_table` then says what is wrong with it.
    """
    plan = columns or ColumnPlan()
    try:
        with open_plain(file, follow_link=True) as stream:
            first = stream.readline(LONGEST_LINE)
        text = first.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        return _roles(_header(text, _form_of(text, plan, ())), plan)
    except (OSError, csv.Error):
        return {}


class _Lines:
    """The lines of a text, counted: `n` is the number of the last one that was taken."""

    def __init__(self, text: str) -> None:
        self.n = 0
        self._text = text

    def __iter__(self) -> Iterator[str]:
        for line in io.StringIO(self._text, newline=""):
            self.n += 1
            if len(line) > LONGEST_LINE:  # the reader would make an object of each of its millions of cells
                raise csv.Error(f"the line has more than {LONGEST_LINE:,} characters")
            yield line


def _rows(
    file: Path,
    reader: Iterator[list[str]],
    lines: _Lines,
    n_columns: int,
    places: Mapping[str, int],
    others: Sequence[_Unread],
    refusal: type[DataError],
) -> Iterator[TableRow]:
    line, n_rows = lines.n + 1, 0
    for cells in reader:
        if cells and len(cells) != n_columns:
            raise refusal(
                f"{file}, line {line}: {len(cells)} cells under {n_columns} column names. Write one cell per column, "
                "and quote a cell that holds a comma."
            )
        if cells:
            n_rows += 1
            if n_rows > MOST_ROWS:
                raise refusal(f"{file}, line {line}: more than {MOST_ROWS:,} rows. Divide the table.")
            for column in others:
                column.see(cells[column.place])
            yield TableRow(line, {role: cells[place] for role, place in places.items()})
        line = lines.n + 1


def _refuse_other_kinds(file: Path, content: bytes, refusal: type[DataError]) -> None:
    if (kind := kind_of(content)) is not None:
        raise refusal(f"{file} is {kind[0]}, which is not read as a table: {kind[1]}.")
    if b"\0" in content[:LONGEST_LINE].split(b"\n", 1)[0]:
        raise refusal(
            f"{file} is not text in UTF-8: its first line has a NUL. Save the table as CSV in UTF-8, or name the "
            "folder of the images."
        )


# --- which column says what ----------------------------------------------------------------------


def _form_of(text: str, plan: ColumnPlan, required: Sequence[str]) -> _Form:
    """The way of writing under which the first line has the columns that are needed; else under which it has most."""
    forms = []
    for delimiter in (plan.delimiter,) if plan.delimiter else DELIMITERS:
        header = _header(text, _Form(delimiter))
        # A space behind every delimiter of the first line belongs to the delimiter, not to the names.
        spaced = len(header) > 1 and all(name.startswith(" ") for name in header[1:])
        form = _Form(delimiter, spaced)
        header = _header(text, form)
        complete = {"path", *required} <= _roles(header, plan).keys()
        forms.append((complete, len(header), form))
    return max(forms, key=lambda each: each[:2])[2]  # the first of equals


def _header(text: str, form: _Form) -> list[str]:
    try:
        return next(form.reader(iter(_Lines(text))), [])
    except csv.Error:
        return []  # read again by `read_table`, which says so


def _roles(header: Sequence[str], plan: ColumnPlan) -> dict[str, str]:
    """What is read -> its column: as the protocol says, else the column of that very name."""
    roles = {role: name for role, name in plan.read.items() if name in header}
    spoken_of = {*plan.read.values(), *plan.unused}
    for role in COLUMN_ROLES:
        names = PATH_COLUMNS if role == "path" else (role,)
        own = [name for name in names if name in header and name not in spoken_of]
        if role not in plan.mapped and own:
            roles[role] = own[0]
    if FILENAME in header and FILENAME not in spoken_of and "path" in roles:
        roles[FILENAME] = FILENAME
    return roles


def _columns_read(
    file: Path,
    header: Sequence[str],
    plan: ColumnPlan,
    required: Sequence[str],
    refusal: type[DataError],
    set_name: str,
) -> dict[str, str]:
    if len(header) > MOST_COLUMNS:
        raise refusal(f"{file}, line 1: {len(header):,} columns, at most {MOST_COLUMNS} are read. Is this the table?")
    shown = shortened(ascii(list(header)), 300)
    stated = {**plan.read, **{f"unused[{i}]": name for i, name in enumerate(plan.unused)}}
    for key, name in stated.items():
        # A table of one set need not have every column that the protocol declares unused.
        if name not in header and not key.startswith("unused"):
            raise refusal(
                f"{file}, line 1: the columns are {shown}, and columns.{key} of the protocol names {name!r}, which is "
                "not among them. Correct the name in the protocol."
            )
    roles = _roles(header, plan)
    absent = [role for role in ("path", *required) if role not in roles]
    repeated = sorted({name for name in header if header.count(name) > 1})
    two_paths = "path" not in plan.mapped and all(
        name in header and name not in plan.unused and name not in plan.read.values() for name in PATH_COLUMNS
    )
    if absent or repeated or two_paths:
        wanted = f"one of {' and '.join(PATH_COLUMNS)}, and {', '.join(required)}"
        raise refusal(
            f"{file}, line 1: the columns are {shown}; needed are {wanted}, each once, named on the first line in "
            f"lower case.{_paste(header, absent, roles, set_name)}"
        )
    return roles


def _paste(header: Sequence[str], absent: Sequence[str], roles: Mapping[str, str], set_name: str) -> str:
    """The table that says which column is meant, to be put into the protocol."""
    free = [name for name in header if name not in roles.values()]
    if not absent or not free:
        return ""
    lines = []
    for role in absent:
        usual = [name for name in free if name.strip().casefold() in (role, *OFTEN.get(role, ()))]
        if len(usual) == 1:
            lines.append(f"{role} = {toml_text(usual[0])}")
        else:
            lines.append(f'{role} = ""  # one of the columns above')
    return f" If they are called otherwise, say so in the protocol:\n{toml_table(set_name, 'columns', lines)}"


@dataclass(slots=True)
class _Unread:
    """What stands in a column that nothing reads: is it written like ids that several rows share, or like parts?"""

    place: int
    name: str
    n: int = 0
    like_ids: bool = True
    like_parts: bool = True
    widths: set[int] = field(default_factory=set)  # of whole numbers; two where they are not all of one
    padded: bool = False
    values: set[str] = field(default_factory=set)

    def see(self, cell: str) -> None:
        if not cell or not (self.like_ids or self.like_numbers or self.like_parts):
            return
        if cell not in self.values:
            self.like_ids &= ID_LIKE.fullmatch(cell) is not None and WITH_UNIT.fullmatch(cell) is None
            self.widths.add(len(cell) if cell.isdecimal() else 0)
            self.padded |= PADDED.fullmatch(cell) is not None
            self.like_parts &= part_called(cell, None) is not None
            self.values.add(cell)
        self.n += 1

    @property
    def like_numbers(self) -> bool:
        """Whether all are whole numbers of as many digits, as ids are that are padded with zeros."""
        return len(self.widths) < 2 and 0 not in self.widths

    @property
    def role(self) -> str | None:
        """As of `likely_role`, by what stands in the rows."""
        if self.like_parts and len(self.values) > 1:
            return "split"
        ids = self.like_ids or (self.like_numbers and self.padded)
        return "patient" if ids and FEWEST_IDS <= len(self.values) <= self.n // 2 else None


def _refuse_unspoken(
    file: Path,
    suspects: Sequence[tuple[str, str]],
    roles: Mapping[str, str],
    refusal: type[DataError],
    set_name: str,
) -> None:
    """suspects: columns that are not spoken of, and what each looks like."""
    if not suspects:
        return
    lines = [f"{role} = {toml_text(name)}" for role, name in _one_each(suspects, roles)]
    unused = f"unused = [{', '.join(toml_text(name) for name, _ in suspects)}]"
    names = ", ".join(repr(name) for name, _ in suspects)
    raise refusal(
        f"{file}, line 1: nothing says how the column {names} is to be read, and it looks like a patient, slide, site "
        f"or part. Left out, cells of one patient could come into two parts. Say in the protocol what it is:\n"
        f"{toml_table(set_name, 'columns', lines or [unused])}"
        + (f"\nor, if it is none of these:\n{toml_table(set_name, 'columns', [unused])}" if lines else "")
    )


def _one_each(suspects: Sequence[tuple[str, str]], roles: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each role with its first suspect, where no column has the role yet."""
    first: dict[str, str] = {}
    for name, role in suspects:
        if role not in roles:
            first.setdefault(role, name)
    return list(first.items())


def likely_role(column: str) -> str | None:
    """What a column probably is, by its name; None where the name says nothing of patient, slide, site or part.

    >>> likely_role("PatientID"), likely_role("donor no."), likely_role("magnification")
    ('patient', 'patient', None)
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", column)
    tokens = spaced.casefold().split()
    for role, words in LIKELY.items():
        for token in tokens:
            bare = re.sub(r"(ids?|nos?|nr|num|number|nummer|numero|name|code)?[0-9]*$", "", token)
            if any(each in (word, f"{word}s") for each in (token, bare) for word in words):
                return role
            if any(token.startswith(word) for word in words if len(word) >= 6):
                return role
    return None


# --- paths ---------------------------------------------------------------------------------------


def relative_path(cell: str) -> str:
    """The path that a CSV cell means, if it stays under the folder it is relative to.

    One leading "./" is dropped, as are those that keep a spreadsheet from taking "=1.jpg" for a formula.

    Raises:
        ValueError: the path is empty, absolute, too long, has a backslash or NUL, or is not written plainly. Says what
            to do.
    >>> relative_path("./=1.jpg")
    '=1.jpg'
    """
    path = active(cell).removeprefix("./")
    remedy = "Write it relative to the data folder with forward slashes, such as 'basophil/BA_1.jpg'"
    if not path:
        raise ValueError(f"the path is empty. {remedy}.")
    if len(path) > LONGEST_PATH or path.count("/") >= MOST_STEPS:
        raise ValueError(
            f"the path {shortened(ascii(cell), 300)} has {len(path):,} characters and {path.count('/')} folders; at "
            f"most {LONGEST_PATH:,} and {MOST_STEPS - 1} are followed. {remedy}."
        )
    if "\0" in path or "\\" in path:
        raise ValueError(f"the path {cell!r} has a {'NUL' if chr(0) in path else 'backslash'}. {remedy}.")
    if path.startswith("/") or re.match("[A-Za-z]:", path):
        raise ValueError(f"the path {cell!r} is absolute. {remedy}.")
    if {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"the path {cell!r} has an empty, '.' or '..' step. {remedy}.")
    return path
