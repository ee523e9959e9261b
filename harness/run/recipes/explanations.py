"""How the cells that the page pictures are explained, and how that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from harness.core.digests import file_digest
from harness.core.errors import DataError, NotApplicable
from harness.core.progress import Report
from harness.data.masks import mask_of, masks_of, read_mask
from harness.data.records import CellImage
from harness.metrics.explanations import (
    SEED,
    Explained,
    Explanations,
    Lookalike,
    Method,
    agreement,
    covered,
    nearest,
    packed,
    with_mask,
)
from harness.model import saliency
from harness.model.classifier import Classifier, embed
from harness.model.fitting import fitted
from harness.model.records import Preprocessing
from harness.model.torch_network import WholeTorchNetwork
from harness.run.recipes.basis import Pictures, place, read_json, write_json
from harness.run.recipes.classifier import Source

CACHE_FILE = "explanations.json"
WITHOUT_CAPTUM = 'the extra "explain" is not installed (captum)'


@dataclass(frozen=True, slots=True, eq=False)
class Explaining:
    """Maps and nearest training pictures of some cells.

    shown: set name -> (digest of a cell, the class that it was called) of those that are explained.
    sets:  set name -> its images; train: those among which the nearest are searched.
    masks: set name -> the folder with masks of its cells, where there is one.
    """

    shown: Mapping[str, tuple[tuple[str, str], ...]]
    sets: Mapping[str, Pictures]
    train: Pictures
    source: Source
    open: Callable[[], Classifier]
    masks: Mapping[str, Path] = field(default_factory=dict)

    def made_of(self) -> Mapping[str, object]:
        return {
            "classifier": self.source.card.answers_by,
            "shown": {name: [list(each) for each in cells] for name, cells in self.shown.items()},
            "sets": {name: each.made_of() for name, each in self.sets.items()},
            "train": self.train.made_of(),
            "captum": saliency.captum_version(),
            **({"masks": self._masks_made_of()} if self.masks else {}),
            **place(self.source.machine),
        }

    def _masks_made_of(self) -> dict[str, list[list[str]]]:
        cells = {name: self._named(name) for name in self.shown if name in self.masks}
        return {
            name: [[c.path, file_digest(file)] for c in named for file in masks_of(self.masks[name], c.path)]
            for name, named in cells.items()
        }

    def make(self, folder: Path, progress: Report) -> None:
        classifier = self.open()
        found = Explanations({name: self._named(name) for name in self.shown})
        found = self._with_nearest(self._with_maps(found, classifier), classifier)
        if found.no_maps is not None and found.no_nearest is not None:
            found = replace(found, sets={})
        write_json(folder / CACHE_FILE, asdict(found))

    def _named(self, name: str) -> tuple[Explained, ...]:
        cells = {cell.sha256: cell for cell in reversed(self.sets[name].cells)}  # of copies, the first is named
        return tuple(Explained(digest, cells[digest].path, cells[digest].label, c) for digest, c in self.shown[name])

    def _pictures_of(self, name: str, cells: tuple[Explained, ...]) -> Pictures:
        by_path = {cell.path: cell for cell in self.sets[name].cells}
        return replace(self.sets[name], cells=tuple(by_path[each.path] for each in cells))

    def _with_maps(self, found: Explanations, classifier: Classifier) -> Explanations:
        by = saliency.captum_version()
        if not isinstance(classifier, WholeTorchNetwork):
            card = classifier.card
            return replace(found, no_maps=f"{card.name} ({card.door}) is no torch network that is open here")
        if by is None:
            return replace(found, no_maps=WITHOUT_CAPTUM)
        try:
            return self._mapped(found, classifier, f"captum {by}")
        except (NotApplicable, RuntimeError) as error:  # some networks refuse to be differentiated
            return replace(found, no_maps=" ".join(str(error).split())[:200])

    def _mapped(self, found: Explanations, classifier: WholeTorchNetwork, by: str) -> Explanations:
        how, device, classes = classifier.how, classifier.torch_device, classifier.card.classes
        layer, (rows, columns) = saliency.stage_of(classifier.network, saliency.blank(how).to(device))
        control = saliency.randomised(classifier.network, seed=SEED)
        sets = {}
        for name, cells in found.sets.items():
            shown = self._pictures_of(name, cells)
            arrays, order = classifier.prepare(shown.images(label="")), [cell.path for cell in shown.ordered]
            by_path = dict(zip(order, arrays, strict=True))
            given = np.stack([by_path[each.path] for each in cells])
            targets = np.array([classes.index(each.predicted) for each in cells])
            maps, controls = (
                [packed(each) for each in saliency.grad_cam(network, layer, given, targets, how, device)]
                for network in (classifier.network, control)
            )
            sets[name] = tuple(
                replace(each, map=one, control=other, agreement=agreement(one, other))
                for each, one, other in zip(cells, maps, controls, strict=True)
            )
        made = Method(by, layer, rows, columns, how.resize, how.crop, SEED)
        return self._with_masks(replace(found, sets=sets, method=made), made, how)

    def _with_masks(self, found: Explanations, method: Method, how: Preprocessing) -> Explanations:
        """A mask that is of no use is told, and then none is believed: they come from one hand."""
        if not self.masks:
            return found
        try:
            sets = {
                name: tuple(self._masked(name, each, method, how) for each in cells)
                for name, cells in found.sets.items()
            }
        except DataError as error:
            return replace(found, no_masks=" ".join(str(error).split()))
        if all(cell.mask is None for cells in sets.values() for cell in cells):
            folders = ", ".join(self.masks)
            return replace(found, no_masks=f"no file of the folders given for {folders} has the path of a cell")
        return replace(found, sets=sets)

    def _masked(self, name: str, cell: Explained, method: Method, how: Preprocessing) -> Explained:
        folder = self.masks.get(name)
        file = None if folder is None else mask_of(folder, cell.path)
        if file is None:
            return cell
        shown = self._pictures_of(name, (cell,)).images(label="")
        inside = read_mask(file, size=shown.frame(0).shape[:2])
        frame = np.repeat(np.where(inside, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
        view = fitted(frame, how)[..., 0] / 255
        return with_mask(cell, covered(view, rows=method.rows, columns=method.columns))

    def _with_nearest(self, found: Explanations, classifier: Classifier) -> Explanations:
        if (reason := classifier.card.why_not({"features"})) is not None:
            return replace(found, no_nearest=reason.removeprefix("not applicable: "))
        if not self.train.cells:
            return replace(found, no_nearest="the train part holds no cell")
        train, sets = self.train.ordered, {}
        features = embed(classifier, self.train.images(label="train, for the nearest pictures"))
        for name, cells in found.sets.items():
            shown = self._pictures_of(name, cells)
            own = dict(zip((c.path for c in shown.ordered), embed(classifier, shown.images(label="")), strict=True))
            near = nearest(
                np.stack([own[each.path] for each in cells]), features, [f"{c.sha256} {c.path}" for c in train]
            )
            sets[name] = tuple(
                replace(each, nearest=tuple(_lookalike(train[row], distance) for row, distance in rows))
                for each, rows in zip(cells, near, strict=True)
            )
        return replace(found, sets=sets, n_compared=len(train))


def _lookalike(cell: CellImage, distance: float) -> Lookalike:
    return Lookalike(cell.sha256, cell.path, cell.label, distance)


def read_explanations(folder: Path) -> Explanations:
    return TypeAdapter(Explanations).validate_python(read_json(folder / CACHE_FILE))
