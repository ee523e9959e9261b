"""A real scheduler of dask on the loopback, and workers as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.places import PROJECT

TIMEOUT_S = 120.0
# What a worker starts with must be what this process did: threads stand in keys, and pytest's variables in nothing.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DASK_"))}


@dataclass
class Cluster:
    """A scheduler, whose address workers and runs are told. workers: in the order in which they were started."""

    address: str
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *, home: Path = PROJECT, threads: int = 1) -> subprocess.Popen[bytes]:
        """One more worker, which takes the harness from `home`; it is there when this returns."""
        name = f"worker-{len(self.workers)}"
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "dask", "worker", self.address, "--host", "127.0.0.1", "--name", name),
                    *("--nthreads", str(threads), "--no-nanny", "--no-dashboard"),
                    *("--local-directory", str(self.folder / name), "--death-timeout", "60"),
                ],
                env={**ENVIRONMENT, "PYTHONPATH": str(home)},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(process)
        self._until(lambda: name in self.names())
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker, as a machine that loses its power."""
        process.kill()
        process.wait()
        gone = f"worker-{self.workers.index(process)}"
        self._until(lambda: gone not in self.names())

    def names(self) -> set[str]:
        """Of the workers that the scheduler knows."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return {str(each["name"]) for each in client.scheduler_info(n_workers=-1)["workers"].values()}

    def _until(self, true: Callable[[], bool]) -> None:
        ends = time.monotonic() + TIMEOUT_S
        while not true():
            assert time.monotonic() < ends, "\n".join(log.read_text() for log in self.folder.glob("*.log"))
            time.sleep(0.2)


@contextmanager
def cluster(folder: Path, *, allowed_failures: int) -> Iterator[Cluster]:
    """A scheduler that has no worker yet; all are ended afterwards.

    allowed_failures: how many workers may die over one task before it is given up.
    """
    place, log = folder / "scheduler.json", (folder / "scheduler.log").open("wb")
    scheduler = subprocess.Popen(
        [
            *(sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--scheduler-file", str(place)),
        ],
        env={**ENVIRONMENT, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures)},
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    found = Cluster("", folder)
    try:
        found._until(lambda: place.is_file() and bool(place.read_text()))
        found.address = json.loads(place.read_text())["address"]
        yield found
    finally:
        for process in (*found.workers, scheduler):
            process.kill()
            process.wait()
        log.close()
