"""Tables of predictions that somebody brought: read for what they say, or refused with what is wrong and how often."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
import pickle
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import InvalidPredictions, MissingData
from harness.core.places import PROJECT
from harness.data import prediction_tables
from harness.data.likely_paths import LikelyPaths
from harness.data.prediction_files import Answered, answers_for, parse_predictions, read_predictions_file
from harness.data.records import CellImage

CLASSES = ("basophil", "eosinophil", "monocyte")
HEADER = ["path", *CLASSES]
PREFIXED = ["path", *(f"p_{name}" for name in CLASSES), "p_blast"]  # as a pack writes cells of a class that is unknown
needs_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="the extra [parquet] is not installed"
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


IMAGES = tuple(
    CellImage(f"{label}/{name}.png", label, sha(f"{label}{name}"), 1)
    for label, name in [("basophil", "a"), ("basophil", "b"), ("eosinophil", "c"), ("monocyte", "a")]
)
ROWS = [
    [IMAGES[0].path, "0.7", "0.2", "0.1"],
    [IMAGES[1].path, "0.5", "0.25", "0.25"],
    [IMAGES[2].path, "0.1", "0.8", "0.1"],
    [IMAGES[3].path, "0.0", "0.0", "1.0"],
]


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue().encode()


def matched(*contents: bytes, images: Sequence[CellImage] = IMAGES) -> Answered:
    tables = [
        parse_predictions(content, name=f"p{n}.csv", set_name="dataset", classes=CLASSES, number=n)
        for n, content in enumerate(contents, start=1)
    ]
    return answers_for(tables, images, set_name="dataset")


def probabilities(*contents: bytes) -> list[list[float]]:
    return matched(*contents).probabilities(IMAGES, of="test").tolist()  # type: ignore[no-any-return]


def refusal(content: bytes) -> str:
    with pytest.raises(InvalidPredictions) as error:
        matched(content).probabilities(IMAGES, of="test")
    return str(error.value)


SAID = [[float(cell) for cell in row[1:]] for row in ROWS]

# --- what is read ---


def test_a_row_for_each_image_by_its_path_says_what_was_predicted():
    assert probabilities(table(ROWS)) == SAID


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("prefix", ["", "p_"])
def test_columns_come_in_any_order_by_their_names(delimiter: str, prefix: str):
    shuffled = [[row[2], row[0], row[3], row[1]] for row in ROWS]
    header = [f"{prefix}eosinophil", "filepath", f"{prefix}monocyte", f"{prefix}basophil"]
    assert probabilities(table(shuffled, header, delimiter)) == SAID


def test_images_are_known_by_their_digest_wherever_their_files_lie():
    rows = [[image.sha256, *row[1:]] for image, row in zip(IMAGES, ROWS, strict=True)]
    assert probabilities(table(rows[::-1], ["sha256", *CLASSES])) == SAID
    elsewhere = [
        [image.sha256, f"/mnt/{n}.png", *row[1:]] for n, (image, row) in enumerate(zip(IMAGES, ROWS, strict=True))
    ]
    assert probabilities(table(elsewhere, ["sha256", "path", *CLASSES])) == SAID


def test_one_digest_speaks_of_every_image_of_that_content():
    twins = (*IMAGES[:1], CellImage("basophil/copy.png", "basophil", IMAGES[0].sha256, 1))
    found = matched(table([[IMAGES[0].sha256, *ROWS[0][1:]]], ["sha256", *CLASSES]), images=twins)
    assert found.probabilities(twins, of="test").tolist() == [SAID[0], SAID[0]]


def test_a_file_name_alone_will_do_where_no_other_image_has_it():
    assert probabilities(table([["b.png", *ROWS[1][1:]], ROWS[0], ["c.png", *ROWS[2][1:]], ROWS[3]])) == SAID
    said = refusal(table([["a.png", *ROWS[0][1:]], *ROWS[1:]]))
    assert "1 ambiguous file names, such as line 2: 'a.png' is 'basophil/a.png', 'monocyte/a.png'" in said


def test_several_files_are_one_table():
    assert probabilities(table(ROWS[:1]), table(ROWS[1:])) == SAID
    with pytest.raises(InvalidPredictions, match=r"1 doubled rows, such as p2.csv, line 2 .* already on p1.csv"):
        matched(table(ROWS), table(ROWS[:1]))


def test_a_byte_order_mark_blank_lines_and_returns_do_no_harm():
    content = b"\xef\xbb\xbf" + table(ROWS).replace(b"\n", b"\r\n") + b"\r\n"
    assert probabilities(content) == SAID


def test_a_part_may_be_left_out_and_not_half_of_it():
    found = matched(table(ROWS[:2]))
    assert found.covers(IMAGES[:2])
    assert not found.names_any_of(IMAGES[2:])
    with pytest.raises(InvalidPredictions, match=r"2 of the 4 images of test have no row, first 'eosinophil/c.png'"):
        found.probabilities(IMAGES, of="test")


# --- labels and other columns ---


def test_a_label_column_is_named_counted_and_not_used():
    rows = [[*row, "basophil", "x"] for row in ROWS]
    (record,) = matched(table(rows, [*HEADER, "label", "note"])).files
    assert (record.label_column, record.n_other_labels) == ("label", 2)
    assert record.unread == ("label", "note")
    assert probabilities(table(rows, [*HEADER, "label", "note"])) == SAID


def test_the_record_names_what_was_read(tmp_path: Path):
    file = tmp_path / "mine.txt"
    file.write_bytes(table(ROWS))
    record = read_predictions_file(file, set_name="clinic", classes=CLASSES, number=2).record
    assert (record.file, record.sha256) == ("mine.txt", hashlib.sha256(table(ROWS)).hexdigest())
    assert (record.format, record.kept_as) == ("CSV", "predictions/given/clinic+2.csv")  # no set is called so
    assert (record.keyed_by, record.n_rows, record.printed) == ("path", 4, "2 decimals")


# --- rounding ---


def test_sums_off_by_printed_rounding_are_divided_out_and_counted():
    rows = [["basophil/a.png", "0.333", "0.333", "0.333"], *ROWS[1:]]
    found = matched(table(rows))
    (record,) = found.files
    assert (record.n_renormalised, record.printed) == (1, "3 decimals")
    assert record.largest_miss == pytest.approx(0.001)
    assert record.tolerance == pytest.approx(3 * 0.0005)
    assert found.probabilities(IMAGES, of="test")[0].tolist() == pytest.approx([1 / 3] * 3)
    assert record.n_tied == 1


def test_what_is_off_by_more_than_its_digits_explain_is_refused():
    said = refusal(table([["basophil/a.png", "0.330", "0.333", "0.333"], *ROWS[1:]]))
    assert "1 of 4 rows are not probabilities, first line 2: [0.33  0.333 0.333] adds up to 0.996" in said
    assert "With 3 decimals rounding explains at most 0.0015" in said


def test_a_row_of_zeros_is_never_rounding():
    assert "adds up to 0" in refusal(
        table([["basophil/a.png", "0", "0", "0"], *([r[0], "1", "0", "0"] for r in ROWS[1:])])
    )


def test_probabilities_that_add_up_are_kept_to_the_last_bit():
    rows = np.random.default_rng(5).dirichlet(np.ones(3), size=4)
    content = table([[image.path, *map(repr, row.tolist())] for image, row in zip(IMAGES, rows, strict=True)])
    found = matched(content)
    assert np.array_equal(found.probabilities(IMAGES, of="test"), rows)
    assert found.files[0].n_renormalised == 0


@settings(max_examples=examples(200))
@given(seed=st.integers(0, 2**32 - 1), digits=st.integers(2, 12), kind=st.sampled_from("fg"))
def test_no_rounding_that_a_printer_does_is_refused_and_none_changes_a_clear_class(seed: int, digits: int, kind: str):
    rows = np.random.default_rng(seed).dirichlet(np.full(3, 0.3), size=4)
    content = table([[i.path, *(f"{p:.{digits}{kind}}" for p in row)] for i, row in zip(IMAGES, rows, strict=True)])
    found = matched(content).probabilities(IMAGES, of="test")
    assert np.abs(found.sum(axis=1) - 1).max() <= 1e-6
    ordered = np.sort(rows, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 2 * 10.0**-digits
    assert (found.argmax(axis=1) == rows.argmax(axis=1))[clear].all()


# --- what is refused ---

FOREIGN = ["monocyte/z.png", "0.1", "0.1", "0.8"]


def test_a_column_of_zeros_of_another_class_takes_nothing_from_the_others():
    found = matched(table([[*row, "0.0"] for row in ROWS], PREFIXED))
    assert found.probabilities(IMAGES, of="test").tolist() == [[float(cell) for cell in row[1:]] for row in ROWS]
    assert found.files[0].unread == ("p_blast",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (table([*ROWS, ROWS[0], ROWS[1]]), "2 doubled rows, such as line 6 ('basophil/a.png') is already on line 2"),
        (table([*ROWS, FOREIGN]), "1 foreign rows, such as line 6 ('monocyte/z.png') is not an image of the set"),
        (table([*ROWS, ["/abs/a.png", *FOREIGN[1:]]]), "1 unusable paths, such as line 6: the path '/abs/a.png'"),
        (table(ROWS[:1]), "3 of the 4 images of test have no row, first 'basophil/b.png'"),
        (table([[*ROWS[0][:3], "nan"], *ROWS[1:]]), "1 of 4 rows hold a cell that is not a finite number, first line"),
        (table([[r[0], "", "", ""] for r in ROWS]), "4 of 4 rows hold a cell that is not a finite number"),
        (table([[r[0], "0,7", "0,2", "0,1"] for r in ROWS], HEADER, ";"), "every probability with a decimal point"),
        (table([[r[0], "3.2", "-1.5", "0.4"] for r in ROWS]), "4 of 4 rows are not probabilities, first line 2"),
        (table([[r[0], "3.2", "-1.5", "0.4"] for r in ROWS]), "if these are logits, apply softmax"),
        (table([[r[0], "70.0", "20.0", "10.0"] for r in ROWS]), "If these are per cent, divide them by 100"),
        (table([r[:3] for r in ROWS], HEADER[:3]), "1 of 3 classes have no column, first 'monocyte'"),
        (table(ROWS, ["path", "Basophil", *CLASSES[1:]]), "'basophil' ('Basophil' is close to it, and is not guessed)"),
        (
            table([[r[0], "0.1", "0.1", "0.1", "0.7"] for r in ROWS], [*HEADER, "blast"]),
            "columns that are not classes of the protocol: 'blast'",
        ),
        (
            table([*([*r, "0.0"] for r in ROWS[:3]), [*ROWS[3], "1e-9"]], PREFIXED),
            "the column 'p_blast' is of no class of the protocol",
        ),
        (table([[*r, r[1]] for r in ROWS], [*HEADER, "basophil"]), "the column 'basophil' is there twice"),
        (table([[*r, r[1]] for r in ROWS], [*HEADER, "p_basophil"]), "the class 'basophil' has two columns"),
        (table([r[1:] for r in ROWS], CLASSES), "no column says which image a row speaks of"),
        (table([[sha("other"), *r[1:]] for r in ROWS], ["sha256", *CLASSES]), "4 foreign rows, such as line 2 (SHA"),
        (table([["abc", *r[1:]] for r in ROWS], ["sha256", *CLASSES]), "4 unusable digests, such as line 2: 'abc'"),
        (
            table([[IMAGES[1].sha256, *ROWS[0]], *([i.sha256, *r] for i, r in zip(IMAGES[1:], ROWS[1:], strict=True))],
                  ["sha256", *HEADER]),
            "1 rows of two images, such as line 2 names 'basophil/a.png', and the digest of 'basophil/b.png'",
        ),
        (table([*ROWS[:1], ROWS[1][:2]]), "line 3: 2 cells under 4 column names"),
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (table([]), "no rows below the header"),
        (b'path,basophil,eosinophil,monocyte\n"never closed', "not readable as CSV"),
        (b"path," + b"x," * 2000 + b"\n", "more than 1,000 columns"),
        (b"path," + b"x" * 200_000, "the line has more than 131,072 characters"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_say_it_plainly_is_refused(content: bytes, words: str):
    assert words in refusal(content)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: "data/set/" + path,
        lambda path: "/data/set/" + path,
        lambda path: path.replace("/", "\\"),
        lambda path: quote(path, safe=""),
        lambda path: unicodedata.normalize("NFD", path),
        lambda path: path.upper(),
        lambda path: path.removesuffix(".png"),
        lambda path: path.removesuffix(".png") + ".jpg",
        lambda path: f" {path} ",
    ],
)
def test_a_path_written_in_another_way_is_refused_and_the_image_that_was_meant_is_named(write: Callable[[str], str]):
    images = [replace(IMAGES[0], path="basophil/é 1.png"), *IMAGES[1:]]
    read = parse_predictions(
        table([[write(image.path), *row[1:]] for image, row in zip(images, ROWS, strict=True)]),
        name="p.csv",
        set_name="dataset",
        classes=CLASSES,
    )
    with pytest.raises(InvalidPredictions, match=r"(foreign rows|unusable paths)") as told:
        answers_for([read], images, set_name="dataset")
    shown = r"'basophil/\xe9 1.png'" if write("é") == unicodedata.normalize("NFD", "é") else "'basophil/é 1.png'"
    assert shown in str(told.value)


def test_likely_paths_are_those_with_the_most_folders_in_common():
    likely = LikelyPaths(["a/x.png", "b/x.png", "b/y.1.png", "b/z.png", "c/b/z.png"])
    assert likely.close_to("set/B/X.tif") == "'b/x.png'"
    assert likely.close_to("x.png") is None  # of two
    assert likely.close_to("elsewhere/y.1") == "'b/y.1.png'"
    assert likely.close_to("c/b/z") == "'c/b/z.png'"
    assert likely.close_to("") is None
    assert likely.close_to("w.png") is None


def test_of_two_columns_with_paths_the_one_that_was_not_read_is_named():
    numbered = table([[str(n), *row] for n, row in enumerate(ROWS)], ["image", "image_path", *CLASSES])
    assert "one was read, and not image_path: leave the one that is meant" in refusal(numbered)


def test_a_first_line_that_is_no_header_is_asked_for():
    assert "Is that the line with the column names?" in refusal(b"sep=;\n" + table(ROWS, delimiter=";"))


def calling(words: Sequence[str], column: str = "predicted") -> bytes:
    return table([[*row, word] for row, word in zip(ROWS, words, strict=True)], [*HEADER, column])


@pytest.mark.parametrize("column", ["prediction", "y_pred", "pred_class"])
def test_columns_in_another_order_than_their_numbers_are_seen_by_the_table_s_own_words(tmp_path: Path, column: str):
    file = tmp_path / "p.csv"
    swapped = [HEADER[0], HEADER[2], HEADER[1], HEADER[3]]
    words = ["Basophil", "basophil", "eosinophil", "monocyte"]  # whatever the case
    file.write_bytes(table([[*row, word] for row, word in zip(ROWS, words, strict=True)], [*swapped, column]))
    with pytest.raises(
        InvalidPredictions,
        match=r"3 of 4 rows are called another class .* first line 2: 'Basophil' with 0\.2, and 'eosinophil' has 0\.7",
    ):
        read_predictions_file(file, set_name="dataset", classes=CLASSES)


@pytest.mark.parametrize(
    "content",
    [
        calling(["basophil", "basophil", "eosinophil", "monocyte"]),
        calling(["BAS", "basophil", "basophil", "basophil"]),  # a word of its own: nothing is guessed
        calling(["0", "0", "1", "2"]),
        calling(["monocyte"] * 4, "remark"),
        table([[r[0], "0.4", "0.4", "0.2", "eosinophil"] for r in ROWS], [*HEADER, "prediction"]),  # a tie is either's
    ],
)
def test_words_that_agree_or_are_other_words_are_let_through(tmp_path: Path, content: bytes):
    file = tmp_path / "p.csv"
    file.write_bytes(content)
    assert read_predictions_file(file, set_name="dataset", classes=CLASSES).record.n_rows == 4


def test_each_kind_of_misfit_is_counted_in_one_error():
    said = refusal(table([ROWS[0], ROWS[0], FOREIGN, ["a.png", *FOREIGN[1:]]]))
    assert all(words in said for words in ("1 doubled rows", "1 foreign rows", "1 ambiguous file names"))


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped(), "is an Excel workbook: save the sheet as CSV"),
        (b"PK\x03\x04" + b"\0" * 26 + b"arr_0.npy", "is a zip archive: unpack it"),
        (pickle.dumps(ROWS), "is a pickle: it is never opened"),
        (json.dumps({"a": [0.1]}).encode(), "is JSON"),
        (table(ROWS).decode().encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        (b"\x1f\x8b\x08\x00", "is a gzip archive: unpack it"),
        (b"\x93NUMPY\x01\x00", "is a NumPy array"),
        (b"\x08\x07ONNX\x00\x00\x01", "is neither CSV nor Parquet"),
        (b"%PDF-1.7\n%\xe2\xe3", "is a PDF"),
        (b"\x28\xb5\x2f\xfd....", "is a Zstandard archive"),
        (b"<html><body>Please log in", "is HTML or XML"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", "is an old Excel workbook"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(content: bytes, words: str):
    assert words in refusal(content)


def test_a_file_that_is_not_there_or_is_no_file_is_named(tmp_path: Path):
    with pytest.raises(MissingData, match=r"--predictions .*none.csv: file not found"):
        read_predictions_file(tmp_path / "none.csv", set_name="dataset", classes=CLASSES)
    with pytest.raises(InvalidPredictions, match="it is a folder, not a regular file"):
        read_predictions_file(tmp_path, set_name="dataset", classes=CLASSES)


def test_a_file_that_claims_to_be_huge_is_not_read(tmp_path: Path):
    file = tmp_path / "huge.csv"
    with file.open("wb") as stream:
        stream.truncate(10 * 2**30)  # takes no room on the disk
    with pytest.raises(InvalidPredictions, match="it has more than 134,217,728 bytes"):
        read_predictions_file(file, set_name="dataset", classes=CLASSES)


def test_more_rows_than_any_set_has_are_refused_as_they_come(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prediction_tables, "MOST_ROWS", 3)
    assert "more than 3 rows are claimed" in refusal(table(ROWS))


# --- Parquet ---


def parquet(columns: dict[str, object], types: Callable[[str], object] | None = None, **how: object) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = io.BytesIO()
    arrays = {
        name: pa.array(values, type=types(name) if types else None)
        for name, values in columns.items()  # type: ignore[arg-type]
    }
    pq.write_table(pa.table(arrays), made, **how)
    return made.getvalue()


def columns_of(rows: np.ndarray) -> dict[str, object]:
    return {"path": [image.path for image in IMAGES], **{c: rows[:, n].tolist() for n, c in enumerate(CLASSES)}}


@needs_pyarrow
@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_parquet_says_the_same_as_csv(kind: str, compression: str):
    import pyarrow as pa

    rows = np.random.default_rng(8).dirichlet(np.ones(3), size=4).astype(kind)
    columns = {"note": ["x"] * 4, **columns_of(rows)}
    types = {"path": pa.string(), "note": pa.string()}
    content = parquet(columns, lambda name: types.get(name, getattr(pa, kind)()), compression=compression)
    found = matched(content)
    assert np.abs(found.probabilities(IMAGES, of="test") - rows.astype(np.float64)).max() < 1e-7
    (record,) = found.files
    assert (record.format, record.kept_as) == ("Parquet", "predictions/given/dataset.parquet")
    assert record.unread == ("note",)


@needs_pyarrow
def test_numbers_and_texts_of_other_writers_are_read():
    import pyarrow as pa

    exact = [[Decimal(f"{value:.6f}") for value in row] for row in SAID]
    rows = {"path": [image.path for image in IMAGES], **{c: [r[n] for r in exact] for n, c in enumerate(CLASSES)}}
    (record,) = matched(parquet(rows, lambda name: pa.string_view() if name == "path" else pa.decimal128(9, 6))).files
    assert (record.n_rows, record.printed) == (4, "6 decimals")


@needs_pyarrow
@pytest.mark.parametrize("encoding", ["PLAIN_DICTIONARY", "DELTA_BYTE_ARRAY"])
def test_texts_that_are_written_once_and_stand_in_every_row_are_counted_in_each(
    monkeypatch: pytest.MonkeyPatch, encoding: str
):
    n, length = 60, 10_000
    columns = {"path": ["a" * length] * n, **{each: [1 / 3] * n for each in CLASSES}}
    how = {"use_dictionary": ["path"]} if encoding == "PLAIN_DICTIONARY" else {
        "use_dictionary": False, "column_encoding": {"path": encoding}
    }  # fmt: skip
    content = parquet(columns, compression="zstd", **how)
    assert len(content) < length  # the file itself is far smaller than one of its texts
    monkeypatch.setattr(prediction_tables, "MOST_UNPACKED_BYTES", n * length // 2)
    assert "more than 300,000 bytes are claimed" in refusal(content)
    # Of the same size when it is unpacked, and no text twice: that is told by what stands in the rows, not by the file.
    monkeypatch.setattr(prediction_tables, "MOST_UNPACKED_BYTES", 2 * n * length)
    assert "60 unusable paths" in refusal(content)


@needs_pyarrow
def test_parquet_is_refused_in_the_same_words():
    import pyarrow as pa

    rows = np.array(SAID)
    nan = rows.copy()
    nan[1, 2] = np.nan
    assert "1 of 4 rows hold a cell that is not a finite number, first row 2, 'monocyte': 'nan'" in refusal(
        parquet(columns_of(nan))
    )
    dates = parquet({**columns_of(rows), "basophil": [1, 2, 3, 4]}, lambda n: pa.date32() if n == "basophil" else None)
    assert "column 'basophil' is of type date32" in refusal(dates)
    assert "classes have no column" in refusal(parquet({"path": ["a"]}))


@needs_pyarrow
@pytest.mark.parametrize("damage", [lambda c: c[:-9], lambda c: c[:60] + b"\xff" * 60 + c[120:], lambda c: b"PAR1" * 4])
def test_a_damaged_parquet_file_is_one_clear_error(damage: Callable[[bytes], bytes]):
    assert "Parquet" in refusal(damage(parquet(columns_of(np.array(SAID)))))


@needs_pyarrow
def test_more_rows_than_any_set_has_are_refused_by_the_footer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prediction_tables, "MOST_ROWS", 3)
    assert "more than 3 rows are claimed" in refusal(parquet(columns_of(np.array(SAID))))
    monkeypatch.undo()
    monkeypatch.setattr(prediction_tables, "MOST_UNPACKED_BYTES", 10)
    assert "more than 10 bytes are claimed" in refusal(parquet(columns_of(np.array(SAID))))


def test_without_pyarrow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'leukocyte-harness[parquet]', or write a CSV" in refusal(b"PAR1....PAR1")


def test_reading_a_csv_imports_neither_pandas_nor_pyarrow_nor_torch():
    code = (
        "import sys\nfrom harness.data.prediction_files import parse_predictions\n"
        "parse_predictions(b'path,a,b\\nx,0.5,0.5\\n', name='p', set_name='dataset', classes=('a', 'b'))\n"
        "assert not {'pandas', 'pyarrow', 'torch'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
