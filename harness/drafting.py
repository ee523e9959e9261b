"""What would a protocol for these images say? A draft to complete: what was seen, and what nobody can see."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.core.errors import DataError
from harness.core.files import write_atomically
from harness.core.text import first_few, visible
from harness.data.leakage import LEAST_SEARCHED_PX
from harness.data.split import apportionment
from harness.data.suggestions import toml_key, toml_text
from harness.data.survey import Survey
from harness.judge.prospects import BestCase, by_reason, cannot_pass
from harness.metrics.intervals import clopper_pearson_bounds, errors_allowed
from harness.metrics.multiplicity import level_of_part
from harness.planning import stand_ins
from harness.protocol.datasets import FORMATS
from harness.protocol.file import read_protocol
from harness.protocol.modes import why_not
from harness.protocol.names import PARTS, UNUSED
from harness.protocol.records import Protocol

GENERIC = "generic.toml"  # a bare name is that of a shipped protocol
EXTENDS = f"\nextends = {toml_text(GENERIC)}\n"
RATIOS = {"train": 0.7, "validation": 0.15, "test": 0.15}  # of base.toml
FIRST_LOOK = level_of_part(level=0.95, parts=2)  # what "first-look" of base.toml leaves of 95 %
FLOORS = {"accuracy": (0.9, 0.85, 0.8, 0.7, 0.6, 0.5), "recall": (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)}
SMALLEST_TRAINED_PX, LARGEST_TRAINED_PX = 32, 224
FEWEST_OF_A_CLASS = 3  # one for each part
SHOWN = 5
MOST_ON_A_LINE = 100
TOO_FEW = "What cannot pass on so few images, whatever the classifier does, and what would let it:"
CELLS_ARE = (
    "Cells are those of the part that is judged, such as the images of the test part: add images, or state in "
    "[[criteria]] the id with such a floor or ceiling and a rationale, if your use can do with it."
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A protocol file for a folder, which is named as --data as it lies there.

    unknown: what the images cannot tell, one sentence each.
    sizes:   part -> class -> how many images a run would find there; of a part that it cannot draw, none.
    """

    protocol: str
    unknown: tuple[str, ...]
    sizes: Mapping[str, Mapping[str, int]]


def draft(found: Survey, *, out: Path) -> Draft:
    """The draft for a surveyed folder; out: where the protocol will lie, which names it."""
    unknown = tuple(_unknown(found))
    return Draft(_protocol(found, out, unknown), unknown, _sizes(found))


def _shares(classes: Sequence[str]) -> str:
    """As if every class were as frequent, to be replaced; in whole thousandths, the last with what is left."""
    each = 1000 // len(classes)
    thousandths = [*[each] * (len(classes) - 1), 1000 - each * (len(classes) - 1)]
    return ", ".join(f"{toml_key(name)} = {share / 1000:g}" for name, share in zip(classes, thousandths, strict=True))


def write_draft(made: Draft, *, out: Path, force: bool) -> tuple[Protocol, bool]:
    """Write the file, read the protocol back as a run would, and note in the file what cannot pass on so few images.

    Returns:
        The protocol, and whether a file was there before.

    Raises:
        DataError: a file is there already; nothing is written.
        ProtocolError: the draft cannot be read; it stays for whoever is to correct it.
    """
    replaced = os.path.lexists(out)
    if replaced and not force:
        raise DataError(f"{out} is there already, and nothing was written. Name another with --out, or add --force.")
    _write(out, made.protocol)
    protocol = read_protocol(out)
    if hopeless := out_of_reach(made, protocol):
        noted = "\n".join([f"# {TOO_FEW}", *_comment(hopeless), *_comment((CELLS_ARE,))])
        _write(out, made.protocol.replace(EXTENDS, f"#\n{noted}\n{EXTENDS}", 1))
    return protocol, replaced


def out_of_reach(made: Draft, protocol: Protocol) -> tuple[str, ...]:
    """What no classifier passes on so few images, as `harness plan` has it; nothing where a run has no split to judge.

    Returns:
        A sentence for each reason, with the criteria that it holds for and, where a number is known, how many would do.
    """
    if not all(sum(counts.values()) for counts in made.sizes.values()):  # which `unknown` says
        return ()
    cells = {part: stand_ins(counts, part) for part, counts in made.sizes.items()}
    best = BestCase(protocol, cells, device=None, judged=None, compares=True)
    hopeless = cannot_pass(best, today=datetime.now(UTC).date())
    return tuple(f"{_few(names)}: {why}." for why, names in by_reason(hopeless).items())


def _write(out: Path, text: str) -> None:
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise DataError(f"{out} cannot be written ({error.strerror}). Name another place with --out.") from None


# --- the protocol ---------------------------------------------------------------------------------


def _protocol(found: Survey, out: Path, unknown: Sequence[str]) -> str:
    n_test = _sizes(found)["test"]
    total, least = sum(n_test.values()), min(n_test.values())
    accuracy, recall = _floor("accuracy", total), _floor("recall", least)
    sides = [side for each in found.readable for side in (each.width_px, each.height_px) if side is not None]
    parts = [
        "# Drafted by `harness init` from what lies in the folder. Confirm or change every line\n"
        "# before the run: it is hashed into the evidence. docs/protocol-keys.md has every key.\n#\n"
        "# What the images could not tell:",
        *_comment(unknown),
        EXTENDS,
        "[identity]",
        f"id = {toml_text(_identity(out))}",
        f"title = {toml_text(f'{len(found.classes)} classes of {_name_of(found)}')}",
        'version = "1"',
        f"intended_use = {toml_text(INTENDED_USE)}\n",
        "[dataset]",
        f"description = {toml_text(_description(found))}",
        f"classes = {_listed(found.classes)}",
        *_pin(found),
        *_counts(found),
        *(
            ['# pixels_suffice = "why a copy of so small an image can only be the same pixels again"']
            if _small(found)
            else []
        ),
        "images = { "
        f"formats = {_listed(_formats(found))}, modes = {_listed(_modes(found))}, "
        f"min_side_px = {min(sides, default=1)}, max_side_px = {max(sides, default=1)} }}\n",
        *_names(found),
        "# A network from random weights. With --model FILE nothing is trained: the table then says of which network",
        "# the file is and how it is shown an image; which class each output stands for goes into [model].",
        "[training]",
        f"image_size_px = {_trained_px(sides)} # the images have {min(sides, default=0)} to {max(sides, default=0)} px",
        '# architecture = "resnet18" # any classifier of torchvision, or "timm:NAME" of timm',
        '# resize = "squish" # or "crop": how an image comes to that size',
        '# weights = { source = "imagenet" } # needs torchvision\'s cache or a download; better than random weights\n',
        "# The floors are proposals from the number of images alone. State what your use needs, before you look.",
        f"# {_proves(total, 'test images')}",
        "[[criteria]]",
        'id = "A1"',
        f"floor = {accuracy}",
        f"rationale = {toml_text(_proposal(accuracy, total))}\n",
        f"# {_proves(least, 'test images of the smallest class')}",
        "[[criteria]]",
        'id = "R1"',
        f"floor = {recall}",
        f"rationale = {toml_text(_proposal(recall, least))}\n",
        _hopes(found, out),
        EXAMPLES.replace("SHARES", _shares(found.classes)),
    ]
    return "\n".join(parts)


INTENDED_USE = "TO BE STATED: what the classifier is for, and what a pass does not say. A draft of `harness init`."
EXAMPLES = """# What else can be asked; nothing of it is, while it is not here.
#
# Each class's share where the classifier is used; without it no predictive value is carried over.
# [prevalence]
# source = "where the shares come from"
# shares = { SHARES }
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


def _hopes(found: Survey, out: Path) -> str:
    asked = f"`python -m harness plan {shlex.quote(visible(out.name))} --data=DIR`"
    return f"""# The truth that you hope for. Without the marks before the next three lines, {asked}
# tells the chances of passing, and how many cells would do.
# [plan]
# accuracy = 0.95
# recall = {{ {toml_key(found.classes[0])} = 0.9 }}
"""


def _identity(out: Path) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in out.stem)[:64]
    return kept.lstrip("_.-") or "draft"


def _name_of(found: Survey) -> str:
    return visible(found.root.resolve().name)


def _description(found: Survey) -> str:
    return f"{len(found.images):,} images in {_name_of(found)}. TO BE STATED: who made them, when, with what."


def _pin(found: Survey) -> Iterator[str]:
    if found.pin is None:
        yield '# digest = "sha256:..." # a file cannot be read: move it out, then `python -m harness pin` prints this'
        return
    yield "# Every image with its label, whatever the files are called: on others D12 fails. After a change on purpose,"
    yield "# `python -m harness pin` prints the new one."
    yield f"digest = {toml_text(found.pin)}"


def _counts(found: Survey) -> Iterator[str]:
    counts = found.counts
    if len(set(counts.values())) == 1:
        yield f"images_per_class = {next(iter(counts.values()))}"
    else:
        yield "# The classes have unequal numbers of images; D2 holds each to its own."
        lines = [f"{toml_key(name)} = {n}" for name, n in counts.items()]
        yield f"images_per_class = {{ {', '.join(lines)} }}"


def _names(found: Survey) -> Iterator[str]:
    """The tables for folders whose names do not say which class or part they are."""
    if found.renamed:
        yield "# Folder -> class. Another name for a class stands in `classes` and `images_per_class` too."
        yield "[dataset.labels]"
        yield from (f"{toml_key(folder)} = {toml_text(name)}" for folder, name in found.renamed.items())
        yield ""
    if found.unused:
        yield f"# Folder -> {', '.join(PARTS)}, or {UNUSED}: not read, and named."
        yield "[dataset.parts]"
        yield from (f"{toml_key(folder)} = {toml_text(UNUSED)}" for folder in found.unused)
        yield ""


def _formats(found: Survey) -> tuple[str, ...]:
    """Those that a protocol can accept; `_unknown_of_files` names the others."""
    return tuple(name for name in _seen(found, "format") if name in FORMATS)


def _modes(found: Survey) -> tuple[str, ...]:
    return tuple(name for name in _seen(found, "mode") if why_not(name) is None)


def _seen(found: Survey, what: str) -> tuple[str, ...]:
    """What decoding showed, the most frequent first."""
    return tuple(str(name) for name, _ in Counter(getattr(each, what) for each in found.readable).most_common())


def _trained_px(sides: Sequence[int]) -> int:
    """The images' own side, rounded down to a multiple of 32, within what trains in reasonable time."""
    side = min(sides, default=SMALLEST_TRAINED_PX) // 32 * 32
    return max(SMALLEST_TRAINED_PX, min(LARGEST_TRAINED_PX, side))


# --- what so many images can show -----------------------------------------------------------------


def _sizes(found: Survey) -> dict[str, dict[str, int]]:
    """Part -> class -> images: by the part folders, or as the protocol's ratios draw them; none where they cannot."""
    if not found.divided:
        scarce = any(n < FEWEST_OF_A_CLASS for n in found.counts.values())
        return _apportioned(dict.fromkeys(found.counts, 0) if scarce else found.counts, RATIOS)
    sizes = {part: found.counts_in(part) for part in PARTS}
    if "validation" not in found.parts:
        sizes |= _apportioned(sizes["train"], {part: RATIOS[part] for part in ("train", "validation")})
    return sizes


def _apportioned(counts: Mapping[str, int], ratios: Mapping[str, float]) -> dict[str, dict[str, int]]:
    shares = {name: apportionment(n, ratios) for name, n in counts.items()}
    return {part: {name: of[part] for name, of in shares.items()} for part in ratios}


def _floor(metric: str, n: int) -> float:
    """The highest of the floors that so many images can show with an error to spare, or at least without one."""
    spare, flawless = ([f for f in FLOORS[metric] if _allowed(n, f) >= errors] for errors in (1, 0))
    return (spare or flawless or FLOORS[metric][-1:])[0]


def _allowed(n: int, floor: float) -> int:
    allowed = errors_allowed(n, floor=floor, level=FIRST_LOOK) if n else None
    return -1 if allowed is None else allowed


def _proves(n: int, what: str) -> str:
    if not n:
        return f"There are no {what}: nothing can be shown."
    return (
        f"{n} {what}, all right, would show {clopper_pearson_bounds(n, n, level=FIRST_LOOK)[0]:.3f} at the first look."
    )


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
        yield f"The images lie in the inner folder {_name_of(found)!r}: name that one as --data."
    if found.renamed:
        shown = first_few([f"{visible(old)!r} is {new}" for old, new in found.renamed.items()], SHOWN)
        yield f"Folders whose name cannot be a class's: {', '.join(shown)}. [dataset.labels] says it; correct it there."
    counts = found.counts
    if len(set(counts.values())) > 1:
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        yield f"Why the classes have unequal numbers, from {counts[few]} ({few}) to {counts[many]} ({many})."
    yield from _unknown_of_parts(found)
    yield from _unknown_of_files(found)


def _small(found: Survey) -> int:
    """How many images are too small for a search of copies."""
    sides = [(each.width_px, each.height_px) for each in found.readable]
    return sum(min(w, h) < LEAST_SEARCHED_PX for w, h in sides if w is not None and h is not None)


def _unknown_of_parts(found: Survey) -> Iterator[str]:
    if not found.divided:
        if scarce := [name for name, n in found.counts.items() if n < FEWEST_OF_A_CLASS]:
            yield (
                f"How {', '.join(first_few(scarce, SHOWN))} could be in train, validation and test with fewer than "
                f"{FEWEST_OF_A_CLASS} images: no split exists. Add images, or leave the class out."
            )
        if below := _shared_below(found):
            yield (
                f"Whether the folders are the classes: {_few(below)} lie in more than one of them. If those are the "
                "classes, call the folders above them train and test, and draft again."
            )
        return
    if found.unused:
        yield (
            f"Which part of the split is in {_few(found.unused)}: [dataset.parts] leaves it out. Say there if it is "
            f"{', '.join(PARTS)}; nothing in it was looked at."
        )
    if absent := [part for part in ("train", "test") if part not in found.parts]:
        yield (
            f"Which images are the {' and '.join(absent)} part: the folders hold {' and '.join(found.parts)} alone, "
            f"and a run stops without. Say in [dataset.parts] which folder it is, such as "
            f"{_such_as(found, absent[0])}, or name a single folder of classes as --data, which is then divided."
        )
    elif "validation" not in found.parts:
        yield "Which images are the validation part: no folder is, and a run draws it from train."
    least = dict.fromkeys(found.parts, 1) | ({"train": 2} if found.parts == ("train", "test") else {})
    few = [f"{name} in {part}" for part, n in least.items() for name, k in found.counts_in(part).items() if k < n]
    if few:
        yield f"How to train and judge a class of which a part has too few images: {', '.join(first_few(few, SHOWN))}."


def _such_as(found: Survey, part: str) -> str:
    """A line for [dataset.parts]; validation is the part that a run can draw itself."""
    spare = [*found.unused, *(folder for folder, of in found.divided.items() if of == "validation"), "FOLDER"]
    return f"{toml_key(spare[0])} = {toml_text(part)}"


def _shared_below(found: Survey) -> list[str]:
    """Folders that lie in more than one class folder, as classes do in part folders with names of their own."""
    above: dict[str, set[str]] = {}
    for path in found.images:
        first, *between, _ = path.split("/")
        if between:
            above.setdefault(between[0], set()).add(first)
    return [name for name, folders in above.items() if len(folders) > 1]


def _unknown_of_files(found: Survey) -> Iterator[str]:
    if len(found.facts) < len(found.images):
        yield f"Formats and sizes of all images: {len(found.facts):,} of {len(found.images):,} were decoded."
    if found.broken:
        shown = first_few([f"{visible(each.path)} ({each.error})" for each in found.broken], SHOWN)
        yield f"What these are, which do not decode as images: {'; '.join(shown)}. Move them out, or a run stops at D3."
    if len(formats := _formats(found)) > 1:
        yield f"Why there are several formats ({', '.join(formats)}): one that goes with a class can be learnt instead."
    modes = _modes(found)
    if modes and modes != ("RGB",):
        yield f"Whether the colour modes {', '.join(modes)} are meant: every image becomes RGB before it is classified."
    for what, accepted in (("format", formats), ("mode", modes)):
        if refused := [name for name in _seen(found, what) if name not in accepted]:
            names = ", ".join(refused)
            yield f"What to make of {what} {names}: no protocol can accept it. Convert these, or a run stops."
    if n_small := _small(found):
        yield (
            f"Whether a copy can only be the same pixels again: {n_small:,} images have a side under "
            f"{LEAST_SEARCHED_PX} px, and copies of these that were turned, rescaled or saved anew are not found. Say "
            "why in dataset.pixels_suffice, or a run decides nothing where they are more than 1 in 20 of a part."
        )
    if found.litter:
        yield (
            f"Nothing is made of {len(found.litter)} file(s) or folder(s) that programs left behind, here or in a run: "
            f"{_few(found.litter)}."
        )
    if found.loose:
        yield f"What the files beside the class folders are: {_few(found.loose)}. A run names them, and reads none."


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
    return f"[{', '.join(map(toml_text, names))}]"
