"""Which image serves which purpose? By class, by group, and by nothing else.

Neither the order of a listing, nor file names, nor the operating system has a say: what is drawn is decided by the
contents (or patient and slide ids) and the seed alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from harness.core.errors import DataError, InvalidSplit
from harness.core.spreadsheet import active, inert
from harness.data.manifest import path_cell, read_table, relative_path
from harness.data.problems import Problems
from harness.data.records import CellImage, Manifest, Split, sorted_by_path
from harness.protocol.records import PARTS, SplitPlan

COLUMNS = ("filepath", "filename", "label", "split")
PART_ALIASES = {**{name: name for name in PARTS}, "val": "validation", "valid": "validation"}
SHUFFLES = range(5)  # seeds of the orders that `check_split` tries


# --- drawing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    """Images that stay together: one unit, or several that share a file's content. `counts` is by class."""

    key: str
    images: tuple[CellImage, ...]
    counts: Counter[str]


def split_stratified(manifest: Manifest, plan: SplitPlan) -> Split:
    """Divide a set into train, validation and test, each class in the plan's proportions.

    Blocks (a patient, a slide, or all files with the same content) are taken in the order of falling size, equal ones
    in the order of SHA-256 of "<seed>:<unit>". Each goes to the part that is furthest below its `apportionment`; a
    block of several classes goes where that reduces the squared relative error most. Blocks of one image each therefore
    meet the apportionment of every class exactly. A class with as few blocks left as parts still without it goes
    to those parts.

    Raises:
        DataError: a class has too few blocks to have one in every part.
    """
    blocks = _blocks(manifest.images)
    sizes = manifest.counts
    targets = {name: apportionment(n, plan.ratios) for name, n in sizes.items()}
    n_left = Counter(name for block in blocks for name in block.counts)
    _refuse_scarce(manifest, n_left)
    deficits = {part: {name: targets[name][part] for name in sizes} for part in PARTS}
    lacking = {name: set(PARTS) for name in sizes}
    # Squared errors relative to class size, times a common multiple: whole numbers, so that no rounding can differ
    # between machines.
    common = math.lcm(*sizes.values())
    weights = {name: (common // n) ** 2 for name, n in sizes.items()}
    parts: dict[str, list[CellImage]] = {part: [] for part in PARTS}
    order = sorted(blocks, key=lambda block: (-len(block.images), _drawn(plan.seed, block.key), block.key))
    for block in order:
        urgent = [name for name in block.counts if n_left[name] <= len(lacking[name])]
        part = max(
            PARTS,  # the first of equals
            key=lambda part: (
                sum(part in lacking[name] for name in urgent),
                sum(n * deficits[part][name] * weights[name] for name, n in block.counts.items()),
            ),
        )
        parts[part] += block.images
        for name, n in block.counts.items():
            deficits[part][name] -= n
            n_left[name] -= 1
            lacking[name].discard(part)
    if stuck := sorted((name, part) for name, empty in lacking.items() for part in empty):
        name, part = stuck[0]
        raise DataError(
            f"set {manifest.name!r}: no cell of class {name!r} came into part {part!r}, because its cells share "
            "patients or slides with other classes. Add patients with this class, or another seed."
        )
    return Split(**{part: sorted_by_path(parts[part]) for part in PARTS}, origin=f"stratified, seed {plan.seed}")


UNDIVIDED = "not divided: every cell is judged as test"


def undivided(manifest: Manifest) -> Split:
    """The split of predictions that nobody gave a split for: none of their cells is known to be a training cell."""
    return Split(train=(), validation=(), test=sorted_by_path(manifest.images), origin=UNDIVIDED)


def apportionment(total: int, ratios: Mapping[str, float]) -> dict[str, int]:
    """How many of `total` each part gets: largest remainder, a tie going to the part named first.

    A part left with none takes one from the largest part, as long as there is one for each: an empty part can judge
    nothing.
    >>> apportionment(500, {"train": 0.7, "validation": 0.15, "test": 0.15})
    {'train': 350, 'validation': 75, 'test': 75}
    """
    # repr() gives the decimal that the protocol states: 0.7, not 0.6999999999999999556.
    exact = {part: Fraction(repr(ratio)) for part, ratio in ratios.items()}
    shares = {part: total * ratio / sum(exact.values()) for part, ratio in exact.items()}
    counts = {part: math.floor(share) for part, share in shares.items()}
    by_remainder = sorted(shares, key=lambda part: counts[part] - shares[part])  # stable: the first of equals
    for part in by_remainder[: total - sum(counts.values())]:
        counts[part] += 1
    while total >= len(counts) and not all(counts.values()):
        counts[max(counts, key=lambda part: counts[part])] -= 1
        counts[min(counts, key=lambda part: counts[part])] += 1
    return counts


def _refuse_scarce(manifest: Manifest, n_blocks: Mapping[str, int]) -> None:
    scarce = [name for name in manifest.classes if n_blocks[name] < len(PARTS)]
    if scarce:
        name, n_images = scarce[0], manifest.counts[scarce[0]]
        what = "patients or slides" if manifest.grouped else "distinct images"
        others = f" (likewise {', '.join(scarce[1:])})" if scarce[1:] else ""
        raise DataError(
            f"set {manifest.name!r}: class {name!r} has {n_images} images from {n_blocks[name]} {what}{others}; "
            f"{len(PARTS)} are needed for one in each of {', '.join(PARTS)}. Add images of this class, or drop the "
            "class from the protocol."
        )


def _drawn(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).hexdigest()


def _blocks(images: Iterable[CellImage]) -> list[_Block]:
    """Images that must stay together: the same unit, or the same content, or a chain of these."""
    root: dict[str, str] = {}

    def find(key: str) -> str:
        root.setdefault(key, key)
        while root[key] != key:
            root[key] = key = root[root[key]]
        return key

    images = list(images)
    for image in images:
        one, other = find(image.unit), find(f"content:{image.sha256}")
        root[max(one, other)] = min(one, other)
    members: dict[str, list[CellImage]] = defaultdict(list)
    for image in images:
        members[find(image.unit)].append(image)
    return [
        _Block(min(image.unit for image in block), tuple(block), Counter(image.label for image in block))
        for block in members.values()
    ]


# --- data_split.csv ---------------------------------------------------------------------------


def write_split(split: Split, path: Path) -> None:
    """Write data_split.csv: filepath, filename, label, split, sorted by path; UTF-8, one "\\n" after each row.

    A name that a spreadsheet would run as a formula ("=1.jpg") is written with "./" before it, which leaves it the
    same file; `read_split` and `read_manifest` take it off again.
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(COLUMNS)
    for filepath, filename, label, part in split.rows():
        # Python 3.11 leaves a carriage return in a name unquoted, and then reads a row's end there.
        writer = quoting if "\r" in filepath else plain
        writer.writerow((inert(filepath), inert(filename), label, part))
    path.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))


def read_split(path: Path, manifest: Manifest) -> Split:
    """Read a split that someone else made, and refuse one that does not fit the images.

    Columns: filepath (or path), label, split, and filename where given. Parts: train, validation (or val, valid), test.

    Raises:
        MissingData: no such file.
        InvalidSplit: every kind of misfit with how many there are, the first of them, and what to do.
    """
    problems = Problems()
    images = {image.path: image for image in manifest.images}
    part_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    for row in read_table(path, required=("label", "split"), refusal=InvalidSplit):
        part = PART_ALIASES.get(row.cells["split"])
        try:
            name = relative_path(path_cell(row))
        except ValueError as error:
            problems.add("unusable paths", f"line {row.line}: {error}", "Write paths as in the manifest.")
            continue
        here = f"line {row.line} ({name!r})"
        if part is None:
            remedy = f"The parts are called {', '.join(PARTS)}; for validation, val and valid will do."
            problems.add("unknown parts", f"{here} is in {row.cells['split']!r}", remedy)
        if name in line_of:
            _note_repeated(problems, here, part, line_of[name], part_of.get(name))
            continue
        line_of[name] = row.line
        if name not in images:
            remedy = (
                f"Remove these rows, or add the files; paths are relative to {manifest.root}{_prefix(name, images)}."
            )
            problems.add("foreign rows", f"{here} is not an image of the set", remedy)
            continue
        _note_mislabelled(problems, here, row.cells, images[name])
        if part is not None:
            part_of[name] = part
    for name in sorted(images.keys() - line_of.keys()):
        problems.add("missing images", repr(name), "Every image belongs to exactly one part: add a row for each.")
    for block in _blocks(images[name] for name in part_of):
        _note_leaked(problems, block, part_of, line_of)
    for part in PARTS:
        if part not in part_of.values():
            problems.add("empty parts", part, "Every part needs images.")
    if problems:
        raise InvalidSplit(f"{path} does not fit the set {manifest.name!r} of {len(images)} images:\n{problems}")
    parts = {part: sorted_by_path(images[name] for name in part_of if part_of[name] == part) for part in PARTS}
    return Split(**parts, origin=f"read from {path.name}")


def _note_repeated(problems: Problems, here: str, part: str | None, first_line: int, first_part: str | None) -> None:
    if part is not None and first_part is not None and part != first_part:
        detail = f"{here} is in {part}, on line {first_line} in {first_part}"
        problems.add("leaks", detail, "No image, content or unit may be in two parts: keep it in one.")
    else:
        problems.add("duplicated rows", f"{here} is already on line {first_line}", "Keep one row per image.")


def _note_mislabelled(problems: Problems, here: str, cells: Mapping[str, str], image: CellImage) -> None:
    if cells["label"] != image.label:
        detail = f"{here} is labelled {cells['label']!r}, the manifest says {image.label!r}"
        problems.add("labels that differ from the manifest", detail, "Find out which is right, and correct the other.")
    filename = cells.get("filename")
    if filename is not None and active(filename).removeprefix("./") != image.filename:
        detail = f"{here} has filename {filename!r}"
        problems.add("file names that differ from their path", detail, "Correct the column, or leave it out.")


def _note_leaked(problems: Problems, block: _Block, part_of: Mapping[str, str], line_of: Mapping[str, int]) -> None:
    first: dict[str, str] = {}
    for image in sorted(block.images, key=lambda image: line_of[image.path]):
        first.setdefault(part_of[image.path], image.path)
    if len(first) > 1:
        places = " and ".join(f"line {line_of[name]} ({name!r}, {part})" for part, name in first.items())
        detail = f"{places} share {_shared(block)}"
        problems.add("leaks", detail, "No image, content or unit may be in two parts: keep it in one.")


def _shared(block: _Block) -> str:
    if len({image.unit for image in block.images}) > 1:
        return "a file, or are linked through patients or slides that do"
    kind, _, name = block.key.partition(":")
    return "the same bytes" if kind == "content" else f"{kind} {name!r}"


def _prefix(name: str, images: Collection[str]) -> str:
    steps = name.split("/")
    tails = ("/".join(steps[i:]) for i in range(1, len(steps)))
    tail = next((tail for tail in tails if tail in images), None)
    return (
        "" if tail is None else f" (without {name.removesuffix(tail)!r} it would be {tail!r}, but that is not guessed)"
    )


# --- checking ---------------------------------------------------------------------------------


def check_split(split: Split, manifest: Manifest, plan: SplitPlan) -> dict[str, tuple[str, ...]]:
    """For each metric of the split (docs/metrics.md) what is wrong, one sentence each; empty means that nothing is."""
    return {
        "split_size_mismatches": size_mismatches(split, manifest, plan),
        "leaked_units": leaked_units(split),
        "listing_order_changes": listing_order_changes(manifest, plan),
        "path_prefix_changes": path_prefix_changes(manifest, plan),
    }


def size_mismatches(split: Split, manifest: Manifest, plan: SplitPlan) -> tuple[str, ...]:
    """Parts of a class whose size is not the plan's.

    Blocks cannot be divided, so a size may be off by less than the class's largest block; where every block is one
    image, it must be exact.
    """
    largest: Counter[str] = Counter()
    for block in _blocks(manifest.images):
        largest |= block.counts  # the larger count of each class
    found = {part: Counter(image.label for image in split.part(part)) for part in PARTS}
    mismatches = []
    for name, total in manifest.counts.items():
        for part, target in apportionment(total, plan.ratios).items():
            n = found[part][name]
            if n != target and abs(n - target) >= largest[name]:
                share = f"{plan.ratios[part] * 100:g} % of {total}"
                mismatches.append(f"class {name}, {part}: {n} images, the plan says {target} ({share})")
    return tuple(mismatches)


def leaked_units(split: Split) -> tuple[str, ...]:
    """Units, or files of the same content, that are in more than one part."""
    parts_of: dict[CellImage, list[str]] = defaultdict(list)
    for part in PARTS:
        for image in split.part(part):
            parts_of[image].append(part)
    leaks = []
    for block in _blocks(parts_of):
        examples = {part: image.path for image in block.images for part in parts_of[image]}
        if len(examples) > 1:
            places = " and ".join(f"{examples[part]!r} in {part}" for part in PARTS if part in examples)
            leaks.append(f"{places} share {_shared(block)}")
    return tuple(sorted(leaks))


def listing_order_changes(manifest: Manifest, plan: SplitPlan) -> tuple[str, ...]:
    """Images that change part when the same files are listed in another order and the split is drawn again."""
    variants = {}
    for seed in SHUFFLES:
        images = list(manifest.images)
        random.Random(seed).shuffle(images)
        variants[f"listing order {seed}"] = images
    return _changes(manifest, plan, variants)


def path_prefix_changes(manifest: Manifest, plan: SplitPlan) -> tuple[str, ...]:
    """Images that change part when the folder moves, or every file gets another name, and the split is drawn again."""
    n = len(manifest.images)
    moved = [replace(image, path=f"Dataset/{image.path}") for image in manifest.images]
    renamed = [replace(image, path=f"{image.label}/{n - i:07}") for i, image in enumerate(manifest.images)]
    return _changes(manifest, plan, {"prefix 'Dataset/'": moved, "other file names": list(sorted_by_path(renamed))})


def _changes(manifest: Manifest, plan: SplitPlan, variants: Mapping[str, list[CellImage]]) -> tuple[str, ...]:
    names = {image.sha256: image.path for image in manifest.images}
    before = _parts_by_content(split_stratified(manifest, plan))
    changes = []
    for how, images in variants.items():
        after = _parts_by_content(split_stratified(replace(manifest, images=tuple(images)), plan))
        changes += [
            f"{name!r} moves from {before[digest]} to {after[digest]} with {how}"
            for digest, name in names.items()
            if before[digest] != after[digest]
        ]
    return tuple(changes)


def _parts_by_content(split: Split) -> dict[str, str]:
    return {image.sha256: part for part in PARTS for image in split.part(part)}
