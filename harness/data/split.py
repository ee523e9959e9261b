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
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from harness.core.errors import DataError, InvalidSplit, MissingData
from harness.core.spreadsheet import active, inert
from harness.data.problems import Problems
from harness.data.records import CellImage, Manifest, Split, sorted_by_path
from harness.data.tables import columns_of, read_table, relative_path
from harness.protocol.datasets import SplitPlan
from harness.protocol.names import PARTS, part_called
from harness.protocol.sets import ColumnPlan, SetNames

COLUMNS = ("filepath", "filename", "label", "split")
LEAK_REMEDY = "No image, content or unit may be in two parts: keep it in one."
SHORTEST_DIGEST = 12  # hexadecimal digits; of a million images no two are likely to share as many
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
    parts = _divided(manifest, plan.ratios, plan)
    train, validation, test = (sorted_by_path(parts[part]) for part in PARTS)
    return Split(train, validation, test, origin=f"stratified, seed {plan.seed}")


def _divided(manifest: Manifest, ratios: Mapping[str, float], plan: SplitPlan) -> dict[str, list[CellImage]]:
    """The images in the parts that `ratios` names."""
    blocks, among = _blocks(manifest.images, plan.together), tuple(ratios)
    sizes = manifest.counts
    targets = {name: apportionment(n, ratios) for name, n in sizes.items()}
    n_left = Counter(name for block in blocks for name in block.counts)
    _refuse_scarce(manifest, n_left, among)
    deficits = {part: {name: targets[name][part] for name in sizes} for part in among}
    lacking = {name: set(among) for name in sizes}
    # Squared errors relative to class size, times a common multiple: whole numbers, so that no rounding can differ
    # between machines.
    common = math.lcm(*sizes.values())
    weights = {name: (common // n) ** 2 for name, n in sizes.items()}
    parts: dict[str, list[CellImage]] = {part: [] for part in among}
    order = sorted(blocks, key=lambda block: (-len(block.images), _drawn(plan.seed, block.key), block.key))
    for block in order:
        urgent = [name for name in block.counts if n_left[name] <= len(lacking[name])]
        part = max(
            among,  # the first of equals
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
    return parts


def draw_split(manifest: Manifest, plan: SplitPlan, *, draws: bool = True) -> Split:
    """The split of a set for which no file states one: its part folders, or else drawn by the plan.

    Args:
        draws: whether anything may be drawn, as for `split_by_folders`. A set without part folders then stays whole.
    Raises:
        DataError: as `split_stratified`.
        InvalidSplit: as `split_by_folders`.
    """
    if manifest.reading.parts:
        return split_by_folders(manifest, plan, draws=draws)
    return split_stratified(manifest, plan) if draws else undivided(manifest)


def split_by_folders(manifest: Manifest, plan: SplitPlan, *, draws: bool = True) -> Split:
    """The split that a set came in: the part that each image's folder stands for.

    Without a folder for validation, that part is drawn from train: stratified, in the plan's proportion of the two.

    Args:
        draws: whether a part may be drawn. Of predictions that existed before, nobody here knows on which cells of
            train they were tuned: then train and validation may be missing.
    Raises:
        InvalidSplit: no images for train or test, images in no part folder, or images, patients or slides that are in
            two parts.
        DataError: a class has too few images in train for one in validation too.
    """
    found: dict[str, list[CellImage]] = {part: [] for part in PARTS}
    problems = Problems()
    for image in manifest.images:
        if image.part in found:
            found[image.part].append(image)
        else:  # of a set that was read from folders every image has a part; what a pack lists may be anything
            problems.add("images in no part folder", repr(image.path), "Move them into the folder of a part.")
    places = ", ".join(f"{folder} ({part})" for folder, part in manifest.reading.parts.items())
    for part in ("train", "test") if draws else ("test",):
        if not found[part]:
            remedy = f"The folders are {places}; say in [dataset.parts] which it is, or name a folder of classes."
            problems.add("empty parts", part, remedy)
    for block in _blocks(manifest.images):
        first: dict[str, str] = {}
        for image in block.images:
            first.setdefault(str(image.part), image.path)
        if len(first) > 1:
            where = " and ".join(f"{path!r} ({part})" for part, path in first.items())
            problems.add("leaks", f"{where} share {_shared(block)}", LEAK_REMEDY)
    if problems:
        raise InvalidSplit(f"the part folders of set {manifest.name!r} do not form a split:\n{problems}")
    origin = f"part folders {places}"
    if draws and not found["validation"]:
        ratios = {part: plan.ratios[part] for part in ("train", "validation")}
        found |= _divided(replace(manifest, images=tuple(found["train"])), ratios, plan)
        origin += f"; validation is drawn from train, stratified, seed {plan.seed}"
    return Split(**{part: sorted_by_path(found[part]) for part in PARTS}, origin=origin, source="folders")


def undivided(manifest: Manifest) -> Split:
    """The split of predictions that nobody gave a split for: none of their cells is known to be a training cell."""
    origin = "not divided: every cell is judged as test"
    return Split((), (), sorted_by_path(manifest.images), origin, source="undivided")


def apportionment(total: int, ratios: Mapping[str, float]) -> dict[str, int]:
    """How many of `total` each part gets: largest remainder, a tie going to the part named first.

    A part left with none takes one from the largest part, as long as there is one for each: an empty part can judge
    nothing.
    >>> apportionment(500, {"train": 0.7, "validation": 0.15, "test": 0.15})
    {'train': 350, 'validation': 75, 'test': 75}
    """
    return dict(_apportioned(total, tuple(ratios.items())))


@lru_cache(maxsize=4096)  # classes are often of one size, and what tries the split tries hundreds of sets
def _apportioned(total: int, ratios: tuple[tuple[str, float], ...]) -> Mapping[str, int]:
    # repr() gives the decimal that the protocol states: 0.7, not 0.6999999999999999556.
    exact = {part: Fraction(repr(ratio)) for part, ratio in ratios}
    shares = {part: total * ratio / sum(exact.values()) for part, ratio in exact.items()}
    counts = {part: math.floor(share) for part, share in shares.items()}
    by_remainder = sorted(shares, key=lambda part: counts[part] - shares[part])  # stable: the first of equals
    for part in by_remainder[: total - sum(counts.values())]:
        counts[part] += 1
    while total >= len(counts) and not all(counts.values()):
        counts[max(counts, key=lambda part: counts[part])] -= 1
        counts[min(counts, key=lambda part: counts[part])] += 1
    return counts


def _refuse_scarce(manifest: Manifest, n_blocks: Mapping[str, int], parts: Collection[str]) -> None:
    scarce = [name for name in manifest.classes if n_blocks[name] < len(parts)]
    if scarce:
        name, n_images = scarce[0], manifest.counts[scarce[0]]
        what = "patients or slides" if manifest.grouped else "distinct images"
        others = f" (likewise {', '.join(scarce[1:])})" if scarce[1:] else ""
        raise DataError(
            f"set {manifest.name!r}: class {name!r} has {n_images} images from {n_blocks[name]} {what}{others}; "
            f"{len(parts)} are needed for one in each of {', '.join(parts)}. Add images of this class, or drop the "
            "class from the protocol."
        )


@lru_cache(maxsize=65_536)  # whether another order of the files changes the split is asked of seven of them
def _drawn(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).hexdigest()


def _blocks(images: Iterable[CellImage], together: Sequence[Sequence[str]] = ()) -> list[_Block]:
    """Images that must stay together: the same unit, or the same content, or stated so, or a chain of these."""
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
    unit_of = {image.sha256[:SHORTEST_DIGEST]: image.unit for image in images} if together else {}
    for group in together:
        there = [find(unit_of[digest[:SHORTEST_DIGEST]]) for digest in group if digest[:SHORTEST_DIGEST] in unit_of]
        for one in there:
            root[find(one)] = min(there)
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


def read_split(
    path: Path, manifest: Manifest, *, names: SetNames | None = None, parts: Mapping[str, str] | None = None
) -> Split:
    """Read a split that someone else made, and refuse one that does not fit the images.

    Columns: filepath (or path), label, split, and filename where given. Parts: train, validation (or val, valid), test.

    Args:
        names: what classes and columns are called in the file, where it is not as the protocol calls them.
        parts: what is written in the column of parts -> part, beside the usual names.
    Raises:
        MissingData: no such file.
        InvalidSplit: every kind of misfit with how many there are, the first of them, and what to do.
    """
    problems = Problems()
    images = {image.path: image for image in manifest.images}
    part_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    names = names or SetNames()
    try:
        table = read_table(path, required=("label", "split"), refusal=InvalidSplit, columns=_columns_in(path, names))
    except MissingData:
        raise MissingData(f"--split {path}: file not found. Correct the path.") from None
    for row in table.rows:
        part = part_called(row.cells["split"], parts)
        part = part if part in PARTS else None  # a row of a part that is not read is a misfit
        try:
            name = relative_path(row.cells["path"])
        except ValueError as error:
            problems.add("unusable paths", f"line {row.line}: {error}", "Write paths as in the manifest.")
            continue
        here = f"line {row.line} ({name!r})"
        if part is None:
            remedy = f"The parts are called {', '.join(PARTS)}; say in [dataset.parts] which of them another name is."
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
        label = names.label_of.get(row.cells["label"], row.cells["label"])
        _note_mislabelled(problems, here, {**row.cells, "label": label}, images[name])
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
    divided = {part: sorted_by_path(images[name] for name in part_of if part_of[name] == part) for part in PARTS}
    return Split(**divided, origin=f"read from {path.name}", source="file")


def _columns_in(path: Path, names: SetNames) -> ColumnPlan | None:
    """What the protocol says of the columns, as far as this file has them: a split file may be a table of its own."""
    plan = names.columns
    if plan is None:
        return None
    there = columns_of(path, plan).values()
    absent = [role for role, column in plan.mapped.items() if column not in there]
    slices = {name: column for name, column in plan.slices.items() if column in there}
    return plan.model_copy(update={**dict.fromkeys(absent), "slices": slices})


def _note_repeated(problems: Problems, here: str, part: str | None, first_line: int, first_part: str | None) -> None:
    if part is not None and first_part is not None and part != first_part:
        detail = f"{here} is in {part}, on line {first_line} in {first_part}"
        problems.add("leaks", detail, LEAK_REMEDY)
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
        problems.add("leaks", detail, LEAK_REMEDY)


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
        "listing_order_changes": listing_order_changes(split, manifest, plan),
        "path_prefix_changes": path_prefix_changes(split, manifest, plan),
    }


def drawn_parts(split: Split) -> tuple[str, ...]:
    """The parts among which a run divided cells: all, those of a train folder without validation, or none."""
    if split.source == "drawn":
        return PARTS
    if split.source == "folders" and any(image.part != "validation" for image in split.validation):
        return ("train", "validation")
    return ()


def size_mismatches(split: Split, manifest: Manifest, plan: SplitPlan) -> tuple[str, ...]:
    """Parts of a class whose size is not the plan's, among those that were drawn here or divided by a file.

    Blocks cannot be divided, so a size may be off by less than the class's largest block; where every block is one
    image, it must be exact, unless the split was made elsewhere: other programs round otherwise, by one image.
    """
    elsewhere = split.source == "file"
    among = PARTS if elsewhere else drawn_parts(split)
    if not among:
        return ()
    ratios, drawn = {part: plan.ratios[part] for part in among}, manifest
    if split.source == "folders":
        drawn = replace(manifest, images=tuple(image for image in manifest.images if image.part == "train"))
    largest: Counter[str] = Counter()
    for block in _blocks(drawn.images, plan.together):
        largest |= block.counts  # the larger count of each class
    found = {part: Counter(image.label for image in split.part(part)) for part in ratios}
    mismatches = []
    for name, total in drawn.counts.items():
        for part, target in apportionment(total, ratios).items():
            n = found[part][name]
            if n != target and abs(n - target) >= max(largest[name], 2 if elsewhere else 1):
                share = f"{ratios[part] / sum(ratios.values()) * 100:.4g} % of {total}"
                mismatches.append(f"class {name}, {part}: {n} images, the plan says {target} ({share})")
    if mismatches and elsewhere:
        mismatches[0] += "; of a split that was made elsewhere, [split] of the protocol states the ratios"
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


def listing_order_changes(split: Split, manifest: Manifest, plan: SplitPlan) -> tuple[str, ...]:
    """Images that change part when the same files are listed in another order and the split is drawn again."""
    variants = {}
    for seed in SHUFFLES:
        images = list(manifest.images)
        random.Random(seed).shuffle(images)
        variants[f"listing order {seed}"] = images
    return _changes(split, manifest, plan, variants)


def path_prefix_changes(split: Split, manifest: Manifest, plan: SplitPlan) -> tuple[str, ...]:
    """Images that change part when the folder moves, or every file gets another name, and the split is drawn again."""
    n = len(manifest.images)
    moved = [replace(image, path=f"Dataset/{image.path}") for image in manifest.images]
    renamed = [replace(image, path=f"{image.label}/{n - i:07}") for i, image in enumerate(manifest.images)]
    variants = {"prefix 'Dataset/'": moved, "other file names": list(sorted_by_path(renamed))}
    return _changes(split, manifest, plan, variants)


def _changes(
    split: Split, manifest: Manifest, plan: SplitPlan, variants: Mapping[str, list[CellImage]]
) -> tuple[str, ...]:
    if not drawn_parts(split):
        return ()  # neither an order nor a name could have had a say
    names = {image.sha256: image.path for image in manifest.images}
    before = _parts_by_content(draw_split(manifest, plan))
    changes = []
    for how, images in variants.items():
        after = _parts_by_content(draw_split(replace(manifest, images=tuple(images)), plan))
        changes += [
            f"{name!r} moves from {before[digest]} to {after[digest]} with {how}"
            for digest, name in names.items()
            if before[digest] != after[digest]
        ]
    return tuple(changes)


def _parts_by_content(split: Split) -> dict[str, str]:
    return {image.sha256: part for part in PARTS for image in split.part(part)}
