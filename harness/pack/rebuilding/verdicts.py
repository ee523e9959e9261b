"""One verdict for each criterion of a pack, asked again of its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.core.errors import EvidenceError, HarnessError
from harness.judge.asking import ask, decide
from harness.judge.criteria import not_judged
from harness.judge.pretrained import nobody_asked
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.counts import exact_count
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import NotRecorded
from harness.pack.decode import decoded, recorded
from harness.pack.files import EVIDENCE
from harness.pack.measurements import RecordedMeasurements
from harness.pack.read import WITHOUT_PATHS
from harness.pack.rebuilding.frame import Frame
from harness.pack.rebuilding.judged import Judged
from harness.protocol.criteria import Criterion
from harness.protocol.questions import GATES

NOT_WAIVABLE = "; a waiver excuses what is absent, not this"  # as schemas 2 and 3 recorded it


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One criterion, the verdict that the pack states on it, and what can be asked of the pack."""

    frame: Frame
    evidence: RecordedMeasurements
    judged: Judged
    criterion: Criterion
    stated: Mapping[str, Any]

    @property
    def field(self) -> str:
        return f"verdicts > {self.criterion.id}"

    @property
    def reason(self) -> str:
        return recorded(str, self.stated.get("reason"), where=f"{self.field} > reason")


def judge_again(frame: Frame, evidence: RecordedMeasurements, judged: Judged) -> tuple[Verdict, ...]:
    """One verdict per criterion, gate by gate, whatever evidence.json lists."""
    stated = {
        str(each.get("criterion")): each for each in frame.field("verdicts", kind=list) if isinstance(each, Mapping)
    }
    verdicts, taken = [], []
    for criterion in sorted(frame.protocol.criteria, key=lambda each: GATES.index(each.gate)):
        asked = _Asked(frame, evidence, judged, criterion, stated.get(criterion.id, {}))
        if criterion.id not in stated:
            frame.note(EVIDENCE, asked.field, "the protocol asks for this criterion, and it has no verdict")
            verdicts.append(not_judged(criterion, "no verdict is recorded"))
            continue
        try:
            verdict, again = _judged_again(asked)
        except (HarnessError, ValueError) as error:
            frame.note(EVIDENCE, asked.field, str(error))
            verdict, again = not_judged(criterion, "its verdict cannot be read"), True
        verdicts.append(verdict)
        taken += [] if again else [criterion.id]
    if taken:
        frame.take(
            f"what {', '.join(taken)} were decided on, or why they were not: the pack records it, and "
            "nothing in it measures it"
        )
    return tuple(verdicts)


def _judged_again(asked: _Asked) -> tuple[Verdict, bool]:
    """The verdict that follows, and whether it follows from more than the record of it."""
    criterion, outcome, reason = asked.criterion, asked.stated.get("outcome"), asked.reason
    if outcome not in list(Outcome):
        raise EvidenceError(f"{outcome!r} is not an outcome")
    if outcome == Outcome.NOT_JUDGED:
        return not_judged(criterion, reason), False
    where = f"{asked.field} > estimate"
    held: Estimate | None = decoded(Estimate | None, asked.stated.get("estimate"), where)
    try:
        return ask(criterion, asked.evidence, today=asked.frame.day), True
    except NotRecorded:
        found = _as_recorded(asked, held)
    return decide(criterion, found, asked.evidence, today=asked.frame.day, family=()), False


def _as_recorded(asked: _Asked, held: Estimate | None) -> Estimate | Unavailable:
    """What a criterion was decided on where nothing in the pack measures it; a count still counts what it lists."""
    criterion, outcome = asked.criterion, asked.stated["outcome"]
    if outcome == Outcome.NOT_ASSESSED:
        return _unavailable(asked)
    if held is None:
        raise EvidenceError(f"{outcome!r} without an estimate")
    if criterion.question not in ("training", "reproducibility", "split", "robustness"):
        asked.frame.note(EVIDENCE, asked.field, f"{outcome} is written, and what it rests on is not in the pack")
    if criterion.entry.unit == "count":
        return exact_count(criterion.metric, criterion.set, held.details, of=held.n)
    return held


def _unavailable(asked: _Asked) -> Unavailable:
    """Why the criterion could not be assessed, without what `judge` says of its waiver."""
    where, criterion, judged = f"{asked.field} > unavailable", asked.criterion, asked.judged
    held: Unavailable | None = decoded(Unavailable | None, asked.stated.get("unavailable"), where)
    if asked.frame.pack.evidence["schema"] in WITHOUT_PATHS:
        held = _unavailable_of_old(asked)
    if held is None:
        raise EvidenceError(f"{where} does not say why it was not assessed")
    protocol = asked.frame.protocol
    unasked = nobody_asked(
        criterion.metric,
        criterion.question,
        criterion.set,
        judged.model or judged.given,
        without_baseline=judged.baseline is None and protocol.baseline.needed == "optional",
        unpinned=protocol.dataset.digest is None,
    )
    return replace(held, not_asked=unasked and asked.stated.get("not_asked") is not False)


def _unavailable_of_old(asked: _Asked) -> Unavailable:
    """The same of a pack of schema 2 or 3, whose reason ends with what was said of the waiver."""
    reason, waiver = asked.reason, asked.frame.protocol.waiver_for(asked.criterion.id)
    if waiver is not None and waiver.expires < asked.frame.day:
        expired = f"; the waiver of {waiver.owner} expired on {waiver.expires.isoformat()}"
        return Unavailable(reason.removesuffix(expired))
    waivable = waiver is None or not reason.endswith(NOT_WAIVABLE)
    return Unavailable(reason if waivable else reason.removesuffix(NOT_WAIVABLE), waivable=waivable)
