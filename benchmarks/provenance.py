"""What does the rule on acquisition chains say of real sets, of their halves, and of disguised cells of the source?

    python benchmarks/provenance.py ../shared/data

Against `leukocytes`: the real sets; halves of each set against each other, which are one source; cells of the same
hospital that are not in it, disguised; and its own cells, disguised, of which pairs are looked for as a run does.
Prints how many images lie outside in background, in colour after scaling each channel, and in what colour cannot move.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from harness.core.progress import silent
from harness.data.hashing import hash_pictures
from harness.data.inspection import read_facts
from harness.data.leakage import find_duplicates
from harness.data.manifest import read_manifest
from harness.metrics.provenance import compare_provenance, fingerprint
from harness.metrics.provenance_records import Fingerprint, Outside

SEED, LEVEL, ALPHA, PX = 20_260, 0.95, 0.01, 224
CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
SETS = ("external_monocytes", "pbc_unseen_dev", "jtsc", "bccd")
Disguise = Callable[[Image.Image], Image.Image]


def by_curve(picture: Image.Image, *powers: float) -> Image.Image:
    return Image.fromarray((255 * (np.asarray(picture) / 255.0) ** powers).astype(np.uint8))


def by_factor(picture: Image.Image, *factors: float) -> Image.Image:
    return Image.fromarray((np.asarray(picture) * factors).astype(np.uint8))


def of_hue(picture: Image.Image, by: int) -> Image.Image:
    hue, saturation, value = picture.convert("HSV").split()
    return Image.merge("HSV", (hue.point(lambda level: (level + by) % 256), saturation, value)).convert("RGB")


def turned(picture: Image.Image, degrees: float) -> Image.Image:
    return picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=picture.getpixel((0, 0)))


def restained(picture: Image.Image) -> Image.Image:
    return by_curve(picture, 0.6, 1.5, 2.2)


# Name -> (what is done to a picture of 360 px, quality of the JPEG that it is saved as).
DISGUISES: Mapping[str, tuple[Disguise, int]] = {
    "to JPEG 90": (lambda p: p, 90),
    "to JPEG 50": (lambda p: p, 50),
    "darker": (lambda p: by_factor(p, 0.9, 0.9, 0.9), 90),
    "warmer": (lambda p: by_factor(p, 1, 0.97, 0.85), 90),
    "of another gamma": (lambda p: by_curve(p, 1.5, 1.5, 1.5), 90),
    "hue turned by 28 degrees": (lambda p: of_hue(p, 20), 90),
    "hue turned by 56 degrees": (lambda p: of_hue(p, 40), 90),
    "restained by a curve": (restained, 90),
    "restained, turned by 7 degrees": (lambda p: restained(turned(p, 7)), 90),
    "restained, to 96 px and JPEG 60": (lambda p: restained(p.resize((96, 96))), 60),
    "restained, central 320 of 360 px": (lambda p: restained(p.crop((20, 20, 340, 340))), 90),
    "restained, central 280 of 360 px": (lambda p: restained(p.crop((40, 40, 320, 320))), 90),
    "restained, central 200 of 360 px": (lambda p: restained(p.crop((80, 80, 280, 280))), 90),
}


def read(root: Path, name: str) -> Fingerprint:
    found = read_manifest(root, name=name, classes=CLASSES, workers=1)
    facts = read_facts(found.images, root, formats=("JPEG", "PNG"), workers=1, progress=silent, label=name)
    return fingerprint(facts, name=name)


def pictures(root: Path, step: int) -> list[tuple[str, Image.Image]]:
    """(class, picture) of every so many files."""
    return [(path.parent.name, Image.open(path).convert("RGB")) for path in sorted(root.glob("*/*.jpg"))[::step]]


def disguised(cells: Sequence[tuple[str, Image.Image]], how: Disguise, quality: int) -> list[tuple[str, bytes]]:
    """(class, content) of each, renamed and without a header, as JPEG of one common size or of the disguise's own."""
    written = []
    for label, picture in cells:
        other, content = how(picture), io.BytesIO()
        bare = Image.fromarray(np.asarray(other if other.width < PX else other.resize((PX, PX))))
        bare.save(content, "JPEG", quality=quality)
        written.append((label, content.getvalue()))
    return written


def as_set(written: Sequence[tuple[str, bytes]]) -> Fingerprint:
    with tempfile.TemporaryDirectory() as folder:
        for number, (label, content) in enumerate(written):
            file = Path(folder) / label / f"ext-{number}.jpg"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        return read(Path(folder), "disguised")


def n_found(cells: Sequence[tuple[str, Image.Image]], written: Sequence[tuple[str, bytes]]) -> int:
    """How many of the written pictures are found to show one of these cells."""
    opened = [Image.open(io.BytesIO(content)).convert("RGB") for _, content in written]
    sets = [hash_pictures([p for _, p in cells], set_name="a", label="any")]
    pairs = find_duplicates([*sets, hash_pictures(opened, set_name="b", label="any")], workers=1)
    sides = chain.from_iterable((pair.first, pair.second) for pair in pairs if pair.first.set != pair.second.set)
    return len({image.path for image in sides if image.set == "b"})


def row(name: str, source: Fingerprint, other: Fingerprint, *, n_copies: int = 0) -> str:
    rng = np.random.default_rng(SEED)
    found = compare_provenance(source, other, n_copies=n_copies, alpha=ALPHA, level=LEVEL, rng=rng)
    outside = " | ".join(shown(each) for each in (found.background, found.rebalanced, found.structure))
    return f"| {name} | {n_copies or ''} | {found.n_unusual} | {outside} | {found.verdict} |"


def shown(found: Outside | None) -> str:
    return "not compared" if found is None else f"{found.k} of {found.n}"


def halves(one: Fingerprint, rng: np.random.Generator) -> tuple[Fingerprint, Fingerprint]:
    order = rng.permutation(len(one.files))
    first, second = (_some(one, part) for part in (order[: len(order) // 2], order[len(order) // 2 :]))
    return first, second


def _some(one: Fingerprint, places: np.ndarray) -> Fingerprint:
    def of(values: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        return tuple(values[place] for place in places)

    files = tuple(one.files[place] for place in places)
    return replace(one, files=files, colours=of(one.colours), structures=of(one.structures))


def rows(data: Path) -> Iterator[str]:
    source, rng = read(data / "leukocytes", "leukocytes"), np.random.default_rng(SEED)
    sets = {name: read(data / name, name) for name in SETS}
    for name, each in sets.items():
        yield row(name, source, each)
    for name, each in {"leukocytes": source, **sets}.items():
        if len(each.files) >= 40:
            yield row(f"half of {name}, against the other half", *halves(each, rng))
    for one, other in (("jtsc", "bccd"), ("bccd", "jtsc")):
        yield row(f"{other}, against {one}", sets[one], sets[other])
    unseen = pictures(data / "pbc_unseen_dev", 5)
    for name, (how, quality) in DISGUISES.items():
        yield row(f"not trained on, {name}", source, as_set(disguised(unseen, how, quality)))
    trained = pictures(data / "leukocytes", 25)
    for name, (how, quality) in DISGUISES.items():
        written = disguised(trained, how, quality)
        yield row(f"trained on, {name}", source, as_set(written), n_copies=n_found(trained, written))


def main() -> int:
    print("| set | pictures found | unusual | background outside | colour after scaling | without colour | verdict |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for each in rows(Path(sys.argv[1])):
        print(each, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
