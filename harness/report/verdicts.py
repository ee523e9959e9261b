"""One verdict as the page prints it, in the section of verdicts and beside the results that it acts on."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from harness.judge.criteria import power, trials
from harness.judge.sample_size import ASSUMPTIONS, DECIDES
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.estimates import INDEPENDENCE_UNKNOWN
from harness.protocol.criteria import Criterion
from harness.report import wording
from harness.report.margins import line, margin
from harness.report.printing import Printer, element, sentence
from harness.run.results import RunResults

# A mark beside each word, so that no outcome is told by colour alone.
MARKS = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.INCONCLUSIVE: "?",
    Outcome.NOT_ASSESSED: "○",
    Outcome.NOT_JUDGED: "…",
}


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict with what the page says of it. counts, other_bound: empty where there is nothing to say."""

    verdict: Verdict
    printer: Printer

    @property
    def place(self) -> tuple[str, ...]:
        return "verdicts", self.verdict.criterion.id

    @property
    def mark(self) -> str:
        return MARKS[self.verdict.outcome]

    @property
    def css_class(self) -> str:
        return self.verdict.outcome.value.replace(" ", "-")

    @property
    def id(self) -> Markup:
        return self.printer.text(*self.place, "criterion")

    @property
    def outcome(self) -> Markup:
        return self.printer.text(*self.place, "outcome")

    @property
    def reason(self) -> Markup:
        return self.printer.text(*self.place, "reason")

    @property
    def note(self) -> Markup:
        return self.printer.text(*self.place, "estimate", "note")

    @property
    def says_nothing_of_patients(self) -> bool:
        return self.verdict.estimate is not None and self.verdict.estimate.note == INDEPENDENCE_UNKNOWN

    @property
    def decidable(self) -> Markup:
        """How many new cells would decide, and at which true rate; empty where no number is named."""
        if self.verdict.n_to_decide is None or self.verdict.assumed is None:
            return Markup()
        return sentence(
            "about {n} new {counted} {decides} {assumed}",
            n=self.printer.count(*self.place, "n_to_decide"),
            counted=trials(self.verdict),
            decides=DECIDES,
            assumed=ASSUMPTIONS[self.verdict.assumed],
        )

    @property
    def power(self) -> Markup:
        return element((*self.place, "power"), power(self.verdict))

    @property
    def subject(self) -> Markup:
        return subject(self.verdict.criterion, self.printer)

    @property
    def metric(self) -> Markup:
        return self.printer.text(*criterion_place(self.verdict.criterion), "metric")

    @property
    def value(self) -> Markup:
        found = self.verdict.estimate
        if found is None:
            return element((*self.place, "estimate"), wording.NOTHING)
        bound = self.verdict.criterion.bound
        return self.printer.quantity(*self.place, "estimate", "value", unit=found.unit, beside=(bound,))

    @property
    def counts(self) -> Markup:
        """The integers behind a value: k/n of a proportion, 2TP/(2TP+FP+FN) of an F1, what a count looked at."""
        found, here, e = self.verdict.estimate, (*self.place, "estimate"), self.printer
        if found is None or found.n is None:
            return Markup()
        if found.paired is not None:
            lost, gained = (e.plain_count(*here, "paired", side) for side in (0, 1))
            return sentence("{gained} gained, {lost} lost of {n}", gained=gained, lost=lost, n=e.count(*here, "n"))
        if found.metric == "f1":
            return e.counts("page", "verdict", "f1", self.verdict.criterion.id)
        if found.k is not None:
            return e.counts(*here)
        if self._counts_seeds:
            return sentence("{n} seeds", n=e.plain_count(*here, "n"))
        if found.unit == "fraction":
            return sentence("n = {n}", n=e.count(*here, "n"))
        return sentence("{n} {what}", n=e.count(*here, "n"), what="checked" if found.is_exact else "samples")

    @property
    def looked_at_nothing(self) -> bool:
        """Whether there was nothing to count among, so that a count of 0 shows nothing."""
        return self.verdict.estimate is not None and self.verdict.estimate.n == 0

    @property
    def is_measured(self) -> bool:
        return self.verdict.estimate is not None and self.verdict.estimate.value is not None

    @property
    def is_exact(self) -> bool:
        """Whether its criterion asks for an exact count, which has no interval."""
        return self.verdict.criterion.entry.unit == "count"

    @property
    def _counts_seeds(self) -> bool:
        return self.verdict.criterion.entry.counts == "seeds"

    @property
    def acting_bound(self) -> Markup:
        if (said := self._not_sampled) is not None:
            return said
        return self._bound("lower" if self.verdict.criterion.floor is not None else "upper")

    @property
    def other_bound(self) -> Markup:
        if self._not_sampled is not None:
            return Markup()
        return self._bound("upper" if self.verdict.criterion.floor is not None else "lower")

    @property
    def threshold(self) -> Markup:
        """The requirement without its level, as a line of the forest plot has it."""
        criterion = self.verdict.criterion
        field, sign = ("floor", "≥") if criterion.floor is not None else ("ceiling", "≤")
        bound = self.printer.quantity(*criterion_place(criterion), field, unit=criterion.entry.unit)
        return sentence("{sign} {bound}", sign=sign, bound=bound)

    @property
    def bounds(self) -> Markup:
        """Both bounds of what was measured; empty where it was not sampled."""
        if self._not_sampled is not None:
            return Markup()
        return sentence("{lower} to {upper}", lower=self._end("lower"), upper=self._end("upper"))

    def _end(self, side: str) -> Markup:
        found, here = self.verdict.estimate, (*self.place, "estimate", side)
        assert found is not None  # for the type checker: `bounds` has seen to it
        if getattr(found, side) is None:
            return element(here, "none")
        return self.printer.quantity(*here, unit=found.unit, beside=(self.verdict.criterion.bound,))

    @property
    def margin(self) -> Markup:
        """How far the bound that decides is on the right side of its threshold; below nothing, on the wrong one."""
        found, here = self.verdict.estimate, ("page", "verdict", "margins", self.verdict.criterion.id)
        if found is None or margin(self.verdict) is None:
            return Markup()
        e = self.printer
        return e.points(*here) if found.unit == "fraction" else e.quantity(*here, unit=found.unit)

    @property
    def line(self) -> Markup:
        return line(self.verdict)

    @property
    def requirement(self) -> Markup:
        found = self.verdict.estimate
        own_level = found is not None and not found.is_exact
        return requirement(self.verdict.criterion, self.printer, self.place if own_level else None)

    @property
    def _not_sampled(self) -> Markup | None:
        found = self.verdict.estimate
        if found is None or found.value is None:
            return Markup(wording.NOTHING)
        if found.is_exact:
            return Markup("exact count" if found.unit == "count" else "computed, not sampled")
        return None

    def _bound(self, side: str) -> Markup:
        found = self.verdict.estimate
        assert found is not None  # for the type checker: `_not_sampled` has said so
        here, bound = (*self.place, "estimate", side), getattr(found, side)
        if bound is None:
            one_sided = self._counts_seeds and side == "upper"
            why = "none: one-sided by design" if one_sided else "none: too little to bound it"
            return element(here, f"{side} {why}")
        beside = (self.verdict.criterion.bound,)
        return self.printer.quantity(*here, unit=found.unit, beside=beside, lead=f"{side} ")


def rows_of(run: RunResults, printer: Printer) -> tuple[VerdictRow, ...]:
    return tuple(VerdictRow(verdict, printer) for verdict in run.verdicts)


def criterion_place(criterion: Criterion) -> tuple[str, ...]:
    return "protocol", "content", "criteria", criterion.id


def subject(criterion: Criterion, e: Printer) -> Markup:
    """What a criterion is about, such as "recall of monocyte on test"."""
    here = criterion_place(criterion)
    of = next((field for field in ("cell_class", "kind") if getattr(criterion, field)), None)
    return sentence(
        "{metric}{of}{whom} on {place}",
        metric=e.text(*here, "metric"),
        of=" of " if of else "",
        whom=e.text(*here, of) if of else "",
        place="any device" if criterion.set == "any" else e.text(*here, "set"),
    )


def requirement(criterion: Criterion, e: Printer, judged: tuple[str, ...] | None = None) -> Markup:
    """What is required, in the unit in which the value is printed; judged: the verdict whose level it is put at."""
    here = criterion_place(criterion)
    side, field, sign = ("lower", "floor", "≥") if criterion.floor is not None else ("upper", "ceiling", "≤")
    unit = criterion.entry.unit
    bound = e.quantity(*here, field, unit=unit)
    if unit == "count":
        return sentence("exact count {sign} {bound}", sign=sign, bound=bound)
    level = e.level(*here, "level") if judged is None else e.level(*judged, "estimate", "level")
    return sentence("{side} {level} bound {sign} {bound}", side=side, level=level, sign=sign, bound=bound)
