"""What several test modules do with the drawn cells of conftest.py."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.progress import silent
from harness.data.records import CellImage, Manifest
from harness.model.preprocessing import CellPixels, decode_all

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")


def decoded(manifest: Manifest, images: Sequence[CellImage], *, workers: int = 2) -> CellPixels:
    """These images of the manifest as 32 px cells."""
    return decode_all(
        images,
        manifest.root,
        classes=manifest.classes,
        size_px=32,
        resize="squish",
        formats=("PNG",),
        workers=workers,
        progress=silent,
        label="cells",
    )
