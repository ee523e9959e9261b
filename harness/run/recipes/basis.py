"""What keys and kept files are made of: the content of images, the place of a computation, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.core.files import write_atomically
from harness.core.progress import Report
from harness.data.records import CellImage
from harness.model.preprocessing import CellPixels, decode_all


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The images of one part or set, and how they are decoded.

    root, workers: where they lie and how many threads decode them: neither can change a pixel.
    """

    name: str
    images: tuple[CellImage, ...]
    classes: tuple[str, ...]
    formats: tuple[str, ...]
    size_px: int
    resize: str
    root: Path
    workers: int

    def made_of(self) -> dict[str, object]:
        """Content and label of every image, whatever the files are called, and how they are decoded."""
        return {
            "images": sorted([image.sha256, image.label] for image in self.images),
            "classes": self.classes,
            "formats": self.formats,
            "size_px": self.size_px,
            "resize": self.resize,
        }

    def decoded(self, progress: Report, *, oversampling: int = 1) -> CellPixels:
        """Decoded cells in the order of their content: what a file is called must not reach a training."""
        return decode_all(
            sorted(self.images, key=lambda image: image.sha256),
            self.root,
            classes=self.classes,
            size_px=self.size_px * oversampling,
            resize=self.resize,
            formats=self.formats,
            workers=self.workers,
            progress=progress,
            label=f"decoding {self.name}",
        )


def place(device: torch.device) -> Mapping[str, object]:
    """Where a network computes: the order of summation, and so the last bit, follows it."""
    return {"device": device.type, "threads": torch.get_num_threads()}


def write_json(path: Path, value: object) -> None:
    write_atomically(path, json.dumps(value, indent=1).encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows_by_digest(digests: Iterable[str], images: Iterable[CellImage]) -> list[int]:
    """Where each image's row stands in an array whose rows are kept in the order of `digests`."""
    row = {digest: index for index, digest in enumerate(digests)}
    return [row[image.sha256] for image in images]
