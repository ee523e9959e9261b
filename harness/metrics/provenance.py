"""Does the training source explain where another set comes from?

A set counts as external because it was taken elsewhere: at another site, of other people, with another instrument. No
image can prove that. An image can speak against it: the same unusual size, encoder or tables, numbers out of the same
series, the same colour of the empty slide. `compare_provenance` lays the facts of both sets side by side and decides by
a fixed rule:

1. More than 1 image in 20 shares something with the source that is hardly shared by chance (its bytes, an odd image
   size, an encoder's comment, tables of its own, a number of a sparsely filled series): explained by the source.
2. Otherwise the background decides. It is the lamp's and the camera's colour, hardly that of the stain, the cell or the
   crop, and outlives every re-encoding. Where at least half of the images are shown to lie outside of what 95 % of the
   source's images look like: another acquisition chain. Where that is disproved: explained by the source, since a
   converted copy of the source would look just so.
3. Undecided otherwise: too few images; grey images beside coloured ones; or a background that differs while no more
   than a quarter of the images lie outside of the source's once each channel is scaled to the same background. A copy
   of the source that somebody made darker or warmer does that.

Only "another acquisition chain" may stand behind a criterion for an external set, and even that is consistent with
independence, never a proof of it. A similar laboratory with the same instrument is "explained by the source" too: then
documents must show what the images cannot.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.spatial import cKDTree

from harness.core.errors import DataError
from harness.data.metadata import ABSENT, FileFacts, SetFacts
from harness.metrics.distributions import binomial_sf
from harness.metrics.intervals import check_counts, check_level, clopper_pearson_bounds
from harness.metrics.shortcuts import colours, name_letters, name_number, predicted, with_products

# A value counts as the source's where this share of its images holds it, and at least five do: a stray file of another
# origin inside the source must not explain a whole set.
USUAL_SHARE, USUAL_IMAGES = 0.01, 5
# Images that may share something unusual with the source by chance or by a stray copy.
TOLERATED_SHARE = 0.05
# What "most images lie outside" means, and what they lie outside of.
HALF, CENTRAL_SHARE = 0.5, 0.95
# Images outside after scaling: of forty recoloured drawn cells of one laboratory 0 to 9, of forty of another 12 to 22
# (40 seeds each; docs/shortcuts-and-provenance.md). Real sets of other laboratories: all. A share and not a bound,
# because neither answer is the safe one by default: nine images could then never leave it.
WHITE_BALANCE_SHARE = 0.25
N_NEIGHBOURS = 5
GREY_LEVELS_MOVED = 2
FEWEST_FOR_REGION = math.ceil(CENTRAL_SHARE / (1 - CENTRAL_SHARE))  # 19: statistics of split conformal prediction
# A series that fills less of its own range than this was not counted up from 1: two sets share its numbers only if
# they share its origin.
SPARSE = 0.05
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


class ChainVerdict(StrEnum):
    """What the images say of the acquisition chain; none of it is a proof of independence."""

    EXPLAINED = "explained by the training source"
    ANOTHER = "another acquisition chain"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Spread:
    """One quantity over the images of a set: mean, standard deviation, and the central 95 % of the images."""

    name: str
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NameSeries:
    """Files whose names begin with the same letters: how many, and the range of the first number in their names."""

    letters: str
    n: int
    first: int | None
    last: int | None
    n_numbers: int

    @property
    def is_sparse(self) -> bool:
        if self.first is None or self.last is None or self.last == self.first:
            return False
        return self.n_numbers / (self.last - self.first + 1) < SPARSE

    def __str__(self) -> str:
        return f"{self.letters}* {self.first}-{self.last} ({self.n})"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How the images of one set were made, as far as the files show it.

    counts:  (kind of fact, ((value, images), ...)), the commonest value first.
    series:  of the file names, by their letters.
    spreads: bytes per pixel, and mean, spread and background of each colour channel.
    files, colours: the same of every image; colours are the columns of `shortcuts.colours`. Large: evidence holds the
             `Provenance`, not this.
    """

    name: str
    counts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    series: tuple[NameSeries, ...]
    spreads: tuple[Spread, ...]
    files: tuple[FileFacts, ...]
    colours: tuple[tuple[float, ...], ...]

    def of(self, kind: str) -> dict[str, int]:
        """value -> images. Raises: KeyError: no such kind."""
        return dict(dict(self.counts)[kind])

    def spread(self, name: str) -> Spread:
        return next(spread for spread in self.spreads if spread.name == name)


@dataclass(frozen=True, slots=True)
class ProvenanceFact:
    """One fact on both sides.

    source, other: the values in words, the commonest first.
    k, n:     images of the set whose value is usual in the source, and all of them.
    shared:   whether that is so for at least half of them.
    n_unusual: images among the k that share a value which is hardly shared by chance.
    """

    name: str
    source: str
    other: str
    k: int
    n: int
    shared: bool
    n_unusual: int

    @property
    def is_absent(self) -> bool:
        """Whether no file of the set says anything of this: what neither side has, they do not share."""
        return self.other == f"{ABSENT} ({self.n})"

    def __str__(self) -> str:
        weight = f"; {self.n_unusual} hardly by chance" if self.n_unusual else ""
        return f"{self.name}: source {self.source}; set {self.other} ({self.k} of {self.n} images alike{weight})"


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """A classifier that learns from half of the images to tell the two sets apart, and is asked about the other half.

    Equally many images of each class from each set. `p_value`: exact, one-sided, of `correct` or more by tossing a
    coin; None where `refused` says why. `smallest_p`: what all correct would have given.
    """

    correct: int
    held_out: int
    p_value: float | None
    smallest_p: float
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """How many images (patients or slides, where known) lie outside of what `CENTRAL_SHARE` of the source's look like.

    lower, upper: Clopper-Pearson bounds of the share, each one-sided at `level`.
    """

    k: int
    n: int
    lower: float
    upper: float
    level: float

    def __str__(self) -> str:
        return f"{self.k} of {self.n} (share at least {self.lower:.2f}, at most {self.upper:.2f} at {self.level:.0%})"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What speaks for and against another origin of a set, and what the fixed rule makes of it.

    n_unusual:  images that share something with the source which is hardly shared by chance.
    background: images whose background colour the source does not explain; None where the source has too few images,
                or where one of the two sets is grey.
    stain:      the same for all nine colour numbers, each class by itself: moves with the stain batch, decides nothing.
    rebalanced: the same once each channel is scaled so that both sets have the same background: what another white
                balance or exposure cannot explain.
    two_sample: decides nothing: another batch of the same laboratory can be told apart as well.
    same, different: one sentence for each fact on either side.
    would_show: what would show independence.
    limits:     what so many images can and cannot say.
    """

    source: str
    other: str
    n_source: int
    n: int
    facts: tuple[ProvenanceFact, ...]
    n_unusual: int
    background: Outside | None
    stain: Outside | None
    rebalanced: Outside | None
    two_sample: TwoSampleTest
    verdict: ChainVerdict
    reason: str
    same: tuple[str, ...]
    different: tuple[str, ...]
    would_show: tuple[str, ...]
    limits: tuple[str, ...]

    @property
    def may_count_as_external(self) -> bool:
        """Whether the set may satisfy a criterion that asks for an external set."""
        return self.verdict is ChainVerdict.ANOTHER

    @property
    def label(self) -> str:
        return "consistent with independence" if self.may_count_as_external else "independence not shown"

    def fact(self, name: str) -> ProvenanceFact:
        return next(fact for fact in self.facts if fact.name == name)

    def __str__(self) -> str:
        return f"{self.other}: {self.label} ({self.verdict}): {self.reason}"


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
    source: Fingerprint, other: Fingerprint, *, alpha: float, level: float, rng: np.random.Generator
) -> Provenance:
    """Lay two sets side by side and decide, by the rule at the top of this module, whether one explains the other.

    Args:
        source: the set that the classifier learns from, all parts of it.
        other: the set that somebody calls external.
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
    facts = (
        _fact("bytes of the file", f"{len(same_bytes)} distinct files", "copies", copies, copies),
        *(
            _fact(kind, _in_words(source, kind), _in_words(other, kind), alike, flags)
            for kind, (alike, flags) in zip(_KINDS, held, strict=True)
        ),
        _spread_fact(source, other, "bytes per pixel"),
    )
    n_unusual = int(unusual.sum())
    verdict, reason = _decided(n_unusual, len(other.files), background, rebalanced, facts, comparable=comparable)
    two_sample = classifier_two_sample_test(source, other, alpha=alpha, rng=rng)
    same, different = _both_sides(facts, source, other, background, stain, rebalanced, two_sample, alpha)
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
    )


def _decided(
    n_unusual: int,
    n: int,
    background: Outside | None,
    rebalanced: Outside | None,
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
    if background is None or rebalanced is None:
        return (
            ChainVerdict.UNDECIDED,
            f"a source of fewer than {FEWEST_FOR_REGION + 1} images shows no usual background",
        )
    if background.lower >= HALF and rebalanced.k <= WHITE_BALANCE_SHARE * rebalanced.n:
        return ChainVerdict.UNDECIDED, (
            f"the background colour of {background} lies outside of the source's, but with each channel scaled to the "
            f"same background only {rebalanced} do: a darker or warmer copy of the source would look just so"
        )
    if background.lower >= HALF:
        return ChainVerdict.ANOTHER, (
            f"nothing unusual is shared, and the background colour of {background} lies outside of what "
            f"{CENTRAL_SHARE:.0%} of the source's images show"
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
    """How many of the set lie further from the source than `CENTRAL_SHARE` of the source's own images do.

    Distance: to the fifth nearest image of the source, in colours whitened by the source's covariance (within classes),
    so that a source of several batches may have several centres. Each image of the source is measured against the
    others, which is leave-one-out and not the split of exact conformal prediction: with hundreds of images the two
    agree, and no image is wasted.
    """
    reference, seen = np.array(source.colours)[:, columns], np.array(other.colours)[:, columns]
    labels = np.array([file.label for file in source.files])
    transform = _whitening(reference, labels)
    reference, seen = reference @ transform, seen @ transform
    outside = np.zeros(len(seen), dtype=bool)
    for label in sorted({file.label for file in other.files}) if by_class else [None]:
        asked = np.array([label in (None, file.label) for file in other.files])
        known = reference[labels == label] if label is not None else reference
        if len(known) <= FEWEST_FOR_REGION:
            known = reference  # too few of this class in the source: compare with all of it
        if len(known) <= FEWEST_FOR_REGION:
            return None
        tree = cKDTree(known)
        own = np.sort(tree.query(known, k=N_NEIGHBOURS + 1)[0][:, -1])  # the nearest of all is the image itself
        rank = math.ceil((len(known) + 1) * CENTRAL_SHARE)
        outside[asked] = tree.query(seen[asked], k=N_NEIGHBOURS)[0][:, -1] > own[rank - 1]
    shares: dict[str, list[bool]] = defaultdict(list)
    for file, is_out in zip(other.files, outside.tolist(), strict=True):
        shares[file.unit].append(is_out)  # images of one patient or slide share its lamp: they are counted once
    k, n = sum(sum(held) > HALF * len(held) for held in shares.values()), len(shares)
    return Outside(k, n, *clopper_pearson_bounds(k, n, level=level), level)


def _rebalanced(source: Fingerprint, other: Fingerprint) -> Fingerprint:
    """The set with each channel scaled, alike for all its images, to the source's median background."""
    usual, seen = np.array(source.colours), np.array(other.colours)
    gain = np.median(usual[:, BACKGROUND], axis=0) / np.maximum(np.median(seen[:, BACKGROUND], axis=0), 1 / 255)
    return replace(other, colours=tuple(tuple(row) for row in (seen * np.tile(gain, 3)).tolist()))


def _is_grey(one: Fingerprint) -> bool:
    """Whether most images have three equal channels."""
    means = np.array(one.colours)[:, :3]
    return bool(np.mean(np.ptp(means, axis=1) < 1 / 255) > HALF)


def _whitening(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    within = np.vstack([values[labels == label] - values[labels == label].mean(axis=0) for label in np.unique(labels)])
    variances, directions = np.linalg.eigh(within.T @ within / len(within))
    # Directions that hardly vary in the source must not blow up what a re-encoding moves, which is a grey level or two.
    return np.asarray(directions / np.sqrt(np.maximum(variances, (GREY_LEVELS_MOVED / 255) ** 2)))


def classifier_two_sample_test(
    source: Fingerprint, other: Fingerprint, *, alpha: float, rng: np.random.Generator
) -> TwoSampleTest:
    """Can a small classifier tell images of the two sets apart by their colours?

    Of every class, as many images from either set as the smaller of the two holds: other shares of classes must not be
    what tells the sets apart. Half of them are learnt from, the rest is asked. Images count as independent.

    Source: Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, ICLR.
    """
    learnt: list[tuple[int, int]] = []
    held_out: list[tuple[int, int]] = []
    labels = [np.array([file.label for file in one.files]) for one in (source, other)]
    for label in sorted(set(labels[0]) & set(labels[1])):
        members = [rng.permutation(np.flatnonzero(of == label)) for of in labels]
        n = min(map(len, members))
        for side, positions in enumerate(members):
            held_out += [(side, int(position)) for position in positions[: n // 2]]
            learnt += [(side, int(position)) for position in positions[n // 2 : n]]
    smallest = accuracy_p_value(len(held_out), len(held_out)) if held_out else 1.0
    if smallest > alpha:
        refused = (
            f"{len(held_out)} images to ask about: even all correct would give p = {smallest:.3g}, above {alpha}. More "
            "images of classes that both sets hold would do."
        )
        return TwoSampleTest(0, len(held_out), None, smallest, refused)
    views = [np.array(one.colours) for one in (source, other)]
    rows = np.array([views[side][position] for side, position in [*learnt, *held_out]])
    view, sides = with_products(rows), np.array([str(side) for side, _ in [*learnt, *held_out]])
    said = predicted(view[: len(learnt)], sides[: len(learnt)], view[len(learnt) :])
    correct = int(np.sum(said == sides[len(learnt) :]))
    return TwoSampleTest(correct, len(held_out), accuracy_p_value(correct, len(held_out)), smallest)


def accuracy_p_value(correct: int, held_out: int) -> float:
    """Probability of so many correct answers, or more, by tossing a coin.

    Raises:
        UndefinedStatistic: held_out is 0.
    >>> round(accuracy_p_value(115, 200), 6)
    0.020019
    """
    check_counts(correct, held_out)
    return binomial_sf(correct - 1, held_out, 0.5)


# --- words -----------------------------------------------------------------------------------------


def _both_sides(
    facts: Sequence[ProvenanceFact],
    source: Fingerprint,
    other: Fingerprint,
    background: Outside | None,
    stain: Outside | None,
    rebalanced: Outside | None,
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
        "a copy that was renamed, brought to another size and stained anew by a program would pass for another chain",
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
