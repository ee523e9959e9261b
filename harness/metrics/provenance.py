"""Does the training source explain where another set comes from?

A set counts as external because it was taken elsewhere: at another site, of other people, with another instrument. No
image can prove that. An image can speak against it: the same picture, the same unusual size, encoder or tables,
numbers out of the same series, the same colour of the empty slide. `compare_provenance` lays the facts of both sets
side by side and decides by a fixed rule:

1. More than 1 image in 20 shows a picture of the source, or shares something with it that is hardly shared by chance
   (its bytes, an odd image size, an encoder's comment, tables of its own, a number of a sparsely filled series):
   explained by the source. A single picture of the source: undecided at most.
2. Otherwise the background decides. It is the lamp's and the camera's colour, hardly that of the stain, the cell or the
   crop, and outlives every re-encoding. Where fewer than half of the images are shown to differ in it: explained by the
   source, since a converted copy of the source would look just so.
3. Another acquisition chain where at least half of the images are shown to lie outside of what 95 % of the source's
   images look like, and more than a quarter of them lie outside once each channel is scaled to the same background,
   which a darker or warmer copy of the source does not, and more than a third in what colour cannot change
   (`structure`: focus, noise, geometry of the cell), which a copy in other colours hardly does.
4. Undecided otherwise: too few images, grey images beside coloured ones, or one of these ways that does not agree.

Only "another acquisition chain" may stand behind a criterion for an external set, and even that is consistent with
independence, never a proof of it. A similar laboratory with the same instrument is "explained by the source" too: then
documents must show what the images cannot.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.core.errors import DataError
from harness.data.metadata import ABSENT, FileFacts, SetFacts
from harness.metrics.intervals import check_level, clopper_pearson_bounds
from harness.metrics.outside import CENTRAL_SHARE, FEWEST_FOR_REGION, HALF, outside_of
from harness.metrics.provenance_records import (
    ChainVerdict,
    Fingerprint,
    NameSeries,
    Outside,
    Provenance,
    ProvenanceFact,
    Spread,
    TwoSampleTest,
)
from harness.metrics.shortcuts import colours, name_letters, name_number
from harness.metrics.structure import MOVED, structures
from harness.metrics.two_samples import classifier_two_sample_test

# A value counts as the source's where this share of its images holds it, and at least five do: a stray file of another
# origin inside the source must not explain a whole set.
USUAL_SHARE, USUAL_IMAGES = 0.01, 5
# Images that may share something unusual with the source by chance or by a stray copy.
TOLERATED_SHARE = 0.05
# Images outside after scaling: of forty recoloured drawn cells of one laboratory 0 to 9, of forty of another 12 to 22
# (40 seeds each; docs/shortcuts-and-provenance.md). Real sets of other laboratories: all. A share and not a bound,
# because neither answer is the safe one by default: nine images could then never leave it.
WHITE_BALANCE_SHARE = 0.25
# Images outside in what colour cannot change (benchmarks/provenance.py; docs/shortcuts-and-provenance.md).
STRUCTURE_SHARE = 1 / 3
GREY_LEVELS_MOVED = 2  # by a re-encoding
# Width to height of screens, sensors and crops: such a size says nothing of where an image comes from.
COMMON_SHAPES = ((1, 1), (4, 3), (3, 2), (16, 9), (16, 10), (5, 4), (2, 1))
# Software that anybody may have converted images with.
COMMON_SOFTWARE = ("gimp", "gd-jpeg", "photoshop", "imagemagick", "libjpeg", "lavc", "pillow", "matplotlib", "opencv")
COLOURS = ("red", "green", "blue")
BACKGROUND = slice(6, 9)  # of the columns of `shortcuts.colours`

DOCUMENTS = (
    "the site where the smears were made, other than the source's",
    "patients: a list of ids, disjoint from the source's",
    "the instrument: make, model and serial number of microscope and camera",
    "the dates of staining and acquisition",
    "who labelled the cells, and that they did not label the source's",
)


# --- one set ---------------------------------------------------------------------------------------

_KINDS: dict[str, Callable[[FileFacts], str]] = {
    "size": lambda file: file.size,
    "format": lambda file: file.format,
    "colour mode": lambda file: file.mode,
    "JPEG tables": lambda file: file.tables,
    "chroma sampling": lambda file: file.sampling,
    "markers": lambda file: file.markers,
    "encoder": lambda file: encoder_of(file),
    "name series": lambda file: name_letters(file.stem),
}


def fingerprint(facts: SetFacts, *, name: str) -> Fingerprint:
    """What the files of one set say of how they were made.

    Args:
        facts: from `metadata.read_facts`.
        name: what the set is called in sentences.
    Raises:
        DataError: no image.
    """
    if not facts.files:
        raise DataError(f"set {name!r} holds no image, and nothing can be said of its origin. Name a set that does.")
    seen = colours(facts).round(6)
    return Fingerprint(
        name=name,
        counts=tuple((kind, _ranked(Counter(map(of, facts.files)))) for kind, of in _KINDS.items()),
        series=_series(facts.files),
        spreads=(
            _spread("bytes per pixel", np.array([file.bytes_per_pixel for file in facts.files])),
            *(_spread(f"mean {colour}", seen[:, i]) for i, colour in enumerate(COLOURS)),
            *(_spread(f"spread of {colour}", seen[:, 3 + i]) for i, colour in enumerate(COLOURS)),
            *(_spread(f"background {colour}", seen[:, 6 + i]) for i, colour in enumerate(COLOURS)),
        ),
        files=facts.files,
        colours=tuple(tuple(row) for row in seen.tolist()),
        structures=tuple(tuple(row) for row in structures(facts.thumbnails).tolist()),
    )


def encoder_of(file: FileFacts) -> str:
    """Everything in the header that names a program, a camera or a codec."""
    names = ("comment", "Comment", "Software", "EXIF Make", "EXIF Model", "EXIF Software")
    return "; ".join(value for field, value in file.header if field in names) or ABSENT


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _spread(name: str, values: np.ndarray) -> Spread:
    low, high = np.quantile(values, [(1 - CENTRAL_SHARE) / 2, (1 + CENTRAL_SHARE) / 2])
    return Spread(name, float(values.mean()), float(values.std()), float(low), float(high))


def _series(files: Sequence[FileFacts]) -> tuple[NameSeries, ...]:
    numbers_of: dict[str, list[int | None]] = defaultdict(list)
    for file in files:
        numbers_of[name_letters(file.stem)].append(name_number(file.stem))
    series = []
    for letters, numbers in numbers_of.items():
        known = {number for number in numbers if number is not None}
        first, last = (min(known), max(known)) if known else (None, None)
        series.append(NameSeries(letters, len(numbers), first, last, len(known)))
    return tuple(sorted(series, key=lambda one: (-one.n, one.letters)))


# --- two sets --------------------------------------------------------------------------------------


def compare_provenance(
    source: Fingerprint,
    other: Fingerprint,
    *,
    n_copies: int,
    alpha: float,
    level: float,
    rng: np.random.Generator,
) -> Provenance:
    """Lay two sets side by side and decide, by the rule at the top of this module, whether one explains the other.

    Args:
        source: the set that the classifier learns from, all parts of it.
        other: the set that somebody calls external.
        n_copies: how many of its images show pictures of the source.
        alpha: for the two-sample test; one that could not reach it is refused.
        level: one-sided confidence of the bounds, a fraction in (0, 1).
        rng: draws the two-sample test's halves.
    """
    check_level(level)
    held = [_unusual_and_shared(source, other, kind) for kind in _KINDS]
    same_bytes = {file.sha256 for file in source.files}
    copies = [file.sha256 in same_bytes for file in other.files]
    unusual = np.any([copies, *(flags for _, flags in held)], axis=0)
    # A copy of the source without its colours is as grey as any other set.
    comparable = _is_grey(source) == _is_grey(other)
    background = _outside(source, other, BACKGROUND, by_class=False, level=level) if comparable else None
    stain = _outside(source, other, slice(None), by_class=True, level=level) if comparable else None
    balanced = _rebalanced(source, other)
    rebalanced = _outside(source, balanced, slice(None), by_class=True, level=level) if comparable else None
    structure = _structure_outside(source, other, level=level)
    facts = (
        _fact("bytes of the file", f"{len(same_bytes)} distinct files", "copies", copies, copies),
        *(
            _fact(kind, _in_words(source, kind), _in_words(other, kind), alike, flags)
            for kind, (alike, flags) in zip(_KINDS, held, strict=True)
        ),
        _spread_fact(source, other, "bytes per pixel"),
    )
    n_unusual = int(unusual.sum())
    if (pictured := _of_pictures(n_copies, len(other.files))) is not None:
        verdict, reason = pictured
    else:
        verdict, reason = _decided(
            n_unusual, len(other.files), background, rebalanced, structure, facts, comparable=comparable
        )
    two_sample = classifier_two_sample_test(source, other, alpha=alpha, rng=rng)
    same, different = _both_sides(facts, source, other, background, stain, rebalanced, structure, two_sample, alpha)
    return Provenance(
        source=source.name,
        other=other.name,
        n_source=len(source.files),
        n=len(other.files),
        facts=facts,
        n_unusual=n_unusual,
        background=background,
        stain=stain,
        rebalanced=rebalanced,
        two_sample=two_sample,
        verdict=verdict,
        reason=reason,
        same=same,
        different=different,
        would_show=DOCUMENTS,
        limits=_limits(other, background, two_sample),
        n_copies=n_copies,
        structure=structure,
    )


def _of_pictures(n_copies: int, n: int) -> tuple[ChainVerdict, str] | None:
    """What pictures of the source decide by themselves: many explain a set, and one leaves it undecided at most."""
    if n_copies > TOLERATED_SHARE * n:
        return ChainVerdict.EXPLAINED, f"{n_copies} of {n} images show pictures of it"
    if n_copies:
        return (
            ChainVerdict.UNDECIDED,
            f"{n_copies} of {n} images show pictures of the source; where are the others from?",
        )
    return None


def _decided(
    n_unusual: int,
    n: int,
    background: Outside | None,
    rebalanced: Outside | None,
    structure: Outside | None,
    facts: Sequence[ProvenanceFact],
    *,
    comparable: bool,
) -> tuple[ChainVerdict, str]:
    if n_unusual > TOLERATED_SHARE * n:
        kinds = ", ".join(fact.name for fact in facts if fact.n_unusual)
        return (
            ChainVerdict.EXPLAINED,
            f"{n_unusual} of {n} images share with it what is hardly shared by chance: {kinds}",
        )
    if not comparable:
        return (
            ChainVerdict.UNDECIDED,
            "one of the two sets is grey, and grey images have no background colour to compare",
        )
    if background is None or rebalanced is None or structure is None:
        return (
            ChainVerdict.UNDECIDED,
            f"a source of fewer than {FEWEST_FOR_REGION + 1} images shows no usual background",
        )
    if background.lower >= HALF and rebalanced.k <= WHITE_BALANCE_SHARE * rebalanced.n:
        return ChainVerdict.UNDECIDED, (
            f"the background colour of {background} lies outside of the source's, but with each channel scaled to the "
            f"same background only {rebalanced} do: a darker or warmer copy of the source would look just so"
        )
    if background.lower >= HALF and structure.k <= STRUCTURE_SHARE * structure.n:
        return ChainVerdict.UNDECIDED, (
            f"the background colour of {background} lies outside of the source's, but in what colour cannot change "
            f"(focus, noise, the cell in its frame) only {structure} do: a copy of the source in other colours, or "
            "other cells of it, would look just so"
        )
    if background.lower >= HALF:
        return ChainVerdict.ANOTHER, (
            f"nothing unusual is shared; the background colour of {background} lies outside of what "
            f"{CENTRAL_SHARE:.0%} of the source's images show, and what colour cannot change of {structure}"
        )
    if background.upper < HALF:
        return ChainVerdict.EXPLAINED, (
            f"the background colour of only {background} lies outside of what {CENTRAL_SHARE:.0%} of the source's "
            "images show; a copy that was converted or resized would look just so"
        )
    return ChainVerdict.UNDECIDED, (
        f"not settled by these images: the background colour of {background} lies outside of the source's"
    )


def _unusual_and_shared(source: Fingerprint, other: Fingerprint, kind: str) -> tuple[list[bool], list[bool]]:
    """For every image of the set: is its value usual in the source, and is sharing it hardly chance?"""
    of = _KINDS[kind]
    fewest = max(USUAL_SHARE * len(source.files), min(USUAL_IMAGES, len(source.files)))
    usual = {value for value, n in source.of(kind).items() if n >= fewest}
    alike = [of(file) in usual for file in other.files]
    if kind == "name series":
        return alike, _shared_numbers(source, other)
    telling = {value for value in usual if _tells_its_origin(kind, value)}
    return alike, [of(file) in telling for file in other.files]


def _tells_its_origin(kind: str, value: str) -> bool:
    if value == ABSENT:
        return False
    if kind == "size":
        long, short = sorted(map(int, value.split("x")), reverse=True)
        # Rounding to whole pixels moves the long side by less than one.
        return all(abs(long - short * wide / high) >= 1 for wide, high in COMMON_SHAPES)
    if kind == "JPEG tables":
        return value.startswith("own tables")
    if kind == "encoder":
        return not any(software in value.casefold() for software in COMMON_SOFTWARE)
    return False


def _shared_numbers(source: Fingerprint, other: Fingerprint) -> list[bool]:
    sparse = {series.letters for series in source.series if series.is_sparse}
    stems = {file.stem for file in source.files}
    return [file.stem in stems and name_letters(file.stem) in sparse for file in other.files]


def _fact(name: str, source: str, other: str, alike: Sequence[bool], unusual: Sequence[bool]) -> ProvenanceFact:
    k, n = sum(alike), len(alike)
    other = f"{k} copies" if other == "copies" else other
    return ProvenanceFact(name, source, other, k, n, shared=k >= HALF * n, n_unusual=sum(unusual))


def _spread_fact(source: Fingerprint, other: Fingerprint, name: str) -> ProvenanceFact:
    usual, seen = source.spread(name), other.spread(name)
    alike = [usual.low <= file.bytes_per_pixel <= usual.high for file in other.files]
    in_words = [f"{one.mean:.3f} ({one.low:.3f} to {one.high:.3f})" for one in (usual, seen)]
    return _fact(name, in_words[0], in_words[1], alike, [False] * len(alike))


def _in_words(one: Fingerprint, kind: str, *, most: int = 4) -> str:
    if kind == "name series":
        shown = [str(series) for series in one.series[:most]]
        n_values = len(one.series)
    else:
        counts = one.of(kind)
        shown = [f"{value} ({n})" for value, n in list(counts.items())[:most]]
        n_values = len(counts)
    return ", ".join(shown) + (f" and {n_values - most} more" if n_values > most else "")


# --- colours ---------------------------------------------------------------------------------------


def _outside(
    source: Fingerprint, other: Fingerprint, columns: slice, *, by_class: bool, level: float
) -> Outside | None:
    return outside_of(
        source.files,
        np.array(source.colours)[:, columns],
        other.files,
        np.array(other.colours)[:, columns],
        moved=GREY_LEVELS_MOVED / 255,
        by_class=by_class,
        scaled_within=True,
        level=level,
    )


def _structure_outside(source: Fingerprint, other: Fingerprint, *, level: float) -> Outside | None:
    return outside_of(
        source.files,
        np.array(source.structures),
        other.files,
        np.array(other.structures),
        moved=MOVED,
        by_class=False,
        scaled_within=False,
        level=level,
    )


def _rebalanced(source: Fingerprint, other: Fingerprint) -> Fingerprint:
    """The set with each channel scaled, alike for all its images, to the source's median background."""
    usual, seen = np.array(source.colours), np.array(other.colours)
    gain = np.median(usual[:, BACKGROUND], axis=0) / np.maximum(np.median(seen[:, BACKGROUND], axis=0), 1 / 255)
    return replace(other, colours=tuple(tuple(row) for row in (seen * np.tile(gain, 3)).tolist()))


def _is_grey(one: Fingerprint) -> bool:
    """Whether most images have three equal channels."""
    means = np.array(one.colours)[:, :3]
    return bool(np.mean(np.ptp(means, axis=1) < 1 / 255) > HALF)


# --- words -----------------------------------------------------------------------------------------


def _both_sides(
    facts: Sequence[ProvenanceFact],
    source: Fingerprint,
    other: Fingerprint,
    background: Outside | None,
    stain: Outside | None,
    rebalanced: Outside | None,
    structure: Outside | None,
    two_sample: TwoSampleTest,
    alpha: float,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentences that speak for the same chain, and those that speak for another."""
    same = [str(fact) for fact in facts if (fact.shared and not fact.is_absent) or fact.n_unusual]
    different = [str(fact) for fact in facts if not fact.shared and fact.name != "bytes of the file"]
    colour = f"source {_background_of(source)}, set {_background_of(other)}"
    if background is not None:
        side = different if background.lower >= HALF else same if background.upper < HALF else None
        sentence = f"background colour: {colour}; outside of the source's: {background}"
        (same if side is None else side).append(sentence)
    if stain is not None:
        # The stain is a batch's as much as a laboratory's: unlike the background it may differ inside one source.
        (different if stain.lower >= HALF else same).append(f"all colours, class by class: outside: {stain}")
    if rebalanced is not None:
        sentence = f"all colours, each channel scaled to the same background: outside: {rebalanced}"
        (different if rebalanced.lower >= HALF else same).append(sentence)
    if structure is not None:
        sentence = f"focus, noise and the cell in its frame, without colour: outside: {structure}"
        (different if structure.k > STRUCTURE_SHARE * structure.n else same).append(sentence)
    if two_sample.p_value is not None:
        sentence = (
            f"a classifier of colours tells the sets apart in {two_sample.correct} of {two_sample.held_out} held-out "
            f"images (p = {two_sample.p_value:.2g})"
        )
        (different if two_sample.p_value <= alpha else same).append(sentence)
    return tuple(same), tuple(different)


def _background_of(one: Fingerprint) -> str:
    return "/".join(f"{255 * one.spread(f'background {colour}').mean:.0f}" for colour in COLOURS)


def _limits(other: Fingerprint, background: Outside | None, two_sample: TwoSampleTest) -> tuple[str, ...]:
    limits = [
        "cells of the source that were not trained on, cut to much less of the frame and stained anew by a program, "
        "would pass for another chain",
        "a laboratory with the source's instrument and export, or its background colour, cannot be told from it",
    ]
    if background is not None:
        n, level = background.n, background.level
        needed = next((k for k in range(n + 1) if clopper_pearson_bounds(k, n, level=level)[0] >= HALF), None)
        what = "none would be enough" if needed is None else f"at least {needed} would have to"
        limits.append(f"of {n} independent images, {what} lie outside of the source's background to show another chain")
    if all(file.unit.startswith("content:") for file in other.files):
        limits.append(
            "no patient or slide ids: images of one smear share its lamp and stain, and were counted one by one"
        )
    if two_sample.refused:
        limits.append(f"two-sample test not made: {two_sample.refused}")
    absent = sorted({file.label for file in other.files})
    if len(absent) == 1:
        limits.append(f"all images are of class {absent[0]}: nothing is said of any other")
    return tuple(limits)
