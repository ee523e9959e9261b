"""Is the candidate's pack no worse than the baseline's? The regression gate over two packs, without model or images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from harness.core.errors import EvidenceError
from harness.core.spreadsheet import active
from harness.data.records import CellImage
from harness.judge.asking import ask
from harness.judge.rules import RULES
from harness.judge.verdicts import Verdict
from harness.metrics.classification import evaluate
from harness.metrics.comparison import Comparison, compare
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.measurements import NothingRecorded
from harness.metrics.predictions import Predictions, groups_of
from harness.pack.baseline import judged_again, read_baseline
from harness.pack.decode import decoded, rows_of
from harness.pack.read import Pack, open_pack, read_predictions, require_field
from harness.pack.recorded_protocol import read_protocol_of
from harness.pack.sign import Trust
from harness.pack.tables import MANIFEST, MANIFEST_COLUMNS, slice_columns
from harness.protocol.records import PARTS, Criterion, Protocol
from harness.run.results import Baseline, SetSummary


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
    judged_again(pack, role="be compared")
    protocol = read_protocol_of(pack)
    criteria = [criterion for criterion in protocol.criteria if criterion.question == "regression"]
    if not criteria:
        raise EvidenceError(
            f"{pack.name}: its protocol {protocol.identity.id} has no regression criterion, so no margin was fixed "
            'before the run. Add one (question = "regression") and run again.'
        )
    sets, classes = tuple(dict.fromkeys(criterion.set for criterion in criteria)), protocol.dataset.classes
    theirs = read_baseline(baseline, sets=sets, classes=classes, trust=trust)
    ours = {name: read_predictions(pack, name) for name in sets}
    comparisons = {name: compare(ours[name], theirs.predictions[name], baseline_run=theirs.run_id) for name in sets}
    evaluations = {name: _evaluated(pack, protocol, found) for name, found in ours.items()}
    evidence = _TwoPacks(pack, protocol, comparisons, evaluations)
    verdicts = tuple(ask(criterion, evidence, today=_day_of(pack)) for criterion in criteria)
    return PackComparison(theirs, protocol, verdicts, tuple(comparisons.values()))


class _TwoPacks(NothingRecorded):
    """The evidence of candidate and baseline side by side, and the candidate's looks."""

    def __init__(
        self,
        candidate: Pack,
        protocol: Protocol,
        comparisons: Mapping[str, Comparison],
        evaluations: Mapping[str, Evaluation],
    ) -> None:
        super().__init__(protocol, what="candidate and baseline side by side")
        self._candidate, self._comparisons, self._evaluations = candidate, comparisons, evaluations
        self.rules = RULES

    def evaluation(self, set_name: str) -> Evaluation:
        return self._evaluations[set_name]

    def comparison(self, set_name: str) -> Comparison | Unavailable:
        return self._comparisons[set_name]

    def look(self, criterion: Criterion) -> int | None:
        return _look(self._candidate, criterion.set)

    def dependent_sets(self) -> None:
        """Nobody asks: a difference on an external set needs no independence."""


def _evaluated(pack: Pack, protocol: Protocol, found: Predictions) -> Evaluation:
    """The candidate's confusion matrix with the patients that its pack names."""
    grouped = replace(found, groups=_groups_of(pack, found))
    return evaluate(grouped, intracluster_correlation=protocol.clusters.intracluster_correlation)


def _groups_of(pack: Pack, found: Predictions) -> tuple[str, ...] | None:
    if found.set not in PARTS:
        groups: tuple[str, ...] | None = decoded(
            tuple[str, ...] | None,
            require_field(pack, "predictions", found.set, kind=dict).get("groups"),
            f"predictions > {found.set} > groups",
        )
        return groups
    if MANIFEST not in pack.files:
        return None
    units = {}
    sets = decoded(tuple[SetSummary, ...], pack.evidence.get("sets"), "sets")
    further = slice_columns(next((each.reading for each in sets if each.name == "dataset"), None))
    for path, label, sha256, *rest in rows_of(pack, MANIFEST, (*MANIFEST_COLUMNS, *further)):
        patient, slide, site = (active(each) or None for each in rest[5:8])
        units[active(path)] = CellImage(active(path), label, sha256, 0, patient, slide, site)
    if missing := [path for path in found.paths if path not in units]:
        raise EvidenceError(f"{pack.name}/{MANIFEST}: {missing[0]!r} was scored, and is not an image of the dataset.")
    return groups_of([units[path] for path in found.paths])


def _look(pack: Pack, set_name: str) -> int | None:
    looks = require_field(pack, "looks", kind=dict)
    return require_field(pack, "looks", set_name, kind=int) if set_name in looks else None


def _day_of(pack: Pack) -> date:
    return datetime.fromisoformat(require_field(pack, "run", "started_at", kind=str)).date()
