"""Is the split of a pack the one that its source makes? Part folders are read again, what was drawn is drawn again."""

from __future__ import annotations

from harness import __version__
from harness.core.errors import DataError
from harness.data.records import CellImage, Manifest, Split, SplitSource
from harness.data.split import draw_split, drawn_parts
from harness.pack.files import EVIDENCE
from harness.protocol.datasets import SplitPlan
from harness.protocol.names import PARTS

SPLIT = "data_split.csv"
# How the origin of a split begins that this run did not draw; older packs record its source in no other way.
BEGINNINGS: dict[str, SplitSource] = {"read from ": "file", "part folders ": "folders", "not divided": "undivided"}
TAKEN = "that the split is the one of the file it was read from: that file is not in the pack"

# (file, field, what is wrong)
Found = tuple[str, str, str]


def source_of(origin: str) -> SplitSource:
    """What made a split, by the words of its origin."""
    return next((source for beginning, source in BEGINNINGS.items() if origin.startswith(beginning)), "drawn")


def check_source(
    split: Split, manifest: Manifest, plan: SplitPlan, *, draws: bool, drawn_by: str
) -> tuple[list[Found], list[str]]:
    """What of the split does not follow from its source, and what could not be compared, one sentence each.

    Args:
        draws:    whether the run could draw a part, as for `draw_split`: not for predictions that existed before.
        drawn_by: the version of the harness that wrote the pack. Within a version a draw is always the same; that
            another one drew otherwise is no finding.
    """
    if split.source != source_of(split.origin):
        return [(EVIDENCE, "split > source", f"{split.source!r} is written, and {split.origin!r} as its origin")], []
    if split.source == "file" and not manifest.reading.parts:
        return [], [TAKEN]
    try:
        made = draw_split(manifest, plan, draws=draws)
    except DataError as error:
        return [(SPLIT, "split", f"{split.origin!r} is written, and such a split cannot be made: {error}")], []
    if split.source != made.source:
        return [(EVIDENCE, "split > source", f"{split.source!r} is written, {_follows(made.source)}")], []
    again = {image: part for part in PARTS for image in made.part(part)}
    moved = {image: part for part in PARTS for image in split.part(part) if part != again[image]}
    if drawn_by != __version__ and all({part, again[image]} <= {*drawn_parts(made)} for image, part in moved.items()):
        return [], [_of_another_version(moved, again, drawn_by)] if moved else []
    found = [(SPLIT, "split", _told(moved, again, repr(made.origin)))] if moved else []
    if split.origin != made.origin:
        found.append((EVIDENCE, "split > origin", f"{split.origin!r} is written, {_follows(made.origin)}"))
    return found, []


def _follows(value: str) -> str:
    return f"{value!r} follows from manifest.csv, the protocol and what was judged"


def _told(moved: dict[CellImage, str], again: dict[CellImage, str], by: str) -> str:
    first = min(moved, key=lambda image: image.path)
    others = f"; {len(moved) - 1} more are elsewhere, too" if len(moved) > 1 else ""
    return f"{first.path!r} is in {moved[first]}, {by} puts it into {again[first]}{others}"


def _of_another_version(moved: dict[CellImage, str], again: dict[CellImage, str], drawn_by: str) -> str:
    told = _told(moved, again, f"harness {__version__}")
    return f"that the split is the one that harness {drawn_by} drew: {told}"
