"""The split and what was fitted on its parts, made again of the lists of images."""

from __future__ import annotations

from dataclasses import replace

from harness.core.errors import EvidenceError
from harness.core.spreadsheet import active
from harness.data.records import CellImage, Manifest, Split, SplitSource, sorted_by_path
from harness.data.split import COLUMNS
from harness.metrics.adaptation import drawn_from
from harness.metrics.fits import FITTING_PARTS, Fit, fit_of
from harness.pack.adapted import cells_of
from harness.pack.decode import rows_of
from harness.pack.rebuilding.frame import Frame
from harness.pack.rebuilding.said import Said
from harness.pack.split_check import SPLIT, check_source, source_of
from harness.pack.tables import MANIFEST
from harness.protocol.names import PARTS


def read_split(frame: Frame, manifest: Manifest | None) -> Split | None:
    if not frame.has("split"):
        return None
    if manifest is None:
        raise EvidenceError("the dataset was split, and there is no manifest.csv that says of which images it is")
    images = {image.path: image for image in manifest.images}
    parts: dict[str, list[CellImage]] = {part: [] for part in PARTS}
    for number, (path, _, label, part) in enumerate(rows_of(frame.pack, SPLIT, COLUMNS), start=2):
        image = images.pop(active(path), None)
        if image is None or part not in parts:
            frame.note(SPLIT, f"row {number}", f"{path!r} in {part!r} is not an image of {MANIFEST} in one part")
            continue
        if image.label != label:
            frame.note(SPLIT, f"row {number}, label", f"{label!r} is written, manifest.csv says {image.label!r}")
        parts[part].append(image)
    for path in images:
        frame.note(SPLIT, "filepath", f"{path!r} is in manifest.csv and in no part")
    origin = frame.field("split", "origin", kind=str)
    source: SplitSource = frame.of(SplitSource | None, "split", "source") or source_of(origin)
    return Split(**{part: sorted_by_path(parts[part]) for part in PARTS}, origin=origin, source=source)


def check_split(frame: Frame, split: Split | None, manifest: Manifest | None, *, draws: bool) -> None:
    if split is None or manifest is None:
        return
    found, taken = check_source(
        split,
        manifest,
        frame.protocol.split,
        draws=draws,
        drawn_by=frame.of(dict[str, str], "environment").get("harness", "of no known version"),
    )
    for each in found:
        frame.note(*each)
    frame.take(*taken)


def fits_again(frame: Frame, split: Split | None, said: Said) -> tuple[Fit, ...]:
    """Which cells things were fitted on, and how many of them are judged, counted by content."""
    fits: tuple[Fit, ...] = frame.of(tuple[Fit, ...], "fits")
    if split is None:
        return fits
    judged = {"test": split.test} | {name: said.cells_of(name) for name in said.predictions if name not in PARTS}
    drawn = {drawn_from(name): cells_of(each.drawn) for name, each in said.adaptations.items()}

    def again(fit: Fit) -> Fit:
        if fit.on in drawn:
            return fit_of(fit.what, fit.on, drawn[fit.on], judged=judged)
        if fit.on not in FITTING_PARTS:
            return fit  # which the criterion on fits counts as a deviation
        found = fit_of(fit.what, fit.on, split.part(fit.on), judged=judged)
        unscored = {name: n for name, n in fit.shared.items() if name not in judged}
        return replace(found, shared={**found.shared, **unscored})

    return tuple(map(again, fits))
