"""Processes that decode image files for this one, each asked over its own pipe: for a device that outruns threads.

They are started when they are first needed, kept while this process lives, and end when it does: their input ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache

import numpy as np

from harness.core.errors import DataError
from harness.core.places import module_root
from harness.core.processes import limited_environment
from harness.model import decode_worker
from harness.model.images import ImageFile
from harness.model.records import Preprocessing

PIPE_BYTES = 2**20  # Linux gives a pipe 64 KiB, which is less than half an image of 224 px


class Decoders:
    """So many processes. Threads may share this: each call takes one that is free, or waits for one."""

    def __init__(self, n: int) -> None:
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        processes = [_started() for _ in range(n)]
        for each in processes:
            self._free.put(each)
        self._end = weakref.finalize(self, _end, processes)

    def decode(self, files: Sequence[ImageFile], how: Preprocessing, into: np.ndarray) -> None:
        """Fill `into`, (n, size_px, size_px, 3) uint8 and contiguous, with these images as `how` says.

        Raises:
            DataError: a file changed, or does not decode; or the process that decoded it died.
        """
        with self._one() as process:
            assert process.stdin is not None
            assert process.stdout is not None
            asked = [[str(each.path), each.formats, each.sha256] for each in files]
            try:
                process.stdin.write(json.dumps([asdict(how), asked]).encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline() or b"null")
                if answer is None or (answer["error"] is None and not _filled(process, into)):
                    raise BrokenPipeError
            except OSError:
                raise DataError(
                    f"the process that decoded {str(files[0].path)!r} or one of the {len(files) - 1} after it died "
                    f"(exit status {_ended(process)}). If it was killed for memory, use fewer --workers; else see "
                    "which of them it is with --device cpu."
                ) from None
            if answer["error"] is not None:
                raise DataError(answer["error"])

    def close(self) -> None:
        """End them."""
        self._end()

    @contextlib.contextmanager
    def _one(self) -> Iterator[subprocess.Popen[bytes]]:
        process = self._free.get()
        try:
            yield process
        finally:
            # One that died would answer nobody: the next caller gets a new one.
            self._free.put(process if process.poll() is None else self._replaced(process))

    def _replaced(self, dead: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        _end([dead])
        fresh = _started()
        weakref.finalize(self, _end, [fresh])
        return fresh


def decoders(n: int) -> Decoders:
    """Those of this process, of which there are n; started once."""
    return _decoders(n, os.getpid())  # a fork of this process must not read from the same pipes


@cache
def _decoders(n: int, pid: int) -> Decoders:
    return Decoders(n)


def _started() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", decode_worker.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**limited_environment(), "PYTHONPATH": str(module_root("harness"))},
        start_new_session=True,  # or an interrupt of the terminal would reach it before us
    )
    if sys.platform == "linux":
        import fcntl

        assert process.stdout is not None
        with contextlib.suppress(OSError):  # a user may have only so many bytes of pipes; it works without
            fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return process


def _filled(process: subprocess.Popen[bytes], into: np.ndarray) -> bool:
    assert process.stdout is not None
    left = memoryview(into.data).cast("B")
    while left:
        n = process.stdout.readinto(left)  # type: ignore[attr-defined]
        if not n:
            return False
        left = left[n:]
    return True


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    return process.poll()


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for each in processes:
        assert each.stdin is not None
        with contextlib.suppress(OSError):
            each.stdin.close()  # at which it ends by itself
    for each in processes:
        assert each.stdout is not None
        each.stdout.close()
        try:
            each.wait(5.0)
        except subprocess.TimeoutExpired:
            each.kill()
            each.wait()
