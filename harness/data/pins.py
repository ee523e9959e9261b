"""Are these the images and labels that the protocol pins, and which of them differ from those of before?

A digest tells that something differs, not what: that takes the list of the images that were pinned, which every
evidence pack of theirs has. File names and locations do not matter: the same pictures elsewhere are the same dataset.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.data.records import CellImage, Finding, Manifest
from harness.protocol.datasets import PINNED_BY


class Change(StrEnum):
    EXCHANGED = "exchanged"
    RELABELLED = "relabelled"
    MISSING = "missing"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Difference:
    """One image that is not as it was pinned; path: where it lies now, or lay then. detail: what became of it."""

    change: Change
    path: str
    detail: str


def pin_findings(manifest: Manifest, pin: str | None) -> Iterator[Finding]:
    """What is wrong with a set whose digest is pinned; nothing where it is that, or none is."""
    if pin is None or manifest.pin == pin:
        return
    yield Finding(
        PINNED_BY,
        manifest.name,
        f"the digest of its {len(manifest.images):,} images and labels is {manifest.pin}, the protocol pins {pin}",
        "Restore what was pinned: `python -m harness pin PROTOCOL --data DIR --against PACK`, with a pack of it, says "
        "how many images differ and names each. Where other data are meant, it prints the digest to state",
    )


def differences(now: Sequence[CellImage], before: Sequence[CellImage]) -> tuple[Difference, ...]:
    """What became of each image that is not in both with the same label, by kind and path.

    The same content with another label was relabelled; of the others, those at the same path were exchanged.
    """
    lost, new = _apart(before, now), _apart(now, before)
    found = [*_relabelled(lost, new), *_exchanged(lost, new)]
    found += [Difference(Change.MISSING, each.path, f"was pinned as {each.label}") for each in lost.values()]
    found += [Difference(Change.ADDED, each.path, f"is {each.label} here") for each in new.values()]
    order = list(Change)
    return tuple(sorted(found, key=lambda each: (order.index(each.change), each.path)))


def _apart(ours: Sequence[CellImage], theirs: Sequence[CellImage]) -> dict[str, CellImage]:
    """Path -> image of ours that they do not have with the same label, whatever they call it."""
    spare = Counter((image.sha256, image.label) for image in theirs)
    known = {(image.path, image.sha256, image.label) for image in theirs}
    apart = {}
    # Of several equal files, the ones that kept their path are taken for the same.
    for image in sorted(ours, key=lambda image: ((image.path, image.sha256, image.label) not in known, image.path)):
        key = (image.sha256, image.label)
        if spare[key]:
            spare[key] -= 1
        else:
            apart[image.path] = image
    return apart


def _relabelled(lost: dict[str, CellImage], new: dict[str, CellImage]) -> Iterator[Difference]:
    by_content = defaultdict(list)
    for image in lost.values():
        by_content[image.sha256].append(image)
    for path, image in list(new.items()):
        if by_content[image.sha256]:
            old = by_content[image.sha256].pop()
            del lost[old.path], new[path]
            yield Difference(Change.RELABELLED, path, f"was pinned as {old.label}, and is {image.label} here")


def _exchanged(lost: dict[str, CellImage], new: dict[str, CellImage]) -> Iterator[Difference]:
    for path in lost.keys() & new.keys():
        del new[path]
        yield Difference(Change.EXCHANGED, path, f"has other bytes than were pinned as {lost.pop(path).label}")
