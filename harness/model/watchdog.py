"""Ends what takes longer than its time, in a library that can be told to give up but keeps no clock itself."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """One thread that sleeps until the next call is due; a thread for each call would take longer than small networks.

    It starts with the first call, and ends with the process.
    """

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a fork has neither the thread nor what it waited for

    def _begin(self) -> None:
        self._due: dict[object, tuple[float, Callable[[], object]]] = {}
        self._changed = threading.Condition()
        self._until = 0.0  # when the thread looks again by itself
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, seconds: float, give_up: Callable[[], object]) -> Iterator[None]:
        """Call `give_up` from another thread where the block takes longer than this."""
        mark, when = object(), time.monotonic() + seconds
        with self._changed:
            self._due[mark] = (when, give_up)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            elif when < self._until:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(mark, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                for mark in [mark for mark, (when, _) in self._due.items() if when <= time.monotonic()]:
                    self._due.pop(mark)[1]()
                self._until = min((when for when, _ in self._due.values()), default=math.inf)
                left = self._until - time.monotonic()
                self._changed.wait(None if left == math.inf else max(0.0, left))
