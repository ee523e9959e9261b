"""Label tables: read as they are written where that is said, refused in one sentence where they are no table."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.core.errors import DataError
from harness.data.manifest import read_manifest
from harness.data.records import Manifest
from harness.data.tables import columns_of, likely_role
from harness.protocol.sets import ColumnPlan, SetNames
from harness.report.readings import reading_told

CLASSES = ("basophil", "monocyte")
TEXT = "path,label\nbasophil/a.png,basophil\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("basophil/a.png", "monocyte/c.png", "monocyte/d.png"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(name.encode())
    return tmp_path


def read(folder: Path, content: str | bytes, *, set_name: str = "dataset", **columns: object) -> Manifest:
    (folder / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    names = SetNames(columns=ColumnPlan(**columns))  # type: ignore[arg-type]
    return read_manifest(folder / "t.csv", name=set_name, classes=CLASSES, workers=1, names=names)


# --- what separates the cells --------------------------------------------------------------------


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ", "])
def test_the_delimiter_is_found_on_the_first_line(folder, mark):
    found = read(folder, f"path{mark}label\nbasophil/a.png{mark}basophil\nmonocyte/c.png{mark}monocyte\n")
    assert [(image.path, image.label) for image in found.images] == [
        ("basophil/a.png", "basophil"),
        ("monocyte/c.png", "monocyte"),
    ]
    assert found.reading.delimiter == mark.strip(" ")


def test_a_comma_in_a_name_is_no_delimiter_where_semicolons_are(folder):
    (folder / "basophil" / "a,b.png").write_bytes(b"x")
    assert read(folder, "path;label\nbasophil/a,b.png;basophil\n").images[0].path == "basophil/a,b.png"


def test_a_stated_delimiter_is_not_looked_for(folder):
    with pytest.raises(DataError, match=r"the columns are \['path,label'\]"):
        read(folder, TEXT, delimiter=";")


def test_a_space_in_front_of_a_cell_stays_where_the_first_line_has_none(folder):
    with pytest.raises(DataError, match="the label ' basophil'"):
        read(folder, "path,label\nbasophil/a.png, basophil\n")


# --- which column says what ----------------------------------------------------------------------


def test_every_column_can_have_another_name(folder):
    text = "Bild;Klasse;Patientin;Schnitt;Ort\nbasophil/a.png;basophil;P1;S1;Hue\n"
    names = {"path": "Bild", "label": "Klasse", "patient": "Patientin", "slide": "Schnitt", "site": "Ort"}
    found = read(folder, text, **names)
    (image,) = found.images
    assert (image.patient, image.slide, image.site) == ("P1", "S1", "Hue")
    assert found.reading.columns == names
    assert found.reading.unread == ()


def test_a_column_that_the_protocol_names_and_the_table_lacks_is_an_error(folder):
    with pytest.raises(DataError, match=r"columns\.patient of the protocol names 'donor', which is not among them"):
        read(folder, TEXT, patient="donor")


def test_a_column_called_like_a_key_and_mapped_to_another_key_has_one_meaning(folder):
    (image,) = read(folder, "path,label,site\nbasophil/a.png,basophil,P1\n", patient="site").images
    assert (image.patient, image.site) == ("P1", None)


def test_a_mapped_label_column_leaves_the_one_called_label_unread_and_named(folder):
    found = read(folder, "path,label,class\nbasophil/a.png,7,basophil\n", label="class")
    assert found.images[0].label == "basophil"
    assert found.reading.unread == ("label",)


def test_columns_that_nothing_reads_are_named(folder):
    found = read(folder, "path,label,age,zoom\nbasophil/a.png,basophil,7,40x\n")
    assert found.reading.unread == ("age", "zoom")
    assert list(reading_told(found.reading)) == ["the table's columns 'age', 'zoom' were not read"]


@pytest.mark.parametrize(("name", "is_unread"), [("a.png", False), ("other.png", True)])
def test_a_file_name_beside_the_path_is_unread_only_where_it_says_something_else(folder, name, is_unread):
    found = read(folder, f"path,filename,label\nbasophil/a.png,{name},basophil\n")
    assert found.reading.unread == (("filename",) if is_unread else ())


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("patient_id", "patient"),
        ("PatientID", "patient"),
        ("Patientennummer", "patient"),
        ("subject", "patient"),
        ("Donor No.", "patient"),
        ("case_id", "patient"),
        ("caseid", "patient"),
        ("mouse", "patient"),
        ("slides", "slide"),
        ("WSI", "slide"),
        ("Hospital", "site"),
        ("lab", "site"),
        ("subset", "split"),
        ("fold", "split"),
        ("Fall-Nr", "patient"),
        ("Fallnummer", "patient"),
        ("患者ID", "patient"),
        ("Objektträger", "slide"),
        ("batch", "slide"),
        ("Krankenhaus", "site"),
        ("magnification", None),
        ("label", None),
        ("path", None),
        ("age", None),
        ("sha1", None),
        ("width", None),
        ("id", None),
        ("", None),
    ],
)
def test_what_a_column_probably_is(column, role):
    assert likely_role(column) == role


def test_a_patient_column_is_never_dropped_in_silence(folder):
    text = "path,label,donor,ward\nbasophil/a.png,basophil,D1,3\n"
    with pytest.raises(DataError) as refused:
        read(folder, text)
    assert '[dataset.columns]\npatient = "donor"' in str(refused.value)
    assert 'unused = ["donor"]' in str(refused.value)
    assert read(folder, text, patient="donor").images[0].patient == "D1"
    left = read(folder, text, unused=("donor",))
    assert (left.images[0].patient, left.reading.unread, left.reading.unused) == (None, ("ward",), ("donor",))


def rows_with(column: str, values: Sequence[str]) -> str:
    rows = [f"basophil/{n}.png,basophil,{value}" for n, value in enumerate(values)]
    return "\n".join([f"path,label,{column}", *rows, ""])


@pytest.mark.parametrize(
    ("values", "role"),
    [
        (["P-01", "P-01", "P-02", "P-02", "P-03", "P-03"], "patient"),
        (["A7/1", "B9/2", "C3/1", "A7/1", "B9/2", "C3/1"], "patient"),
        (["007", "007", "113", "113", "042", "042"], "patient"),  # padded, as widths and counts never are
        (["train", "val", "TEST", "train", "val", "TEST"], None),  # a part, which this table cannot say
    ],
)
def test_a_column_of_any_name_is_asked_for_where_rows_share_its_ids(folder, values, role):
    with pytest.raises(DataError, match="nothing says how the column 'kept' is to be read") as refused:
        read(folder, rows_with("kept", values))
    assert ('patient = "kept"' in str(refused.value)) == (role == "patient")
    assert 'unused = ["kept"]' in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        ["40x", "100x", "63x"] * 2,  # numbers with a unit
        ["1", "2", "3"] * 2,  # numbers
        ["10", "20", "30"] * 2,
        ["0", "01", "001"] * 2,  # of no one width
        ["good", "poor", "fair"] * 2,  # words
        ["I1", "I2", "I3", "I4", "I5", "I6"],  # each image has its own
        ["MGG2", "MGG2", "MGG2", "MGG2", "W1", "W1"],  # two stains
        ["train", "train", "train", "train", "train", "train"],
        ["", "", "", "", "", ""],
    ],
)
def test_what_is_no_id_that_rows_share_is_named_and_not_asked_for(folder, values):
    for n in range(6):
        (folder / f"basophil/{n}.png").write_bytes(bytes([n]))
    assert read(folder, rows_with("kept", values)).reading.unread == ("kept",)


def test_a_second_patient_column_can_only_be_declared_unused(folder):
    with pytest.raises(DataError) as refused:
        read(folder, "path,label,patient,donor\nbasophil/a.png,basophil,P1,D1\n")
    assert 'unused = ["donor"]' in str(refused.value)
    assert "patient =" not in str(refused.value)


def test_the_remedy_for_an_external_set_is_in_its_own_table(folder):
    with pytest.raises(DataError) as refused:
        read(folder, "path,label,donor\nbasophil/a.png,basophil,D1\n", set_name="jtsc")
    assert '[[external]]\nname = "jtsc"\n[external.columns]\npatient = "donor"' in str(refused.value)


def test_two_columns_cannot_have_one_name_in_the_plan():
    with pytest.raises(ValueError, match="'donor' is named more than once"):
        ColumnPlan(patient="donor", unused=("donor",))


def test_a_split_column_of_another_name_is_found(folder):
    (folder / "t.csv").write_text("file;class;Part\n")
    plan = ColumnPlan(path="file", label="class", split="Part")
    assert columns_of(folder / "t.csv", plan) == {"path": "file", "label": "class", "split": "Part"}


# --- what is no table ----------------------------------------------------------------------------


def _zip(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, TEXT)
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("t.csv")
        entry.size = len(TEXT)
        archive.addfile(entry, io.BytesIO(TEXT.encode()))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_zip("cells.csv"), "is a zip archive, which is not read as a table: unpack it"),
        (_zip("[Content_Types].xml"), "is an Excel workbook, which is not read as a table: save the sheet as CSV"),
        (gzip.compress(TEXT.encode(), mtime=0), "is a gzip archive"),
        (_tar(), "is a tar archive"),
        (TEXT.encode("utf-16"), "is UTF-16 text, which is not read as a table: save it as UTF-8"),
        (TEXT.encode("utf-16-le"), "is not text in UTF-8: its first line has a NUL"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "is an old Excel workbook"),
        (b"PAR1" + bytes(9), "is a Parquet file"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(folder, content, says):
    with pytest.raises(DataError) as refused:
        read(folder, content)
    assert says in str(refused.value)
    assert str(refused.value).isprintable()
