"""What keys and kept files are made of: the content of images, the place of a computation, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.files import write_atomically
from harness.data.records import CellImage
from harness.model.classifier import Machine
from harness.model.devices import n_threads
from harness.model.images import Images, images_of


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The images of one part or set. root: where they lie, which can change no pixel."""

    name: str
    cells: tuple[CellImage, ...]
    formats: tuple[str, ...]
    root: Path

    def made_of(self) -> dict[str, object]:
        """Content and label of every image, whatever the files are called, and who may decode them."""
        return {"cells": sorted([cell.sha256, cell.label] for cell in self.cells), "formats": self.formats}

    @property
    def ordered(self) -> tuple[CellImage, ...]:
        """The cells in the order of their content."""
        # What a file is called must not reach the classifier, not even by the batch that the file is in.
        return tuple(sorted(self.cells, key=lambda cell: cell.sha256))

    def images(self, *, label: str | None = None) -> Images:
        """What a classifier is given of them, in the order of `ordered`. label: what progress calls them."""
        return images_of(self.ordered, self.root, formats=self.formats, label=label or self.name)


def place(machine: Machine) -> Mapping[str, object]:
    """Where a classifier computes: the order of summation, and so the last bit, follows device, threads and batch."""
    return {"device": machine.device, "threads": n_threads(), "batch_size": machine.batch_size}


def write_json(path: Path, value: object) -> None:
    write_atomically(path, json.dumps(value, indent=1).encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows_by_digest(digests: Iterable[str], cells: Iterable[CellImage]) -> list[int]:
    """Where each cell's row stands in an array whose rows are kept in the order of `digests`."""
    row = {digest: index for index, digest in enumerate(digests)}
    return [row[cell.sha256] for cell in cells]
