"""Is the candidate's pack no worse than the baseline's? The regression gate over two packs, without model or images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness.core.errors import EvidenceError
from harness.judge.asking import ask
from harness.judge.verdicts import Verdict
from harness.metrics.comparison import Comparison, compare
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.measurements import NothingRecorded
from harness.pack.baseline import judged_again, read_baseline
from harness.pack.read import open_pack
from harness.pack.sign import Trust
from harness.protocol.records import Criterion, Protocol
from harness.run.results import Baseline, RunResults


@dataclass(frozen=True, slots=True)
class PackComparison:
    """Candidate against baseline on every set that the candidate's protocol has regression criteria on.

    protocol: the candidate's.
    """

    baseline: Baseline
    protocol: Protocol
    verdicts: tuple[Verdict, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def holds(self) -> bool:
        """Whether every required criterion passed; the others are told."""
        return not any(verdict.blocks for verdict in self.verdicts)


def compare_packs(baseline: Path, candidate: Path, *, trust: Trust | None = None) -> PackComparison:
    """Judge the regression criteria of the candidate's protocol on two packs, each of which is judged again first.

    The margin, the level and the number of the look are the candidate's: fixed before its run, recorded in it. Reading
    two packs once more is not a new look.

    Args:
        baseline, candidate: folder or zip.
        trust: the keys of which one must have signed the baseline; None where nobody insists.
    Raises:
        EvidenceError: a pack does not hold, no such key signed the baseline, or the candidate's protocol has no
            regression criterion.
        IncomparableSets: the two were judged on other cells or classes, and how they differ.
    """
    pack = open_pack(candidate)
    run, _ = judged_again(pack, role="be compared")
    protocol = run.protocol
    criteria = [criterion for criterion in protocol.criteria if criterion.question == "regression"]
    if not criteria:
        raise EvidenceError(
            f"{pack.name}: its protocol {protocol.identity.id} has no regression criterion, so no margin was fixed "
            'before the run. Add one (question = "regression") and run again.'
        )
    sets, classes = tuple(dict.fromkeys(criterion.set for criterion in criteria)), protocol.dataset.classes
    theirs = read_baseline(baseline, sets=sets, classes=classes, trust=trust)
    comparisons = {
        name: compare(
            run.predictions[name] if run.rules.grouped else replace(run.predictions[name], groups=None),
            theirs.predictions[name],
            baseline_run=theirs.run_id,
            copies=run.copies,
            intracluster_correlation=protocol.clusters.intracluster_correlation,
        )
        for name in sets
    }
    evidence, today = _TwoPacks(run, comparisons), datetime.fromisoformat(run.started_at).date()
    verdicts = tuple(ask(criterion, evidence, today=today) for criterion in criteria)
    return PackComparison(theirs, protocol, verdicts, tuple(comparisons.values()))


class _TwoPacks(NothingRecorded):
    """The evidence of candidate and baseline side by side: the candidate's rules, cells and looks."""

    def __init__(self, candidate: RunResults, comparisons: Mapping[str, Comparison]) -> None:
        super().__init__(candidate.protocol, what="candidate and baseline side by side")
        self._candidate, self._comparisons = candidate, comparisons
        self.rules = candidate.rules

    def evaluation(self, set_name: str) -> Evaluation:
        return self._candidate.evaluations[set_name]

    def comparison(self, set_name: str) -> Comparison | Unavailable:
        return self._comparisons[set_name]

    def look(self, criterion: Criterion) -> int | None:
        return self._candidate.looks.get(criterion.set)

    def dependent_sets(self) -> None:
        """Nobody asks: a difference on an external set needs no independence."""
