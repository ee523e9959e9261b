"""Which digest pins these data, and what differs from the data that a pack was made of? The job `pin`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.core.errors import DataError
from harness.core.text import first_few
from harness.data.pins import Change, Difference, differences
from harness.data.records import CellImage
from harness.pack.adapted import cells_of
from harness.pack.further import UNKNOWN
from harness.pack.read import Pack, open_pack, require_verified
from harness.pack.read_predictions import read_predictions
from harness.pack.rebuild import rebuild
from harness.pack.unknown import read_unknown
from harness.planning import listed_sets
from harness.protocol.records import Protocol

SHOWN = 20


@dataclass(frozen=True, slots=True)
class PinnedSet:
    """What the pin of one set is.

    found:    the digest of its images and labels as they lie there.
    stated:   the one that the protocol pins; None where it pins none.
    differences: from the data of a pack; None where there was nothing to compare with.
    """

    name: str
    n_images: int
    found: str
    stated: str | None
    differences: tuple[Difference, ...] | None = None

    @property
    def holds(self) -> bool:
        return self.stated in (None, self.found) and not self.differences


def pins(
    protocol: Protocol, data: Path, elsewhere: Mapping[str, Path], *, against: Path | None, workers: int
) -> tuple[PinnedSet, ...]:
    """The pins of the dataset and of every external set that lies beside it, or is named.

    Args:
        against: an evidence pack, whose images and labels these are compared with.
    Raises:
        DataError: a set that the protocol does not declare.
        HarnessError: the data or the pack cannot be read.
    """
    declared = {plan.name for plan in (*protocol.external, *protocol.unknown)}
    if strange := [name for name in elsewhere if name not in declared]:
        raise DataError(f"--external={strange[0]}: the protocol declares no such set, and a pin is stated in it.")
    pack = None if against is None else open_pack(against)
    if pack is not None:
        require_verified(pack)
    found = listed_sets(protocol, data, elsewhere, workers=workers)
    return tuple(
        PinnedSet(name, len(each.images), each.pin, protocol.pin_of(name), _compared(pack, name, each.images))
        for name, each in found.items()
    )


def _compared(pack: Pack | None, name: str, images: Sequence[CellImage]) -> tuple[Difference, ...] | None:
    before = None if pack is None else _images_of(pack, name)
    return None if before is None else differences(images, before)


def _images_of(pack: Pack, name: str) -> tuple[CellImage, ...] | None:
    """The images of a set as a pack lists them; None where it does not."""
    if name != "dataset":
        if f"predictions/{UNKNOWN}/{name}.csv" in pack.files:
            return cells_of(read_unknown(pack, name))
        if f"predictions/{name}.csv" not in pack.files:
            return None
        return cells_of(read_predictions(pack, name))
    manifest = rebuild(pack).manifest
    return None if manifest is None else manifest.images


def lines(found: Sequence[PinnedSet]) -> Iterator[str]:
    for each in found:
        table = "[dataset]" if each.name == "dataset" else f"the table of {each.name}"
        told = {None: f"the protocol pins none: state it in {table}", each.found: "as the protocol pins it"}
        yield f"{each.name}: {each.n_images:,} images; {told.get(each.stated, f'the protocol pins {each.stated}')}"
        yield f'  digest = "{each.found}"'
        if each.differences is not None:
            yield f"  {_counted(each.differences)}"
            yield from first_few([f"  - {d.change}: {d.path}: {d.detail}" for d in each.differences], SHOWN)


def _counted(found: Sequence[Difference]) -> str:
    counts = Counter(each.change for each in found)
    kinds = ", ".join(f"{counts[change]:,} {change}" for change in Change if counts[change])
    return f"{len(found):,} images differ from the pack's: {kinds}" if found else "no image differs from the pack's"


def as_record(found: Sequence[PinnedSet]) -> dict[str, object]:
    """For --json."""
    return {each.name: {**asdict(each), "holds": each.holds} for each in found}
