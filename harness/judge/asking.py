"""Ask one criterion: its metric is measured, its family beside it, and `judge` decides. The same for run and pack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol

from harness.judge.continuity import KnownChain, without_ledger
from harness.judge.criteria import judge, level_at
from harness.judge.groups import too_alike, too_few_groups, turn_of_pass
from harness.judge.rules import Rules
from harness.judge.verdicts import Verdict
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import Measurements, NotRecorded
from harness.protocol.criteria import Criterion
from harness.protocol.questions import QUESTIONS


class Evidence(Measurements, Protocol):
    """What a judge asks beside what metrics ask."""

    @property
    def rules(self) -> Rules:
        """Those that the run was judged by."""

    def known_chains(self) -> Sequence[KnownChain]:
        """The chains of looks that the run's ledger must continue."""

    def look(self, criterion: Criterion) -> int | None:
        """Which look at its set this criterion is judged at; None where looks are not counted, or the set is absent."""

    def dependent_sets(self) -> Mapping[str, str] | None:
        """External set -> what in its images speaks against its independence of the dataset; None where unexamined."""


def ask(criterion: Criterion, evidence: Evidence, *, today: date) -> Verdict:
    """The verdict on one criterion.

    Raises:
        NotRecorded: the evidence is a pack that does not hold what the metric is made of.
    """
    found = measure(criterion, evidence)
    family = family_of(criterion, evidence) if isinstance(found, Estimate) else ()
    return decide(criterion, found, evidence, today=today, family=family)


def measure(criterion: Criterion, evidence: Evidence) -> Estimate | Unavailable:
    """The estimate of its metric at the level that is left after the looks at its set, or why there is none.

    Raises:
        NotRecorded: as `ask`.
    """
    if (lost := without_ledger(criterion, evidence.known_chains())) is not None:
        return lost
    metric = criterion.entry
    for need in sorted(metric.needs):
        if (lacking := evidence.lacking(need)) is not None:
            return lacking
    return metric.estimate(evidence, criterion, level_of(criterion, evidence))


def decide(
    criterion: Criterion,
    found: Estimate | Unavailable,
    evidence: Evidence,
    *,
    today: date,
    family: Sequence[tuple[Criterion, Estimate]],
    told: bool = True,
) -> Verdict:
    """The verdict on an estimate that was measured, or recorded; family: as `judge` takes it.

    told: whether a pass says at which correlation it would be lost, which takes as long as some twenty estimates.
    """
    few = alike = turns = None
    if isinstance(found, Estimate):
        few = too_few_groups(criterion, found, evidence, rules=evidence.rules)
        alike = None if few is not None else too_alike(criterion, found, evidence, rules=evidence.rules)
        turns = None if few or alike or not told else turn_of_pass(criterion, found, evidence, rules=evidence.rules)
    return judge(
        criterion,
        found,
        protocol=evidence.protocol,
        today=today,
        look=evidence.look(criterion),
        family=family,
        few_groups=few,
        too_alike=alike,
        turns=turns,
        doubted=_doubted(criterion, evidence) if isinstance(found, Estimate) else None,
        disturbed=_disturbed(criterion, evidence) if isinstance(found, Estimate) else None,
        dependent=evidence.dependent_sets() if QUESTIONS[criterion.question].needs_independence else None,
    )


def _disturbed(criterion: Criterion, evidence: Evidence) -> str | None:
    disturbed_by = criterion.entry.disturbed_by
    return None if disturbed_by is None else disturbed_by(evidence, criterion)


def _doubted(criterion: Criterion, evidence: Evidence) -> str | None:
    doubted_by = criterion.entry.doubted_by
    try:
        return None if doubted_by is None else doubted_by(evidence, criterion)
    except NotRecorded:  # a pack that holds no more than the count, which `verify` names
        return None


def level_of(criterion: Criterion, evidence: Evidence) -> float:
    """The level of the bounds that this criterion acts on; looks at its set before this one raise it."""
    # Where the budget of looks is spent, the bounds are shown at the protocol's level, and nothing passes.
    return level_at(evidence.protocol, criterion, evidence.look(criterion)) or criterion.level


def family_of(criterion: Criterion, evidence: Evidence) -> list[tuple[Criterion, Estimate]]:
    """The criteria on the same metric of every class, or kind, each with its estimate if there is one, this one too."""
    if not criterion.entry.holm or criterion.entry.per not in evidence.rules.holm_over:
        return []
    level = level_of(criterion, evidence)
    alike = [each for each in evidence.protocol.criteria if each.family == criterion.family]
    found = [(each, each.entry.estimate(evidence, each, level)) for each in alike]
    return [(each, estimate) for each, estimate in found if isinstance(estimate, Estimate)]
