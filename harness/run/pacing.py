"""Times blocks of queries apart: waits between them, and notes what other processes took during each."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.core.load import share_of_others, used
from harness.model.records import block_ends
from harness.model.scenarios import Scenario


class Pacer:
    """To be called before each query of a scenario, warm-up first.

    After a pause one query goes untimed: what a rest costs (a cold cache, a clock that has come down) is not what is
    asked. Queries in a row share whatever slows the machine for seconds; blocks that are apart share less of it.
    """

    def __init__(self, scenario: Scenario, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._scenario, self._sleep = scenario, sleep
        self._asked, self._began = -scenario.warmup, used()
        self._starts = (0, *block_ends(scenario.rounds, scenario.blocks)[:-1])
        self._shares: list[float | None] = []

    def __call__(self) -> None:
        if self._scenario.blocks > 1 and self._asked in self._starts:
            if self._asked:
                self._shares.append(share_of_others(self._began, used()))
                self._sleep(self._scenario.pause_s)
                self._scenario.query()
            self._began = used()
        self._asked += 1

    def shares(self) -> tuple[float, ...]:
        """What other processes took of the machine's processor time in each block; empty where that is not known."""
        if self._scenario.blocks == 1:
            return ()
        shares = [*self._shares, share_of_others(self._began, used())]
        known = [share for share in shares if share is not None]
        return tuple(known) if len(known) == self._scenario.blocks else ()
