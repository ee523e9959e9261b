"""A disk that fails at its n-th write, at the lowest level that Python has: the audit events of file operations."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MAKING = ("open", "os.mkdir", "os.rename", "os.symlink", "os.link", "fsync")  # os.replace is an "os.rename", too
REMOVING = ("os.remove", "os.rmdir")


@dataclass
class FailingDisk:
    """Counts what is written below `root`; from `fails_at` on, or only there, it fails.

    error: errno.ENOSPC, of a full disk: only what takes space fails. errno.EROFS: what removes files fails too.
    """

    root: Path
    error: int = errno.ENOSPC
    fails_at: int = 0
    lasting: bool = False
    done: list[str] = field(default_factory=list)

    def met(self, event: str, paths: tuple[Any, ...]) -> None:
        if event in REMOVING and self.error == errno.ENOSPC:
            return
        if event == "os.mkdir" and Path(os.fsdecode(paths[0])).is_dir():
            return  # whatever the disk is like, it then says that the folder is there
        if not any(os.fsdecode(path).startswith(str(self.root)) for path in paths if isinstance(path, (str, bytes))):
            return
        self.done.append(f"{event} {os.fsdecode(paths[-1])}")
        n = len(self.done)
        if self.fails_at and (n == self.fails_at or (self.lasting and n > self.fails_at)):
            raise OSError(self.error, os.strerror(self.error), os.fsdecode(paths[-1]))


_in_force: list[FailingDisk] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _in_force or (event not in MAKING and event not in REMOVING):
        return
    if event == "open":
        path, _, flags = args
        paths = (os.fspath(path),) if isinstance(path, (str, bytes, os.PathLike)) and flags & WRITES else ()
    else:
        paths = tuple(os.fspath(path) for path in args if isinstance(path, (str, bytes, os.PathLike)))
    if paths:
        _in_force[-1].met(event, paths)


def _watched_fsync(descriptor: int, fsync: Any = os.fsync) -> None:  # which has no audit event
    if _in_force:
        _in_force[-1].met("fsync", (f"{_in_force[-1].root}/descriptor",))
    else:
        fsync(descriptor)


@contextmanager
def in_force(disk: FailingDisk) -> Iterator[FailingDisk]:
    if _hook not in _installed:
        sys.addaudithook(_hook)  # for good: a hook cannot be taken away, only told to do nothing
        _installed.append(_hook)
    before, os.fsync = os.fsync, _watched_fsync
    _in_force.append(disk)
    try:
        yield disk
    finally:
        _in_force.pop()
        os.fsync = before


_installed: list[Any] = []
