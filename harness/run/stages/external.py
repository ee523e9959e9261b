"""What is judged: the images of a part, or of a set that is not made of the dataset's own pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.core.errors import DataError
from harness.data.drawing import candidates_of, copies_inside, draw_cells
from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage, Manifest
from harness.judge.ledger import read_ledger
from harness.judge.look import Look
from harness.judge.looks import fits_on, fitted_among
from harness.judge.pictures import pack_pictures
from harness.metrics.estimates import Unavailable
from harness.metrics.leakage import made_of_the_dataset
from harness.protocol.adaptation import AdaptationPlan
from harness.protocol.names import PARTS
from harness.run.graph import Asking, stage
from harness.run.stages.data import listed, manifest, picture_digests, split
from harness.run.stages.independence import duplicates


@stage(manifest, listed, duplicates)
def apart(run: Asking) -> Mapping[str, Manifest | Unavailable]:
    """Every set beside the dataset that is one, whole."""
    return {name: _apart(run, found) if isinstance(found, Manifest) else found for name, found in run(listed).items()}


@stage(apart, duplicates)
def drawn(run: Asking) -> Mapping[str, tuple[CellImage, ...]]:
    """External set that is there -> the cells that the classifier is adapted with, as the protocol draws them.

    None of a set to which nothing is adapted, and none where predictions are judged: nobody can be adapted then.
    """
    found: dict[str, tuple[CellImage, ...]] = {}
    for name, each in run(apart).items():
        plan = None if run.setting.options.predictions else run.setting.protocol.adaptation_of(name)
        if isinstance(each, Manifest):
            found[name] = () if plan is None else _drawn(each, plan, run(duplicates))
    return found


@stage(apart, drawn, picture_digests)
def external(run: Asking) -> Mapping[str, Manifest | Unavailable]:
    """Every external set as it may be scored, or why not: also one that holds files or pictures of the dataset.

    Without the cells that are drawn to adapt the classifier with: neither it nor the adapted one is judged on them.
    """
    looks = read_ledger(run.setting.options.ledger)
    return {
        name: _unfitted(run, _rest(found, run(drawn)[name]), looks) if isinstance(found, Manifest) else found
        for name, found in run(apart).items()
        if name not in run.setting.unknown
    }


@stage(apart, picture_digests)
def unknown(run: Asking) -> Mapping[str, Manifest | Unavailable]:
    """Every set of cells of classes that the classifier does not know, as it may be scored, or why not."""
    looks, sets = read_ledger(run.setting.options.ledger), run(apart)
    found = {name: sets[name] for name in run.setting.unknown}
    return {name: _unfitted(run, each, looks) if isinstance(each, Manifest) else each for name, each in found.items()}


@stage(external, unknown)
def beside(run: Asking) -> Mapping[str, Manifest | Unavailable]:
    """Every set beside the dataset as it may be scored, or why not: external ones, then those of unknown classes."""
    return {**run(external), **run(unknown)}


@stage(beside)
def missing(run: Asking, set_name: str) -> Unavailable | None:
    """Why a set beside the dataset cannot be had; None for one that is there, and for the dataset's parts."""
    found = None if set_name in PARTS else run(beside)[set_name]
    return found if isinstance(found, Unavailable) else None


@stage(manifest, beside)
def listing(run: Asking, set_name: str) -> Manifest:
    """The manifest that the images of a part or of a set beside the dataset are listed in.

    Raises:
        DataError: the set is not there; ask `missing` first.
    """
    found = run(manifest) if set_name in PARTS else run(beside)[set_name]
    if isinstance(found, Unavailable):
        raise DataError(found.reason)
    return found


@stage(listing)
def vocabulary(run: Asking, set_name: str) -> tuple[str, ...]:
    """The columns that probabilities of a set have: the classes, then the kinds of cell that are none of them."""
    kinds = run(listing, set_name).classes if set_name in run.setting.unknown else ()
    return (*run.setting.classes, *kinds)


@stage(split, listing)
def images(run: Asking, set_name: str) -> tuple[CellImage, ...]:
    """The images of a part or of a set beside the dataset."""
    return run(split).part(set_name) if set_name in PARTS else run(listing, set_name).images


def _drawn(found: Manifest, plan: AdaptationPlan, pairs: Sequence[DuplicatePair]) -> tuple[CellImage, ...]:
    cells = draw_cells(candidates_of(found.images), copies_inside(pairs, found.name), n=plan.cells, seed=plan.seed)
    paths = {cell.path for cell in cells}
    return tuple(image for image in found.images if image.path in paths)


def _rest(found: Manifest, cells: Sequence[CellImage]) -> Manifest:
    paths = {cell.path for cell in cells}
    return replace(found, images=tuple(image for image in found.images if image.path not in paths)) if paths else found


def _unfitted(run: Asking, found: Manifest, looks: Sequence[Look]) -> Manifest | Unavailable:
    """An external set, or why it cannot be judged: a classifier was adapted with some of its cells, by the ledger."""
    if not fits_on(looks):
        return found
    digests = run(picture_digests, found.name)
    fitted = fitted_among(looks, pack_pictures(digests[image.path] for image in found.images))
    if not fitted:
        return found
    look, n = fitted[0]
    return Unavailable(
        f"{n} images of set {found.name} were drawn by run {look.run} to adapt a classifier with (ledger, entry "
        f"{look.index}): they are fits and are never judged again. Declare the same external.{found.name}.adaptation, "
        "cells and seed, which leaves them out, or take them out of the set",
        waivable=False,
    )


def _apart(run: Asking, found: Manifest) -> Manifest | Unavailable:
    """A set beside the dataset, or why it is not one: it holds files of the dataset, or is made of its pictures."""
    role = "unknown" if found.name in run.setting.unknown else "external"
    own = {image.sha256 for image in run(manifest).images}
    shared = [image.path for image in found.images if image.sha256 in own]
    if shared:
        why: str | None = (
            f"{len(shared)} of its {len(found.images)} images are also in the dataset, first {shared[0]!r}"
        )
    else:
        why = made_of_the_dataset(run(duplicates), found.name, len(found.images))
    return found if why is None else Unavailable(f"set {found.name} is not {role}: {why}", waivable=False)
