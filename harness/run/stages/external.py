"""What is judged: the images of a part, or of a set that is not made of the dataset's own pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.core.errors import DataError
from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage, Manifest
from harness.metrics.estimates import Unavailable
from harness.metrics.leakage import made_of_the_dataset
from harness.protocol.records import PARTS
from harness.run.graph import Asking, stage
from harness.run.stages.data import listed, manifest, split
from harness.run.stages.independence import duplicates


@stage(manifest, listed, duplicates)
def external(run: Asking) -> Mapping[str, Manifest | Unavailable]:
    """Every external set as it may be scored, or why not: also one that holds files or pictures of the dataset."""
    return {
        name: _apart(found, run(manifest), run(duplicates)) if isinstance(found, Manifest) else found
        for name, found in run(listed).items()
    }


@stage(external)
def missing(run: Asking, set_name: str) -> Unavailable | None:
    """Why an external set cannot be had; None for one that is there, and for the dataset's parts."""
    found = None if set_name in PARTS else run(external)[set_name]
    return found if isinstance(found, Unavailable) else None


@stage(manifest, external)
def listing(run: Asking, set_name: str) -> Manifest:
    """The manifest that the images of a part or of an external set are listed in.

    Raises:
        DataError: the external set is not there; ask `missing` first.
    """
    found = run(manifest) if set_name in PARTS else run(external)[set_name]
    if isinstance(found, Unavailable):
        raise DataError(found.reason)
    return found


@stage(split, listing)
def images(run: Asking, set_name: str) -> tuple[CellImage, ...]:
    """The images of a part or of an external set."""
    return run(split).part(set_name) if set_name in PARTS else run(listing, set_name).images


def _apart(found: Manifest, dataset: Manifest, pairs: Sequence[DuplicatePair]) -> Manifest | Unavailable:
    """An external set, or why it is not one: it holds files of the dataset, or is made of its pictures."""
    own = {image.sha256 for image in dataset.images}
    shared = [image.path for image in found.images if image.sha256 in own]
    if shared:
        return _not_external(
            found, f"{len(shared)} of its {len(found.images)} images are also in the dataset, first {shared[0]!r}"
        )
    made_of = made_of_the_dataset(pairs, found.name, len(found.images))
    return found if made_of is None else _not_external(found, made_of)


def _not_external(found: Manifest, why: str) -> Unavailable:
    return Unavailable(f"set {found.name} is not external: {why}", waivable=False)
