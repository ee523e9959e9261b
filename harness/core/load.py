"""How busy was the machine with something else?"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Used:
    """Processor seconds since the machine and this process began: all of them, and ours with those of our children."""

    at: float
    all: float
    ours: float


def used() -> Used:
    total = psutil.cpu_times()
    idle = total.idle + getattr(total, "iowait", 0.0)
    guests = getattr(total, "guest", 0.0) + getattr(total, "guest_nice", 0.0)  # counted as user and nice, too
    return Used(time.monotonic(), sum(total) - guests - idle, _ours())


def share_of_others(since: Used, until: Used) -> float | None:
    """The share of the machine's processor time, in [0, 1], that went to other processes; None of no time at all.

    What a child of ours used that has ended meanwhile is counted as another's.
    """
    seconds = (until.at - since.at) * (psutil.cpu_count() or 1)
    if seconds <= 0:
        return None
    others = (until.all - since.all) - (until.ours - since.ours)
    return min(1.0, max(0.0, others / seconds))


def _ours() -> float:
    this = psutil.Process()
    return sum(_of(each) for each in (this, *this.children(recursive=True)))


def _of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # it ended since it was listed
        return 0.0
    return float(times.user + times.system)
