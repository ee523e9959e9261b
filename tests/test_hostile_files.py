"""Files made to hurt whoever opens them: each is refused by name, in little time and little memory.

Every reader of foreign bytes is attacked here with files of its own kind. What the images cost under the caps is
measured in a process of its own and printed (`pytest -s`); docs/hostile-files.md has the figures.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.claims.reading import read_report
from harness.core.errors import DataError, HarnessError, MissingData
from harness.core.files import read_plain
from harness.core.progress import silent
from harness.data import decoding, manifest, tables
from harness.data.decoding import (
    MOST_CHUNKS,
    MOST_SCANS,
    MOST_SEGMENTS,
    facts_of,
    open_picture,
    read_regular,
    strict_pillow,
)
from harness.data.inspection import hash_images, read_facts
from harness.data.integrity import inspect
from harness.data.manifest import read_manifest
from harness.data.records import CellImage, ImageFacts, Manifest
from harness.data.tables import read_table
from harness.judge.ledger import read_ledger
from harness.pack import write as pack
from harness.pack.read import open_pack
from harness.protocol.datasets import ImageRules
from harness.protocol.file import read_protocol
from harness.run.recipes.basis import Pictures

SIDE = 375  # what leukocyte.toml allows
RULES = ImageRules(formats=("JPEG", "PNG", "TIFF"), min_side_px=1, max_side_px=SIDE)
CLASSES = ("basophil", "monocyte")
MOST_SECONDS, MOST_MEGABYTES = 3.0, 200
DEADLINE_S = 20


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """A reader that hangs fails its test instead of stopping all."""

    def late(*_: object) -> None:
        raise AssertionError(f"still reading after {DEADLINE_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# --- images ---------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *before: bytes, after: bytes = b"", rows: bytes | None = None) -> bytes:
    rows = zlib.compress((b"\0" + bytes(3 * width)) * height) if rows is None else rows
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", rows) + after + chunk(b"IEND", b"")


def jpeg(*, progressive: bool = False) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=progressive)
    return buffer.getvalue()


def with_segments(segment: bytes, n: int) -> bytes:
    content = jpeg()
    return content[:2] + segment * n + content[2:]


def scans(n: int) -> bytes:
    """A progressive JPEG whose shortest scan is repeated until there are `n`."""
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (128, 128, 128)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    starts = [at for at in range(len(content)) if content[at : at + 2] == b"\xff\xda"]
    every = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content) - 2], strict=True)]
    shortest = min(every[1:], key=len)
    return content[:-2] + shortest * (n - len(starts)) + content[-2:]


def compressed_text(kind: bytes, n_bytes: int, *, key: bytes = b"k") -> bytes:
    flags = b"\0\1\0\0\0" if kind == b"iTXt" else b"\0\0"
    return chunk(kind, key + flags + zlib.compress(bytes(n_bytes), 9))


def exif_of_many_tags() -> bytes:
    """Thousands of tags that all claim the same bytes, which unpack to a hundred times the file."""
    n, size = 2_000, 40_000
    tags = b"".join(struct.pack("<HHLL", tag, 7, size, 24_014) for tag in range(1, n + 1))
    return b"II*\0" + struct.pack("<LH", 8, n) + tags + struct.pack("<L", 0) + bytes(size)


def tiff_of_pages(n: int) -> bytes:
    fields = [(256, 4, SIDE), (257, 4, SIDE), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    fields += [(278, 4, SIDE), (279, 4, SIDE * SIDE)]
    page = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHLL", tag, kind, 1, v) for tag, kind, v in fields)
    first, length = 8 + SIDE * SIDE, len(page) + 4
    chain = [page + struct.pack("<L", first + (i + 1) * length if i < n - 1 else 0) for i in range(n)]
    return b"II*\0" + struct.pack("<L", first) + bytes(SIDE * SIDE) + b"".join(chain)


# What an attacker can make of 2 MB, and what the harness says of it; None: it is decoded, within the bounds.
IMAGES: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "10k x 10k PNG": (lambda: png(10_000, 10_000, rows=zlib.compress(bytes(10**7), 9)), "before decoding"),
    "20k x 20k PNG": (lambda: png(20_000, 20_000, rows=zlib.compress(bytes(10**7), 9)), "before decoding"),
    "zTXt of 20 MB": (lambda: png(SIDE, SIDE, compressed_text(b"zTXt", 20 << 20)), "does not decode"),
    "iTXt of 20 MB": (lambda: png(SIDE, SIDE, compressed_text(b"iTXt", 20 << 20)), "does not decode"),
    "iCCP of 20 MB": (lambda: png(SIDE, SIDE, compressed_text(b"iCCP", 20 << 20)), "does not decode"),
    "63 zTXt of 1 MB": (
        lambda: png(SIDE, SIDE, *(compressed_text(b"zTXt", (1 << 20) - 9, key=b"%d" % i) for i in range(63))),
        None,
    ),
    "rows of 100 MB for 375": (lambda: png(SIDE, SIDE, rows=zlib.compress(bytes(100 << 20), 9)), None),
    "140,000 chunks": (lambda: png(SIDE, SIDE, chunk(b"abCd", b"") * 140_000), "65,536 chunks"),
    "140,000 chunks after the rows": (lambda: png(SIDE, SIDE, after=chunk(b"IDAT", b"") * 140_000), "65,536 chunks"),
    "400,000 JPEG segments": (lambda: with_segments(b"\xff\xfe\0\2", 400_000), "2,000 segments"),
    "1.6 MB of fill bytes": (lambda: with_segments(b"\xff", 1_600_000), "65,536 stray bytes"),
    "80,000 scans": (lambda: scans(80_000), "64 scans"),
    "64 scans": (lambda: scans(64), None),
    "EXIF of 2,000 tags": (lambda: with_segments(_exif_segment(), 1), "Tag data larger than file"),
    "TIFF of 17,000 pages": (lambda: tiff_of_pages(17_000), "several pictures"),
}


def _exif_segment() -> bytes:
    body = b"Exif\0\0" + exif_of_many_tags()
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def measure(folder: str) -> None:
    """Print error, seconds and peak megabytes of each file in the folder; for a process of its own."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    (Path(folder) / "clean").write_bytes(jpeg())
    _facts(Path(folder) / "clean")  # imports and tables are not what a file costs
    (Path(folder) / "clean").unlink()
    for path in sorted(Path(folder).iterdir()):
        Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
        before, began = _memory_kb("VmRSS"), time.process_time()
        facts = _facts(path)
        seconds = time.process_time() - began
        peak_mb = (_memory_kb("VmHWM") - before) / 1024
        print(json.dumps({"name": path.name, "error": facts.error, "seconds": seconds, "megabytes": peak_mb}))


def _facts(path: Path) -> ImageFacts:
    with warnings.catch_warnings():
        strict_pillow()
        return facts_of(read_regular(path, n_bytes=RULES.max_bytes), path=path.name, rules=RULES)


def _memory_kb(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is read from Linux's /proc")
def test_no_image_costs_more_than_its_bounds_and_each_is_named_for_what_it_is(tmp_path):
    for name, (make, _) in IMAGES.items():
        (tmp_path / name).write_bytes(make())
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", f"import test_hostile_files as t; t.measure({str(tmp_path)!r})"],
        cwd=here,
        env={**os.environ, "PYTHONPATH": f"{here.parent}{os.pathsep}{here}"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == IMAGES.keys(), done.stderr
    for name, (_, expected) in IMAGES.items():
        row = found[name]
        print(f"{name:32} {row['seconds']:6.3f} s {row['megabytes']:6.1f} MB  {row['error']}")
        assert (row["error"] is None) if expected is None else (expected in (row["error"] or "")), (name, row["error"])
        assert row["seconds"] < MOST_SECONDS, row
        assert row["megabytes"] < MOST_MEGABYTES, row


@pytest.mark.parametrize(
    ("most", "more"),
    [
        (scans(MOST_SCANS), scans(MOST_SCANS + 1)),
        (with_segments(b"\xff\xfe\0\2", MOST_SEGMENTS - 20), with_segments(b"\xff\xfe\0\2", MOST_SEGMENTS)),
        (png(9, 9, chunk(b"abCd", b"") * (MOST_CHUNKS - 3)), png(9, 9, chunk(b"abCd", b"") * (MOST_CHUNKS - 2))),
    ],
)
def test_a_cap_lets_through_exactly_what_it_says(most, more):
    assert facts_of(most, path="x", rules=RULES).error is None
    assert "before decoding" in str(facts_of(more, path="x", rules=RULES).error)


def test_an_ordinary_progressive_jpeg_with_a_thumbnail_inside_is_no_bomb():
    inner = jpeg()[:60_000]
    segment = b"\xff\xe1" + struct.pack(">H", len(inner) + 2) + inner
    content = jpeg(progressive=True)
    assert facts_of(content[:2] + segment + content[2:], path="x", rules=RULES).error is None


def test_scans_hidden_behind_an_end_marker_in_a_comment_are_counted():
    # Whoever searched for the first end of image would stop inside the comment.
    comment = b"\xff\xfe\0\4\xff\xd9"
    bomb = scans(1_000)
    assert "64 scans" in str(facts_of(bomb[:2] + comment + bomb[2:], path="x", rules=RULES).error)


def test_what_lies_behind_the_end_of_a_picture_is_no_part_of_it():
    assert facts_of(jpeg() + b"\xff\xfe\0\2" * 5_000, path="x", rules=RULES).error is None


def listed(root: Path, content: bytes, name: str = "x.jpg") -> CellImage:
    (root / "monocyte").mkdir(parents=True, exist_ok=True)
    (root / "monocyte" / name).write_bytes(content)
    return read_manifest(root, name="dataset", classes=CLASSES, workers=1).images[0]


def readers(root: Path, image: CellImage) -> dict[str, Callable[[], object]]:
    """Every stage that decodes after integrity has spoken, as the run calls it."""
    from harness.model.images import read_frame

    path, formats = root / image.path, ("JPEG", "PNG")
    facts = {"set_name": "d", "rules": RULES, "workers": 1, "progress": silent}
    return {
        "decode": lambda: read_frame(path, formats=formats, sha256=image.sha256),
        "hash_images": lambda: hash_images([image], root, **facts),
        "read_facts": lambda: read_facts([image], root, formats=formats, workers=1, progress=silent, label="f"),
    }


@pytest.mark.parametrize("reader", ["decode", "hash_images", "read_facts"])
@pytest.mark.parametrize("bomb", ["80,000 scans", "10k x 10k PNG", "400,000 JPEG segments"])
def test_a_bomb_behind_an_opened_gate_is_still_refused_by_every_later_stage(tmp_path, reader, bomb):
    image = listed(tmp_path, IMAGES[bomb][0]())
    began = time.process_time()
    with pytest.raises(DataError, match=r"x\.jpg"):
        readers(tmp_path, image)[reader]()
    assert time.process_time() - began < MOST_SECONDS


def test_an_image_of_more_pixels_than_asked_for_is_not_decoded():
    assert open_picture(png(10, 10), formats=("PNG",), max_pixels=100).size == (10, 10)
    with pytest.raises(ValueError, match="before decoding: 11 x 10 px"):
        open_picture(png(11, 10), formats=("PNG",), max_pixels=100)


def test_a_bomb_has_no_place_in_a_figure(tmp_path):
    image = listed(tmp_path, scans(80_000))
    one = Pictures(name="dataset", cells=(image,), formats=("JPEG",), root=tmp_path)
    assert pack._load_shown([image.sha256], [one]) == {}


def test_nothing_in_the_harness_opens_a_file_with_pillow_but_by_the_gate():
    root = Path(__file__).parents[1] / "harness"
    users = {file.relative_to(root).as_posix() for file in root.rglob("*.py") if "Image.open(" in file.read_text()}
    # The corruptions read what they encoded themselves a line before; the reader of a classifier.onnx runs in a process
    # of its own, without this project, over images that passed the gate.
    assert users == {"data/decoding.py", "data/corruptions.py", "model/onnx_reader.py"}


@pytest.mark.parametrize("content", [b"SIMPLE  =", b"8BPS", b"GIF89a", b"<html>", b"", b"%PDF-1.7", bytes(600)])
def test_a_format_that_is_not_accepted_reaches_no_parser_by_any_way(content, monkeypatch):
    def parser(*_: object, **__: object) -> None:
        raise AssertionError("Pillow saw the bytes")

    monkeypatch.setattr(Image, "open", parser)
    with pytest.raises(ValueError, match="accepted are JPEG"):
        open_picture(content, formats=("JPEG",))


# --- files that change (E2) -------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["decode", "hash_images", "read_facts"])
def test_the_bytes_that_are_hashed_are_the_bytes_that_are_decoded(tmp_path, reader, monkeypatch):
    red, blue = (_plain_picture(colour) for colour in ("red", "blue"))
    image = listed(tmp_path, red)
    before = readers(tmp_path, image)[reader]()
    opened = decoding.open_plain

    def swapped_afterwards(path: Path, *, follow_link: bool) -> io.BytesIO:
        with opened(path, follow_link=follow_link) as file:
            content = file.read()
        path.write_bytes(blue)  # whoever opened the file again would see another cell
        return io.BytesIO(content)

    monkeypatch.setattr(decoding, "open_plain", swapped_afterwards)
    after = readers(tmp_path, image)[reader]()
    assert _pixels(before) == _pixels(after)
    with pytest.raises(DataError, match="changed"):
        readers(tmp_path, image)[reader]()


def _plain_picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(buffer, "PNG")
    return buffer.getvalue()


def _pixels(found: object) -> bytes:
    return np.ascontiguousarray(getattr(found, "thumbnails", found)).tobytes()


# --- what is not a file --------------------------------------------------------------------------------


def make_pipe(place: Path) -> None:
    os.mkfifo(place)


def make_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(place.parent):  # a socket's path must be short
        listening.bind(place.name)


def make_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def make_loop(place: Path) -> None:
    place.symlink_to(place.name)


def make_huge(place: Path) -> None:
    with place.open("wb") as stream:
        stream.truncate(1 << 40)  # a terabyte of nothing


ODD = [make_pipe, make_socket, make_device, make_loop, make_huge]
TEXT_READERS: dict[str, Callable[[Path], object]] = {
    "table": lambda path: read_table(path, required=("label",), refusal=DataError),
    "protocol": read_protocol,
    "ledger": read_ledger,
    "report": read_report,
    "pack": open_pack,
    "manifest": lambda path: read_manifest(path, name="d", classes=CLASSES, workers=1),
}


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("reader", TEXT_READERS)
def test_what_is_no_readable_file_is_refused_at_once_by_every_reader(tmp_path, reader, make):
    make(tmp_path / "odd")
    began = time.process_time()
    with pytest.raises(HarnessError, match=r"odd|/dev/zero"):
        TEXT_READERS[reader](tmp_path / "odd")
    assert time.process_time() - began < MOST_SECONDS


@pytest.mark.parametrize("make", ODD)
def test_what_is_no_image_file_among_the_images_is_refused_by_name(tmp_path, make):
    (tmp_path / "monocyte").mkdir()
    make(tmp_path / "monocyte" / "odd.jpg")
    with pytest.raises(DataError, match=r"odd\.jpg"):
        read_manifest(tmp_path, name="dataset", classes=CLASSES, workers=1)


@pytest.mark.parametrize("make", [make_pipe, make_socket, make_device, make_loop])
def test_an_image_that_became_something_else_is_never_waited_for(tmp_path, make):
    image = listed(tmp_path, _plain_picture("red"))
    (tmp_path / image.path).unlink()
    make(tmp_path / image.path)
    for read in readers(tmp_path, image).values():
        with pytest.raises(DataError, match=r"x\.jpg"):
            read()
    one = Pictures(name="dataset", cells=(image,), formats=("PNG",), root=tmp_path)
    assert pack._load_shown([image.sha256], [one]) == {}


def test_a_folder_with_the_name_of_an_image_is_a_folder(tmp_path):
    (tmp_path / "monocyte" / "x.jpg").mkdir(parents=True)
    assert listed(tmp_path, b"cell", "y.jpg").path == "monocyte/y.jpg"


def test_folders_nested_without_end_are_refused(tmp_path):
    (tmp_path / "monocyte" / "/".join("d" * 40)).mkdir(parents=True)
    with pytest.raises(DataError, match="nested more than 31 deep"):
        read_manifest(tmp_path, name="dataset", classes=CLASSES, workers=1)


def test_a_name_of_255_bytes_is_read_and_one_that_no_disk_takes_is_missing(tmp_path):
    assert len(listed(tmp_path, b"cell", "x" * 251 + ".jpg").filename) == 255
    with pytest.raises(DataError):
        from_rows(tmp_path, f"monocyte/{'x' * 300}.jpg,monocyte")


def test_a_file_may_grow_while_it_is_read_and_is_refused_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"has 11 bytes, and no image has more than 10"):
        listed(tmp_path, b"12345678901")
    (tmp_path / "f").write_bytes(b"12345678901")
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_plain(tmp_path / "f", most_bytes=10, follow_link=False)


# --- tables -----------------------------------------------------------------------------------------


def from_rows(root: Path, *rows: str, header: str = "path,label") -> Manifest:
    (root / "m.csv").write_text("\n".join([header, *rows]))
    return read_manifest(root / "m.csv", name="dataset", classes=CLASSES, workers=1)


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        ([], "path,label," + ",".join(map(str, range(10_000))), "10,002 columns"),
        ([], "path,label" + ",label" * 10_000, "10,002 columns"),
        ([], "path,label" + ",c" * 1_000_000, "more than 65,536 characters"),
        (["a" * 200_000], "path,label", "more than 65,536 characters"),
        (["," * 2_000_000], "path,label", "more than 65,536 characters"),
        (["monocyte/" * 33 + "x.jpg,monocyte"], "path,label", "33 folders"),
        (["m" * 2_000 + ",monocyte"], "path,label", "2,000 characters"),
        (["monocyte/x.jpg," + "n" * 60_000], "path,label", "is not a class"),
        (["../x.jpg,monocyte"], "path,label", "'..' step"),
        (["/etc/passwd,monocyte"], "path,label", "absolute"),
        (["C:\\x.jpg,monocyte"], "path,label", "backslash"),
        (["mono\0cyte/x.jpg,monocyte"], "path,label", "NUL"),
    ],
)
def test_a_table_that_is_made_to_hurt_is_refused_in_few_words(tmp_path, rows, header, says):
    with pytest.raises(DataError) as refused:
        from_rows(tmp_path, *rows, header=header)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 2_000


def test_the_rows_and_the_folders_of_a_table_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    with pytest.raises(DataError, match="line 5: more than 3 rows"):
        from_rows(tmp_path, *(f"monocyte/{i},monocyte" for i in range(4)))
    monkeypatch.undo()
    monkeypatch.setattr(manifest, "MOST_FOLDERS", 3)
    with pytest.raises(DataError, match="more than 3 folders"):
        from_rows(tmp_path, *(f"a/{i}/x,monocyte" for i in range(4)))


def test_a_table_as_large_as_the_cap_is_not_read_beyond_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_TABLE_BYTES", 100)
    with pytest.raises(DataError, match="more than 100 bytes"):
        from_rows(tmp_path, "x" * 100)


@pytest.mark.parametrize("content", [b"", b"split", b"\xff\xfe", b'"' * 70_000, b"a," * 70_000])
def test_asking_a_table_for_its_columns_never_fails(tmp_path, content):
    (tmp_path / "m.csv").write_bytes(content)
    assert "path" not in tables.columns_of(tmp_path / "m.csv")
    assert tables.columns_of(tmp_path / "absent.csv") == {}


# --- protocols --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a" + ".a" * 100_000 + " = 1", "more than 1000 dots"),
        ("[" + "a." * 100_000 + "a]", "more than 1000 dots"),
        ("a" + ".a" * 900 + " = 1", "nested too deeply"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "{a=" * 3_000, "nested too deeply"),
        ("extends = '/dev/zero'", "it is a device"),
        ("extends = 'p.toml'", "in a circle"),
        ("#" * 2**20 + "\n", "more than 1,048,576 bytes"),
        ("x = " + "9" * 100_000, "not valid TOML"),
        ("".join(f"[[a]]\nid = '{i}'\n" for i in range(50_000)), "unknown key"),
    ],
)
def test_a_protocol_that_is_made_to_hurt_is_refused_in_few_words(tmp_path, content, says):
    (tmp_path / "p.toml").write_text(content)
    with pytest.raises(HarnessError) as refused:
        read_protocol(tmp_path / "p.toml")
    assert says in str(refused.value)
    assert len(str(refused.value)) < 2_000


def test_a_chain_of_protocols_has_an_end(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.toml").write_text(f"extends = '{i + 1}.toml'\n")
    with pytest.raises(HarnessError, match="more than 20 files"):
        read_protocol(tmp_path / "0.toml")


# --- reports of others ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.md", "<!--" * 200_000),
        ("r.md", ("[a](" * 4_900 + "\n") * 20),
        ("r.md", ("![a](b " * 2_800 + "\n") * 20),
        ("r.md", ("![a](" + "b" * 19_900 + "\n") * 20),
        ("r.html", "<html>" + "<a " * 200_000),
        ("r.html", "<html>" + "<!--" * 200_000),
        ("r.html", "<html>" + "<?" * 200_000),
        (
            "r.html",
            "<table><tr>" + "<td rowspan=65534 colspan=1000>1</td>" * 100 + "</tr>" + "<tr><td>1</td></tr>" * 10_000,
        ),
    ],
)
def test_a_report_that_is_made_to_hurt_is_given_up_in_time(tmp_path, name, content):
    (tmp_path / name).write_text(content + "</table>" * name.endswith("html"))
    began = time.process_time()
    with pytest.raises(HarnessError, match="nothing to check"):
        read_report(tmp_path / name)
    assert time.process_time() - began < 2 * MOST_SECONDS


def test_a_page_that_breaks_off_inside_a_tag_or_comment_keeps_what_came_before(tmp_path):
    for end in ("<a ", "<!-- ", '<a href="', "<a href='", "<?", "&am"):
        (tmp_path / "r.html").write_text(f"<html><p>The accuracy on test is 98.0 % (49/50).</p>{end}")
        assert [str(each.content) for each in read_report(tmp_path / "r.html").statements] == [
            "accuracy 98.0 %",
            "exactly 1 error",
            "50 images",
        ]


def test_comments_and_links_still_read_as_they_did(tmp_path):
    text = "<!-- hidden\n-->The [accuracy](a.md) on test is 98.0 % (49/50). ![a](b.png)\n<!-- open"
    (tmp_path / "r.md").write_text(text)
    claims = read_report(tmp_path / "r.md")
    assert {statement.places[0].line for statement in claims.statements} == {2}


# --- packs ------------------------------------------------------------------------------------------


def test_a_zip_of_thousands_of_empty_files_is_refused_before_any_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for i in range(5_000):
            archive.writestr(str(i), b"")
    with pytest.raises(HarnessError, match="more than 1000 files"):
        open_pack(tmp_path / "p.zip")


def test_integrity_says_what_is_wrong_with_a_bomb_and_goes_on(tmp_path):
    listed(tmp_path, scans(80_000), "bomb.jpg")
    listed(tmp_path, jpeg(), "cell.jpg")
    found = read_manifest(tmp_path, name="dataset", classes=CLASSES, workers=1)
    with warnings.catch_warnings():
        report = inspect(found, images=RULES, counts=None, workers=2)
    assert [(finding.rule, finding.path) for finding in report.findings] == [("unexpected_sizes", "monocyte/bomb.jpg")]


def test_a_file_that_vanished_is_said_to_be_gone(tmp_path):
    image = listed(tmp_path, _plain_picture("red"))
    (tmp_path / image.path).unlink()
    with pytest.raises((MissingData, DataError), match="gone"):
        read_facts([image], tmp_path, formats=("PNG",), workers=1, progress=silent, label="f")
