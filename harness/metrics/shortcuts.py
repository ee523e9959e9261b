"""What can be guessed of a cell's class without seeing the cell?

Two different things, kept apart:

- Findings. A header does not know what the cell is: where image size, format, JPEG tables, sampling, comments or EXIF
  go with the class, images came by different ways, and a network can learn the way instead of the cell. Each value is
  tested exactly against the class, and the images that hold it are named.
- Probes. File size, mean colour, the border ring and a tiny thumbnail honestly go with the class to some degree
  (eosinophils are orange). What a small classifier makes of each is a measurement, not a fault: a classifier that does
  no better has not been shown to look at cells.

File names never reach the network, so that a name that tells the class is reported under a heading of its own.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.core.errors import DataError
from harness.data.metadata import ABSENT, SetFacts
from harness.metrics.distributions import binomial_sf
from harness.metrics.intervals import check_level, clopper_pearson_bounds
from harness.metrics.multiplicity import holm

N_FOLDS = 5
# Four images or fewer that share a value prove nothing: with five classes, four of one class are worth p = 0.0016
# before any correction. Rarer values of one kind are tested together, under this name.
FEWEST_IMAGES, RARER = 5, "(rarer values)"
# Where even the commonest image size is held by fewer images than this, every image was cut by its own box, which may
# follow the cell's size. That is for the probe to measure, and no format.
FREELY_CUT = 0.10
# A border ring that closes half the way from chance to certainty: the cell lies in the middle and does not do that.
BORDER_ALARM = 0.5
N_BINS = 20
BLOCKS = 8
# A column of equal values has a standard deviation of some 1e-17 after rounding; dividing by it would make noise of it.
NO_SPREAD, RIDGE = 1e-9, 1e-4


@dataclass(frozen=True, slots=True)
class ShortcutFinding:
    """Images whose header tells something of their class.

    facts:      (kind, value) of everything that singles out exactly these images, such as ("size", "366x369").
    counts:     (class, images among these) for every class; `expected`: the same had the header nothing to do with it.
    linked:     the class whose count is least explained by chance.
    p_value:    Fisher's exact two-sided test of `linked` against the rest, times the number of classes.
    p_adjusted: after Holm over all values that were tested.
    paths:      the images, sorted.
    """

    facts: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, int], ...]
    expected: tuple[tuple[str, float], ...]
    linked: str
    p_value: float
    p_adjusted: float
    paths: tuple[str, ...]

    def __str__(self) -> str:
        what = "; ".join(f"{kind} {value}" for kind, value in self.facts)
        counts = ", ".join(f"{label} {n}" for label, n in self.counts)
        return (
            f"{len(self.paths)} images share {what}: {counts}. By chance {self.linked} would hold "
            f"{dict(self.expected)[self.linked]:.1f} (p = {self.p_adjusted:.2g}). Export all classes in one way, or "
            "leave these images out."
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """How often a small classifier that sees only this was right about images that it had not learnt from.

    k, n:    right and all; every image was predicted once, by a model that learnt from the other folds.
    chance:  share of the commonest class: what a guess without looking attains.
    lower, upper: Clopper-Pearson bounds, each one-sided at `level`, as if the n predictions were independent.
    p_value: exact probability of k or more right by guessing the commonest class.
    """

    name: str
    sees: str
    k: int
    n: int
    chance: float
    lower: float
    upper: float
    level: float
    p_value: float

    @property
    def above_chance(self) -> bool:
        return self.lower > self.chance

    def __str__(self) -> str:
        verdict = "above chance" if self.above_chance else "not shown to be above chance"
        return (
            f"{self.name}: {self.k}/{self.n} right ({self.k / self.n:.1%}, at least {self.lower:.1%} at "
            f"{self.level:.0%}; chance {self.chance:.1%}): {verdict}"
        )


@dataclass(frozen=True, slots=True)
class NameFinding:
    """File names whose leading letters tell the class. The network never sees them; a person or a script may.

    prefixes: (letters, class that most of them are of, images of that class, images) by falling number of images.
    k, n:     images whose class the other images with the same letters tell.
    """

    prefixes: tuple[tuple[str, str, int, int], ...]
    k: int
    n: int
    chance: float
    lower: float
    level: float

    def __str__(self) -> str:
        shown = ", ".join(f"{letters!r} {label} {k}/{n}" for letters, label, k, n in self.prefixes[:6])
        return (
            f"File names tell the class of {self.k} of {self.n} images ({shown}). Nothing that predicts may see them: "
            "the predictions must stay the same under random names."
        )


@dataclass(frozen=True, slots=True)
class ShortcutReport:
    """What was looked for and what was found.

    counts:   (class, images) of the set.
    n_tests:  distinct groups of images that were tested; Holm counts them all.
    findings: by rising p-value; empty says that nothing was found at `alpha`, not that nothing is there.
    alpha:    probability of any false finding among the `n_tests`.
    notes:    what could not be looked at, and why.
    """

    counts: tuple[tuple[str, int], ...]
    n_tests: int
    findings: tuple[ShortcutFinding, ...]
    names: NameFinding | None
    probes: tuple[Probe, ...]
    alpha: float
    notes: tuple[str, ...]

    def probe(self, name: str) -> Probe:
        """Raises: KeyError: no probe of that name was made; `notes` says why."""
        return {probe.name: probe for probe in self.probes}[name]

    @property
    def border_tells(self) -> bool:
        """Whether the outermost ring of pixels tells more of the class than a cell in the middle explains."""
        rings = [probe for probe in self.probes if probe.name == "border ring"]
        return any(ring.lower > ring.chance + BORDER_ALARM * (1.0 - ring.chance) for ring in rings)


def find_shortcuts(facts: SetFacts, *, alpha: float, level: float, rng: np.random.Generator) -> ShortcutReport:
    """Look for class-linked headers, borders and names, and measure what coarse pixels tell.

    Images of one patient, slide or content (`FileFacts.unit`) are never on both sides of a fold, and count once per
    class and value in the exact tests: a patient's images share their export, and are not independent evidence of it.

    Args:
        facts: of the whole set, from `metadata.read_facts`.
        alpha: probability of any false finding that is accepted.
        level: one-sided confidence of the bounds, a fraction in (0, 1).
        rng: deals the folds.
    Raises:
        DataError: no image.
    """
    check_level(level)
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha {alpha} is not a fraction in (0, 1); write 0.01 for 1 %")
    if not facts.files:
        raise DataError("no image to look for shortcuts in. Name a set that holds images.")
    counts = tuple(sorted(Counter(file.label for file in facts.files).items()))
    if len(counts) < 2:
        note = f"all {len(facts.files)} images are of class {counts[0][0]}: there is nothing to guess"
        return ShortcutReport(counts, 0, (), None, (), alpha, (note,))
    notes = []
    kinds = _kinds(facts)
    commonest_size = max(Counter(kinds["size"]).values())
    if commonest_size < FREELY_CUT * len(facts.files):
        del kinds["size"]
        notes.append(
            f"sizes were not tested value by value: the commonest is held by {commonest_size} of {len(facts.files)} "
            "images, so that each image was cut by its own box. The probe 'header' measures what sizes tell"
        )
    tested = _linked_values(facts, kinds, [label for label, _ in counts])
    adjusted = holm([finding.p_value for finding in tested])
    findings = [replace(finding, p_adjusted=p) for finding, p in zip(tested, adjusted, strict=True) if p <= alpha]
    folds = _folds(facts, rng)
    if len(set(folds)) < 2:
        probes: tuple[Probe, ...] = ()
        notes.append("no probe: all images belong to one patient, slide or content, and none is left to predict")
    else:
        probes = tuple(_probe(facts, folds, *what, level=level) for what in _views(facts))
    return ShortcutReport(
        counts=counts,
        n_tests=len(tested),
        findings=tuple(sorted(findings, key=lambda finding: (finding.p_adjusted, finding.paths))),
        names=_names(facts, level=level),
        probes=probes,
        alpha=alpha,
        notes=tuple(notes),
    )


# --- findings: headers, exactly -------------------------------------------------------------------


def _kinds(facts: SetFacts) -> dict[str, list[str]]:
    """Kind of fact -> its value for every image."""
    values = [file.values() for file in facts.files]
    kinds = sorted({kind for row in values for kind in row})
    return {kind: [row.get(kind, ABSENT) for row in values] for kind in kinds}


def _linked_values(
    facts: SetFacts, kinds: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> list[ShortcutFinding]:
    """One entry for each group of images that some value singles out; the commonest value of a kind is what the others
    differ from and is not itself tested."""
    groups: dict[tuple[int, ...], list[tuple[str, str]]] = defaultdict(list)
    for kind, values in kinds.items():
        counts = Counter(values)
        lumped = [value if counts[value] >= FEWEST_IMAGES else RARER for value in values]
        where: dict[str, list[int]] = defaultdict(list)
        for position, value in enumerate(lumped):
            where[value].append(position)
        commonest = max(where, key=lambda value: (len(where[value]), value))
        for value in sorted(where.keys() - {commonest}):
            groups[tuple(where[value])].append((kind, value))
    # One re-encoding changes size, tables and comment at once: that is one group of images and one test.
    return [_tested(facts, held, tuple(why), classes) for held, why in groups.items()]


def _tested(
    facts: SetFacts, held: tuple[int, ...], why: tuple[tuple[str, str], ...], classes: Sequence[str]
) -> ShortcutFinding:
    holders = set(held)
    witnesses = {(file.unit, file.label, position in holders) for position, file in enumerate(facts.files)}
    table = Counter((label, holds) for _, label, holds in witnesses)
    p_values = [linkage_p_value(table, label) for label in classes]
    seen = Counter(facts.files[position].label for position in held)
    n_of = Counter(file.label for file in facts.files)
    least = int(np.argmin(p_values))
    return ShortcutFinding(
        facts=why,
        counts=tuple((label, seen[label]) for label in classes),
        expected=tuple((label, len(held) * n_of[label] / len(facts.files)) for label in classes),
        linked=classes[least],
        p_value=min(1.0, len(classes) * p_values[least]),
        p_adjusted=1.0,
        paths=tuple(sorted(facts.files[position].path for position in held)),
    )


def linkage_p_value(table: Mapping[tuple[str, bool], int], label: str) -> float:
    """Fisher's exact two-sided p-value of "whether an image holds the value has nothing to do with it being `label`".

    Exact at any number of images, where the Freeman-Halton test of all classes at once cannot be counted out beyond
    some 80 of them; times the number of classes it answers the same question, and names the class.

    Args:
        table: (class, holds the value) -> images.
    Source: Fisher (1935), J. R. Stat. Soc. 98:39-82.
    >>> round(linkage_p_value({("a", True): 3, ("a", False): 0, ("b", True): 0, ("b", False): 3}, "a"), 6)
    0.1
    """
    from scipy.stats import fisher_exact  # a second to import, and verifying a pack needs none of it

    cells = [[0, 0], [0, 0]]
    for (other, holds), n in table.items():
        cells[int(other == label)][int(holds)] += n
    return min(1.0, float(fisher_exact(cells).pvalue))


# --- names -----------------------------------------------------------------------------------------


def name_letters(stem: str) -> str:
    """What a file's name begins with, up to its first digit.

    >>> name_letters("BloodImage_00008_1")
    'BloodImage_'
    """
    return re.split(r"\d", stem, maxsplit=1)[0]


def name_number(stem: str) -> int | None:
    """The first number in a file's name; None if it has none.

    >>> name_number("MO_001954")
    1954
    """
    digits = re.search(r"[0-9]+", stem)
    return int(digits.group()[:18]) if digits else None


def _names(facts: SetFacts, *, level: float) -> NameFinding | None:
    labels_of: dict[str, Counter[str]] = defaultdict(Counter)
    for file in facts.files:
        labels_of[name_letters(file.stem)][file.label] += 1
    # An image is told by the others of its letters, never by itself: letters that occur once tell nothing.
    k = sum(_told(labels_of[name_letters(file.stem)], file.label) for file in facts.files)
    n, chance = len(facts.files), _chance(file.label for file in facts.files)
    lower = clopper_pearson_bounds(k, n, level=level)[0]
    if lower <= chance:
        return None
    ranked = sorted(labels_of.items(), key=lambda item: (-item[1].total(), item[0]))
    prefixes = tuple((letters, *_commonest(labels), labels.total()) for letters, labels in ranked)
    return NameFinding(prefixes, k, n, chance, lower, level)


def _told(labels: Counter[str], label: str) -> bool:
    others = labels - Counter([label])
    return bool(others) and _commonest(others)[0] == label


def _commonest(labels: Counter[str]) -> tuple[str, int]:
    return min(labels.items(), key=lambda item: (-item[1], item[0]))


def _chance(labels: Iterable[str]) -> float:
    counts = Counter(labels)
    return max(counts.values()) / counts.total()


# --- probes -----------------------------------------------------------------------------------------


def _views(facts: SetFacts) -> list[tuple[str, str, np.ndarray]]:
    """(name, what it sees, (n, n_features)) of every probe. The names of folders and their letters are in none."""
    pixels = facts.thumbnails.astype(np.float64) / 255.0
    n = len(facts.files)
    colour = colours(facts)
    size = np.array([[file.n_bytes, file.bytes_per_pixel] for file in facts.files])
    step = pixels.shape[1] // BLOCKS
    thumbnail = pixels.reshape(n, BLOCKS, step, BLOCKS, step, 3).mean(axis=(2, 4)).reshape(n, -1)
    numbers = np.array([[name_number(file.stem) or 0] for file in facts.files], dtype=np.float64)
    return [
        ("header", "size, format, tables, sampling, comments, EXIF; no bytes, no names", _header_view(facts)),
        ("file size", "bytes, and bytes per pixel", _binned(size)),
        ("mean colour", "mean and spread of each channel, and the background's colour", with_products(colour)),
        ("colour and file size", "both", with_products(np.hstack([colour, np.log(size)]))),
        ("border ring", "mean and spread of each channel in the outermost pixels", with_products(facts.borders)),
        ("thumbnail", f"{BLOCKS} x {BLOCKS} pixels", np.hstack([thumbnail, with_products(colour)])),
        ("number in the name", "the first number of the file's name: when was it taken?", _binned(numbers)),
    ]


def colours(facts: SetFacts) -> np.ndarray:
    """(n, 9): mean and standard deviation of each channel, and the background's mean, in [0, 1].

    Of the thumbnail, which no re-encoding and little resizing changes. The background is the brightest tenth.
    """
    stored = facts.thumbnails.reshape(len(facts.files), -1, 3)
    n_bright = max(1, stored.shape[1] // 10)
    # 16 bits hold three channels, and NumPy sorts 16-bit numbers by counting.
    light = stored.sum(axis=2, dtype=np.uint16)
    brightest = np.argsort(light, axis=1, kind="stable")[:, -n_bright:]
    pixels = stored.astype(np.float64) / 255.0
    background = np.take_along_axis(pixels, brightest[:, :, None], axis=1).mean(axis=1)
    return np.hstack([pixels.mean(axis=1), pixels.std(axis=1), background])


def _header_view(facts: SetFacts) -> np.ndarray:
    sides = np.array([[file.width_px, file.height_px] for file in facts.files], dtype=np.float64)
    columns = [*np.hstack([np.log(sides), sides[:, :1] / sides[:, 1:]]).T]
    for values in _kinds(facts).values():
        counts = Counter(values)
        commonest = max(counts, key=lambda value: (counts[value], value))
        for value in sorted(value for value in counts if counts[value] >= FEWEST_IMAGES and value != commonest):
            columns.append(np.array([held == value for held in values], dtype=np.float64))
    return np.stack(columns, axis=1)


def _binned(values: np.ndarray) -> np.ndarray:
    """Each column as which of 20 equally filled bins it falls into, so that a straight rule can follow any curve."""
    columns = []
    for column in values.T:
        edges = np.unique(np.quantile(column, np.linspace(0, 1, N_BINS + 1)[1:-1]))
        which = np.searchsorted(edges, column, side="right")
        columns += [(which == bin).astype(np.float64) for bin in range(len(edges) + 1)]
    return np.stack(columns, axis=1)


def with_products(values: np.ndarray) -> np.ndarray:
    """The columns and their products, standardised first: a quadratic rule for a linear learner."""
    scaled = _standardised(values)
    first, second = np.triu_indices(scaled.shape[1])
    return np.hstack([scaled, scaled[:, first] * scaled[:, second]])


def _standardised(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > NO_SPREAD, spread, 1.0))


def _folds(facts: SetFacts, rng: np.random.Generator) -> np.ndarray:
    """Which fold each image is predicted in. Units are dealt out class by class, so that folds are alike in both."""
    label_of = {file.unit: file.label for file in reversed(facts.files)}
    units = sorted(label_of)
    order = sorted(zip((label_of[unit] for unit in units), rng.permutation(len(units)), units, strict=True))
    fold_of = {unit: rank % N_FOLDS for rank, (_, _, unit) in enumerate(order)}
    return np.array([fold_of[file.unit] for file in facts.files])


def _probe(facts: SetFacts, folds: np.ndarray, name: str, sees: str, view: np.ndarray, *, level: float) -> Probe:
    labels = np.array([file.label for file in facts.files])
    right = 0
    for fold in np.unique(folds):
        learnt, held_out = folds != fold, folds == fold
        right += int(np.sum(predicted(view[learnt], labels[learnt], view[held_out]) == labels[held_out]))
    n, chance = len(labels), _chance(labels.tolist())
    lower, upper = clopper_pearson_bounds(right, n, level=level)
    return Probe(name, sees, right, n, chance, lower, upper, level, binomial_sf(right - 1, n, chance))


def predicted(view: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """What linear discriminants, their common covariance shrunk after Ledoit and Wolf, say of unseen rows.

    Shrinkage needs no tuning and stands more features than images. Forests and nearest neighbours were tried on the
    2,500 real images and were less accurate, forests twenty times slower or more (docs/shortcuts-and-provenance.md).

    Source: Ledoit and Wolf (2004), J. Multivar. Anal. 88:365-411.
    """
    from sklearn.covariance import ledoit_wolf  # takes a second to import, and nothing else here needs it

    classes, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    varies = view.std(axis=0) > NO_SPREAD
    if len(classes) < 2 or not varies.any():
        return np.full(len(unseen), classes[np.argmax(sizes)])
    learnt = view[:, varies]
    centre, spread = learnt.mean(axis=0), learnt.std(axis=0)
    learnt, unseen = (learnt - centre) / spread, (unseen[:, varies] - centre) / spread
    means = np.stack([learnt[which == i].mean(axis=0) for i in range(len(classes))])
    covariance, _ = ledoit_wolf(learnt - means[which], assume_centered=True)
    # Features that a class fixes wholly (its own format) leave no variance within classes to divide by.
    weights = np.linalg.solve(covariance + RIDGE * np.eye(len(covariance)), means.T)
    scores = unseen @ weights - np.sum(means.T * weights, axis=0) / 2 + np.log(sizes / sizes.sum())
    return np.asarray(classes[np.argmax(scores, axis=1)])
