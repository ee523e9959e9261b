"""How much longer does a command take beside processes that want the cores, too? Runs it alone, then beside busy loops.

    taskset -c 0,1 python benchmarks/beside_others.py -- pytest suites/ --fresh --reports=/tmp/reports

On two cores, beside two loops, a fair scheduler gives a command that uses both cores half of each: a ratio of 2
cannot be beaten. What is above that was lost in waiting. Other work on the machine spoils the comparison.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """wall_s: on the clock; cpu_s: user and system, of the command and what it started."""

    wall_s: float
    cpu_s: float


def cost_of(command: Sequence[str]) -> Cost:
    """Raises: subprocess.CalledProcessError: the command failed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def beside(n_busy: int, command: Sequence[str]) -> Cost:
    """The command's cost while so many processes compute for nothing."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
    try:
        return cost_of(command)
    finally:
        for process in busy:
            process.kill()
        # Not waited for before the command's children were counted: they would count among them.
        for process in busy:
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--busy", type=int, default=2, help="processes beside the command (default: 2)")
    parser.add_argument("command", nargs="+", help="what to run, after --")
    asked = parser.parse_args()
    alone = cost_of(asked.command)
    print(f"alone: {alone.wall_s:.1f} s, {alone.cpu_s:.1f} s of processor time", flush=True)
    loaded = beside(asked.busy, asked.command)
    print(f"beside {asked.busy} busy loops: {loaded.wall_s:.1f} s, {loaded.cpu_s:.1f} s of processor time")
    print(f"ratio: {loaded.wall_s / alone.wall_s:.2f} (processor time: {loaded.cpu_s / alone.cpu_s:.2f})")


if __name__ == "__main__":
    main()
