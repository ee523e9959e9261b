"""Everything one run produced, as one frozen record: what the evidence pack is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.data.records import Reading
from harness.judge.amended import Compared
from harness.judge.rescored import Rescored, contradictions
from harness.judge.rules import RULES, Rules
from harness.judge.verdicts import Verdict
from harness.metrics.copies import counted_once
from harness.metrics.predictions import Predictions
from harness.metrics.summary import summary_metrics

if TYPE_CHECKING:
    from harness.data.leakage import DuplicatePair, ListedImage
    from harness.data.prediction_records import GivenPredictions
    from harness.data.records import IntegrityReport, Split
    from harness.judge.amended import Change
    from harness.judge.chances import Chances
    from harness.judge.continuity import KnownChain
    from harness.judge.dropped import Dropped
    from harness.judge.look import Look
    from harness.judge.margins import Margin, Rest
    from harness.judge.pretrained import Judged
    from harness.judge.proofs import Proof
    from harness.judge.relabelled import Relabelled
    from harness.metrics.adaptation import Adapted
    from harness.metrics.calibration_records import CalibrationReport
    from harness.metrics.comparison import Comparison
    from harness.metrics.estimates import Evaluation
    from harness.metrics.explanations import Explanations
    from harness.metrics.fits import Fit
    from harness.metrics.parity import Parity
    from harness.metrics.provenance_records import Provenance
    from harness.metrics.reproducibility import ProcessDigests
    from harness.metrics.shortcuts import ShortcutReport
    from harness.metrics.stability import Robustness
    from harness.model.records import JudgedModel, Timing, TrainingRecord
    from harness.protocol.records import Protocol
    from harness.protocol.stress import RobustnessPlan
    from harness.run.custody import Custody
    from harness.run.packages import Packages
    from harness.run.store import StageRecord


@dataclass(frozen=True, slots=True)
class SetSummary:
    """What is known of one evaluated set, for the report's data section.

    n_images, counts, digest: of the cells that are judged; without those that a classifier is adapted with.
    synthetic: its cells were drawn. reading: what of it was read as what; pin: what a protocol's `digest` would say of
    it; both None in packs that are older.
    """

    name: str
    role: str
    n_images: int
    counts: dict[str, int]
    digest: str
    location: str
    note: str = ""
    absent_because: str | None = None
    synthetic: bool = False
    reading: Reading | None = None
    pin: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RunResults:
    """Everything one run produced: what the evidence pack is written from, and nothing else is.

    A stage that did not run (deselected, or stopped by an earlier one) is None or empty.
    predictions, evaluations: set name -> record, in the order train, validation, test, external sets.
    seed_predictions: training seed -> its classifier's predictions of the test part, where several were trained.
    baseline: the run that was compared with; comparisons, calibrations: set name -> record.
    adaptations: external set -> the classifier adapted to it, beside what was said of the drawn cells.
    unknown: set of cells of classes that the classifier does not know -> what it said of them: one column more for each
             kind of cell, of zeros.
    corrupted: kind -> predictions of the test part with that corruption at its agreed severity, of every cell.
    corrupted_comparisons: kind -> candidate and baseline on these.
    cannot_pass: required criterion -> why it could not pass whatever the classifier does, as known before the run.
    chances: how likely a pass was, before the run, at the truth that the protocol hopes for, if it does.
    rules: by which the judge judged.
    looks: set name -> the number of this look at it; ledger: the whole chain, as it was when the run ended.
    duplicates: pictures that are in two places, within and across sets; None where they were not searched.
    uncompared: pictures too smooth or too small to be compared but by their pixels.
    shortcuts: what can be guessed of a class without seeing the cell; provenance: external set -> where it is from.
    explanations: of the cells that the page pictures; None where none is, or by an older harness.
    robustness: what disturbed cells of the test part and inputs without a cell came to.
    known_chains: chains of looks that the ledger had to continue, as they were known before the run.
    custody: what could have had a hand in the run; None where an older harness did not look.
    rescored: a few judged cells that were scored again when the run ended; None where nothing was judged.
    dropped: pictures of earlier looks at drawn parts that are gone from the dataset.
    changes: what has changed in the protocol or in the data since the first look at a set, declared or not.
    relabelled: the cells whose label is another one than at the first look at their picture, or in the baseline's pack.
    fits: everything that was fitted, and on which cells.
    model: the classifier that existed and was judged; given: the predictions that were. None where one was trained.
    parity: what the exported ONNX file says of judged cells; None where it was not asked, or by an older harness.
    environment: name -> value, such as "torch" -> "2.13.0+cpu".
    packages: what was installed, against what was declared.
    proof: whether each check of this code was seen to close; None where nobody tried.
    signed_with: id of the key that signs the pack as it is written; None for a draft.
    stopped_because: the error that ended the run early, or None.
    metrics: those that are reported of every set beside the usual ones; a newer harness may know more.
    """

    run_id: str
    started_at: str
    seconds: float
    command: str
    protocol: Protocol
    environment: dict[str, str]
    verdicts: tuple[Verdict, ...]
    sets: tuple[SetSummary, ...] = ()
    integrity: IntegrityReport | None = None
    split: Split | None = None
    training: TrainingRecord | None = None
    model: JudgedModel | None = None
    given: GivenPredictions | None = None
    parity: Parity | None = None
    predictions: dict[str, Predictions] = field(default_factory=dict)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    seed_predictions: dict[int, Predictions] = field(default_factory=dict)
    baseline: Baseline | None = None
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    adaptations: dict[str, Adapted] = field(default_factory=dict)
    unknown: dict[str, Predictions] = field(default_factory=dict)
    corrupted: dict[str, Predictions] = field(default_factory=dict)
    corrupted_comparisons: dict[str, Comparison] = field(default_factory=dict)
    calibrations: dict[str, CalibrationReport] = field(default_factory=dict)
    cannot_pass: dict[str, str] = field(default_factory=dict)
    chances: Chances | None = None
    rules: Rules = RULES
    looks: dict[str, int] = field(default_factory=dict)
    ledger: tuple[Look, ...] = ()
    known_chains: tuple[KnownChain, ...] = ()
    custody: Custody | None = None
    rescored: Rescored | None = None
    dropped: tuple[Dropped, ...] = ()
    changes: tuple[Change, ...] = ()
    relabelled: tuple[Relabelled, ...] = ()
    fits: tuple[Fit, ...] = ()
    duplicates: tuple[DuplicatePair, ...] | None = None
    uncompared: tuple[ListedImage, ...] = ()
    shortcuts: ShortcutReport | None = None
    provenance: dict[str, Provenance] = field(default_factory=dict)
    explanations: Explanations | None = None
    robustness: Robustness | None = None
    reproducibility: tuple[ProcessDigests, ...] = ()
    timings: tuple[Timing, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    packages: Packages | None = None
    proof: Proof | None = None
    signed_with: str | None = None
    stopped_because: str | None = None
    metrics: tuple[str, ...] = field(default_factory=summary_metrics)

    @property
    def copies(self) -> tuple[DuplicatePair, ...]:
        """Pairs of cells of which one is counted; none by the rules of a judge that did not look."""
        return self.duplicates or () if self.rules.one_picture else ()

    def counted(self, found: Predictions) -> Predictions:
        """What bounds on these predictions are made of: one cell for each picture."""
        return counted_once(found, self.copies)

    def wrong_rows(self, found: Predictions) -> list[int]:
        """The rows of these predictions, in their own order, of the cells that count and count as wrong."""
        counted = self.counted(found)
        wrong = {path for path, right in zip(counted.paths, counted.correct.tolist(), strict=True) if not right}
        return [row for row, path in enumerate(found.paths) if path in wrong]

    @property
    def counted_predictions(self) -> dict[str, Predictions]:
        return {name: self.counted(found) for name, found in self.predictions.items()}

    @property
    def judged(self) -> Judged:
        """What existed before the run and was judged; None where a classifier was trained."""
        return self.model or self.given

    @property
    def undeclared(self) -> tuple[Change, ...]:
        """What moved in the protocol after a look, and no amendment declares it."""
        return tuple(change for change in self.changes if change.undeclared)

    @property
    def contradictions(self) -> tuple[str, ...]:
        """Each cell that got another answer when it was scored again by another path."""
        return contradictions(self.rescored, self.predictions)

    @property
    def passed(self) -> bool:
        """Only when every required criterion passed, or was openly waived where this machine cannot assess it.

        What moved in the protocol after a look, and is not declared, keeps the run from passing whatever passed; so
        does a judged answer that the classifier does not give again.
        """
        judged = {verdict.criterion.id for verdict in self.verdicts}
        complete = all(criterion.id in judged for criterion in self.protocol.criteria if criterion.required)
        # Where all that is required was waived or not asked, nothing was judged, and nothing passed.
        one_passed = any(verdict.passed and verdict.criterion.required for verdict in self.verdicts)
        nothing_blocks = one_passed and not any(verdict.blocks for verdict in self.verdicts)
        return (
            self.stopped_because is None
            and complete
            and nothing_blocks
            and not (self.undeclared or self.contradictions)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What the regression gate knows of an earlier run, whose pack was verified first.

    name:            of the pack.
    run_id, commit:  the run's, and the commit it was made from ("unknown" outside a checkout).
    classes:         the class vocabulary, in order.
    predictions:     set name -> predictions, in the order asked for; with the groups that it was judged by.
    protocol_digest: of the protocol that it was judged by, recomputed from the protocol in the pack.
    passed:          whether that run passed, in agreement with its verdicts.
    sums_digest:     SHA-256 of its SHA256SUMS.
    ledger:          every look that it knew of.
    check:           what judging its pack again came to; None of an older harness, which checked its digests alone.
    corrupted:       kind -> predictions of its test part with that corruption; none in packs of an older harness.
    robustness:      how its protocol corrupts cells.
    margins:         what its protocol required of a candidate beside a baseline; None of an older harness's pack of a
                     candidate, which did not record it.
    rest:            what these margins rest on: looks, groups of cells, waivers; None as `margins`.
    """

    name: str
    run_id: str
    commit: str
    classes: tuple[str, ...]
    predictions: Mapping[str, Predictions]
    protocol_digest: str
    passed: bool
    sums_digest: str
    ledger: tuple[Look, ...] = ()
    check: BaselineCheck | None = None
    corrupted: Mapping[str, Predictions] = field(default_factory=dict)
    robustness: RobustnessPlan | None = None
    margins: tuple[Margin, ...] | None = None
    rest: Rest | None = None

    @property
    def compared(self) -> Compared:
        """What a protocol must not ask less than."""
        return Compared(self.run_id, self.margins or (), self.rest)

    def not_corrupted_alike(self, kind: str, plan: RobustnessPlan) -> str | None:
        """Why its predictions of cells with a corruption are not of the cells of this plan; None where they are."""
        theirs = self.robustness
        if kind not in self.corrupted or theirs is None:
            return f"baseline {self.run_id} has no predictions of cells with {kind}"
        held, asked = ((each.agreed[kind], each.seed) for each in (theirs, plan))
        if held != asked:
            drawn = "severity {} (seed {})".format
            return f"baseline {self.run_id} has {kind} at {drawn(*held)}, this protocol at {drawn(*asked)}"
        return None


@dataclass(frozen=True, slots=True)
class BaselineCheck:
    """What judging a pack again came to before its numbers were believed: it held.

    not_recomputed: what had to be taken as recorded, one sentence each, as `verify` tells it.
    signed_by:      key ids as the pack's signature names them, which proves nothing; empty where it is unsigned.
    vouched_by:     the keys of --baseline-key that really signed it, with their owners; empty where none was named.
    """

    not_recomputed: tuple[str, ...]
    signed_by: tuple[str, ...]
    vouched_by: tuple[str, ...]
