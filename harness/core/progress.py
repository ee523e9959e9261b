"""How long work tells a person where it is: one callable, passed down as a value."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from rich.progress import Progress

# (what is being done, steps done, steps in all, latest detail such as "train 0.31, validation 0.28")
Report = Callable[[str, int, int, str], None]
SECONDS_WORTH_A_LINE = 1.0


class Stream(Protocol):
    """The little of a text stream that progress needs."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...


def silent(label: str, done: int, total: int, detail: str) -> None:
    """Says nothing."""


class TerminalProgress:
    """A live bar on a terminal; on anything else a line per piece of work that took a while, fit for a CI log."""

    def __init__(self, stream: Stream, *, live: bool) -> None:
        self._stream, self._live = stream, live
        self._bar: Progress | None = None
        self._task: Any = None
        self._label: str | None = None
        self._began = 0.0

    def __call__(self, label: str, done: int, total: int, detail: str) -> None:
        if self._live:
            self._show(label, done, total, detail)
            return
        if label != self._label:
            self._label, self._began = label, time.monotonic()
        if done < total:
            return
        seconds, self._label = time.monotonic() - self._began, None  # the same work may come again
        if seconds >= SECONDS_WORTH_A_LINE:
            self._stream.write(f"  {label}: {seconds:.1f} s" + (f", {detail}" if detail else "") + "\n")
            self._stream.flush()

    @property
    def active(self) -> bool:
        """Whether a bar is on the terminal."""
        return self._bar is not None

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._label = None

    def _show(self, label: str, done: int, total: int, detail: str) -> None:
        if self._bar is None:
            self._bar = _bar(cast(IO[str], self._stream))
            self._bar.start()
        if label != self._label:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._task, self._label = self._bar.add_task(label, total=total, detail=detail), label
        self._bar.update(self._task, completed=done, detail=detail)
        self._bar.refresh()
        if done >= total:
            self.close()


def _bar(stream: IO[str]) -> Progress:
    # Imported by who draws a bar: every module that reports progress imports this one for the type.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    console = Console(file=stream, force_terminal=True)
    return Progress(*columns, auto_refresh=False, console=console, transient=True)
