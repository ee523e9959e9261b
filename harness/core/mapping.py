"""One task over many items, slice by slice: the seam between a stage and the machines that it may be spread over.

Without an engine a stage does as it always did, on this machine. With one, what a slice comes to must depend on the
slice alone, so that it is the same wherever it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from harness.core.digests import file_digest

S = TypeVar("S")
R = TypeVar("R")
S_contra = TypeVar("S_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Task(Protocol[S_contra, R_co]):
    """What is done to a slice: a record of ours, whose fields are what every slice is done with. It can be pickled."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions whose versions can change its result."""
        ...

    @property
    def device(self) -> str | None:
        """What must compute in the same way as here, such as "cpu"; None where only whole numbers are made."""
        ...

    def __call__(self, items: Sequence[S_contra], threads: int, /) -> R_co:
        """The result of a slice, with so many threads, which change nothing in it."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """A file that whoever takes on a slice must be able to read, with the SHA-256 that it must have."""

    path: Path
    sha256: str


def readable_sample(files: Iterable[tuple[Path, str]]) -> Sample | None:
    """The first of these files (path, SHA-256) that is here as it was listed; None where none is."""
    for path, sha256 in files:
        try:
            if path.is_file() and file_digest(path) == sha256:
                return Sample(path, sha256)
        except OSError:
            continue  # a finding of whoever looks at every file
    return None


class MapEngine(Protocol):
    """What a task is spread by."""

    def map(
        self,
        task: Task[S, R],
        items: Sequence[S],
        *,
        label: str,
        multiple: int,
        sample: Sample | None,
        done: Callable[[int], None],
    ) -> list[R]:
        """The result of every slice, in the order of the items.

        Slices are of a fixed size, which does not depend on how many workers there are.

        Args:
            label:    what is done, for a person.
            multiple: the size of every slice but the last is a multiple of it.
            sample:   one of the files that the items name; None where they name none.
            done:     called with the number of items done so far.
        Raises:
            WorkersError: no worker is there that can do it.
            HarnessError: what the task raised.
        """
        ...

    @property
    def told(self) -> str:
        """What was done where, for a person; no address is in it."""
        ...

    def stays_here(self, label: str, why: str) -> None:
        """Put on record that something was not spread, and why."""
