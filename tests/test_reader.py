"""Reading a pack as a stranger: every byte vouched for, no link followed, no bomb unpacked, every misfit named."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from effort import examples
from example_run import A_FIGURE, CLASSES, example_run, stopped_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import EvidenceError
from harness.judge.verdicts import Outcome
from harness.pack import files as pack_files
from harness.pack import read as reader
from harness.pack import tables
from harness.pack.baseline import read_baseline
from harness.pack.files import MAX_FILES
from harness.pack.outcome import read_passed
from harness.pack.read import (
    SCHEMAS,
    WrongFile,
    open_pack,
    read_classes,
    read_protocol_digest,
    require_field,
    require_verified,
    verify_digests,
)
from harness.pack.read_predictions import read_predictions
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.protocol.reporting import LEFT_OUT
from harness.protocol.statistics import BaselinePlan
from harness.run.results import RunResults

REFERENCE = Path(__file__).resolve().parents[1] / "reports" / "reference"
REAL_IMAGES = [REFERENCE.with_name(name) for name in ("leukocyte-reference", "leukocyte-efficientnet-128")]
OLDEST = Path(__file__).resolve().parent / "packs" / "schema-3"
# What a file can be called on Linux, and what a spreadsheet would run.
HOSTILE_NAMES = ("=cmd()", "+1", "@x", "-1", 'a",b', "line\nend", "return\rhere", "byte\udcff", "./=1", "./a")


def passing_run() -> RunResults:
    run = example_run()
    verdicts = tuple(dataclasses.replace(verdict, outcome=Outcome.PASSED) for verdict in run.verdicts)
    return dataclasses.replace(run, verdicts=verdicts)


def written(run: RunResults, reports: Path) -> Path:
    """The run's pack, without the seconds that drawing takes."""
    model = reports.with_name("model.pth")
    model.write_bytes(b"weights" * 1000)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(run, reports=reports, manifest=None, models={"export.pkl": model}, formats=("PNG",))


@pytest.fixture(scope="module")
def run():
    return passing_run()


@pytest.fixture(scope="module")
def original(run, tmp_path_factory):
    return written(run, tmp_path_factory.mktemp("original") / "reports")


@pytest.fixture
def folder(original, tmp_path):
    """A copy of the pack that a test may alter."""
    return shutil.copytree(original, tmp_path / "pack")


def resum(folder: Path) -> None:
    """Make SHA256SUMS agree with what is there: a careful forger's work."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n" for file in files
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def edit_evidence(folder: Path, edit: Callable[[dict], None]) -> None:
    """Change evidence.json and the sums with it."""
    content = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    edit(content)
    (folder / "evidence.json").write_text(json.dumps(content))
    resum(folder)


# --- a whole pack ---------------------------------------------------------------------------------


def test_a_pack_that_was_just_written_verifies_to_the_last_file(original, run):
    pack = open_pack(original)
    assert verify_digests(pack, absent_ok=()) == ()
    assert pack.name == run.run_id
    assert pack.sums_digest == hashlib.sha256((original / "SHA256SUMS").read_bytes()).hexdigest()
    assert require_field(pack, "run", "id", kind=str) == run.run_id
    assert read_classes(pack) == CLASSES
    assert read_protocol_digest(pack) == run.protocol.digest
    assert read_passed(pack) is True
    assert pack.read("junit.xml") == (original / "junit.xml").read_bytes()


@pytest.mark.parametrize("place", [REFERENCE, OLDEST], ids=["reference", "schema-3"])
def test_the_committed_reference_run_verifies_without_its_models(place: Path):
    """The older one was written before packs recorded what printed them and what could not pass: it stays readable."""
    pack = open_pack(place)
    assert verify_digests(pack) == ()
    left_out = [line.split()[1] for line in (place / "SHA256SUMS").read_text().splitlines() if "models/" in line]
    assert left_out
    assert verify_digests(pack, absent_ok=()) == tuple(
        WrongFile(name, "is listed in SHA256SUMS and missing") for name in left_out
    )
    classes = read_classes(pack)
    baseline = read_baseline(
        place, sets=tuple(require_field(pack, "predictions", kind=dict)), classes=classes, asked=BaselinePlan()
    )
    assert baseline.passed
    assert len(baseline.predictions) == 5
    assert verify_pack(place).discrepancies == ()


def test_the_committed_reference_run_is_of_the_schema_that_is_written():
    assert open_pack(REFERENCE).evidence["schema"] == tables.SCHEMA


@pytest.mark.slow
@pytest.mark.parametrize("committed", REAL_IMAGES, ids=lambda pack: pack.name)
def test_a_committed_run_on_real_images_verifies_and_holds_no_picture_of_a_cell(committed: Path):
    """The first was made on a GPU, under another Python and another torch."""
    assert verify_pack(committed).discrepancies == ()
    assert read_passed(open_pack(committed)) is False
    assert 'class="thumb"' not in (committed / "index.html").read_text(encoding="utf-8")
    assert not {each.stem for each in (committed / "figures").iterdir()} & LEFT_OUT["none"]


def test_the_schema_that_is_written_is_one_that_is_read():
    assert tables.SCHEMA in SCHEMAS


def test_the_pack_of_a_run_that_stopped_early_can_be_read(tmp_path):
    pack = open_pack(written(stopped_run(), tmp_path / "reports"))
    assert verify_digests(pack) == ()
    assert read_passed(pack) is False
    with pytest.raises(EvidenceError, match="no predictions of the set 'test'; its sets are none"):
        read_predictions(pack, "test")


def test_the_link_to_the_latest_pack_may_be_named(original, run):
    assert open_pack(original.parent / "latest").name == run.run_id


# --- digests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["predictions/test.csv", "evidence.json", "index.html", "models/export.pkl"])
def test_one_changed_byte_is_found_and_the_file_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    pack = open_pack(folder)  # before: what is altered while the pack is open is found, too
    (folder / name).write_bytes(content)
    (problem,) = verify_digests(pack)
    assert problem.file == name
    assert problem.problem.startswith("has SHA-256")
    with pytest.raises(EvidenceError, match="does not verify, 1 file"):
        require_verified(pack)
    with pytest.raises(EvidenceError, match=f"'{name}' has SHA-256 .* was altered after the run"):
        pack.read(name)


def test_altered_evidence_is_not_even_opened(folder):
    text = (folder / "evidence.json").read_text(encoding="utf-8")
    (folder / "evidence.json").write_text(text.replace('"passed": true', '"passed": false', 1), encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"'evidence.json' has SHA-256"):
        open_pack(folder)


def test_missing_and_added_files_are_named_and_only_models_may_be_absent(folder):
    (folder / "predictions" / "test.csv").unlink()
    shutil.rmtree(folder / "models")
    (folder / "metrics" / "added.txt").write_text("x")
    pack = open_pack(folder)
    assert verify_digests(pack) == (
        WrongFile("metrics/added.txt", "is not listed in SHA256SUMS: it was added after the run"),
        WrongFile("predictions/test.csv", "is listed in SHA256SUMS and missing"),
    )
    assert len(verify_digests(pack, absent_ok=())) == 3
    with pytest.raises(EvidenceError, match="nothing vouches for it"):
        pack.read("metrics/added.txt")
    with pytest.raises(EvidenceError, match=r"has no file 'predictions/test.csv'"):
        pack.read("predictions/test.csv")


def test_a_file_that_grows_while_it_is_read_is_not_read_for_ever(folder):
    pack = open_pack(folder)
    with (folder / "junit.xml").open("ab") as stream:
        stream.write(b" ")
    assert "more than the" in verify_digests(pack)[0].problem


def test_a_file_that_became_a_link_since_it_was_listed_is_not_followed(folder, tmp_path):
    pack = open_pack(folder)
    shutil.move(folder / "junit.xml", tmp_path / "elsewhere.xml")
    (folder / "junit.xml").symlink_to(tmp_path / "elsewhere.xml")
    assert "cannot be read" in verify_digests(pack)[0].problem


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"abc  evidence.json\n", "line 1: 'abc  evidence.json' is not a SHA-256 digest"),
        (b"0" * 64 + b" evidence.json\n", "line 1"),
        (b"0" * 64 + b"  evidence.json", "breaks off"),
        (
            b"0" * 64 + b"  evidence.json\n" + b"0" * 64 + b"  evidence.json\n",
            "line 2: 'evidence.json' cannot be listed",
        ),
        (b"0" * 64 + b"  SHA256SUMS\n", "'SHA256SUMS' cannot be listed"),
        (b"0" * 64 + b"  ../evidence.json\n", "leads out of the pack"),
        (b"0" * 64 + b"  /etc/passwd\n", "absolute"),
        (b"0" * 64 + b"  \xff\n", "not UTF-8"),
        (b"0" * 64 + b"  junit.xml\n", "'evidence.json' is not listed"),
    ],
)
def test_sums_that_cannot_be_read_are_refused(folder, content, message):
    (folder / "SHA256SUMS").write_bytes(content)
    with pytest.raises(EvidenceError, match=message):
        open_pack(folder)


# --- what is not a pack ------------------------------------------------------------------------------


def test_a_place_without_a_pack_is_named(tmp_path):
    for name in ("nothing", "nul\0"):
        with pytest.raises(EvidenceError, match=r"there is no pack at .*Name a folder under reports/"):
            open_pack(tmp_path / name)
    with pytest.raises(EvidenceError, match="it has no SHA256SUMS"):
        open_pack(tmp_path)
    (tmp_path / "SHA256SUMS").write_text("")
    with pytest.raises(EvidenceError, match=r"it has no evidence\.json"):
        open_pack(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(EvidenceError, match="there is no pack"):
        open_pack(tmp_path / "loop")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no JSON", "is not JSON"),
        (b'{"schema": NaN}', "NaN is not JSON"),
        (b'{"schema": "a", "schema": "b"}', "the key 'schema' is there twice"),
        (b"\xff", r"is not UTF-8 \(byte 0\)"),
        (b"[" * 200_000, "is nested too deep"),
        (b"9" * 10_000, "is not JSON"),
        (b"[]", "holds no JSON object"),
        (b"{}", "schema None is not known here"),
        (b'{"schema": "leukocyte-harness/evidence/99"}', "evidence/99' is not known here; known are leukocyte-harness"),
        (b'{"schema": []}', "is not known here"),
    ],
)
def test_evidence_that_cannot_be_understood_is_refused(folder, content, message):
    (folder / "evidence.json").write_bytes(content)
    resum(folder)
    with pytest.raises(EvidenceError, match=message):
        open_pack(folder)


def test_a_text_that_is_too_large_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(reader, "MAX_TEXT_BYTES", 1000)
    with pytest.raises(EvidenceError, match="more than the 0 MiB"):
        open_pack(folder)


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_PACK_BYTES"])
def test_a_folder_of_all_runs_is_refused(original, monkeypatch, limit):
    monkeypatch.setattr(pack_files, limit, 10)
    with pytest.raises(EvidenceError, match="Name the folder of one run, not of all"):
        open_pack(original)


# --- links, pipes, devices ------------------------------------------------------------------------


def plant_link(folder: Path) -> None:
    shutil.move(folder / "junit.xml", folder.parent / "outside.xml")
    (folder / "junit.xml").symlink_to(folder.parent / "outside.xml")


def plant_folder_link(folder: Path) -> None:
    shutil.move(folder / "predictions", folder.parent / "outside")
    (folder / "predictions").symlink_to(folder.parent / "outside", target_is_directory=True)


def plant_dangling_link(folder: Path) -> None:
    (folder / "dangling").symlink_to("nowhere")


def plant_pipe(folder: Path) -> None:
    os.mkfifo(folder / "metrics" / "pipe")


def plant_socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # a socket's address has 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(here)


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and sockets as POSIX has them")
@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (plant_link, "'junit.xml' is a symbolic link"),
        (plant_folder_link, "'predictions' is a symbolic link"),
        (plant_dangling_link, "'dangling' is a symbolic link"),
        (plant_pipe, "'metrics/pipe' is a pipe"),
        (plant_socket, "'socket' is a socket"),
    ],
)
def test_what_is_no_plain_file_is_refused_before_it_is_opened(folder, plant, kind):
    plant(folder)
    with pytest.raises(EvidenceError, match=kind):
        open_pack(folder)


@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
def test_a_pipe_in_the_place_of_the_evidence_or_the_pack_makes_nobody_wait(folder):
    (folder / "evidence.json").unlink()
    os.mkfifo(folder / "evidence.json")
    with pytest.raises(EvidenceError, match="is a pipe"):
        open_pack(folder)
    with pytest.raises(EvidenceError, match="neither a folder nor a file"):
        open_pack(folder / "evidence.json")


@pytest.mark.skipif(os.name != "posix", reason="names as POSIX has them")
@pytest.mark.parametrize("name", ["a\\b", "C:x", "byte\udcff"])
def test_a_file_with_a_name_that_no_pack_has_is_refused(folder, name):
    (folder / name).write_text("x")
    with pytest.raises(EvidenceError, match="pack that the harness wrote"):
        open_pack(folder)


# --- zips -----------------------------------------------------------------------------------------


def zipped(folder: Path, path: Path, *, top: str = "", compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, top + file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("top", ["", "20260115-run/"])
def test_a_zip_reads_as_the_folder_it_was_made_from(original, run, tmp_path, top):
    pack, plain = open_pack(zipped(original, tmp_path / "pack.zip", top=top)), open_pack(original)
    assert dict(pack.sums) == dict(plain.sums)
    assert pack.files.keys() == plain.files.keys()
    assert pack.sums_digest == plain.sums_digest
    assert verify_digests(pack, absent_ok=()) == ()
    assert read_predictions(pack, "test").digest == run.predictions["test"].digest


def test_a_zip_made_by_shutil_is_read(original, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "pack"), "zip", original.parent, original.name)
    assert verify_digests(open_pack(Path(archive)), absent_ok=()) == ()


def test_an_altered_file_in_a_zip_is_found(folder, tmp_path):
    (folder / "junit.xml").write_text("x")
    pack = open_pack(zipped(folder, tmp_path / "pack.zip"))
    assert str(verify_digests(pack)[0]).startswith("'junit.xml' has SHA-256")


def test_a_zip_of_two_packs_is_none(original, tmp_path):
    path = tmp_path / "pack.zip"
    for top in ("a/", "b/"):
        with zipfile.ZipFile(path, "a") as archive:
            for file in original.rglob("*"):
                archive.write(file, top + file.relative_to(original).as_posix())
    with pytest.raises(EvidenceError, match="has no SHA256SUMS"):
        open_pack(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/passwd", "absolute"),
        ("../outside", "leads out of the pack"),
        ("a/../../outside", "leads out of the pack"),
        ("a//b", "not written plainly"),
        ("./a", "not written plainly"),
        ("C:/x", "absolute"),
        ("a\\b", "not written plainly"),
        ("..", "leads out"),
    ],
)
def test_a_name_in_a_zip_that_leads_out_of_it_is_refused(original, tmp_path, name, message):
    path = zipped(original, tmp_path / "pack.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(EvidenceError, match=message):
        open_pack(path)


def test_a_name_in_a_zip_that_goes_on_behind_a_nul_is_refused(original, tmp_path):
    path = zipped(original, tmp_path / "pack.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("added_x.txt", b"x")
    path.write_bytes(path.read_bytes().replace(b"added_x", b"added\0x"))
    with pytest.raises(EvidenceError, match="unusable name"):
        open_pack(path)


@pytest.mark.parametrize(
    ("mode", "kind"), [(0o120777, "symbolic link"), (0o010644, "pipe"), (0o020644, "device"), (0o040755, "device or")]
)
def test_a_special_entry_in_a_zip_is_refused(original, tmp_path, mode, kind):
    path = zipped(original, tmp_path / "pack.zip")
    entry = zipfile.ZipInfo("special")
    entry.external_attr = mode << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(EvidenceError, match=f"'special' is a {kind}"):
        open_pack(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_that_is_twice_in_a_zip_is_refused(original, tmp_path):
    path = zipped(original, tmp_path / "pack.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("evidence.json", b"{}")
    with pytest.raises(EvidenceError, match=r"'evidence.json' is in the zip 2 times"):
        open_pack(path)


def flags_of_last_entry(path: Path, flags: int) -> None:
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= flags
    path.write_bytes(content)


def test_an_encrypted_entry_is_refused(original, tmp_path):
    path = zipped(original, tmp_path / "pack.zip")
    flags_of_last_entry(path, 1)
    with pytest.raises(EvidenceError, match="is encrypted"):
        open_pack(path)


def test_an_unusual_compression_is_refused(original, tmp_path):
    with pytest.raises(EvidenceError, match="compressed in an unusual way"):
        open_pack(zipped(original, tmp_path / "pack.zip", compression=zipfile.ZIP_LZMA))


def test_a_zip_bomb_is_refused_by_its_directory(original, tmp_path):
    path = zipped(original, tmp_path / "pack.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20 << 20))
    with pytest.raises(EvidenceError, match=r"would grow from \d+ to 20971520 bytes .*zip bomb"):
        open_pack(path)


def test_a_bomb_that_lies_in_its_directory_is_stopped_while_it_is_read(original, tmp_path):
    path = zipped(original, tmp_path / "pack.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20 << 20))
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<L", 1000)  # the uncompressed size
    path.write_bytes(content)
    pack = open_pack(path)
    n_read = sum(map(len, _parts_until_error(pack, "zeros")))
    assert n_read <= 1000
    assert "'zeros' is not listed" in str(verify_digests(pack)[0])


def _parts_until_error(pack, name):
    try:
        yield from reader._parts(pack.name, pack.files[name])
    except EvidenceError:
        return


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_PACK_BYTES"])
def test_a_zip_that_is_too_large_is_refused(original, tmp_path, monkeypatch, limit):
    path = zipped(original, tmp_path / "pack.zip")
    monkeypatch.setattr(pack_files, limit, 10)
    with pytest.raises(EvidenceError, match=f"{path.name} holds more than"):
        open_pack(path)


def test_the_sum_of_the_unpacked_sizes_counts(original, tmp_path, monkeypatch):
    path = zipped(original, tmp_path / "pack.zip")
    monkeypatch.setattr(pack_files, "MAX_PACK_BYTES", path.stat().st_size)
    with pytest.raises(EvidenceError, match="holds more than"):
        open_pack(path)


def test_a_list_of_entries_that_is_too_long_is_not_read(original, tmp_path, monkeypatch):
    path = zipped(original, tmp_path / "pack.zip")
    monkeypatch.setattr(pack_files, "MAX_DIRECTORY_BYTES", 100)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *arguments: pytest.fail("the list was read"))
    with pytest.raises(EvidenceError, match="the list of its entries has"):
        open_pack(path)


def test_a_zip_with_a_comment_or_something_behind_it_is_refused(original, tmp_path):
    path = zipped(original, tmp_path / "pack.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"x"
    with pytest.raises(EvidenceError, match="does not end as a zip without a comment does"):
        open_pack(path)


@pytest.mark.parametrize(
    "end",
    [
        b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(18),
        b"PK\x05\x06" + bytes(16) + b"\x01\x00",
        b"PK\x05\x06" + bytes(4) + b"\x01" + bytes(13),
    ],
    ids=["64 bit", "comment", "parts"],
)
def test_a_zip_whose_end_can_be_read_in_two_ways_is_refused(tmp_path, end):
    (tmp_path / "pack.zip").write_bytes(end)
    with pytest.raises(EvidenceError, match="64-bit fields, a comment or several parts"):
        open_pack(tmp_path / "pack.zip")


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"x" * 100, b"PK\x05\x06" + b"\xff" * 16 + b"\0\0"])
def test_a_file_that_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "pack.zip").write_bytes(content)
    with pytest.raises(EvidenceError, match=r"pack\.zip"):
        open_pack(tmp_path / "pack.zip")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(300), deadline=None)
@given(data=st.data())
def test_a_damaged_zip_gives_the_same_content_or_an_error_of_the_harness(original, tmp_path, data):
    whole = _small_zip(original)
    place = data.draw(st.integers(0, len(whole) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=4))
    path = tmp_path / "pack.zip"
    path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
    try:
        pack = open_pack(path)
        require_verified(pack, absent_ok=("",))
        predictions = read_predictions(pack, "nine-monocytes")
    except EvidenceError:
        return
    assert predictions.digest == require_field(pack, "predictions", "nine-monocytes", "digest", kind=str)


def _small_zip(original: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("SHA256SUMS", "evidence.json", "predictions/nine-monocytes.csv"):
            archive.write(original / name, name)
    return buffer.getvalue()


def test_the_limits_leave_room_for_ten_times_what_a_pack_holds(original):
    assert len(list(original.rglob("*"))) * 10 < MAX_FILES


# --- predictions ----------------------------------------------------------------------------------


def test_predictions_read_back_to_the_same_bits(original, run):
    pack = open_pack(original)
    for name, predictions in run.predictions.items():
        read = read_predictions(pack, name)
        assert read.probabilities.tobytes() == predictions.probabilities.tobytes()
        assert (read.set, read.classes, read.paths) == (name, predictions.classes, predictions.paths)
        assert np.array_equal(read.labels, predictions.labels)
        assert read.digest == predictions.digest
        assert read.groups is None


def test_names_that_a_spreadsheet_would_run_come_back_as_they_were(tmp_path):
    def first(predictions):
        # As a manifest CSV may list them, with no folder before the name.
        paths = (*HOSTILE_NAMES, *predictions.paths[len(HOSTILE_NAMES) :])
        return dataclasses.replace(predictions, paths=paths)

    run = example_run()
    run = dataclasses.replace(run, predictions={**run.predictions, "test": first(run.predictions["test"])})
    read = read_predictions(open_pack(written(run, tmp_path / "reports")), "test")
    assert read.paths[: len(HOSTILE_NAMES)] == HOSTILE_NAMES  # "./=1" too, which looks like a guarded "=1"


def rewrite(folder: Path, old: str, new: str) -> None:
    file = folder / "predictions" / "test.csv"
    content = file.read_bytes().decode()
    assert old in content
    file.write_bytes(content.replace(old, new, 1).encode())
    resum(folder)


def first_row(folder: Path) -> list[str]:
    return (folder / "predictions" / "test.csv").read_text(encoding="utf-8").splitlines()[1].split(",")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (0, "abc", "row 2, field sha256: 'abc' is not a SHA-256"),
        (1, "=cmd()", "row 2, field path: '=cmd\\(\\)' is not a path"),
        (1, "", "row 2, field path"),
        (2, "platelet", "row 2, field label: 'platelet' is none of the classes basophil"),
        (2, "eosinophil", "these predictions have the digest"),
        (3, "Basophil", "row 2, field predicted: 'Basophil' is none"),
        (3, "neutrophil", "row 2, field predicted: 'neutrophil', but 'basophil' has the largest probability"),
        (4, "nan", "row 2, field p_basophil: 'nan' is not a probability"),
        (4, "inf", "field p_basophil: 'inf'"),
        (4, "-0.1", "field p_basophil: '-0.1'"),
        (4, "1e0", "field p_basophil: '1e0'"),
        (4, " 0.5", "field p_basophil"),
        (4, "0_1.0", "field p_basophil"),
        (4, "", "field p_basophil"),
        (4, "1.0", "row 2: the probabilities add up to"),
        (5, "x,y", "row 2: 10 fields under 9 column names"),
    ],
)
def test_a_field_that_the_harness_does_not_write_is_named(folder, field, value, message):
    cells = first_row(folder)
    assert cells[2] == "basophil"
    changed = [*cells[:field], value, *cells[field + 1 :]]
    rewrite(folder, ",".join(cells), ",".join(changed))
    with pytest.raises(EvidenceError, match=message) as caught:
        read_predictions(open_pack(folder), "test")
    assert "pack/predictions/test.csv" in str(caught.value)
    assert "fetch the pack anew" in str(caught.value)


def test_a_probability_that_was_nudged_by_its_last_digit_is_found(folder):
    cell = first_row(folder)[4]
    nudged = repr(float(np.nextafter(float(cell), 0)))
    rewrite(folder, cell, nudged)
    with pytest.raises(EvidenceError, match=r"have the digest .*, evidence.json says"):
        read_predictions(open_pack(folder), "test")


def test_a_dropped_and_a_doubled_row_are_found(folder, original):
    row = ",".join(first_row(folder)) + "\n"
    rewrite(folder, row, "")
    with pytest.raises(EvidenceError, match=r"29 cells, evidence.json says 30"):
        read_predictions(open_pack(folder), "test")
    shutil.copyfile(original / "predictions" / "test.csv", folder / "predictions" / "test.csv")
    rewrite(folder, row, row * 2)
    with pytest.raises(EvidenceError, match="is in 2 rows"):
        read_predictions(open_pack(folder), "test")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sha256,path", "path,sha256", "row 1: the columns are"),
        ("p_basophil,p_eosinophil", "p_eosinophil,p_basophil", "row 1: the columns are"),
        ("p_neutrophil\n", "p_neutrophil,more\n", "row 1: the columns are"),
        ("sha256,", '"sha256"x,', "not readable as CSV"),
    ],
)
def test_other_columns_are_refused(folder, old, new, message):
    rewrite(folder, old, new)
    with pytest.raises(EvidenceError, match=message):
        read_predictions(open_pack(folder), "test")


@pytest.mark.parametrize("content", [b"", b"sha256,path", b"\xff\n", b"\n", b'"\n'])
def test_a_file_that_is_no_table_is_refused(folder, content):
    (folder / "predictions" / "test.csv").write_bytes(content)
    resum(folder)
    with pytest.raises(EvidenceError, match=r"predictions/test.csv"):
        read_predictions(open_pack(folder), "test")


def test_a_set_that_the_pack_does_not_have_is_refused_with_those_it_has(original):
    for name in ("clinic", "../predictions/test", ""):
        with pytest.raises(EvidenceError, match="its sets are 'train', 'validation', 'test'"):
            read_predictions(open_pack(original), name)


@pytest.mark.parametrize(
    "value", [None, [], {"test": None}, {"test": {"n": "30", "digest": "x"}}, {"test": {"n": True}}]
)
def test_evidence_of_another_shape_is_an_error_of_the_harness(folder, value):
    edit_evidence(folder, lambda content: content.update(predictions=value))
    with pytest.raises(EvidenceError, match=r"evidence\.json: predictions.* expected is a"):
        read_predictions(open_pack(folder), "test")


# --- what the run says of itself ------------------------------------------------------------------


def test_a_threshold_that_was_edited_after_the_run_is_found(folder):
    edit_evidence(folder, lambda content: content["protocol"]["content"]["criteria"][0].update(level=0.5))
    with pytest.raises(EvidenceError, match=r"the protocol in it has the digest .* was edited after the run"):
        read_protocol_digest(open_pack(folder))


def failed(content: dict) -> None:
    required = {c["id"] for c in content["protocol"]["content"]["criteria"] if c["required"]}
    next(v for v in content["verdicts"] if v["criterion"] in required)["outcome"] = "failed"


def waived(content: dict) -> None:
    failed(content)
    next(v for v in content["verdicts"] if v["outcome"] == "failed").update(waiver="because", outcome="failed")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (failed, "the required criterion .* has the outcome 'failed'"),
        (waived, "the required criterion .* has the outcome 'failed'"),
        (lambda content: content["verdicts"].clear(), "it has no verdicts"),
        (lambda content: content["verdicts"].pop(0), "has the outcome None"),
        (lambda content: content["verdicts"].append(content["verdicts"][0]), "two on one criterion"),
        (lambda content: content["run"].update(stopped_because="MissingData"), "it was stopped early"),
    ],
)
def test_a_run_that_says_passed_against_its_own_verdicts_is_refused(folder, edit, message):
    edit_evidence(folder, edit)
    with pytest.raises(EvidenceError, match=f"says that the run passed, but .*{message}"):
        read_passed(open_pack(folder))


def test_a_waived_criterion_that_could_not_be_assessed_contradicts_nothing(folder):
    def excuse(content: dict) -> None:
        content["verdicts"][0].update(
            outcome="not assessed", waiver={"reason": "no MPS here", "owner": "a maintainer", "expires": "2027-01-31"}
        )

    edit_evidence(folder, excuse)
    assert read_passed(open_pack(folder))


@pytest.mark.parametrize("passed", ["true", 1, None])
def test_only_a_boolean_says_whether_the_run_passed(folder, passed):
    edit_evidence(folder, lambda content: content["run"].update(passed=passed))
    with pytest.raises(EvidenceError, match=r"run > passed is .* expected is a bool"):
        read_passed(open_pack(folder))
