"""What is said of where a set of images comes from: facts of one set, of two, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.data.metadata import ABSENT, FileFacts

# A series that fills less of its own range than this was not counted up from 1: two sets share its numbers only if
# they share its origin.
SPARSE = 0.05


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
    files, colours, structures: the same of every image; colours are the columns of `shortcuts.colours`, structures
             those of `structure.structures`. Large: evidence holds the `Provenance`, not this.
    """

    name: str
    counts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    series: tuple[NameSeries, ...]
    spreads: tuple[Spread, ...]
    files: tuple[FileFacts, ...]
    colours: tuple[tuple[float, ...], ...]
    structures: tuple[tuple[float, ...], ...]

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
    n_copies:   images that show pictures of the source.
    structure:  images whose focus, noise and geometry the source does not explain: what no change of colour moves. None
                where the source has too few images. Packs of before have neither.
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
    n_copies: int | None = None
    structure: Outside | None = None

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
