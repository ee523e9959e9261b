"""What counts are worth: looks, groups, baselines, calibration and the shares of classes in blood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from harness.protocol.names import Fraction, Name, OpenFraction
from harness.protocol.record import OptionalText, Text
from harness.protocol.record import Record as _Record

# Of thirty candidates gated on one test part this rule keeps most power: docs/decisions/0037 has the simulation.
MOST_BUDGET = 10_000
HIGHEST_LEVEL = 1 - 1e-6  # a share of a smaller error, for one look of many, would be rounded away
USUAL_BUDGET = 30


class LooksPlan(_Record):
    """What repeated looks at one test or external set cost: how 1 - level is shared among them, before the first.

    correction: "first-look" gives one half of 1 - level to the first look and the other half, in equal parts, to the
                further looks of `budget`; "series" gives 1 / (m (m + 1)) of it to the m-th look, without a last one;
                "budget" gives an equal part to each of `budget` looks. After the last of a budget nothing passes.
                "none" divides nothing, and says why in `reason`. "look-number", 1 / m at the m-th look, is read in
                older packs alone: over many looks it adds up to more than 1 - level.
    budget:     how many looks share the error; 30 for "first-look" where it is left out.
    reason:     why nothing is corrected.
    """

    correction: Literal["first-look", "series", "budget", "none", "look-number"] = "first-look"
    budget: int | None = Field(default=None, ge=1, le=MOST_BUDGET)
    reason: OptionalText = Field(default=None, min_length=10)

    @model_validator(mode="before")
    @classmethod
    def _with_its_budget(cls, stated: Any) -> Any:
        """The budget is written into the record, so that a pack means the same whatever is usual later."""
        if isinstance(stated, Mapping) and stated.get("correction", "first-look") == "first-look":
            return {**stated, "budget": USUAL_BUDGET} if stated.get("budget") is None else stated
        return stated

    @model_validator(mode="after")
    def _complete(self) -> LooksPlan:
        if (self.correction in ("first-look", "budget")) != (self.budget is not None):
            raise ValueError(
                '`budget` is the number of looks that correction = "first-look" or "budget" shares the error among'
            )
        if self.correction == "first-look" and self.budget == 1:
            raise ValueError('a `budget` of 1 leaves no look after the first: write correction = "budget"')
        if self.correction == "none" and self.reason is None:
            raise ValueError('correction = "none" needs a `reason`: looking again raises the chance of a lucky pass')
        return self

    @property
    def rule(self) -> str:
        """The rule in a few words, such as "first-look of 30": what a ledger holds a later look to."""
        return self.correction if self.budget is None else f"{self.correction} of {self.budget}"


class ClusterPlan(_Record):
    """How alike cells of one patient or slide (of one site, where neither is known) are taken to be.

    intracluster_correlation: the least that is assumed; the sample's own estimate counts where it is larger.
    source: where that correlation is from, such as a study of the same smears; without one, nothing passes on the
            cells of fewer than 20 patients, and of more a pass has to hold at 0.3 too.
    """

    intracluster_correlation: Fraction = 0.1
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    # No mere text: whether there is one decides, so that it is fixed before the first look.
    source: str | None = Field(default=None, min_length=10, exclude_if=lambda source: source is None)

    @model_validator(mode="after")
    def _of_a_number(self) -> ClusterPlan:
        if self.source is not None and "intracluster_correlation" not in self.model_fields_set:
            raise ValueError("`source` says where `intracluster_correlation` is from; state the correlation too")
        return self


class SlicePlan(_Record):
    """Parts of a set that are looked at one by one: no average hides them.

    columns:         what `worst_slice` can be asked of: "patient", "slide", "site", or a name of `columns.slices`.
    minimum_support: cells that a site or slice must have to be judged; those with fewer are named.
    """

    columns: tuple[Name, ...] = ()
    minimum_support: int = Field(default=30, ge=1)


class BaselinePlan(_Record):
    """Whether a run must be compared with a baseline, and with which one.

    needed: "optional": without --baseline nothing is asked of it; "required": a run without one does not pass.
    sha256: of the SHA256SUMS of the one pack that is the baseline, as `python -m harness verify PACK` prints it in its
            last line: a run and `compare` refuse any other. It is fixed before the first look, so that whoever takes
            another baseline later declares it. Only where one is required.
    """

    needed: Literal["optional", "required"] = "optional"
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", exclude_if=lambda digest: digest is None)

    @model_validator(mode="after")
    def _required_where_it_is_named(self) -> BaselinePlan:
        if self.sha256 is not None and self.needed != "required":
            raise ValueError(
                '`sha256` names the one baseline, and `needed` lets a run go without any; write needed = "required"'
            )
        return self

    def unlike(self, sums_sha256: str) -> str | None:
        """How a pack whose SHA256SUMS has this digest is not the one that is named; None where it is, or none is."""
        if self.sha256 in (None, sums_sha256):
            return None
        return f"its SHA256SUMS has the SHA-256 {sums_sha256}, and the protocol's `baseline.sha256` is {self.sha256}"


class ReferralPlan(_Record):
    """Cells below a threshold of confidence are referred to a person; it is chosen on validation by learn-then-test.

    max_risk: the share of wrong answers among the cells that are answered that the threshold has to keep.
    level:    how sure that is, whatever number of thresholds is tried.
    """

    max_risk: OpenFraction
    level: float = Field(default=0.95, ge=0.5, le=HIGHEST_LEVEL)


class CalibrationPlan(_Record):
    """How confidence is examined.

    n_bins:      equal-width bins of confidence, half-open (lo, hi].
    miscoverage: the share of cells that split-conformal sets may miss.
    referral:    the rule by which unsure cells are referred, for `selective_risk` and `referral_rate`.
    """

    n_bins: int = Field(default=15, ge=2, le=100)
    miscoverage: OpenFraction = 0.05
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    referral: ReferralPlan | None = Field(default=None, exclude_if=lambda plan: plan is None)


class PrevalencePlan(_Record):
    """Each class's share where the classifier would be used; a test set has other shares than the world.

    source: where the shares come from.
    shares: class -> its share; they add up to 1.
    """

    source: Text = Field(min_length=10)
    shares: dict[str, Fraction]

    @model_validator(mode="after")
    def _adds_up(self) -> PrevalencePlan:
        if abs(sum(self.shares.values()) - 1.0) > 1e-9:
            raise ValueError(f"the shares add up to {sum(self.shares.values()):g}, not 1; every cell has one class")
        return self
