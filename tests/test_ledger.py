"""The ledger of looks: a chain in which nothing changes unseen, and the numbers that follow from it."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import multiprocessing
import os
from datetime import datetime, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main as main_job
from harness.core.errors import HarnessError
from harness.judge import ledger
from harness.judge.answers import Answers, pack_answers
from harness.judge.ledger import (
    START,
    cells_digest,
    contains,
    head_of,
    ledger_bytes,
    merge_looks,
    parse_ledger,
    read_ledger,
    record_look,
    require_writable,
)
from harness.judge.look import LedgerError, Look
from harness.judge.looks import look_number
from harness.metrics.predictions import Predictions


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def looked(path: Path, **changed: object) -> Look:
    """One look on record; what is not said is always the same."""
    entry = {
        "run": "r1",
        "set": "test",
        "source": sha("dataset"),
        "cells": sha("cells"),
        "n": 375,
        "model": sha("model"),
        "predictions": sha("predictions"),
        "protocol": sha("protocol"),
        "role": "judged",
    }
    return record_look(path, **(entry | changed))  # type: ignore[arg-type]


def as_line(entry: dict[str, object]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def hashed(entry: dict[str, object]) -> dict[str, object]:
    content = {name: value for name, value in entry.items() if name != "hash"}
    return content | {"hash": hashlib.sha256(as_line(content)[:-1]).hexdigest()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reports" / "ledger.jsonl"


@pytest.fixture
def four(path: Path) -> list[bytes]:
    """The lines of a ledger of four looks, which lies at `path`."""
    for number in range(1, 5):
        looked(path, run=f"r{number}", predictions=sha(f"p{number}"))
    return path.read_bytes().splitlines(keepends=True)


# --- writing and reading --------------------------------------------------------------------------


def test_no_file_is_no_look(path):
    assert read_ledger(path) == ()


def test_what_was_recorded_is_read_back_oldest_first(path):
    recorded = tuple(looked(path, run=f"r{n}") for n in range(3))
    assert read_ledger(path) == recorded
    assert [look.index for look in recorded] == [1, 2, 3]
    assert recorded[0].previous == START == "0" * 64
    assert [look.previous for look in recorded[1:]] == [look.hash for look in recorded[:-1]]


def test_the_hash_is_the_sha256_of_the_entry_without_it(path):
    looked(path, set="clinic-ä")
    entry = json.loads(path.read_text(encoding="utf-8"))
    stated = entry.pop("hash")
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert stated == hashlib.sha256(text.encode()).hexdigest()


def test_the_time_of_an_entry_is_now_in_utc(path):
    assert looked(path).time.endswith("+00:00")


def test_the_bytes_of_the_looks_are_the_bytes_of_the_file(path, four):
    assert ledger_bytes(read_ledger(path)) == path.read_bytes()
    assert parse_ledger(path.read_bytes(), where="pack/ledger.jsonl") == read_ledger(path)


def test_nothing_but_the_ledger_and_its_lock_is_left_beside_it(path, four):
    assert {file.name for file in path.parent.iterdir()} == {"ledger.jsonl", "ledger.jsonl.lock"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": True}, "n is True"),
        ({"run": ""}, "run is ''"),
        ({"set": "byte\udcff"}, "set is 'byte"),
        ({"set": "\ud800"}, "set is"),
        ({"model": "abc"}, "model is 'abc'"),
        ({"source": sha("x").upper()}, "source is"),
        ({"predictions": None}, "predictions is None"),
        ({"run": b"bytes"}, "run is b'bytes'"),
        ({"role": "shown"}, "role is 'shown'; the roles are judged, seed"),
    ],
)
def test_an_entry_that_could_not_be_read_back_is_not_written(path, four, changed, message):
    with pytest.raises(LedgerError, match=message):
        looked(path, **changed)
    assert path.read_bytes() == b"".join(four)


# --- tampering ------------------------------------------------------------------------------------


def refused(path: Path, content: bytes) -> str:
    """What is said of a ledger with this content, to the reader and to the next writer."""
    path.write_bytes(content)
    with pytest.raises(LedgerError) as read:
        read_ledger(path)
    with pytest.raises(LedgerError) as written:
        looked(path)
    assert str(read.value) == str(written.value)
    assert path.read_bytes() == content
    assert str(path) in str(read.value)
    assert "Restore the ledger from the newest evidence pack" in str(read.value)
    return str(read.value)


def test_a_middle_entry_that_was_removed_leaves_a_gap(path, four):
    assert "line 2: the entry has index 3, expected is 2" in refused(path, b"".join([four[0], *four[2:]]))


def test_the_first_entry_cannot_be_removed_either(path, four):
    assert "line 1: the entry has index 2, expected is 1" in refused(path, b"".join(four[1:]))


def test_a_removed_entry_cannot_be_covered_by_counting_anew(path, four):
    third = json.loads(four[2]) | {"index": 2}
    assert "line 2: its content has the hash" in refused(path, b"".join([four[0], as_line(third)]))


def test_nor_by_hashing_anew(path, four):
    third = hashed(json.loads(four[2]) | {"index": 2})
    assert "line 2: the entry follows one with the hash" in refused(path, b"".join([four[0], as_line(third)]))


def test_entries_that_changed_places_are_found(path, four):
    assert "line 2: the entry has index 3" in refused(path, b"".join([four[0], four[2], four[1], four[3]]))


def test_an_entry_that_is_there_twice_is_found(path, four):
    assert "line 3: the entry has index 2, expected is 3" in refused(path, b"".join([*four[:2], four[1], *four[2:]]))


def test_an_edited_time_is_found(path, four):
    entry = json.loads(four[1]) | {"time": "2026-01-01T00:00:00+00:00"}
    assert "line 2: its content has the hash" in refused(path, b"".join([four[0], as_line(entry), *four[2:]]))


def test_an_edit_with_a_hash_of_its_own_breaks_the_chain_behind_it(path, four):
    entry = hashed(json.loads(four[1]) | {"n": 999})
    assert "line 3: the entry follows one with" in refused(path, b"".join([four[0], as_line(entry), *four[2:]]))


def test_a_line_that_breaks_off_is_refused_and_not_mended(path, four):
    content = b"".join(four)[:-20]
    assert f"line 4: the line breaks off after {len(four[3]) - 20} bytes" in refused(path, content)
    assert "line 4: the line breaks off" in refused(path, b"".join(four)[:-1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "not JSON"),
        (b"\xff\n", "not JSON"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b"9" * 10_000 + b"\n", "not JSON"),
        (b"null\n", "the entry has NoneType"),
        (b"{}\n", r"the entry has \[\]; its fields are index, time"),
    ],
    ids=["blank", "bytes", "nested", "long number", "null", "empty"],
)
def test_a_line_that_is_no_entry_is_named(path, four, line, message):
    path.write_bytes(b"".join([four[0], line, *four[1:]]))
    with pytest.raises(LedgerError, match=f"ledger.jsonl, line 2: .*{message}"):
        read_ledger(path)


@pytest.mark.parametrize("value", ["2026-01-15", "2026-01-15T09:30:00", "2026-01-15T09:30:00+01:00", "x", 5, None])
def test_a_time_that_is_not_utc_is_no_time(path, four, value):
    entry = hashed(json.loads(four[0]) | {"time": value})
    assert "time is" in refused(path, as_line(entry))


@pytest.mark.parametrize(
    "respelled",
    [
        lambda line: line.replace(b'"n":375', b'"n": 375'),
        lambda line: line.replace(b'"test"', b'"t\\u0065st"'),
        lambda line: line.replace(b"\n", b"\r\n"),
    ],
    ids=["space", "escape", "line end"],
)
def test_the_same_content_in_another_spelling_is_refused(path, four, respelled):
    assert "line 1: the line has the right content in another spelling" in refused(path, respelled(four[0]))


def test_a_field_that_is_there_twice_is_refused(path, four):
    assert "the key 'n' is there twice" in refused(path, four[0].replace(b'"n":375', b'"n":375,"n":375'))


def chain(n: int) -> bytes:
    looks: list[Look] = []
    for index in range(1, n + 1):
        entry = {
            "index": index,
            "time": f"2026-01-0{index}T00:00:00+00:00",
            "run": f"r{index}",
            "set": "test",
            "source": sha("s"),
            "cells": sha("c"),
            "n": 10,
            "model": sha("m"),
            "predictions": sha(f"p{index}"),
            "protocol": sha("q"),
            "role": "judged",
            "previous": head_of(looks),
        }
        looks.append(Look(**hashed(entry)))  # type: ignore[arg-type]
    return ledger_bytes(looks)


CHAIN = chain(3)


@given(place=st.integers(0, len(CHAIN) - 1), byte=st.integers(0, 255))
def test_not_one_byte_can_change_unseen(place, byte):
    changed = CHAIN[:place] + bytes([byte]) + CHAIN[place + 1 :]
    if changed == CHAIN:
        assert len(parse_ledger(changed, where="x")) == 3
    else:
        with pytest.raises(LedgerError):
            parse_ledger(changed, where="x")


@given(start=st.integers(0, len(CHAIN)), length=st.integers(0, len(CHAIN)), inserted=st.binary(max_size=5))
def test_what_can_be_read_after_any_cut_and_paste_is_a_beginning_of_the_chain(start, length, inserted):
    changed = CHAIN[:start] + inserted + CHAIN[start + length :]
    try:
        looks = parse_ledger(changed, where="x")
    except LedgerError:
        return
    assert contains(looks, parse_ledger(CHAIN, where="x"))


@given(content=st.binary(max_size=200))
def test_whatever_the_bytes_are_it_is_a_ledger_or_an_error_of_the_harness(content):
    try:
        assert parse_ledger(content, where="x") == ()
    except LedgerError:
        assert content


# --- what the file alone cannot show --------------------------------------------------------------


def test_entries_cut_off_at_the_end_are_seen_only_beside_an_older_copy(path, four):
    copy = read_ledger(path)
    path.write_bytes(b"".join(four[:2]))
    assert len(read_ledger(path)) == 2  # a whole chain
    assert not contains(copy, read_ledger(path))
    looked(path, run="r9")
    assert not contains(copy, read_ledger(path))


def test_a_chain_contains_itself_and_every_beginning_of_it_and_no_other(path, four):
    looks = read_ledger(path)
    for n in range(5):
        assert contains(looks[:n], looks)
    looked(path)
    assert contains(looks, read_ledger(path))
    assert not contains(parse_ledger(CHAIN, where="x"), looks)
    assert contains((), looks)
    assert not contains(looks, ())


# --- ledgers that parted --------------------------------------------------------------------------


@pytest.fixture
def parted(path, four) -> tuple[Path, Path]:
    """Two ledgers that go on from the same four looks, with two looks each."""
    other = path.with_name("other.jsonl")
    other.write_bytes(path.read_bytes())
    for name in ("a1", "a2"):
        looked(path, run=name, predictions=sha(name))
    for name in ("b1", "b2"):
        looked(other, run=name, predictions=sha(name))
    return path, other


def runs_of(path: Path) -> list[str]:
    return [look.run for look in read_ledger(path)]


def test_a_merged_ledger_is_a_whole_chain_that_has_every_look_of_both(parted):
    main, other = parted
    before, theirs = read_ledger(main), read_ledger(other)
    added = merge_looks(main, {"other": theirs})
    assert [look.run for look in added] == ["b1", "b2"]
    merged = read_ledger(main)  # every hash is checked
    assert merged[: len(before)] == before
    assert [look.index for look in merged] == list(range(1, 9))
    assert contains(before, merged)
    assert contains(theirs, merged)
    assert [look.time for look in added] == [look.time for look in theirs[-2:]]


def test_merging_again_adds_nothing_and_changes_no_byte(parted):
    main, other = parted
    merge_looks(main, {"other": read_ledger(other)})
    content = main.read_bytes()
    assert merge_looks(main, {"other": read_ledger(other), "itself": read_ledger(main)}) == ()
    assert main.read_bytes() == content


def test_the_next_look_counts_those_of_both_branches(parted):
    main, other = parted
    assert number(main, "next") == number(other, "next") == 7  # four, two of its own, and this one
    merge_looks(main, {"other": read_ledger(other)})
    assert number(main, "next") == 9
    # What was judged beside the others is judged behind them when it is asked for again.
    assert (number(other, "b1"), number(main, "b1")) == (5, 7)
    assert number(main, "a1") == 5


def test_a_lost_ledger_is_made_again_of_what_packs_hold(parted, tmp_path):
    main, other = parted
    copies = {"pack a": read_ledger(main), "pack b": read_ledger(other)}
    main.unlink()
    assert len(merge_looks(main, copies)) == 8
    assert all(contains(copy, read_ledger(main)) for copy in copies.values())


def test_two_orders_of_the_same_looks_cannot_be_merged(parted):
    main, other = parted
    a, b = read_ledger(main), read_ledger(other)
    merge_looks(main, {"b": b})
    merge_looks(other, {"a": a})
    content = main.read_bytes()
    with pytest.raises(LedgerError, match=r"the other way has looks of .* in another order.*main branch"):
        merge_looks(main, {"the other way": read_ledger(other)})
    assert main.read_bytes() == content


def test_the_same_look_twice_in_one_chain_is_two_entries_wherever_they_go(path, monkeypatch):
    monkeypatch.setattr("harness.judge.ledger.datetime", Stopped)
    looked(path)
    looked(path)
    assert len(merge_looks(path.with_name("new.jsonl"), {"x": read_ledger(path)})) == 2
    assert merge_looks(path.with_name("new.jsonl"), {"x": read_ledger(path)}) == ()


class Stopped:
    """A clock on which two looks fall into one second."""

    @staticmethod
    def now(zone: tzinfo) -> datetime:
        return datetime(2026, 1, 15, 9, 30, tzinfo=zone)

    @staticmethod
    def fromisoformat(text: str) -> datetime:
        return datetime.fromisoformat(text)


def test_a_look_that_was_moved_forward_or_changed_is_not_contained(path, four):
    looks = read_ledger(path)
    moved = path.with_name("moved.jsonl")
    merge_looks(moved, {"last first": (looks[-1],)})
    merge_looks(moved, {"the others": looks[:-1]})
    assert {look.run for look in read_ledger(moved)} == {look.run for look in looks}
    assert not contains(looks, read_ledger(moved))  # its last look would count as the first there


@given(cut=st.integers(0, 4), first=st.integers(0, 3), second=st.integers(0, 3))
def test_no_merge_makes_the_number_of_a_look_smaller(cut, first, second):
    with TemporaryDirectory() as folder:
        one, two = Path(folder, "one.jsonl"), Path(folder, "two.jsonl")
        for n in range(cut):
            looked(one, predictions=sha(f"p{n}"))
        two.write_bytes(one.read_bytes() if cut else b"")
        for path, name, n_more in ((one, "a", first), (two, "b", second)):
            for n in range(n_more):
                looked(path, run=name, predictions=sha(f"{name}{n}"))
        before = {name: number(one, name) for name in ("p0", "a0", "a2", "new")}
        merge_looks(one, {"two": read_ledger(two)})
        assert all(number(one, name) >= least for name, least in before.items())
        assert number(one, "new") == 1 + cut + first + second


def test_the_job_merges_ledgers_and_packs_and_tells_what_came_of_it(parted, capsys, tmp_path):
    main, other = parted
    assert main_job(["ledger", str(main), "--merge", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 2
    assert main_job(["ledger", str(main), "--merge", str(other)]) == 0
    assert f"added 0 of 6 looks; {main} has 8" in capsys.readouterr().out
    assert main_job(["ledger", str(main), "--merge", str(tmp_path / "gone")]) == 1
    assert "there is neither a ledger nor a pack at" in capsys.readouterr().out
    assert main_job(["ledger", str(tmp_path / "lost.jsonl")]) == 2
    assert "--merge PACK" in capsys.readouterr().err
    other.write_bytes(other.read_bytes()[:-3])
    assert main_job(["ledger", str(main), "--merge", str(other)]) == 1
    assert "breaks off" in capsys.readouterr().out


def test_the_head_stands_for_the_whole_chain(path, four):
    looks = read_ledger(path)
    assert head_of(looks) == looks[-1].hash
    assert head_of(()) == START


# --- numbers --------------------------------------------------------------------------------------


def number(path: Path, predictions: str, source: str = "dataset", *, cells: str = "never seen", run: str = "x") -> int:
    return look_number(read_ledger(path), run=run, source=sha(source), cells=sha(cells), predictions=sha(predictions))


def test_the_first_look_is_number_one_before_and_after_it_is_recorded(path):
    assert number(path, "p1") == 1
    looked(path, predictions=sha("p1"))
    assert number(path, "p1") == 1


def test_other_predictions_are_the_next_look(path, four):
    assert [number(path, f"p{n}") for n in range(1, 6)] == [1, 2, 3, 4, 5]


def test_the_same_predictions_again_keep_their_number(path):
    for predictions in ("p1", "p2", "p1", "p1", "p2"):
        looked(path, predictions=sha(predictions))
    assert [number(path, p) for p in ("p1", "p2", "p3")] == [1, 2, 3]


def test_a_test_part_drawn_again_with_another_seed_counts_on(path):
    for seed in range(5):
        looked(path, cells=sha(f"cells {seed}"), predictions=sha(f"p{seed}"), protocol=sha(f"protocol {seed}"))
    assert number(path, "p4") == 5


def test_another_name_for_the_same_images_counts_on(path):
    looked(path, set="one-name", predictions=sha("p1"))
    looked(path, set="another", predictions=sha("p2"))
    assert number(path, "p2") == 2


def test_sources_are_counted_apart(path, four):
    assert number(path, "p1", source="another") == 1
    looked(path, source=sha("another"), predictions=sha("p9"))
    assert number(path, "p9", source="another") == 1
    assert number(path, "p5") == 5


def test_the_same_cells_of_a_source_that_was_changed_elsewhere_count_on(path):
    # One image of the train part renamed, relabelled or removed: another source, the same test cells.
    looked(path, source=sha("before"), cells=sha("cells"), predictions=sha("p1"))
    assert number(path, "p2", source="after", cells="cells") == 2
    assert number(path, "p2", source="after", cells="others") == 1


def test_seeds_of_one_run_take_no_number_for_its_protocol_named_them_all(path):
    for predictions, role in (("p1", "judged"), ("p2", "seed"), ("p3", "seed")):
        looked(path, run="r", predictions=sha(predictions), role=role)
    assert number(path, "p1", run="r") == 1


def test_the_best_of_twenty_seeds_is_the_twentieth_look_when_it_is_judged(path):
    looked(path, run="first", predictions=sha("p0"))
    for seed in range(1, 20):
        looked(path, run="first", predictions=sha(f"p{seed}"), role="seed")
    assert number(path, "p7", run="second") == 20
    looked(path, run="second", predictions=sha("p7"))
    assert number(path, "p7", run="second") == 20
    assert number(path, "p7", run="third") == 20  # judged before: the same look
    assert number(path, "p0", run="third") == 1


def test_whatever_order_a_run_records_its_seeds_in_its_judged_one_is_the_same_look(path):
    looked(path, run="r", predictions=sha("p2"), role="seed")
    looked(path, run="r", predictions=sha("p1"), role="judged")
    assert number(path, "p1", run="r") == 1


def test_a_run_that_was_killed_and_started_again_stays_at_the_look_it_was_at(path):
    looked(path, run="earlier", predictions=sha("p0"))
    for run in ("killed", "killed again", "resumed"):  # each with the same judged predictions, and some seeds after it
        looked(path, run=run, predictions=sha("p1"))
        assert number(path, "p1", run=run) == 2
        for seed in ("p2", "p3"):
            looked(path, run=run, predictions=sha(seed), role="seed")
    assert number(path, "p1", run="resumed") == 2


def test_a_ledger_that_could_not_be_written_is_found_before_it_is_needed(path, tmp_path):
    require_writable(path)
    assert not list(path.parent.glob("*.writing*"))
    assert read_ledger(path) == ()
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(LedgerError, match=r"no look could be recorded in .*in the way.*--ledger"):
        require_writable(tmp_path / "in the way" / "ledger.jsonl")


def test_the_digest_of_cells_knows_content_and_label_alone():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    one = Predictions("test", ("a", "b"), ("x", "y"), (sha("x"), sha("y")), np.array([0, 1]), probabilities)
    other = Predictions("t", ("b", "a"), ("2", "1"), (sha("y"), sha("x")), np.array([0, 1]), probabilities)
    assert cells_digest(one) == cells_digest(other)
    assert cells_digest(dataclasses.replace(one, labels=np.array([1, 1]))) != cells_digest(one)
    assert cells_digest(dataclasses.replace(one, digests=(sha("x"), sha("z")))) != cells_digest(one)


# --- two at once, full disks, odd places ----------------------------------------------------------


def append_many(path: Path, run: str, n: int) -> None:
    for index in range(n):
        looked(path, run=run, predictions=sha(f"{run} {index}"))


def test_two_processes_that_write_at_once_lose_nothing(path):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=append_many, args=(path, run, 20)) for run in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    looks = read_ledger(path)
    assert len(looks) == 40
    for run in ("a", "b"):
        assert [look.predictions for look in looks if look.run == run] == [sha(f"{run} {n}") for n in range(20)]


def test_a_ledger_that_another_run_holds_is_told_of(path, four, monkeypatch):
    monkeypatch.setattr(ledger, "LOCK_TIMEOUT_S", 0.01)
    with (
        FileLock(path.with_name("ledger.jsonl.lock")),
        pytest.raises(LedgerError, match=r"held by another run for 0.01 s. Wait for it"),
    ):
        looked(path)
    assert path.read_bytes() == b"".join(four)


def test_a_write_that_fails_leaves_the_old_chain_and_the_next_one_goes_on(path, four, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LedgerError, match=r"look at 'test' was not recorded .*No space left.*must not be judged"):
            looked(path)
    assert path.read_bytes() == b"".join(four)
    assert looked(path).index == 5


def test_a_file_in_the_place_of_the_folder_is_told_of(tmp_path):
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(LedgerError, match="was not recorded"):
        looked(tmp_path / "reports" / "ledger.jsonl")


def test_a_folder_that_cannot_be_written_is_told_of(path, monkeypatch):
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(LedgerError, match="Permission denied"):
        looked(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "ledger.jsonl")
    with pytest.raises(LedgerError, match="plain file"):
        read_ledger(tmp_path / "ledger.jsonl")


def test_a_link_is_refused(path, four, tmp_path):
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(LedgerError, match="is a link"):
        looked(tmp_path / "link")


def test_a_ledger_error_is_an_error_of_the_harness():
    assert issubclass(LedgerError, HarnessError)


# --- size -----------------------------------------------------------------------------------------


def some_answers(seed: int = 0) -> str:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(5), 375)
    return pack_answers(
        Answers(tuple("abcde"), probabilities.argmax(axis=1), (probabilities * 1e6).round().astype(int))
    )


def test_answers_are_kept_once_for_each_digest_of_predictions(tmp_path):
    path = tmp_path / "ledger.jsonl"
    once, again = (looked(path, run=run, answers=some_answers()) for run in ("r1", "r2"))
    other = looked(path, run="r3", predictions=sha("others"), answers=some_answers(1))
    assert (bool(once.answers), again.answers, bool(other.answers)) == (True, "", True)
    assert number_of(path, once) == number_of(path, again) == 1
    assert number_of(path, other) == 2


def number_of(path: Path, look: Look) -> int:
    return look_number(
        read_ledger(path),
        run=look.run,
        source=look.source,
        cells=look.cells,
        predictions=look.predictions,
        answers=look.answers,
    )


def test_a_chain_near_its_limit_takes_looks_without_answers_and_a_full_one_none(tmp_path, monkeypatch):
    path = tmp_path / "ledger.jsonl"
    first = looked(path, answers=some_answers())
    monkeypatch.setattr(ledger, "MOST_BYTES_WITH_ANSWERS", path.stat().st_size)
    second = looked(path, run="r2", predictions=sha("others"), answers=some_answers(1))
    assert (bool(first.answers), second.answers) == (True, "")
    assert number_of(path, second) == 2  # by its digest
    kept = path.read_bytes()
    monkeypatch.setattr(ledger, "MOST_BYTES", len(kept) + 1)
    with pytest.raises(LedgerError, match=r"no ledger has more than .* Nothing was written. Keep it with its packs"):
        looked(path, run="r3", predictions=sha("third"))
    assert path.read_bytes() == kept
    assert len(read_ledger(path)) == 2
