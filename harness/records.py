"""The small frozen records that pass from room to room. Read this file first.

`frozen` stops reassignment, not writes into an array: treat every array as read-only.
Rates are fractions in [0, 1]. Times are seconds. `None` in a statistic means undefined, never 0.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.errors import InvalidPredictions

if TYPE_CHECKING:
    from harness.data.leakage import DuplicatePair, ListedImage
    from harness.evidence.packages import Packages
    from harness.evidence.reader import Baseline
    from harness.judge.calibration_records import CalibrationReport
    from harness.judge.detection import Detection
    from harness.judge.provenance import Provenance
    from harness.judge.robustness import FlipRate, SeverityCurve
    from harness.judge.shortcuts import ShortcutReport
    from harness.ledger import Look
    from harness.protocol import Criterion, Protocol, Waiver

PARTS = ("train", "validation", "test")


def digest_of(value: object) -> str:
    """SHA-256 (hex) of a JSON-able value in canonical form: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# --- data -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CellImage:
    """One image file of one cell, as listed.

    path:   relative to the manifest's root, with forward slashes on every OS.
    label:  the reference label, one of the manifest's classes.
    sha256: hex digest of the file's bytes.
    patient, slide, site: who and where the cell came from, if the manifest says.
    """

    path: str
    label: str
    sha256: str
    n_bytes: int
    patient: str | None = None
    slide: str | None = None
    site: str | None = None

    @property
    def filename(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def unit(self) -> str:
        """What must never be divided between two parts of a split.

        The coarsest group that is known (patient, else slide); without one, the file's content, so that
        two byte-identical files always land in the same part.
        """
        if self.patient is not None:
            return f"patient:{self.patient}"
        if self.slide is not None:
            return f"slide:{self.slide}"
        return f"content:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The images of one set, in the order of their paths.

    name:    the set's name, such as "dataset" or "jtsc".
    root:    the folder that the paths are relative to. Not part of `digest`.
    classes: the class vocabulary, in the order of the protocol; the column order of probabilities.
    images:  sorted by path.
    ignored: files that lie beside the class folders: listed, never read.
    missing: paths that a manifest CSV names and the disk does not hold; they are not among `images`.
    unlisted: files in the listed folders that no row of the manifest CSV names; they are not among `images`.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    images: tuple[CellImage, ...]
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Images per class, every class of the vocabulary included."""
        found = Counter(image.label for image in self.images)
        return {name: found[name] for name in self.classes}

    @property
    def digest(self) -> str:
        """Digest of paths, labels and contents; independent of the root and of the listing's order."""
        return digest_of(sorted([image.path, image.label, image.sha256] for image in self.images))

    @property
    def grouped(self) -> bool:
        """Whether every image names its patient or slide."""
        return bool(self.images) and all(image.patient or image.slide for image in self.images)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What decoding one file showed. `error` is None for a file that decoded completely."""

    path: str
    width_px: int | None
    height_px: int | None
    format: str | None
    mode: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the data: which file, which rule, what to do."""

    rule: str
    path: str
    detail: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.path!r}: {self.detail}. {self.remedy}"  # repr: a file name may hold anything


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """Every rule that was checked and every finding, in the order of (rule, path).

    checked: rule name -> how many files or rows it looked at. A rule that is absent was not checked.
    facts:   one entry per image, in the manifest's order.
    """

    checked: dict[str, int]
    findings: tuple[Finding, ...]
    facts: tuple[ImageFacts, ...]

    def of(self, rule: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.rule == rule)


@dataclass(frozen=True, slots=True)
class Split:
    """Which image serves which purpose. Each part is sorted by path; no unit is in two parts."""

    train: tuple[CellImage, ...]
    validation: tuple[CellImage, ...]
    test: tuple[CellImage, ...]
    origin: str

    def part(self, name: str) -> tuple[CellImage, ...]:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(filepath, filename, label, split) of every image, sorted by path: the rows of data_split.csv."""
        rows = [(i.path, i.filename, i.label, name) for name in PARTS for i in self.part(name)]
        return sorted(rows)

    @property
    def digest(self) -> str:
        """Digest of who is where, by content; independent of file names."""
        return digest_of(sorted([i.sha256, i.label, name] for name in PARTS for i in self.part(name)))


# --- model ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LearningRateCurve:
    """The learning-rate finder's sweep, and the rate that fastai's `valley` rule suggests."""

    learning_rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What the sentinel saw in one epoch."""

    epoch: int
    learning_rate: float
    n_trainable_parameters: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """One training phase.

    stop_reason: "epoch limit" or "early stopping".
    best_epoch:  the epoch whose weights were kept (lowest validation loss), counted from 0.
    backbone_before, backbone_after: digests of every backbone tensor, BatchNorm statistics included.
    """

    name: str
    trains: str
    max_epochs: int
    patience: int
    peak_learning_rate: float
    epochs: tuple[EpochRecord, ...]
    stop_reason: str
    best_epoch: int
    backbone_before: str
    backbone_after: str

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)


@dataclass(frozen=True, slots=True)
class WeightsRecord:
    """Where the initial weights came from and which tensors they filled."""

    source: str
    sha256: str | None
    filled: tuple[str, ...]
    unfilled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """Everything about a training but the weights themselves."""

    architecture: str
    device: str
    precision: str
    seed: int
    weights: WeightsRecord
    learning_rate_curve: LearningRateCurve | None
    phases: tuple[PhaseRecord, ...]
    weights_digest: str

    @property
    def losses_digest(self) -> str:
        return digest_of([[e.train_loss, e.validation_loss] for p in self.phases for e in p.epochs])


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A classifier that existed before the run, and was judged (--model) instead of training one.

    file:           the name of its file; sha256 and n_bytes are of the bytes that were loaded.
    format:         what was read: tensors alone, or a pickle that was trusted by its digest.
    layout:         "fastai" (body and head) or "torchvision" (one last layer).
    architecture:   of the network that its tensors fill, all of it.
    weights_digest: of these tensors, as in a `TrainingRecord`.
    stated:         what the file itself says, and the protocol agrees with, such as "classes" and "image_size_px".
    trained_by:     id of the protocol that it says it was trained by.
    trusted:        why a pickle was opened; None where none was.
    cells:          what is known of the cells that it was trained on.
    """

    file: str
    sha256: str
    n_bytes: int
    format: Literal["safetensors", "state dict", "fastai pickle"]
    layout: Literal["fastai", "torchvision"]
    architecture: str
    weights_digest: str
    stated: tuple[str, ...]
    trained_by: str | None = None
    trusted: str | None = None
    cells: Literal["unknown", "stated by the file", "stated by the split file", "others than this split's"] = "unknown"

    @property
    def knows_its_cells(self) -> bool:
        """Whether somebody says that it was trained on this run's train part, and chosen on its validation part."""
        return self.cells in ("stated by the file", "stated by the split file")


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What the classifier said of each cell of one set, beside the reference label.

    set:           name of the set ("test", "validation", "train" or an external set).
    classes:       column names of `probabilities`.
    paths:         (n_cells,) relative paths.
    digests:       (n_cells,) SHA-256 of each image file.
    labels:        (n_cells,) int64, a column index of `probabilities`.
    probabilities: (n_cells, n_classes) float64, no value below 0, each row summing to 1.
    groups:        (n_cells,) str or None; cells of one patient are not independent.
    """

    set: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        p, n = self.probabilities, len(self.digests)
        if p.shape != (n, len(self.classes)) or self.labels.shape != (n,) or len(self.paths) != n:
            raise InvalidPredictions(
                f"set {self.set!r}: {n} cells of {len(self.classes)} classes need probabilities of shape "
                f"({n}, {len(self.classes)}) and {n} labels; got {p.shape} and {self.labels.shape}. "
                "Was a batch dropped? Score every cell of the set exactly once."
            )
        if self.groups is not None and len(self.groups) != n:
            raise InvalidPredictions(f"set {self.set!r}: {len(self.groups)} groups for {n} cells. Name one per cell.")
        homeless = self.labels[(self.labels < 0) | (self.labels >= len(self.classes))]
        if homeless.size:
            raise InvalidPredictions(
                f"set {self.set!r}: label index {homeless[0]} has no column among {self.classes}. "
                "Labels and probabilities must count the same classes in the same order."
            )
        valid = (p >= 0).all(axis=1) & np.isclose(p.sum(axis=1), 1.0, rtol=0, atol=1e-6)  # False for NaN too
        if not valid.all():
            row = int(np.argmin(valid))
            raise InvalidPredictions(
                f"set {self.set!r}: {np.sum(~valid)} of {n} rows are not probabilities; the first is row {row} "
                f"({self.paths[row]}): {p[row].round(3)}. If these are logits, apply softmax in "
                "harness/model/classifier.py."
            )

    @property
    def predicted(self) -> np.ndarray:
        """(n_cells,) int64 column of the largest probability; a tie goes to the first class in `classes`."""
        return np.asarray(np.argmax(self.probabilities, axis=1))

    @property
    def correct(self) -> np.ndarray:
        return np.asarray(np.equal(self.predicted, self.labels))

    @property
    def confidence(self) -> np.ndarray:
        """(n_cells,) each cell's largest probability."""
        return np.asarray(np.max(self.probabilities, axis=1))

    @property
    def digest(self) -> str:
        """Digest of every probability to the last bit, by image content."""
        rows = sorted(zip(self.digests, self.labels.tolist(), map(bytes, self.probabilities), strict=True))
        return digest_of([[digest, label, row.hex()] for digest, label, row in rows])


@dataclass(frozen=True, slots=True)
class Fit:
    """Something whose value was taken from cells: weights, the kept epoch, a temperature.

    what:   what was fitted, and whether verdicts rest on it.
    on:     name of the set that it was fitted on; n and cells: how many cells, and their digest.
    shared: judged set -> how many of its cells are among those fitted on, where there are any.
    """

    what: str
    on: str
    n: int
    cells: str
    shared: dict[str, int]


# --- judge ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval for display."""

    lower: float
    upper: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measured number with what it rests on.

    value:  the point value, or None where it is undefined (a class with no cells has no recall).
    lower, upper: one-sided bounds, each at `level`; None where undefined. An exact count has both equal to
            `value` and level 1.
    k, n:   successes and trials where the number is a proportion of cells (or a transform of one).
    method: how the bounds were made, such as "Clopper-Pearson".
    support: reference cells that the number speaks of: those of its class, or all of the set.
    paired: (baseline alone right, candidate alone right) of a paired difference.
    effective_n: trials that as many independent cells would be worth, where cells are clustered; None where they are
            counted as independent.
    unit:   "fraction", "s", "images/s", "count".
    note:   what a reader must know beside the number, such as "no patient ids".
    """

    metric: str
    set: str
    cell_class: str | None
    value: float | None
    lower: float | None
    upper: float | None
    level: float
    method: str
    unit: str = "fraction"
    k: int | None = None
    n: int | None = None
    display: Interval | None = None
    note: str = ""
    details: tuple[str, ...] = ()
    support: int | None = None
    effective_n: float | None = None
    paired: tuple[int, int] | None = None

    @property
    def is_exact(self) -> bool:
        # Equal samples of a coarse clock have equal bounds too, but not with certainty.
        return self.level == 1.0 and self.value is not None and self.lower == self.value == self.upper


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why this machine or this run cannot answer a criterion: no MPS, no such set, no patient ids.

    not_asked: nobody asked, and the protocol does not insist: no --baseline where a baseline is optional.
    waivable:  whether a waiver can excuse it: what is absent can be waived, what is there and wrong cannot.
    """

    reason: str
    not_asked: bool = False
    waivable: bool = True


class Outcome(StrEnum):
    """The word that terminal, JUnit, JSON and HTML all use."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_ASSESSED = "not assessed"
    NOT_JUDGED = "not judged"  # its test was deselected or stopped before it could decide, or its gate stayed closed


@dataclass(frozen=True, slots=True)
class Verdict:
    """One criterion, what was measured for it, and what follows.

    reason:      one sentence on why the outcome is what it is.
    n_to_decide: how many cells would decide an inconclusive proportion at the observed rate; None if unknown.
    power:       the chance that a classifier whose true rate is the observed one passes with as many cells as here.
    waiver:      the protocol's waiver, in force on the day of the run, where a criterion was not assessed.
    look:        the number of the look at the criterion's set, from 1; None where looks are not counted.
    not_asked:   not assessed because nobody asked, such as a comparison without --baseline.
    """

    criterion: Criterion
    estimate: Estimate | None
    outcome: Outcome
    reason: str
    n_to_decide: int | None = None
    power: float | None = None
    waiver: Waiver | None = None
    look: int | None = None
    not_asked: bool = False

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASSED

    @property
    def blocks(self) -> bool:
        """Whether this verdict alone keeps the run from passing. A waiver only ever excuses `not assessed`."""
        excused = self.outcome is Outcome.NOT_ASSESSED and (self.waiver is not None or self.not_asked)
        return self.criterion.required and not self.passed and not excused


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Counts of one set's predictions; every metric derives from the confusion matrix.

    confusion: (n_classes, n_classes) int64, rows reference, columns predicted.
    by_group:  (n_groups, n_classes, n_classes) int64, the same counts patient by patient (or slide by slide), summing
               to `confusion`; None where groups are not known.
    intracluster_correlation: the least that is assumed of cells of one group.
    """

    set: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    by_group: np.ndarray | None = None
    intracluster_correlation: float = 0.0

    @property
    def grouped(self) -> bool:
        return self.by_group is not None

    @property
    def n(self) -> int:
        return int(self.confusion.sum())

    @property
    def n_correct(self) -> int:
        return int(np.trace(self.confusion))

    @property
    def support(self) -> dict[str, int]:
        return dict(zip(self.classes, self.confusion.sum(axis=1).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class DiscordantCell:
    """A cell that exactly one of candidate and baseline has right. baseline, candidate: the class each called it."""

    path: str
    digest: str
    reference: str
    baseline: str
    candidate: str

    @property
    def candidate_right(self) -> bool:
        return self.candidate == self.reference


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Candidate and baseline on the cells of one set, paired by image digest.

    baseline:   the run that is compared with.
    table:      (n_classes, 2, 2) int64, cells by reference class, baseline right (0 no, 1 yes), candidate right.
    discordant: the cells that exactly one has right, those that the candidate lost first.
    n_changed:  cells that the two call differently, whether or not either is right.
    """

    set: str
    classes: tuple[str, ...]
    baseline: str
    table: np.ndarray
    discordant: tuple[DiscordantCell, ...]
    n_changed: int

    def counts(self, cell_class: str | None = None) -> tuple[int, int, int]:
        """(baseline alone right, candidate alone right, cells) of one class, or of all."""
        table = self.table.sum(axis=0) if cell_class is None else self.table[self.classes.index(cell_class)]
        return int(table[1, 0]), int(table[0, 1]), int(table.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What disturbed cells, turned cells and inputs without a cell came to.

    curves, flips: by kind; bounds at the level of displays.
    detection:     None where the protocol names no score.
    strangeness:   name of a set, or kind of input without a cell -> the score of each; the higher the stranger.
    """

    curves: tuple[SeverityCurve, ...]
    flips: tuple[FlipRate, ...]
    detection: Detection | None
    strangeness: dict[str, np.ndarray]


# --- speed ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timing:
    """Raw samples of one scenario on one device.

    scenario: "SingleStream" (batch 1, next on completion) or "Offline" (all at once), LoadGen's names.
    span:     "decode-to-label" or "model-only".
    samples_s: seconds per query, in the order measured; each query holds `images_per_query` images.
    """

    scenario: str
    span: str
    device: str
    images_per_query: int
    batch_size: int
    samples_s: tuple[float, ...]

    @property
    def images_per_s(self) -> float:
        """Images over total time of all samples."""
        return self.images_per_query * len(self.samples_s) / sum(self.samples_s)


# --- proof ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one planted fault, or of one clean control.

    id:          the row of the list of faults that it belongs to, and its variant, such as "K2-rotated".
    expected:    what must be seen where it is caught; happened: what was seen.
    as_expected: a fault was caught by what must catch it; a control raised no alarm.
    """

    id: str
    title: str
    expected: str
    happened: str
    as_expected: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of every planted fault and every clean control.

    code:  digest of the sources that were proven: harness, suites and fixtures.
    quick: only a chosen few were planted.
    made:  ISO 8601 in UTC.
    """

    code: str
    version: str
    quick: bool
    made: str
    seconds: float
    faults: tuple[Trial, ...]
    controls: tuple[Trial, ...]

    @property
    def holds(self) -> bool:
        return bool(self.faults) and not self.survivors and not self.false_alarms

    @property
    def survivors(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.faults if not trial.as_expected)

    @property
    def false_alarms(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.controls if not trial.as_expected)


# --- run --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProcessDigests:
    """What one fresh process got from a small training; equal records mean reproducible."""

    conditions: str
    split: str
    losses: str
    weights: str
    predictions: str


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage of the run: how long it took, and whether its result was made or reused."""

    name: str
    seconds: float
    reused: bool
    key: str


@dataclass(frozen=True, slots=True)
class SetSummary:
    """What is known of one evaluated set, for the report's data section. synthetic: its cells were drawn."""

    name: str
    role: str
    n_images: int
    counts: dict[str, int]
    digest: str
    location: str
    note: str = ""
    absent_because: str | None = None
    synthetic: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RunResults:
    """Everything one run produced: what the evidence pack is written from, and nothing else is.

    A stage that did not run (deselected, or stopped by an earlier one) is None or empty.
    predictions, evaluations: set name -> record, in the order train, validation, test, external sets.
    seed_predictions: training seed -> its classifier's predictions of the test part, where several were trained.
    baseline: the run that was compared with; comparisons, calibrations: set name -> record.
    looks: set name -> the number of this look at it; ledger: the whole chain, as it was when the run ended.
    duplicates: pictures that are in two places, within and across sets; None where they were not searched.
    uncompared: pictures too smooth to be compared but by their pixels.
    shortcuts: what can be guessed of a class without seeing the cell; provenance: external set -> where it is from.
    robustness: what disturbed cells of the test part and inputs without a cell came to.
    fits: everything that was fitted, and on which cells.
    model: the classifier that existed and was judged; None where one was trained.
    environment: name -> value, such as "torch" -> "2.13.0+cpu".
    packages: what was installed, against what was declared.
    proof: whether each check of this code was seen to close; None where nobody tried.
    signed_with: id of the key that signs the pack as it is written; None for a draft.
    stopped_because: the error that ended the run early, or None.
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
    predictions: dict[str, Predictions] = field(default_factory=dict)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    seed_predictions: dict[int, Predictions] = field(default_factory=dict)
    baseline: Baseline | None = None
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    calibrations: dict[str, CalibrationReport] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    ledger: tuple[Look, ...] = ()
    fits: tuple[Fit, ...] = ()
    duplicates: tuple[DuplicatePair, ...] | None = None
    uncompared: tuple[ListedImage, ...] = ()
    shortcuts: ShortcutReport | None = None
    provenance: dict[str, Provenance] = field(default_factory=dict)
    robustness: Robustness | None = None
    reproducibility: tuple[ProcessDigests, ...] = ()
    timings: tuple[Timing, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    packages: Packages | None = None
    proof: Proof | None = None
    signed_with: str | None = None
    stopped_because: str | None = None

    @property
    def passed(self) -> bool:
        """Only when every required criterion passed, or was openly waived where this machine cannot assess it."""
        judged = {verdict.criterion.id for verdict in self.verdicts}
        complete = all(criterion.id in judged for criterion in self.protocol.criteria if criterion.required)
        # Where all that is required was waived or not asked, nothing was judged, and nothing passed.
        one_passed = any(verdict.passed and verdict.criterion.required for verdict in self.verdicts)
        nothing_blocks = one_passed and not any(verdict.blocks for verdict in self.verdicts)
        return self.stopped_because is None and complete and nothing_blocks


def sorted_by_path(images: Iterable[CellImage]) -> tuple[CellImage, ...]:
    return tuple(sorted(images, key=lambda image: image.path))


def labels_of(images: Sequence[CellImage], classes: Sequence[str]) -> np.ndarray:
    """(n,) int64 column index of each image's label."""
    column = {name: index for index, name in enumerate(classes)}
    return np.array([column[image.label] for image in images], dtype=np.int64)


def predictions_of(
    images: Sequence[CellImage], probabilities: np.ndarray, *, set_name: str, classes: tuple[str, ...]
) -> Predictions:
    """The predictions of these images, one row each, in their order."""
    # One image without an id must not turn all the others into independent cells: it is a group by itself.
    grouped = any(image.patient or image.slide for image in images)
    return Predictions(
        set=set_name,
        classes=classes,
        paths=tuple(image.path for image in images),
        digests=tuple(image.sha256 for image in images),
        labels=labels_of(images, classes),
        probabilities=probabilities,
        groups=tuple(image.unit for image in images) if grouped else None,
    )
