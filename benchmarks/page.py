"""How long does the page of a run take to make, and what is it made of?

    python -m benchmarks page PACK [--images DIR ...]

Makes the page of a pack again, from its records and from the pictures of the folders that its protocol lets out, and
prints seconds of processor time for each step and bytes for each kind of thing on the page.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from time import process_time
from typing import TypeVar

import numpy as np
from PIL import Image

from harness.claims.audit import audit
from harness.claims.pages import read_page
from harness.pack.files import REPORT
from harness.pack.read import open_pack
from harness.pack.rebuild import rebuild
from harness.pack.tables import documents
from harness.pack.verify import verify_pack
from harness.report.figures import draw_figures, draw_thumbnails, images_to_show
from harness.report.page import render_report

T = TypeVar("T")
MAP = re.compile(r'<svg class="veil.*?</svg>', re.DOTALL)
PICTURE = re.compile(r'<im(age)?[^>]* (?:src|href)="(data:image/[^"]*)"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="folders that hold its images")
    asked = parser.parse_args()
    seconds: dict[str, float] = {}

    def step(name: str, make: Callable[[], T]) -> T:
        began = process_time()
        made = make()
        seconds[name] = process_time() - began
        return made

    pack = open_pack(asked.pack)
    rebuilt = step("records read and computed again", lambda: rebuild(pack))
    run = rebuilt.results
    if run is None:
        sys.exit(f"{asked.pack} cannot be rebuilt; `python -m harness verify {asked.pack}` says why")
    files = step("its other files", lambda: documents(run, rebuilt.manifest))
    shown = step("pictures decoded", lambda: pictures(images_to_show(run), asked.images))
    figures = step("figures drawn", lambda: draw_figures(run, shown))
    cells = step("cells made small", lambda: draw_thumbnails(run, shown))
    ignored = rebuilt.manifest.ignored if rebuilt.manifest else None
    evidence = json.loads(files["evidence.json"])
    page = step(
        "page printed",
        lambda: render_report(run, evidence=evidence, figures=figures, thumbnails=cells, files={}, ignored=ignored),
    )
    step("its claims audited", lambda: audit(read_page(page, REPORT), rounding="nearest", exists=lambda _: True))
    step("the pack verified", lambda: verify_pack(asked.pack))
    print("| step | s of processor time |\n| --- | --- |")
    print("\n".join(f"| {name} | {spent:.1f} |" for name, spent in seconds.items()))
    print(f"\n{len(shown)} pictures of the {len(images_to_show(run))} that it shows were found.\n")
    print("| on the page | n | MB |\n| --- | --- | --- |")
    print("\n".join(f"| {name} | {n:,} | {n_bytes / 1e6:.2f} |" for name, n, n_bytes in parts(page)))


def pictures(digests: Iterable[str], folders: Iterable[Path]) -> dict[str, np.ndarray]:
    """Digest -> pixels of those that lie somewhere in the folders."""
    wanted, found = set(digests), {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest in wanted and digest not in found:
            with Image.open(path) as image:
                found[digest] = np.asarray(image.convert("RGB"))
    return found


def parts(page: str) -> list[tuple[str, int, int]]:
    """(kind, how many, bytes as they stand) of what a page holds."""
    found = PICTURE.findall(page)
    figures, cells = ([uri for thumb, uri in found if bool(thumb) is small] for small in (False, True))
    maps = MAP.findall(page)
    rest = len(page.encode()) - sum(map(len, [*figures, *cells, *maps]))
    counted = (("figures", figures), ("cells", cells), ("maps over cells", maps))
    whole = [(name, len(each), sum(map(len, each))) for name, each in counted]
    return [*whole, ("text", 1, rest), ("all", 1, len(page.encode()))]


if __name__ == "__main__":
    main()
