"""Tasks that end the process that takes them on, for the tests of workers; named `tests.worker_tasks` there."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.inspection import Inspected, Inspection
from harness.data.records import CellImage


@dataclass(frozen=True, slots=True)
class Deadly:
    """An inspection in which one file kills: once, where `marker` is given and then there; else always."""

    inner: Inspection
    path: str
    marker: Path | None

    @property
    def packages(self) -> tuple[str, ...]:
        return self.inner.packages

    @property
    def device(self) -> None:
        return None

    def __call__(self, images: Sequence[CellImage], threads: int, /) -> tuple[Inspected, ...]:
        if self.path in {image.path for image in images} and not (self.marker is not None and self.marker.exists()):
            if self.marker is not None:
                self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner(images, threads)


@dataclass(frozen=True, slots=True)
class Floats:
    """What a network computes: its last bit follows the processor."""

    packages: tuple[str, ...] = ("torch",)
    device: str = "cpu"

    def __call__(self, images: Sequence[CellImage], threads: int, /) -> float:
        raise NotImplementedError
