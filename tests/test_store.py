"""The store: made once, kept while nothing changed, made anew when anything did."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from harness.core.digests import file_digest
from harness.core.errors import HarnessError, MissingData, StoreError
from harness.core.files import write_atomically
from harness.run.store import SEAL, Store

KEY = {"data": "d", "seed": 42}


class Stage:
    """A stage that counts how often it is made, and what it found in its folder each time."""

    def __init__(self) -> None:
        self.found: list[list[str]] = []

    def __call__(self, folder: Path) -> None:
        self.found.append(sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()))
        (folder / "parts").mkdir(exist_ok=True)
        (folder / "result.txt").write_text("made")
        (folder / "parts" / "one.txt").write_text("one")

    @property
    def times(self) -> int:
        return len(self.found)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "reports" / "kept"


def fetched(root: Path, stage: Stage, *, fresh: bool = False, **key: object) -> Path:
    """As a new process does it."""
    return Store(root, fresh=fresh).fetch("training", {**KEY, **key}, stage)


# --- reuse ----------------------------------------------------------------------------------------


def test_a_stage_is_made_once_and_then_kept(root, stage):
    first = fetched(root, stage)
    assert (first / "result.txt").read_text() == "made"
    assert fetched(root, stage) == first
    assert stage.times == 1


def test_what_was_made_or_kept_is_on_record(root, stage):
    store = Store(root, fresh=False)
    store.fetch("training", KEY, stage)
    store.fetch("training", KEY, stage)
    store.fetch("export", KEY, stage)
    assert [(record.name, record.reused) for record in store.records] == [
        ("training", False),
        ("training", True),
        ("export", False),
    ]
    assert store.records[0].key == store.records[1].key != store.records[2].key
    assert all(record.seconds >= 0 for record in store.records)


def test_the_order_of_the_key_is_of_no_account(root, stage):
    Store(root, fresh=False).fetch("training", {"a": 1, "b": [2]}, stage)
    Store(root, fresh=False).fetch("training", {"b": [2], "a": 1}, stage)
    assert stage.times == 1


@pytest.mark.parametrize("change", [{"seed": 43}, {"data": "e"}, {"more": None}, {"seed": "42"}])
def test_another_key_is_made_beside_the_first(root, stage, change):
    first = fetched(root, stage)
    assert fetched(root, stage, **change) != first
    assert stage.times == 2
    assert fetched(root, stage) == first
    assert stage.times == 2


def test_two_stages_with_the_same_key_share_nothing(root, stage):
    store = Store(root, fresh=False)
    assert store.fetch("training", KEY, stage) != store.fetch("export", KEY, stage)
    assert stage.times == 2


def test_a_stage_that_makes_no_file_is_kept_too(root):
    made = []
    for _ in range(2):
        Store(root, fresh=False).fetch("training", KEY, made.append)
    assert len(made) == 1


# --- tampering ------------------------------------------------------------------------------------


def reseal(folder: Path, **changes: object) -> None:
    """Write these values into the seal, as an editor does it."""
    seal = json.loads((folder / SEAL).read_text())
    (folder / SEAL).write_text(json.dumps({**seal, **changes}))


@pytest.mark.parametrize(
    "tamper",
    [
        lambda folder: (folder / "result.txt").write_text("MADE"),
        lambda folder: (folder / "result.txt").write_text(""),
        lambda folder: (folder / "parts" / "one.txt").unlink(),
        lambda folder: (folder / "parts" / "two.txt").write_text("two"),
        lambda folder: (folder / "result.txt").rename(folder / "other.txt"),
        lambda folder: (folder / SEAL).unlink(),
        lambda folder: (folder / SEAL).write_text((folder / SEAL).read_text()[:-20]),
        lambda folder: (folder / SEAL).write_text("[]"),
        lambda folder: (folder / SEAL).write_text("null"),
        lambda folder: (folder / SEAL).write_text("{}"),
        lambda folder: (folder / SEAL).write_bytes(b"\xff"),
        lambda folder: reseal(folder, files=["result.txt", "parts/one.txt"]),
        lambda folder: reseal(folder, files=None),
        lambda folder: reseal(folder, stage="export"),
        lambda folder: reseal(folder, key="0" * 64),
        lambda folder: reseal(folder, made_of={**KEY, "seed": 43}),
        lambda folder: reseal(folder, made_of=None),
        lambda folder: reseal(folder, seal="0" * 64),
        lambda folder: reseal(folder, note="a word more"),
    ],
    ids=[
        *("altered", "emptied", "deleted", "added", "renamed", "no seal", "cut", "list", "null", "empty", "bytes"),
        *("names", "no files", "stage", "key", "made of other", "made of nothing", "digest", "a word more"),
    ],
)
def test_a_folder_that_does_not_fit_its_seal_is_made_anew(root, stage, tamper):
    tamper(fetched(root, stage))
    folder = fetched(root, stage)
    assert stage.times == 2
    assert (folder / "result.txt").read_text() == "made"
    fetched(root, stage)
    assert stage.times == 2


def linked(folder: Path) -> None:
    (folder / "result.txt").rename(folder.parent / "elsewhere.txt")
    (folder / "result.txt").symlink_to(folder.parent / "elsewhere.txt")


@pytest.mark.parametrize(
    "tamper",
    [
        lambda folder: (folder / SEAL).write_text("[" * 100_000),
        lambda folder: os.mkfifo(folder / "pipe"),
        lambda folder: (folder / "link").symlink_to(folder / "nowhere"),
        lambda folder: (folder / "empty").mkdir(),
        lambda folder: (folder / "parts" / SEAL).write_text("{}"),
        linked,
    ],
    ids=["deep seal", "pipe", "dangling link", "empty folder", "named like the seal", "link to the same bytes"],
)
def test_what_no_seal_can_speak_of_makes_a_folder_anew(root, stage, tamper):
    tamper(fetched(root, stage))
    folder = fetched(root, stage)
    assert stage.found == [[], []]
    assert sorted(path.name for path in folder.rglob("*")) == ["one.txt", "parts", "result.txt", SEAL]
    assert not (folder / "result.txt").is_symlink()
    fetched(root, stage)
    assert stage.times == 2


def test_a_file_of_a_stage_that_is_named_like_the_seal_is_sealed(root):
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "parts").mkdir()
        (folder / "parts" / SEAL).write_text("its own")

    for _ in range(2):
        folder = Store(root, fresh=False).fetch("training", KEY, make)
    assert len(made) == 1
    assert f"parts/{SEAL}" in json.loads((folder / SEAL).read_text())["files"]


def test_what_an_altered_folder_held_is_gone_before_its_stage_is_made_anew(root, stage):
    folder = fetched(root, stage)
    (folder / "parts" / "two.txt").write_text("two")
    fetched(root, stage)
    assert stage.found == [[], []]
    assert not (folder / "parts" / "two.txt").exists()


def test_a_file_and_its_digest_that_were_altered_together_are_found_by_the_digest_of_the_seal(root, stage):
    folder = fetched(root, stage)
    (folder / "result.txt").write_text("MADE")
    files = json.loads((folder / SEAL).read_text())["files"]
    reseal(folder, files={**files, "result.txt": file_digest(folder / "result.txt")})
    fetched(root, stage)
    assert stage.times == 2


@pytest.mark.parametrize("other", [{"seed": 43}, {"data": "e"}])
def test_a_folder_that_was_copied_under_the_name_of_another_key_is_made_anew(root, stage, other):
    made, wanted = fetched(root, stage), fetched(root, stage, **other)
    shutil.rmtree(wanted)
    shutil.copytree(made, wanted)
    fetched(root, stage, **other)
    assert stage.times == 3
    fetched(root, stage, **other)
    assert stage.times == 3


def test_a_folder_of_another_stage_with_the_same_key_is_made_anew(root, stage):
    store = Store(root, fresh=False)
    made, wanted = store.fetch("training", KEY, stage), store.fetch("export", KEY, stage)
    shutil.rmtree(wanted)
    shutil.copytree(made, wanted)
    Store(root, fresh=False).fetch("export", KEY, stage)
    assert stage.times == 3


def test_the_seal_says_what_the_result_was_made_of_and_holds(root, stage):
    folder = fetched(root, stage)
    seal = json.loads((folder / SEAL).read_text())
    assert (seal["stage"], seal["made_of"]) == ("training", KEY)
    assert seal["key"].startswith(folder.name)
    # printf made | sha256sum; printf one | sha256sum
    assert seal["files"] == {
        "parts/one.txt": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "result.txt": "ea0890697a77af0a2e054cccec587c8a42feb5cf38e778c6c6e2a96bfb945c0b",
    }


# --- fresh ----------------------------------------------------------------------------------------


def test_fresh_makes_every_stage_anew_once(root, stage):
    fetched(root, stage)
    store = Store(root, fresh=True)
    for _ in range(3):
        store.fetch("training", KEY, stage)
    assert stage.found == [[], []]
    assert [record.reused for record in store.records] == [False, True, True]


def test_fresh_does_not_go_on_from_the_checkpoint_of_an_interrupted_run(root, stage):
    with pytest.raises(KeyboardInterrupt):
        Store(root, fresh=False).fetch("training", KEY, interrupted)
    fetched(root, stage, fresh=True)
    assert stage.found == [[]]


# --- interruption ---------------------------------------------------------------------------------


def interrupted(folder: Path) -> None:
    (folder / "checkpoint.txt").write_text("epoch 3")
    raise KeyboardInterrupt


def test_the_next_run_receives_what_an_interrupted_one_left(root, stage):
    with pytest.raises(KeyboardInterrupt):
        Store(root, fresh=False).fetch("training", KEY, interrupted)
    fetched(root, stage)
    fetched(root, stage)
    assert stage.found == [["checkpoint.txt"]]


def test_what_a_killed_run_had_half_written_is_gone_before_the_stage_goes_on(root, stage):
    def killed(folder: Path) -> None:
        (folder / "parts").mkdir()
        (folder / "parts" / "checkpoint.pt.writing").write_text("half")
        (folder / ".dataset.0123.partial" / "basophil").mkdir(parents=True)
        (folder / f"{SEAL}.writing").write_text("half a seal")
        (folder / "checkpoint.txt").write_text("epoch 3")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(root, fresh=False).fetch("training", KEY, killed)
    folder = fetched(root, stage)
    assert stage.found == [["checkpoint.txt"]]
    assert not (folder / ".dataset.0123.partial").exists()
    fetched(root, stage)
    assert stage.times == 1  # a half seal that was sealed as a file of the stage would be missing now


def test_an_interrupted_stage_is_not_on_record(root):
    store = Store(root, fresh=False)
    with pytest.raises(KeyboardInterrupt):
        store.fetch("training", KEY, interrupted)
    assert store.records == []


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_second_run_of_the_same_stage_is_refused_while_the_first_goes_on(root, stage, monkeypatch):
    folder = fetched(root, stage)
    monkeypatch.setattr("harness.run.store.LOCK_TIMEOUT_S", 0.01)
    with (
        FileLock(folder.with_suffix(".lock")),
        pytest.raises(StoreError, match=r"'training' is being made by another run in .*use another --reports folder"),
    ):
        fetched(root, stage)
    fetched(root, stage)
    assert stage.times == 1


def test_a_stage_that_fails_in_its_own_words_is_quoted_unchanged(root):
    missing = MissingData("the folder cells is not there")  # which is an OSError, too
    assert isinstance(missing, OSError)

    def make(folder: Path) -> None:
        raise missing

    with pytest.raises(MissingData) as caught:
        Store(root, fresh=False).fetch("training", KEY, make)
    assert caught.value is missing


def test_a_full_disk_is_a_store_error_with_the_folder_and_what_to_do(root):
    def make(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match=r"'training' was not made: .*No space left.*kept.*another --reports folder"):
        Store(root, fresh=False).fetch("training", KEY, make)


def test_a_folder_that_cannot_be_written_is_a_store_error(root, stage, monkeypatch):
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        fetched(root, stage)
    assert stage.times == 0


def test_a_file_in_the_place_of_the_folder_is_a_store_error(tmp_path, stage):
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(StoreError, match="was not made"):
        fetched(tmp_path / "reports", stage)


def test_what_torch_says_of_a_full_disk_is_a_store_error_and_its_other_errors_are_not(root):
    def make(
        folder: Path, words: str = "[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"
    ) -> None:
        raise RuntimeError(words)

    with pytest.raises(StoreError, match=r"unexpected pos.*another --reports folder"):
        Store(root, fresh=False).fetch("training", KEY, make)
    with pytest.raises(RuntimeError, match="shapes"):
        Store(root, fresh=False).fetch("training", KEY, lambda folder: make(folder, "shapes do not fit"))


def test_a_failure_that_is_no_file_error_is_not_disguised(root):
    def make(folder: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Store(root, fresh=False).fetch("training", KEY, make)


# --- writing --------------------------------------------------------------------------------------


def test_writing_replaces_the_old_file_whole(tmp_path):
    path = tmp_path / "x.json"
    for content in (b"old and longer", b"new"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("before", [b"old", None])
def test_a_write_that_is_cut_short_leaves_the_old_file_or_none(tmp_path, monkeypatch, before):
    path = tmp_path / "x.json"
    if before is not None:
        path.write_bytes(before)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_write_that_fails_gives_its_space_back(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "x.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_renamed_before_it_is_on_the_disk(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((tmp_path / "x").exists()))
    write_atomically(tmp_path / "x", b"new")
    assert seen == [False]


# --- digests --------------------------------------------------------------------------------------


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert file_digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_store_error_is_an_error_of_the_harness():
    assert issubclass(StoreError, HarnessError)
