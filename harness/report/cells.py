"""Pictures of cells on one page: each is carried once, where it stands first, and is shown again by its name.

A misclassified cell stands in several tables, and a training picture beside several cells. HTML has no such name for a
picture, and SVG has: `<image id>` and `<use href>`, without a script, on paper and offline.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from harness.report.pictures import as_uri, size_of

# How a picture fills its frame -> what SVG calls it; any other keeps its shape and is seen whole.
FITS = {"squish": "none", "crop": "xMidYMid slice"}
FRAME = Markup('<svg class="thumb" viewbox="0 0 {} {}"{} role="img" aria-label="{}">{}</svg>')
FIRST = Markup('<image id="{}" href="{}" width="{}" height="{}"></image>')
AGAIN = Markup('<use href="#{}"></use>')


class Cells:
    """The pictures of one page while it is printed. thumbnails: digest of a cell -> WebP, or PNG in older packs."""

    def __init__(self, thumbnails: Mapping[str, bytes]) -> None:
        self._thumbnails = thumbnails
        self._names: dict[str, str] = {}

    def __contains__(self, digest: str) -> bool:
        return digest in self._thumbnails

    def picture(self, digest: str, told: str = "Cell", fit: str = "contain") -> Markup:
        """The picture of a cell that has one. told: what a reader who cannot see it is told."""
        content = self._thumbnails[digest]
        width, height = size_of(content)
        if digest in self._names:
            shown = AGAIN.format(self._names[digest])
        else:
            name = self._names[digest] = f"cell-{len(self._names) + 1}"
            shown = FIRST.format(name, as_uri(content), width, height)
        filled = Markup(' preserveaspectratio="{}"').format(FITS[fit]) if fit in FITS else Markup()
        return FRAME.format(width, height, filled, told, shown)
