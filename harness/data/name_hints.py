"""Which file names look as if one image had been made from another? A hint for whoever reads them, never a finding."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# What augmentation programs, file managers and people put behind a name: x_aug1, x-rot90, x_flip_lr, x (1), x - Copy.
_AFTER = re.compile(
    r"(?:[ _.-]+(?:aug(?:ment(?:ed|ation)?)?|rot(?:at(?:ed?|ion))?|turn(?:ed)?|[hv]?flip(?:ped)?|mirror(?:ed)?|"
    r"transposed?|copy|crop(?:ped)?|shift(?:ed)?|translated?|pad(?:ded)?|zoom(?:ed)?|scaled?|resized?|bright(?:ness|er)?|"
    r"dark(?:er)?|contrast|gamma|hue|blur(?:red)?|nois[ey]|neg(?:ative)?|invert(?:ed)?|jit(?:ter)?|cutout|elastic|warp(?:ed)?)"
    r"(?:[ _.-]*(?:lr|ud|tb|[hvxy]))?(?:[ _.-]*[+-]?\d+(?:\.\d+)?)?(?:deg)?|[ _]*\(\d+\))$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, order=True)
class NameHint:
    """`path` is named like a copy of `after`."""

    path: str
    after: str


def name_hints(paths: Sequence[str]) -> tuple[NameHint, ...]:
    """Every name that is another's with a word for an augmentation behind it, or that shares its stem with such a one.

    >>> name_hints(["m/12_rot90.png", "m/12.png", "m/13.png"])
    (NameHint(path='m/12_rot90.png', after='m/12.png'),)
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        by_stem[_bare(PurePosixPath(path).stem)].append(path)
    hints = []
    for stem, named in by_stem.items():
        first, *others = sorted(named, key=lambda path: (PurePosixPath(path).stem != stem, path))
        hints += [NameHint(path, first) for path in others if PurePosixPath(path).stem != stem]
    return tuple(sorted(hints))


def _bare(stem: str) -> str:
    """Without anything that augmentation put behind it; a name that is nothing else stays as it is."""
    while (shorter := _AFTER.sub("", stem)) not in ("", stem):
        stem = shorter
    return stem
