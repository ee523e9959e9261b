"""How pictures that are in two places are searched for, and what was found is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from harness.core.progress import Report
from harness.data.inspection import Inspected, hashes_of
from harness.data.leakage import DuplicatePair, ListedImage, find_duplicates, unsearchable
from harness.data.records import Manifest
from harness.protocol.datasets import ImageRules
from harness.run.recipes.basis import read_json, write_json

CACHE_FILE = "copies.json"


@dataclass(frozen=True, slots=True, eq=False)
class CopySearch:
    """The search among the pictures of these sets.

    rules:   what a set's files may be.
    workers: can change no pair.
    look:    set -> what its files show, by those rules and in the order of its manifest; asked only where there is
             something to search.
    """

    sets: Mapping[str, Manifest]
    rules: Mapping[str, ImageRules]
    workers: int
    look: Callable[[str], Sequence[Inspected]]

    def made_of(self) -> Mapping[str, object]:
        return {
            "sets": {name: found.digest for name, found in self.sets.items()},
            "rules": {name: rules.model_dump(mode="json") for name, rules in self.rules.items()},
        }

    def make(self, folder: Path, progress: Report) -> None:
        hashes = tuple(
            hashes_of(found.images, self.look(name), root=found.root, set_name=name)
            for name, found in self.sets.items()
        )
        pairs = find_duplicates(hashes, workers=self.workers)
        kept = {"pairs": [astuple(each) for each in pairs], "unsearchable": [astuple(e) for e in unsearchable(hashes)]}
        write_json(folder / CACHE_FILE, kept)


@dataclass(frozen=True, slots=True)
class Copies:
    """What the search found. unsearchable: see `harness.data.leakage.unsearchable`."""

    pairs: tuple[DuplicatePair, ...]
    unsearchable: tuple[ListedImage, ...]


def read_copies(folder: Path) -> Copies:
    kept = read_json(folder / CACHE_FILE)
    return Copies(
        pairs=tuple(
            DuplicatePair(ListedImage(*first), ListedImage(*second), *how) for first, second, *how in kept["pairs"]
        ),
        unsearchable=tuple(ListedImage(*each) for each in kept["unsearchable"]),
    )
