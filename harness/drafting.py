"""What would a protocol for these images say? A draft to complete: what was seen, and what nobody can see."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import DataError
from harness.core.files import write_atomically
from harness.core.spreadsheet import inert
from harness.core.text import first_few, visible
from harness.data.split import apportionment
from harness.data.survey import Survey
from harness.metrics.intervals import clopper_pearson_bounds, errors_allowed
from harness.protocol.file import read_protocol
from harness.protocol.records import PARTS, Protocol

GENERIC = "generic.toml"  # a bare name is that of a shipped protocol
RATIOS = {"train": 0.7, "validation": 0.15, "test": 0.15}  # of base.toml
LEVEL = 0.95
FLOORS = {"accuracy": (0.9, 0.85, 0.8, 0.7, 0.6, 0.5), "recall": (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)}
SMALLEST_TRAINED_PX, LARGEST_TRAINED_PX = 32, 224
FEWEST_OF_A_CLASS = 3  # one for each part
SHOWN = 5
MOST_ON_A_LINE = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A protocol file, and a manifest where the folder alone does not say it all.

    data:     what --data is to name: the manifest where there is one, else the folder.
    manifest: path -> text of the CSV; None where none is needed.
    unknown:  what the images cannot tell, one sentence each.
    """

    protocol: str
    data: Path
    manifest: str | None
    unknown: tuple[str, ...]


def draft(found: Survey, *, out: Path) -> Draft:
    """The draft for a surveyed folder; out: where the protocol will lie, which names it."""
    needs_manifest = bool(found.renamed or found.parts)
    manifest = _manifest(found) if needs_manifest else None
    root = found.root.resolve()
    data = root.parent / f"{root.name}.csv" if needs_manifest else found.root
    unknown = tuple(_unknown(found))
    return Draft(_protocol(found, out, unknown), data, manifest, unknown)


def write_draft(made: Draft, *, out: Path, force: bool) -> tuple[Protocol, tuple[Path, ...]]:
    """Write the files and read the protocol back as a run would.

    Returns:
        The protocol, and the files that were there before.

    Raises:
        DataError: a file is there already; nothing is written.
        ProtocolError: the draft cannot be read; it stays for whoever is to correct it.
    """
    files = {out: made.protocol, **({made.data: made.manifest} if made.manifest is not None else {})}
    replaced = tuple(file for file in files if os.path.lexists(file))
    if replaced and not force:
        raise DataError(
            f"{replaced[0]} is there already, and nothing was written. Name another with --out, or add --force."
        )
    for file, text in files.items():
        try:
            write_atomically(file, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise DataError(f"{file} cannot be written ({error.strerror}). Name another place with --out.") from None
    return read_protocol(out), replaced


# --- the manifest ---------------------------------------------------------------------------------


def _manifest(found: Survey) -> str:
    """Every image with its class, and its part where all parts are there: as --data names it and --split would."""
    split = set(found.parts) == set(PARTS)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path", "label", *(["split"] if split else [])])
    for image in found.images:
        row = [inert(f"{found.root.resolve().name}/{image.path}"), image.label]
        writer.writerow([*row, image.part] if split else row)
    return stream.getvalue()


# --- the protocol ---------------------------------------------------------------------------------


def _protocol(found: Survey, out: Path, unknown: Sequence[str]) -> str:
    n_test = _test_counts(found)
    total, least = sum(n_test.values()), min(n_test.values())
    accuracy, recall = _floor("accuracy", total), _floor("recall", least)
    sides = [side for each in found.readable for side in (each.width_px, each.height_px) if side is not None]
    parts = [
        "# Drafted by `python -m harness init` from what lies in the folder. Confirm or change every line\n"
        "# before the run: it is hashed into the evidence. docs/protocol-keys.md has every key.\n#\n"
        "# What the images could not tell:",
        *_comment(unknown),
        f"\nextends = {_text(GENERIC)}\n",
        "[identity]",
        f"id = {_text(_identity(out))}",
        f"title = {_text(f'{len(found.classes)} classes of {found.root.resolve().name}')}",
        'version = "1"',
        f"intended_use = {_text(INTENDED_USE)}\n",
        "[dataset]",
        f"description = {_text(_description(found))}",
        f"classes = {_listed(found.classes)}",
        *_counts(found),
        "images = { "
        f"formats = {_listed(_seen(found, 'format'))}, modes = {_listed(_seen(found, 'mode'))}, "
        f"min_side_px = {min(sides, default=1)}, max_side_px = {max(sides, default=1)} }}\n",
        "# A network from random weights. A classifier of your own: --model FILE, and this table is not used.",
        "[training]",
        f"image_size_px = {_trained_px(sides)} # the images have {min(sides, default=0)} to {max(sides, default=0)} px",
        '# weights = { source = "imagenet" } # needs torchvision\'s cache or a download; better than random weights\n',
        "# The floors are proposals from the number of images alone. State what your use needs, before you look.",
        f"# {_proves(total, 'test images')}",
        "[[criteria]]",
        'id = "A1"',
        f"floor = {accuracy}",
        f"rationale = {_text(_proposal(accuracy, total))}\n",
        f"# {_proves(least, 'test images of the smallest class')}",
        "[[criteria]]",
        'id = "R1"',
        f"floor = {recall}",
        f"rationale = {_text(_proposal(recall, least))}\n",
        EXAMPLES,
    ]
    return "\n".join(parts)


INTENDED_USE = "TO BE STATED: what the classifier is for, and what a pass does not say. A draft of `harness init`."
EXAMPLES = """# What else can be asked; nothing of it is, while it is not here.
#
# Each class's share where the classifier is used; without it no predictive value is carried over.
# [prevalence]
# source = "where the shares come from"
# shares = { one_class = 0.9, another = 0.1 }
#
# A set from elsewhere, in a folder of this name beside the data, or --external=elsewhere=DIR.
# [[external]]
# name = "elsewhere"
# description = "who made the images, with what, and what shows that they are independent"
# independence = "not shown"
# images = { formats = ["PNG"], min_side_px = 1, max_side_px = 4096 }
#
# Corrupted copies of the test part.
# [robustness]
# kinds = ["brightness", "contrast", "defocus", "noise", "jpeg"]
# severities = [1, 2, 3]
# agreed = { brightness = 2, contrast = 2, defocus = 2, noise = 2, jpeg = 2 }
# seed = 42
"""


def _identity(out: Path) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in out.stem)[:64]
    return kept.lstrip("_.-") or "draft"


def _description(found: Survey) -> str:
    where = visible(found.root.resolve().name)
    return f"{len(found.images):,} images in {where}. TO BE STATED: who made them, when, with what."


def _counts(found: Survey) -> Iterator[str]:
    counts = found.counts
    if len(set(counts.values())) == 1:
        yield f"images_per_class = {next(iter(counts.values()))}"
    else:
        yield "# The classes have unequal numbers of images; D2 holds each to its own."
        lines = [f"{_key(name)} = {n}" for name, n in counts.items()]
        yield f"images_per_class = {{ {', '.join(lines)} }}"


def _seen(found: Survey, what: str) -> tuple[str, ...]:
    """What decoding showed, the most frequent first."""
    return tuple(str(name) for name, _ in Counter(getattr(each, what) for each in found.readable).most_common())


def _trained_px(sides: Sequence[int]) -> int:
    """The images' own side, rounded down to a multiple of 32, within what trains in reasonable time."""
    side = min(sides, default=SMALLEST_TRAINED_PX) // 32 * 32
    return max(SMALLEST_TRAINED_PX, min(LARGEST_TRAINED_PX, side))


# --- what so many images can show -----------------------------------------------------------------


def _test_counts(found: Survey) -> dict[str, int]:
    """Class -> images of the test part: by the part folders, or as the protocol's ratios draw it."""
    if set(found.parts) == set(PARTS):
        given = Counter(image.label for image in found.images if image.part == "test")
        return {name: given[name] for name in found.classes}
    return {name: apportionment(n, RATIOS)["test"] for name, n in found.counts.items()}


def _floor(metric: str, n: int) -> float:
    """The highest of the floors that so many images can show with an error to spare, or at least without one."""
    spare, flawless = ([f for f in FLOORS[metric] if _allowed(n, f) >= errors] for errors in (1, 0))
    return (spare or flawless or FLOORS[metric][-1:])[0]


def _allowed(n: int, floor: float) -> int:
    allowed = errors_allowed(n, floor=floor, level=LEVEL) if n else None
    return -1 if allowed is None else allowed


def _proves(n: int, what: str) -> str:
    if not n:
        return f"There are no {what}: nothing can be shown."
    return f"{n} {what}, all right, would show {clopper_pearson_bounds(n, n, level=LEVEL)[0]:.3f} at 95 %."


def _proposal(floor: float, n: int) -> str:
    allowed = _allowed(n, floor)
    errors = "even none wrong does not show it" if allowed < 0 else f"{allowed} of {n} may be wrong"
    return f"TO BE STATED: proposed by the number of images alone ({errors}), not by any use."


# --- what nobody can see --------------------------------------------------------------------------


def _unknown(found: Survey) -> Iterator[str]:
    yield "The floors: which accuracy and which recall of each class your use needs, and why."
    yield "The intended use, and where the images come from."
    yield (
        "Patients, slides, sites or other groups: images of one group are alike, and without their ids nothing keeps "
        "them in one part. If you know them, name a CSV with the columns path,label,patient as --data."
    )
    yield "How frequent each class is where the classifier will be used, and whether any set comes from elsewhere."
    if found.wrapped:
        yield f"The images lie in the inner folder {visible(found.root.resolve().name)!r}: name that one as --data."
    if found.renamed:
        shown = first_few([f"{visible(old)!r} is {new}" for old, new in found.renamed.items()], SHOWN)
        yield f"Folders whose name cannot be a class's: {', '.join(shown)}. The manifest says it so; correct it there."
    counts = found.counts
    if len(set(counts.values())) > 1:
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        yield f"Why the classes have unequal numbers, from {counts[few]} ({few}) to {counts[many]} ({many})."
    if scarce := [name for name, n in counts.items() if n < FEWEST_OF_A_CLASS]:
        yield (
            f"How {', '.join(first_few(scarce, SHOWN))} could be in train, validation and test with fewer than "
            f"{FEWEST_OF_A_CLASS} images: no split exists. Add images, or leave the class out."
        )
    if found.parts and set(found.parts) != set(PARTS):
        absent = [part for part in PARTS if part not in found.parts]
        yield (
            f"Which images are the {' and '.join(absent)} part: the folders name {', '.join(found.parts)} alone. The "
            "manifest leaves the parts out, so the split is drawn anew over all images. Where a classifier was trained "
            "on the train folder, that mixes its training images into test: divide the folders first."
        )
    yield from _unknown_of_files(found)


def _unknown_of_files(found: Survey) -> Iterator[str]:
    if len(found.facts) < len(found.images):
        yield f"Formats and sizes of all images: {len(found.facts):,} of {len(found.images):,} were decoded."
    if found.broken:
        shown = first_few([f"{visible(each.path)} ({each.error})" for each in found.broken], SHOWN)
        yield f"What these are, which do not decode as images: {'; '.join(shown)}. Move them out, or a run stops at D3."
    if len(formats := _seen(found, "format")) > 1:
        yield f"Why there are several formats ({', '.join(formats)}): one that goes with a class can be learnt instead."
    modes = _seen(found, "mode")
    if modes and modes != ("RGB",):
        yield f"Whether the colour modes {', '.join(modes)} are meant: every image becomes RGB before it is classified."
    if found.litter:
        yield (
            f"Nothing is made of {len(found.litter)} file(s) that file managers and notes leave: "
            f"{_few(found.litter)}. Inside a class folder they count as images in a run: move them out."
        )
    if found.loose:
        yield f"What the files beside the class folders are: {_few(found.loose)}."


def _few(names: Sequence[str]) -> str:
    return ", ".join(first_few([visible(name) for name in names], SHOWN))


def _comment(sentences: Sequence[str]) -> list[str]:
    """Each sentence as a comment of lines that fit."""
    lines = []
    for sentence in sentences:
        line = "# -"
        for word in sentence.split():
            if len(line) + len(word) >= MOST_ON_A_LINE:
                lines.append(line)
                line = "#  "
            line += f" {word}"
        lines.append(line)
    return lines


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, names))}]"


def _text(text: str) -> str:
    """A basic string of TOML, which is one of JSON."""
    return json.dumps(visible(text), ensure_ascii=False)


def _key(name: str) -> str:
    return name if "." not in name else _text(name)
