"""A command in a process group of its own: asked line by line, within bounds of time and memory, and ended with us.

Between it and this process stands a small one of ours, `command_keeper.py`, which outlives neither: it kills whatever
the command started when this process closes a pipe, by a call or because it was killed itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from harness.core.processes import limited_environment
from harness.core.text import visible

KEEPER = Path(__file__).with_name("command_keeper.py")
KEEPER_S = 10.0  # to start the command, or to end all of it
GRACE_S = 2.0  # for a command to end by itself once its input is closed
TAIL_BYTES = 2048
READ_BYTES = 2**16


class ChildFailed(Exception):
    """The command did not do what it was asked."""


class Child:
    """A started command.

    Args:
        total_s: the seconds that may be spent on waiting for it, all exchanges together.
        memory_bytes: of address space, for each of its processes, where the system bounds it: see `memory_bound`.
    Raises:
        ChildFailed: it cannot be started.
    """

    def __init__(self, command: Sequence[str], *, memory_bytes: int, total_s: float) -> None:
        control_read, control = os.pipe()
        status, status_write = os.pipe()
        request = {"command": [*command], "memory_bytes": memory_bytes, "control": control_read, "status": status_write}
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), json.dumps(request)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=limited_environment(),
                pass_fds=(control_read, status_write),
                start_new_session=True,  # or an interrupt of the terminal would reach it before us
                bufsize=0,
            )
        except BaseException:
            os.close(control)
            os.close(status)
            raise
        finally:
            os.close(control_read)
            os.close(status_write)
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        assert self._keeper.stderr is not None
        self._input, self._output = self._keeper.stdin, self._keeper.stdout
        self._status = _Lines(status)
        self._errors = _Tail(self._keeper.stderr)
        # Also where nobody calls `close`: when this is forgotten, and before the interpreter ends.
        self._end = weakref.finalize(self, _end, self._keeper, control, status)
        self._said, self._left_s, self._total_s = bytearray(), total_s, total_s
        self.group = 0
        started = self._status.next(KEEPER_S)
        if "group" not in started:
            self.close(grace_s=0.0)
            raise ChildFailed(f"cannot be started: {started.get('refused', 'its keeper did not answer')}")
        self.group = int(started["group"])
        self.memory_bound = bool(started["memory_bound"])
        for end in (self._input, self._output):
            os.set_blocking(end.fileno(), False)

    def exchange(self, parts: Sequence[bytes | memoryview], *, most_bytes: int, within_s: float) -> bytes:
        """Write these bytes, and read the one line that answers them.

        Raises:
            ChildFailed: there is no such line within the time or length, or the command has ended. It is ended then.
        """
        started = time.monotonic()
        try:
            return self._exchanged(parts, most_bytes, within_s, started + min(within_s, self._left_s))
        except BaseException:  # an interrupt too: half a request cannot be gone on with
            self.close(grace_s=0.0)
            raise
        finally:
            self._left_s -= time.monotonic() - started

    def refuse_more(self) -> None:
        """
        Raises:
            ChildFailed: more has come than the line that `exchange` gave.
        """
        if self._said:
            raise ChildFailed(f"said more than the one line that answers: {_begin(self._said)}")

    def close(self, *, grace_s: float = GRACE_S) -> None:
        """Close its input, wait a little, and kill what is left of it and of what it started."""
        if self._end.alive:
            with contextlib.suppress(OSError):
                self._input.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(grace_s)
            self._end()
            if self.group and self._keeper.returncode < 0:  # killed, so that it could kill nobody
                with contextlib.suppress(OSError):
                    os.killpg(self.group, signal.SIGKILL)
            self._errors.finish()

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error, as a phrase that follows what went wrong."""
        said = visible(self._errors.text().strip())
        return f" Its standard error ends with:\n{said}" if said else " It wrote nothing to its standard error."

    def _exchanged(
        self, parts: Sequence[bytes | memoryview], most_bytes: int, within_s: float, deadline: float
    ) -> bytes:
        if not self._end.alive:
            raise ChildFailed("was ended after an error")
        waiting = deque(memoryview(part).cast("B") for part in parts)
        with selectors.DefaultSelector() as ready:
            ready.register(self._output, selectors.EVENT_READ)
            ready.register(self._input, selectors.EVENT_WRITE)
            while waiting or b"\n" not in self._said:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ChildFailed(self._out_of_time(within_s))
                for key, _ in ready.select(left):
                    if key.fileobj is self._output:
                        self._read(most_bytes)
                    elif not self._write(waiting):
                        ready.unregister(self._input)
        line, _, more = bytes(self._said).partition(b"\n")
        self._said[:] = more
        return line

    def _out_of_time(self, within_s: float) -> str:
        if self._left_s < within_s:
            return f"took more than the {self._total_s:g} s that it has in total"
        return f"did not answer within {within_s:g} s"

    def _write(self, waiting: deque[memoryview]) -> bool:
        """Whether there is more to write."""
        if waiting:
            try:
                n = os.write(self._input.fileno(), waiting[0])
            except BlockingIOError:
                return True
            except BrokenPipeError:  # how it ended, its output says
                waiting.clear()
                return False
            waiting[0] = waiting[0][n:]
            if not waiting[0]:
                waiting.popleft()
        return bool(waiting)

    def _read(self, most_bytes: int) -> None:
        try:
            found = os.read(self._output.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        if not found:
            raise ChildFailed(self._how_it_ended())
        self._said += found
        if len(self._said) > most_bytes:
            raise ChildFailed(f"said more than {most_bytes:,} bytes where one line answers: {_begin(self._said)}")

    def _how_it_ended(self) -> str:
        code = self._status.next(1.0).get("ended")
        self._errors.finish()
        if code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._keeper.wait(0.1) < 0:
                    return "or somebody else killed the process that started it"
            return "closed its standard output"
        if code >= 0:
            return f"ended with exit status {code}"
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"


class _Lines:
    """What the keeper says, as JSON lines from a file descriptor that somebody else closes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._said = descriptor, b""

    def next(self, within_s: float) -> dict[str, Any]:
        """The next line; nothing where there is none in this time."""
        deadline = time.monotonic() + within_s
        with selectors.DefaultSelector() as ready:
            ready.register(self._descriptor, selectors.EVENT_READ)
            while b"\n" not in self._said:
                if not ready.select(max(0.0, deadline - time.monotonic())):
                    return {}
                if not (found := os.read(self._descriptor, READ_BYTES)):
                    return {}
                self._said += found
        line, _, self._said = self._said.partition(b"\n")
        return json.loads(line)  # type: ignore[no-any-return]  # of our own keeper


class _Tail:
    """Drains a pipe in a thread of its own, so that its writer never waits, and remembers the end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._kept = bytearray()
        self._thread = threading.Thread(target=_drain, args=(pipe, self._kept), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._thread.join(1.0)

    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", "replace")


def _drain(pipe: IO[bytes], kept: bytearray) -> None:
    with pipe, contextlib.suppress(OSError, ValueError):
        while found := pipe.read(READ_BYTES):
            kept += found
            del kept[:-TAIL_BYTES]


def _end(keeper: subprocess.Popen[bytes], control: int, status: int) -> None:
    """Tell the keeper to kill, see that it did, and close what is ours; its errors are closed by who drains them."""
    os.close(control)
    for end in (keeper.stdin, keeper.stdout):
        assert end is not None
        with contextlib.suppress(OSError):
            end.close()
    try:
        keeper.wait(KEEPER_S)
    except subprocess.TimeoutExpired:  # somebody stopped it
        keeper.kill()
        keeper.wait()
    os.close(status)


def _begin(said: bytes | bytearray) -> str:
    return repr(bytes(said[:60]))
