"""Which run may write to this reports folder? One at a time: the second is refused at once."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from harness.core.errors import StoreError
from harness.core.files import write_atomically

LOCK, HOLDER = ".run.lock", ".run.json"
REMEDY = "free space, make the folder writable, or name another one with --reports"


@dataclass(frozen=True, slots=True)
class RunLock:
    """A reports folder that one run alone writes to, until it lets go or its process ends, however it ends."""

    reports: Path
    _lock: FileLock

    def release(self) -> None:
        with contextlib.suppress(OSError):  # a name that stays tells nobody anything while the lock is free
            (self.reports / HOLDER).unlink()
        self._lock.release()


def lock_reports(reports: Path, *, run_id: str) -> RunLock:
    """Take the folder for this run; it is made if absent, and seen to be writable before hours go into the run.

    The lock is the operating system's and goes with the process: what a killed run leaves never blocks the next.

    Raises:
        StoreError: another run holds the folder, or nothing can be written there.
    """
    lock = FileLock(reports / LOCK, timeout=0)
    note = {"run": run_id, "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        reports.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        write_atomically(reports / HOLDER, json.dumps(note).encode())
    except Timeout:
        raise StoreError(
            f"the reports folder {reports} is in use by {_holder(reports)}. Nothing was touched: wait for that run to "
            "end, or name another folder with --reports."
        ) from None
    except OSError as error:
        lock.release()
        raise StoreError(
            f"the reports folder {reports} cannot be written: {error}. Before you run again, {REMEDY}."
        ) from error
    return RunLock(reports, lock)


def _holder(reports: Path) -> str:
    """Such as "run 20260115T093000Z-embedded-4711 (process 4711, since 2026-01-15T09:30:00+00:00)"."""
    try:
        note = json.loads((reports / HOLDER).read_text(encoding="utf-8"))
        return f"run {note['run']} (process {note['pid']}, since {note['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run, which has not said yet which"
