"""What `calibration` hands on: small frozen records of plain numbers, ready for JSON through `dataclasses.asdict`.

No field holds a numpy type, an infinity or NaN. What is infinite is None, beside the count that says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.core.errors import HarnessError

Binning: TypeAlias = Literal["equal-width", "equal-mass"]
# How the bounds of several classes' rates make those of a predictive value: an equal share of the error for each, or
# as variances add up (`metrics.predictive_values`).
RatesTogether: TypeAlias = Literal["Bonferroni", "MOVER", "MOVER of many"]


class FittedOnTarget(HarnessError, ValueError):
    """A temperature or a conformal threshold was to be fitted on cells of the set that it is applied to."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The cells whose confidence lies in (lower, upper]; the first bin holds 0 too.

    mean_confidence: over the n cells; None in an empty bin.
    by_group: (correct, cells) of each patient, slide or site with cells in the bin; None where they are not known.
    """

    lower: float
    upper: float
    n: int
    n_correct: int
    mean_confidence: float | None
    by_group: tuple[tuple[int, int], ...] | None = None

    @property
    def accuracy(self) -> float | None:
        return self.n_correct / self.n if self.n else None

    @property
    def gap(self) -> float | None:
        """Accuracy minus mean confidence: below 0 the classifier claims more than it delivers."""
        return None if self.mean_confidence is None else self.n_correct / self.n - self.mean_confidence


@dataclass(frozen=True, slots=True)
class NullCalibrationError:
    """The expected calibration error that a perfectly calibrated classifier of these n confidences would show.

    limit: the `quantile` of the simulated errors.
    """

    mean: float
    quantile: float
    limit: float
    n: int
    n_simulations: int


@dataclass(frozen=True, slots=True)
class Temperature:
    """One number by which every logit is divided.

    value:     1 changes nothing; above 1 makes the classifier less certain.
    nll_before, nll_after: mean negative log-likelihood of the n fitted cells at T = 1 and at `value`, in nats,
               with the clipped probabilities.
    fitted_on, digest: name and `Predictions.digest` of the fitted set.
    n_clipped: probabilities of the fitted set, not cells, that were lifted to the smallest normal float.
    at_bound:  the likelihood still improved where the allowed range ends, so `value` is the end of that range.
               Every fitted cell right, or nearly, drives T to 0: then the set cannot tell what T is.
    """

    value: float
    nll_before: float
    nll_after: float
    n: int
    fitted_on: str
    digest: str
    n_clipped: int
    at_bound: bool


@dataclass(frozen=True, slots=True)
class ConformalExpectation:
    """What split conformal sets promise of n_fresh exchangeable cells, before any is seen.

    rank:     of the threshold among the calibration scores; above n_calibration there is no finite threshold.
    mean:     of the coverage over calibration sets, rank / (n_calibration + 1); at least that where scores tie.
    low, high: 5th and 95th percentile of the coverage that one calibration set gives.
    hits_low, hits_high: the central 95 % range of how many of the n_fresh cells are covered.
    """

    alpha: float
    n_calibration: int
    n_fresh: int
    rank: int
    mean: float
    low: float
    high: float
    hits_low: int
    hits_high: int

    @property
    def finite(self) -> bool:
        return self.rank <= self.n_calibration


@dataclass(frozen=True, slots=True)
class ClassCoverage:
    """Of the n cells of one class, the k whose set holds that class. Not promised per class, only on average."""

    cell_class: str
    k: int
    n: int


@dataclass(frozen=True, slots=True)
class ConformalResult:
    """Split conformal prediction sets of one target set.

    calibrated_on: name of the calibration set.
    threshold:     largest score (1 - probability) that is let into a set; None is infinite: every set is full.
    covered:       of the n cells, those whose set holds the reference class.
    n_empty, n_single, n_multiple: cells by the size of their set. An empty set covers nothing.
    in_range:      whether `covered` lies within the expectation's hits_low and hits_high.
    by_group:      (covered, cells) of each patient, slide or site; None where they are not known.
    """

    alpha: float
    calibrated_on: str
    n_calibration: int
    rank: int
    threshold: float | None
    covered: int
    n: int
    mean_set_size: float
    n_empty: int
    n_single: int
    n_multiple: int
    per_class: tuple[ClassCoverage, ...]
    expected: ConformalExpectation
    in_range: bool
    by_group: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """The share of errors among accepted cells, as the least confident cells are accepted one by one.

    thresholds: the distinct confidences, falling; point i accepts every cell at or above thresholds[i].
    n_accepted, n_errors: the counts behind coverages[i] = n_accepted / n and risks[i] = n_errors / n_accepted.
    aurc:       mean risk over the n cells, each taken where its own confidence is the threshold.
    best_aurc:  the same where every error is less confident than every correct cell.
    excess:     aurc - best_aurc, never below 0: what a better order could gain.
    """

    n: int
    thresholds: tuple[float, ...]
    n_accepted: tuple[int, ...]
    n_errors: tuple[int, ...]
    coverages: tuple[float, ...]
    risks: tuple[float, ...]
    aurc: float
    best_aurc: float
    excess: float


@dataclass(frozen=True, slots=True)
class SelectiveGuarantee:
    """Errors among accepted cells, and the one-sided upper bound of that risk at `level`.

    thresholds_tried: among how many acceptance rules this one was chosen on these very cells; 1 if fixed before.
    """

    errors: int
    accepted: int
    risk: float
    upper: float
    level: float
    thresholds_tried: int


@dataclass(frozen=True, slots=True)
class Referral:
    """What becomes of a set whose cells below a confidence are referred to a person (`harness.metrics.referral`).

    max_risk, level: the share of wrong answers that the threshold keeps, and how sure that is.
    threshold:   the confidence from which on cells are answered; None where none is shown to keep the risk: no answers.
    chosen_on, n_chosen_on: the set that it was chosen on, and its cells.
    errors, answered, n: wrong answers, answers, and cells of this set.
    errors_by_group, referred_by_group: (wrong, answers) and (referred, cells) of each patient, where these are known.
    """

    max_risk: float
    level: float
    threshold: float | None
    chosen_on: str
    n_chosen_on: int
    errors: int
    answered: int
    n: int
    errors_by_group: tuple[tuple[int, int], ...] | None = None
    referred_by_group: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class ClassPpv:
    """Of the cells called `cell_class`, the share that are, where the classes have the stated prevalence.

    value, lower, upper: None where undefined; the bounds are one-sided, each at `level`, per class.
    k, n: the class's own recall counts; the other rows of the confusion matrix enter as well.
    note: why it is undefined, else empty.
    """

    cell_class: str
    prevalence: float
    value: float | None
    lower: float | None
    upper: float | None
    level: float
    k: int
    n: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class CountLimits:
    """Rümke's question: where does a count of n cells lie in 95 of 100 films of a patient with this share of a class?

    lower, upper: exact binomial limits of the share at the count nearest to it, two-sided at 95 %.
    holds:        whether they hold the share that the classifier makes of it on average: an error that a count of n
                  cells hides.
    """

    n: int
    lower: float
    upper: float
    holds: bool


@dataclass(frozen=True, slots=True)
class ClassCountBias:
    """How far the share of a class in a differential count of this classifier lies from its share in the blood.

    called:       the share of all cells that are called the class, where the classes have the stated prevalence.
    value:        called - prevalence: above 0 the class is over-counted. None where undefined.
    lower, upper: one-sided bounds of value, each at `level`, per class.
    limits:       of counts of 100, 200 and 400 cells.
    note:         why it is undefined, else empty.
    """

    cell_class: str
    prevalence: float
    called: float | None
    value: float | None
    lower: float | None
    upper: float | None
    level: float
    limits: tuple[CountLimits, ...]
    note: str = ""

    @property
    def direction(self) -> str:
        """What is shown: "over-counted" or "under-counted"; empty where the bounds hold 0."""
        if self.lower is None or self.upper is None:
            return ""
        return "over-counted" if self.lower > 0 else "under-counted" if self.upper < 0 else ""


@dataclass(frozen=True, slots=True)
class PrevalenceShift:
    """Are the classes of a set as frequent as stated? Pearson's chi-squared test of their counts.

    statistic: None is infinite: a class that is stated not to occur does.
    degrees:   of freedom; classes stated not to occur have none.
    p:         approximate where `few` is not 0; None where only one class is stated to occur.
    few:       classes of which fewer than 5 cells were to be expected; the approximation is coarse for them.
    """

    statistic: float | None
    degrees: int
    p: float | None
    few: int


@dataclass(frozen=True, slots=True)
class CalibrationMetrics:
    """How well the probabilities of n cells say what happens.

    ece:          expected calibration error over `bins`, biased up; compare it with `null`, not with 0.
    ece_lower, ece_upper: one-sided bounds of the binned calibration error, each at the report's level.
    mce:          the largest gap of a filled bin; one cell is enough to fill a bin.
    top_label_brier: mean squared gap between confidence and being right, in [0, 1].
    multiclass_brier: summed over classes, in [0, 2].
    nll:          mean negative log-likelihood in nats; None is infinite.
    n_impossible: cells whose reference class was given probability exactly 0; one of them makes the NLL infinite.
    exceeds_null: ece is above null.limit by more than rounding (1e-6).
    """

    n: int
    n_correct: int
    bins: tuple[ReliabilityBin, ...]
    ece: float
    ece_lower: float
    ece_upper: float
    mce: float
    top_label_brier: float
    multiclass_brier: float
    nll: float | None
    n_impossible: int
    null: NullCalibrationError
    exceeds_null: bool


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """Everything about the probabilities of one target set, with what was fitted on another set.

    set, digest, n: the target set, its `Predictions.digest` and its cells.
    level:          of every one-sided bound.
    temperature, after, conformal, selective: None where there is no other set to fit them on.
    before, after:  at T = 1 and at the fitted temperature; the same bin rule.
    conformal, risk_coverage, selective: of the probabilities before temperature. The threshold and the temperature
                    come from the same set, and a threshold on scaled scores would no longer be exchangeable.
    selective:      errors where the conformal set holds exactly one class, a rule fixed before the target was
                    scored; None where no set does.
    ppv, shift:     per class at the stated prevalence, and whether the set has it; None where none was stated.
    grouped_by:     of what the bounds know that its cells are not independent; None where they count cells.
    rates_together: how the bounds of `ppv` are made of those of the rates; None of an older judge, which knew one way.
    counts:         per class, what a differential count makes of the stated prevalence; None where none was stated, or
                    of an older judge.
    referral:       what is answered and what is referred; None where the protocol asks for no such rule.
    """

    set: str
    digest: str
    n: int
    n_bins: int
    binning: Binning
    level: float
    seed: int
    temperature: Temperature | None
    before: CalibrationMetrics
    after: CalibrationMetrics | None
    conformal: ConformalResult | None
    risk_coverage: RiskCoverage
    selective: SelectiveGuarantee | None
    ppv: tuple[ClassPpv, ...] | None
    shift: PrevalenceShift | None = None
    grouped_by: str | None = None
    rates_together: RatesTogether | None = None
    counts: tuple[ClassCountBias, ...] | None = None
    referral: Referral | None = None
