"""How often was this set looked at? An append-only JSONL file whose entries are chained by their hashes.

What the chain shows: an entry that was changed, removed from the middle, repeated or moved. What it cannot show by
itself: entries cut off at its end, or a chain written anew from its beginning. Every evidence pack therefore holds a
copy, and `contains` tells whether one chain has every look of another, in its order: where the chain of a pack is not
contained in the ledger, looks were taken out of it, or moved.

Runs beside each other, such as those of two branches, write ledgers that part. `merge_looks` puts the looks of one
behind those of the other, each sealed anew at its new place; both are then contained in the merged one.

One entry is one line of canonical JSON: the file has exactly one spelling, so that not a byte of it can change unseen.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from harness.core.files import WRITING, read_plain, write_atomically
from harness.core.strict_json import parse_json
from harness.data.records import labelled_digest
from harness.judge.labels import unpack_labels
from harness.judge.likenesses import likenesses_by_picture
from harness.judge.look import OPTIONAL, START, LedgerError, Look, Role, content_of, sealed, written
from harness.judge.partitions import n_grouped
from harness.judge.pictures import unpack_pictures
from harness.metrics.predictions import Predictions

LOCK_TIMEOUT_S = 5.0
MOST_BYTES = 64 * 2**20  # a hundred thousand looks without answers
MOST_BYTES_WITH_ANSWERS = MOST_BYTES // 2  # of a chain that takes further answers: what is left is for looks without
RESTORE = "Restore the ledger from the newest evidence pack that holds a whole one; never mend an entry by hand"


# --- reading ----------------------------------------------------------------------------------


def read_ledger(path: Path) -> tuple[Look, ...]:
    """Every look on record, oldest first; none where there is no file.

    Raises:
        LedgerError: the file is not a regular file, cannot be read, or is not a whole chain.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # asked first: reading a pipe would wait for ever
            raise LedgerError(
                f"{path} is a link, folder, pipe or device. The ledger is a plain file: name another place."
            )
        content = read_plain(path, most_bytes=MOST_BYTES, follow_link=False)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be read ({error.strerror}). Make it readable, or name another place."
        ) from None
    return parse_ledger(content, where=str(path))


def parse_ledger(content: bytes, *, where: str) -> tuple[Look, ...]:
    """The looks in a ledger's bytes, such as those of the copy in an evidence pack.

    A last line without its end is refused like any other damage: `record_look` replaces the file as a whole, so that
    not even a power cut leaves one.

    Args:
        where: the file's name, for the error.
    Raises:
        LedgerError: names file, line, what differs, and what to do.
    """
    *lines, rest = content.split(b"\n")
    looks: list[Look] = []
    sizes: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            looks.append(_follow(looks, _parsed(line)))
            _count_pictures(looks[-1], sizes)
        except LedgerError as error:
            raise LedgerError(f"{where}, line {number}: {error}. {RESTORE}.") from None
    if rest:
        raise LedgerError(
            f"{where}, line {len(lines) + 1}: the line breaks off after {len(rest)} bytes. The harness never leaves "
            f"such a line; the file was copied in part or edited. {RESTORE}."
        )
    return tuple(looks)


def _parsed(line: bytes) -> Look:
    try:
        entry = parse_json(line)
    except ValueError as error:
        raise LedgerError(f"the line is not JSON ({error})") from None
    names = [field.name for field in fields(Look)]
    if not isinstance(entry, dict) or entry.keys() | set(OPTIONAL) != set(names):
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise LedgerError(f"the entry has {found}; its fields are {', '.join(names)}")
    look = Look(**entry)
    if _line(look) != line:
        raise LedgerError("the line has the right content in another spelling (spaces, order or escapes)")
    return look


def _follow(before: Sequence[Look], look: Look) -> Look:
    """The look, if it is the one to come after these."""
    if look.index != len(before) + 1:
        raise LedgerError(
            f"the entry has index {look.index}, expected is {len(before) + 1}: one was removed, repeated or moved"
        )
    if look.previous != head_of(before):
        raise LedgerError(
            f"the entry follows one with the hash {look.previous}, the entry before it has {head_of(before)}: it "
            "belongs to another chain"
        )
    return look


def _count_pictures(look: Look, sizes: dict[str, int]) -> None:
    """Refuse a look whose pictures, labels, groups or likenesses are of more or fewer pictures than its cells have.

    sizes: digest of cells -> of how many pictures the looks before it keep something; this look is added.
    """
    kept = {
        "pictures": len(unpack_pictures(look.pictures)) if look.pictures else None,
        "labels": len(unpack_labels(look.labels).of) if look.labels else None,
        "groups": n_grouped(look.groups),
        "likenesses": None if (looks := likenesses_by_picture(look.likenesses)) is None else len(looks),
    }
    for name, n in kept.items():
        if n is not None and sizes.setdefault(look.cells, n) != n:
            raise LedgerError(
                f"its {name} are those of {n} pictures, and an entry of the same cells has {sizes[look.cells]}"
            )


# --- writing ----------------------------------------------------------------------------------


def record_look(
    path: Path,
    *,
    run: str,
    set: str,
    source: str,
    cells: str,
    n: int,
    model: str,
    predictions: str,
    protocol: str,
    role: Role,
    answers: str = "",
    pictures: str = "",
    terms: str = "",
    labels: str = "",
    groups: str = "",
    likenesses: str = "",
) -> Look:
    """Put one look on record, at the end of a chain that was found whole, and return it once it is on the disk.

    The file is written anew beside the old one, synced and renamed, under a lock: two runs lose no entry to each other,
    and a full disk, a kill or a power cut leaves the old chain or the new one.

    Args:
        path: the ledger; it is made, and its folder too, where there is none.
        run, set, source, cells, n, model, predictions, protocol, role: see `Look`.
        answers, pictures, terms, labels, groups, likenesses: see `Look`, too.
            Answers are kept once for each digest of predictions, and while the chain is short of its limit; without
            them a look is known by its digest alone, which never makes its number smaller. Pictures and likenesses are
            kept once for each digest of cells, always: without them its number could be too small. Terms and labels
            are, too: the first look fixes them. Groups are kept wherever they are not those of the first entry of the
            same cells.
    Raises:
        LedgerError: the chain is broken or full, another run holds the lock for more than 5 s, or nothing can be
            written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            looks = read_ledger(path)
            entry: dict[str, object] = {
                "index": len(looks) + 1,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "run": run,
                "set": set,
                "source": source,
                "cells": cells,
                "n": n,
                "model": model,
                "predictions": predictions,
                "protocol": protocol,
                "role": role,
                "previous": head_of(looks),
            }
            before = [each for each in looks if each.cells == cells]
            if pictures and not any(each.pictures for each in before):
                entry["pictures"] = pictures
            if likenesses and not any(each.likenesses for each in before):
                entry["likenesses"] = likenesses
            if labels and not any(each.labels for each in before):
                entry["labels"] = labels
            if terms and not any(each.terms for each in before):
                entry["terms"] = terms
            if groups and groups != next((each.groups for each in before if each.groups), ""):
                entry["groups"] = groups
            new = answers and not any(each.predictions == predictions and each.answers for each in looks)
            look = sealed({**entry, "answers": answers} if new else entry)
            if new and len(ledger_bytes((*looks, look))) > MOST_BYTES_WITH_ANSWERS:
                look = sealed(entry)
            _write(path, (*looks, look))
    except OSError as error:
        raise LedgerError(
            f"the look at {set!r} was not recorded in {path}: {error}. Without a record the set must not be judged; "
            "free space, or name a place that can be written."
        ) from error
    return look


def merge_looks(path: Path, others: Mapping[str, Sequence[Look]]) -> tuple[Look, ...]:
    """Put every look of these ledgers that is not yet on record at the end of this one; return those that were added.

    A look keeps its content, time included, and is sealed anew behind the chain that it comes to. Looks are only ever
    added, so that no later number becomes smaller.

    Args:
        path: the ledger; it is made where there is none.
        others: name, for the error -> a chain that was found whole.
    Raises:
        LedgerError: two ledgers have the same looks in another order, so that none can continue both; or as
            `record_look`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            held = read_ledger(path)
            merged = list(held)
            for name, looks in others.items():
                missing = Counter(map(content_of, looks)) - Counter(map(content_of, merged))
                for look in looks:
                    if missing[content_of(look)]:
                        missing[content_of(look)] -= 1
                        merged.append(_at_end(merged, look))
                if not contains(looks, merged):
                    raise LedgerError(
                        f"{name} has looks of {path} in another order, and no ledger can continue both. Merge into the "
                        "one that the newest packs continue, which is the main branch's, and leave the other"
                    )
            sizes: dict[str, int] = {}
            for look in merged:
                _count_pictures(look, sizes)
            if len(merged) > len(held):
                _write(path, merged)
    except OSError as error:
        raise LedgerError(
            f"nothing was merged into {path}: {error}. Free space, or name a place that can be written."
        ) from error
    return tuple(merged[len(held) :])


def _write(path: Path, looks: Sequence[Look]) -> None:
    content = ledger_bytes(looks)
    if len(content) > MOST_BYTES:  # asked before: what is written must be readable again
        raise LedgerError(
            f"{path} would have {len(content):,} bytes, and no ledger has more than {MOST_BYTES:,}. Nothing was "
            "written. Keep it with its packs, and judge on cells that nobody has looked at: a new ledger would not "
            "know of these looks"
        )
    write_atomically(path, content)
    _sync_entries(path.parent)


def _at_end(looks: Sequence[Look], look: Look) -> Look:
    """The same look, sealed as the next of this chain."""
    entry = {name: value for name, value in written(look).items() if name != "hash"}
    return sealed({**entry, "index": len(looks) + 1, "previous": head_of(looks)})


def require_writable(path: Path) -> None:
    """Ask before hours of training whether their look could be recorded.

    Raises:
        LedgerError: nothing can be written there, or another run holds the lock for more than 5 s.
    """
    probe = path.with_name(f"{path.name}.probe{WRITING}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            write_atomically(probe, b"can this be written?")
            probe.unlink()
    except OSError as error:
        raise LedgerError(
            f"no look could be recorded in {path}: {error}. Free space, make the folder writable, or name another "
            "place with --ledger."
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        with FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_TIMEOUT_S):
            yield
    except Timeout:
        raise LedgerError(
            f"{path} has been held by another run for {LOCK_TIMEOUT_S:g} s. Wait for it, or look for one that hangs."
        ) from None


def _line(look: Look) -> bytes:
    return json.dumps(written(look), sort_keys=True, separators=(",", ":")).encode("ascii")


def _sync_entries(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened, and needs no sync
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- what the chain says ----------------------------------------------------------------------


def head_of(looks: Sequence[Look]) -> str:
    """The hash of the newest entry, which stands for the whole chain; 64 zeros of an empty one."""
    return looks[-1].hash if looks else START


def contains(older: Sequence[Look], newer: Sequence[Look]) -> bool:
    """Whether `newer` has every look of `older`, in the same order: none was changed, taken out or moved.

    Others may stand between them, as they do where ledgers were merged: they make no number of a look smaller. A look
    that was moved forward would count as an earlier one, which is why the order is asked for.
    """
    remaining = map(content_of, newer)
    return all(any(content_of(look) == each for each in remaining) for look in older)


def ledger_bytes(looks: Sequence[Look]) -> bytes:
    """The file that holds exactly these looks."""
    return b"".join(_line(look) + b"\n" for look in looks)


def cells_digest(predictions: Predictions) -> str:
    """Digest of the evaluated cells by content and reference label, whatever their order, names and probabilities."""
    labels = (predictions.classes[label] for label in predictions.labels.tolist())
    return labelled_digest(zip(predictions.digests, labels, strict=True))
