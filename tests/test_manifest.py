"""Listing: nothing is hidden, nothing is guessed, nothing special is opened, and order never matters."""

from __future__ import annotations

import hashlib
import os
import random
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import DataError, MissingData
from harness.data.manifest import read_manifest, scan
from harness.data.records import Manifest
from harness.data.tables import relative_path

CLASSES = ("basophil", "monocyte")
DATA = Path(__file__).parents[2] / "shared" / "data"
FIVE = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")


def read(location: Path) -> Manifest:
    return read_manifest(location, name="dataset", classes=CLASSES, workers=2)


def write(path: Path, content: bytes | str = b"cell") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two files each, and a note beside them."""
    root = tmp_path / "cells"
    for name in ("basophil/a.jpg", "basophil/b.jpg", "monocyte/c.jpg", "monocyte/d.jpg"):
        write(root / name, name)
    write(root / "SOURCE.md")
    return root


# --- folders ----------------------------------------------------------------------------------


def test_a_folder_per_class_becomes_images_sorted_by_path(folder):
    manifest = read(folder)
    assert [image.path for image in manifest.images] == [
        "basophil/a.jpg",
        "basophil/b.jpg",
        "monocyte/c.jpg",
        "monocyte/d.jpg",
    ]
    assert [image.label for image in manifest.images] == ["basophil", "basophil", "monocyte", "monocyte"]
    assert manifest.images[0].sha256 == hashlib.sha256(b"basophil/a.jpg").hexdigest()
    assert manifest.images[0].n_bytes == len("basophil/a.jpg")
    assert (manifest.ignored, manifest.missing, manifest.unlisted) == (("SOURCE.md",), (), ())


def test_hidden_and_nested_files_are_images_too(folder):
    write(folder / "basophil" / ".DS_169665.jpg")
    write(folder / "basophil" / "slide 7" / "e.jpg")
    paths = [image.path for image in read(folder).images]
    assert {"basophil/.DS_169665.jpg", "basophil/slide 7/e.jpg"} <= set(paths)


def test_an_absent_class_counts_zero(tmp_path):
    write(tmp_path / "monocyte" / "c.jpg")
    assert read(tmp_path).counts == {"basophil": 0, "monocyte": 1}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Basophil", "'Basophil'"),
        ("basophil ", "'basophil '"),
        ("basophils", "'basophils'"),
        ("basoph\u0456l", r"'basoph\u0456l'"),  # a Cyrillic i
        ("eosinophil", "'eosinophil'"),
        (".ipynb", "'.ipynb'"),
    ],
)
def test_a_folder_that_is_no_class_is_named_and_never_a_class_of_its_own(folder, name, shown):
    write(folder / name / "x.jpg")
    with pytest.raises(DataError) as error:
        read(folder)
    assert shown in str(error.value)
    assert "Rename a folder to exactly its class" in str(error.value)


def test_nothing_at_the_location_is_missing_data(tmp_path):
    with pytest.raises(MissingData, match="there is nothing at"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("empty", [(), ("basophil",)])
def test_no_image_at_all_is_an_error(tmp_path, empty):
    for name in empty:
        (tmp_path / name).mkdir()
    write(tmp_path / "loose.jpg")
    with pytest.raises(DataError, match="holds no image of any class"):
        read(tmp_path)


def _link_to_file(root: Path) -> Path:
    (root / "basophil" / "link.jpg").symlink_to(root / "SOURCE.md")
    return root / "basophil" / "link.jpg"


def _link_to_folder(root: Path) -> Path:
    (root / "basophil" / "more").symlink_to(root / "monocyte")
    return root / "basophil" / "more"


def _link_to_nothing(root: Path) -> Path:
    (root / "basophil" / "dangling.jpg").symlink_to(root / "nowhere")
    return root / "basophil" / "dangling.jpg"


def _linked_class(root: Path) -> Path:
    (root / "monocyte").rename(root.parent / "elsewhere")
    (root / "monocyte").symlink_to(root.parent / "elsewhere")
    return root / "monocyte"


def _pipe(root: Path) -> Path:
    os.mkfifo(root / "monocyte" / "pipe.jpg")
    return root / "monocyte" / "pipe.jpg"


@pytest.mark.parametrize("plant", [_link_to_file, _link_to_folder, _link_to_nothing, _linked_class, _pipe])
def test_links_and_pipes_are_refused_by_name(folder, plant):
    special = plant(folder)
    with pytest.raises(DataError) as error:
        read(folder)
    assert str(special) in str(error.value)


def test_a_socket_is_refused_by_name(folder, monkeypatch):
    monkeypatch.chdir(folder / "basophil")  # a socket's name may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.jpg")
        with pytest.raises(DataError, match=r"s\.jpg.*neither a file nor a folder"):
            read(folder)


def test_a_name_with_a_backslash_is_refused(folder):
    write(folder / "basophil" / "a\\b.jpg")
    with pytest.raises(DataError, match="has a backslash"):
        read(folder)


@pytest.mark.parametrize("name", ["new\nline.jpg", "\u202egpj.exe", "n" * 251 + ".jpg", "=cmd().jpg", "a,b;'\".jpg"])
def test_odd_names_are_listed_as_they_are(folder, name):
    write(folder / "basophil" / name)
    assert f"basophil/{name}" in [image.path for image in read(folder).images]


def test_a_name_that_is_not_utf8_has_a_digest(folder):
    try:
        (folder / "basophil" / os.fsdecode(b"\xff.jpg")).write_bytes(b"cell")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    manifest = read(folder)
    assert os.fsdecode(b"basophil/\xff.jpg") in [image.path for image in manifest.images]
    assert len(manifest.digest) == 64


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_listing_never_changes_the_manifest(tmp_path_factory, seed):
    root = tmp_path_factory.getbasetemp() / "ordered"
    if not root.exists():
        for i in range(12):
            write(root / CLASSES[i % 2] / f"{i}.jpg", str(i))
    rng = random.Random(seed)

    def shuffled(folder: Path) -> list[os.DirEntry[str]]:
        entries = scan(folder)
        rng.shuffle(entries)
        return entries

    manifest = read_manifest(root, name="dataset", classes=CLASSES, workers=1, listing=shuffled)
    assert manifest == read(root)


def test_moving_the_folder_leaves_the_digest(folder, tmp_path):
    before = read(folder).digest
    assert read(folder.rename(tmp_path / "moved")).digest == before


# --- CSV --------------------------------------------------------------------------------------


def test_a_csv_and_its_folder_give_the_same_images(folder):
    rows = [f"{image.path},{image.label}" for image in reversed(read(folder).images)]
    table = write(folder / "manifest.csv", "\n".join(["path,label", *rows]) + "\n")
    assert read(table).images == read(folder).images
    assert read(table).root == folder
    assert read(table).ignored == ("SOURCE.md",)


def test_patient_slide_and_site_come_with_the_rows(folder):
    text = "label,path,patient,slide,site,age\nbasophil,basophil/a.jpg,P1,S1,Hue,7\nmonocyte,monocyte/c.jpg,,,,\n"
    first, second = read(write(folder / "m.csv", text)).images
    assert (first.patient, first.slide, first.site) == ("P1", "S1", "Hue")
    assert (second.patient, second.slide, second.site) == (None, None, None)


def test_the_columns_of_data_split_csv_will_do(folder):
    text = "filepath,filename,label,split\nbasophil/a.jpg,a.jpg,basophil,train\n./monocyte/c.jpg,c.jpg,monocyte,test\n"
    assert [image.path for image in read(write(folder / "m.csv", text)).images] == ["basophil/a.jpg", "monocyte/c.jpg"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle(folder):
    table = write(
        folder / "m.csv", b"\xef\xbb\xbfpath,label\r\nbasophil/a.jpg,basophil\r\n\r\nmonocyte/c.jpg,monocyte\r\n"
    )
    assert len(read(table).images) == 2


def test_rows_without_a_file_and_files_without_a_row_are_kept_apart(folder):
    text = "path,label\nbasophil/a.jpg,basophil\nbasophil/gone.jpg,basophil\nmonocyte/c.jpg,monocyte\n"
    manifest = read(write(folder / "m.csv", text))
    assert [image.path for image in manifest.images] == ["basophil/a.jpg", "monocyte/c.jpg"]
    assert manifest.missing == ("basophil/gone.jpg",)
    assert manifest.unlisted == ("basophil/b.jpg", "monocyte/d.jpg")


def test_a_class_that_the_table_leaves_out_altogether_is_unlisted(folder):
    manifest = read(write(folder / "m.csv", "path,label\nbasophil/a.jpg,basophil\nbasophil/b.jpg,basophil\n"))
    assert manifest.unlisted == ("monocyte/c.jpg", "monocyte/d.jpg")


def test_rows_may_name_folders_of_any_name_at_any_depth(tmp_path):
    for name in ("set/slide1/a.jpg", "set/slide1/b.jpg", "set/notes.md", "other/x.jpg"):
        write(tmp_path / name, name)
    manifest = read(write(tmp_path / "m.csv", "path,label\nset/slide1/a.jpg,monocyte\n"))
    assert [image.label for image in manifest.images] == ["monocyte"]
    assert manifest.unlisted == ("set/slide1/b.jpg",)
    assert manifest.ignored == ("other",)


def test_beside_images_in_the_root_only_files_of_their_suffix_count(tmp_path):
    for name in ("a.jpg", "b.JPG", "README.md"):
        write(tmp_path / name, name)
    manifest = read(write(tmp_path / "m.csv", "path,label\na.jpg,monocyte\n"))
    assert manifest.unlisted == ("b.JPG",)
    assert manifest.ignored == ("README.md",)


def test_case_is_compared_exactly_on_every_system(folder):
    manifest = read(write(folder / "m.csv", "path,label\nbasophil/A.jpg,basophil\nbasophil/b.jpg,basophil\n"))
    assert manifest.missing == ("basophil/A.jpg",)
    assert "basophil/a.jpg" in manifest.unlisted


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("basophil/a.jpg,Basophil", r"line 3: the label 'Basophil' \(close to 'basophil', but not it\) is not a class"),
        ("basophil/a.jpg,", r"line 3: the label '' is not a class"),
        ("monocyte/c.jpg,monocyte", r"line 3: 'monocyte/c.jpg' is already on line 2"),
        ("./monocyte/c.jpg,monocyte", r"line 3: 'monocyte/c.jpg' is already on line 2"),
        ("monocyte/../SOURCE.md,monocyte", r"line 3: .* '\.\.' step"),
        ("/etc/passwd,monocyte", r"line 3: the path '/etc/passwd' is absolute"),
        ("C:/cells/a.jpg,monocyte", r"line 3: .* is absolute"),
        ("basophil\\a.jpg,basophil", r"line 3: .* has a backslash"),
        ("basophil/\0a.jpg,basophil", r"line 3: .* has a NUL"),
        (",basophil", r"line 3: the path is empty"),
        ("basophil/a.jpg,basophil,more", r"line 3: 3 cells under 2 column names"),
        ("basophil/a.jpg", r"line 3: 1 cells under 2 column names"),
        ('"basophil/a.jpg,basophil', r"line 3: not readable as CSV"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_with_file_and_line(folder, rows, problem):
    table = write(folder / "m.csv", f"path,label\nmonocyte/c.jpg,monocyte\n{rows}\n")
    with pytest.raises(DataError, match=problem) as error:
        read(table)
    assert str(table) in str(error.value)


@pytest.mark.parametrize(
    "header", ["", "path", "path,class", "label", "path,filepath,label", "path,label,label", "Path,Label"]
)
def test_a_header_without_its_columns_is_refused(folder, header):
    table = write(folder / "m.csv", f"{header}\n")
    with pytest.raises(DataError, match="line 1: the columns are"):
        read(table)


def test_the_line_of_a_row_counts_lines_inside_quoted_cells(folder):
    write(folder / "basophil" / "two\nlines.jpg")
    table = write(folder / "m.csv", 'path,label\n"basophil/two\nlines.jpg",basophil\nmonocyte/c.jpg,mono\n')
    with pytest.raises(DataError, match="line 4: the label 'mono'"):
        read(table)


def test_an_id_with_white_space_around_it_is_refused(folder):
    table = write(folder / "m.csv", "path,label,patient\nmonocyte/c.jpg,monocyte,P1 \n")
    with pytest.raises(DataError, match="line 2: patient 'P1 ' begins or ends with white space"):
        read(table)


@pytest.mark.parametrize("column", ["patient", "slide", "site"])
@pytest.mark.parametrize("other", ["p1", "P\u200b1", "\uff301", "P1\u2060"])
def test_an_id_in_two_spellings_is_refused_for_it_would_count_as_two(folder, column, other):
    rows = f"path,label,{column}\nmonocyte/c.jpg,monocyte,P1\nbasophil/a.jpg,basophil,{other}\n"
    with pytest.raises(DataError, match=f"line 3: {column} .* differs from 'P1' on line 2 in nothing but case"):
        read(write(folder / "m.csv", rows))


@pytest.mark.parametrize(("one", "other"), [("P1", "P1"), ("P1", "P2"), ("1 12", "11 2"), ("P1", "P-1")])
def test_the_same_id_twice_and_ids_that_differ_are_read(folder, one, other):
    rows = f"path,label,patient\nmonocyte/c.jpg,monocyte,{one}\nbasophil/a.jpg,basophil,{other}\n"
    found = read(write(folder / "m.csv", rows))
    assert {image.patient for image in found.images} == {one, other}


def test_a_digest_in_the_table_must_be_that_of_the_file(folder):
    digest = hashlib.sha256(b"monocyte/c.jpg").hexdigest()
    table = write(folder / "m.csv", f"path,label,sha256\nmonocyte/c.jpg,monocyte,{digest}\n")
    assert read(table).images[0].sha256 == digest
    write(folder / "monocyte" / "c.jpg", "altered")
    with pytest.raises(DataError, match="The file is not the one that was listed"):
        read(table)


def test_what_sub_folders_of_a_class_stand_for_is_named_as_not_read(folder):
    for name in ("P2", "P1/slide 3"):
        write(folder / "basophil" / name / "x.jpg", name)
    assert read(folder).reading.within == ("P1/slide 3", "P2")


def test_a_table_whose_files_are_all_missing_says_where_it_looked(folder):
    table = write(folder / "m.csv", "path,label\nDataset/basophil/a.jpg,basophil\n")
    with pytest.raises(DataError, match=f"all 1 files that it names are missing.*relative to {folder}"):
        read(table)


def test_the_file_that_was_meant_by_a_missing_one_is_named_and_not_taken(folder):
    table = write(folder / "m.csv", "path,label\nset/Basophil/a.png,basophil\n")
    with pytest.raises(DataError, match=r"\(of 'set/Basophil/a\.png' 'basophil/a\.jpg' is close, and is not guessed\)"):
        read(table)


def test_a_row_behind_a_linked_folder_is_refused(folder):
    (folder / "linked").symlink_to(folder / "basophil")
    with pytest.raises(DataError, match="linked' is a symbolic link"):
        read(write(folder / "m.csv", "path,label\nlinked/a.jpg,basophil\n"))


@pytest.mark.parametrize("plant", [_link_to_file, _link_to_nothing, _pipe])
def test_a_row_that_names_a_link_or_pipe_is_refused(folder, plant):
    special = plant(folder).relative_to(folder).as_posix()
    with pytest.raises(DataError, match=Path(special).name):
        read(write(folder / "m.csv", f"path,label\n{special},basophil\n"))


@given(st.text(max_size=20))
def test_a_path_from_a_table_is_refused_or_stays_below_the_root(cell):
    root = Path("/data/cells")
    try:
        path = relative_path(cell)
    except ValueError:
        return
    assert Path(os.path.normpath(root / path)).is_relative_to(root)
    assert relative_path(path) == path


# --- real data --------------------------------------------------------------------------------


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared image sets are not on this machine")
@pytest.mark.parametrize("name", ["external_monocytes", "odd_files", "pbc_duplicates"])
def test_real_sets_read_the_same_from_folder_and_manifest(name):
    folder = read_manifest(DATA / name, name=name, classes=FIVE, workers=2)
    table = read_manifest(DATA / name / "manifest.csv", name=name, classes=FIVE, workers=2)
    assert folder.images == table.images
    assert (table.missing, table.unlisted) == ((), ())
    assert "SOURCE.md" in folder.ignored
