"""Is the candidate's pack no worse than the baseline's? The regression gate over two packs, without model or images."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from harness.core.errors import EvidenceError, IncomparableSets
from harness.judge.amended import Change, changes_in
from harness.judge.asking import ask
from harness.judge.looks import looked_at
from harness.judge.regrouped import groups_beside_baseline
from harness.judge.relabelled import beside_baseline
from harness.judge.verdicts import Verdict
from harness.metrics.comparison import Comparison, compare
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.measurements import NothingRecorded
from harness.metrics.predictions import Predictions
from harness.pack.baseline import judged_again, read_baseline
from harness.pack.read import open_pack
from harness.pack.sign import Trust
from harness.protocol.criteria import Criterion
from harness.protocol.records import Protocol
from harness.run.results import Baseline, RunResults


@dataclass(frozen=True, slots=True)
class PackComparison:
    """Candidate against baseline on every set that both packs hold.

    protocol:  the candidate's.
    corrupted: kind of corruption -> the two on the test part with it.
    moved:     where the candidate's protocol asks less than the baseline's did, or labels or groups are others,
               declared or not.
    """

    baseline: Baseline
    protocol: Protocol
    verdicts: tuple[Verdict, ...]
    comparisons: tuple[Comparison, ...]
    corrupted: Mapping[str, Comparison]
    moved: tuple[Change, ...]

    @property
    def holds(self) -> bool:
        """Whether every required criterion passed, by margins no looser than the baseline's; the others are told."""
        return not any(verdict.blocks for verdict in self.verdicts) and not any(each.undeclared for each in self.moved)


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
    asked = dict.fromkeys(criterion.set for criterion in criteria)
    held = {name: found for name, found in run.predictions.items() if name not in ("train", "validation")}
    sets = tuple(dict.fromkeys([*asked, *held]))
    theirs = read_baseline(baseline, sets=sets, classes=protocol.dataset.classes, asked=protocol.baseline, trust=trust)
    pairs = ((name, _compared(run, theirs, name, asked)) for name in theirs.predictions)
    compared = {name: found for name, found in pairs if found is not None}
    corrupted = _corrupted(run, theirs) if "test" in compared else {}
    evidence = _TwoPacks(run, theirs, compared, corrupted)
    today = datetime.fromisoformat(run.started_at).date()
    verdicts = tuple(ask(criterion, evidence, today=today) for criterion in criteria)
    relabelled = beside_baseline(compared.items())
    regrouped = groups_beside_baseline(compared.items())
    moved = changes_in(
        protocol, (), run=run.run_id, baseline=theirs.compared, relabelled=relabelled, regrouped=regrouped
    )
    return PackComparison(theirs, protocol, verdicts, tuple(compared.values()), corrupted, moved)


def _compared(run: RunResults, baseline: Baseline, name: str, asked: Container[str]) -> Comparison | None:
    """The two on one set; None where one lacks it, or where they have other cells of a set that nothing asks for."""
    if name not in run.predictions:
        return None
    try:
        return _paired(run, baseline, run.predictions[name], baseline.predictions[name])
    except IncomparableSets:
        if name in asked:
            raise
        return None


def _corrupted(run: RunResults, baseline: Baseline) -> dict[str, Comparison]:
    plan = run.protocol.robustness
    if plan is None:
        return {}
    alike = [kind for kind in run.corrupted if baseline.not_corrupted_alike(kind, plan) is None]
    return {kind: _paired(run, baseline, run.corrupted[kind], baseline.corrupted[kind]) for kind in alike}


def _paired(run: RunResults, baseline: Baseline, ours: Predictions, theirs: Predictions) -> Comparison:
    return compare(
        ours if run.rules.grouped else replace(ours, groups=None),
        theirs,
        baseline_run=baseline.run_id,
        copies=run.copies,
        intracluster_correlation=run.protocol.clusters.intracluster_correlation,
    )


class _TwoPacks(NothingRecorded):
    """The evidence of candidate and baseline side by side: the candidate's rules, cells and looks."""

    def __init__(
        self,
        candidate: RunResults,
        baseline: Baseline,
        comparisons: Mapping[str, Comparison],
        corrupted: Mapping[str, Comparison],
    ) -> None:
        super().__init__(candidate.protocol, what="candidate and baseline side by side")
        self._candidate, self._baseline = candidate, baseline
        self._comparisons, self._corrupted = comparisons, corrupted
        self.rules = candidate.rules

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return self._candidate.evaluations.get(set_name) or Unavailable(f"the candidate was not judged on {set_name}")

    def comparison(self, set_name: str, *, kind: str | None = None) -> Comparison | Unavailable:
        lacking = f"candidate {self._candidate.run_id}, or the baseline, has no predictions of {set_name}"
        if kind is None:
            return self._comparisons.get(set_name) or Unavailable(lacking)
        plan = self._candidate.protocol.robustness
        assert plan is not None  # the protocol has kinds where a criterion asks for one
        lacking = self._baseline.not_corrupted_alike(kind, plan) or f"{lacking} with {kind}"
        return self._corrupted.get(kind) or Unavailable(lacking)

    def look(self, criterion: Criterion) -> int | None:
        return self._candidate.looks.get(looked_at(criterion))

    def dependent_sets(self) -> None:
        """Nobody asks: a difference on an external set needs no independence."""
