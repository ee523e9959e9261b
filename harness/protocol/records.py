"""The validation protocol as frozen records, checked once at birth; `harness.protocol.file` reads them from TOML.

Everything that decides a run's verdict is fixed here before the run and hashed into its evidence.
"""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from harness.core.digests import digest_of
from harness.protocol.adaptation import AdaptationPlan
from harness.protocol.amendments import Amendment
from harness.protocol.criteria import Criterion, Waiver, metric_table
from harness.protocol.datasets import (
    CONFIDENT_AT,
    PINNED_BY,
    UNDECLARED,
    DatasetPlan,
    ExternalPlan,
    ImageRules,
    SplitPlan,
    UnknownPlan,
    _SetBeside,
)
from harness.protocol.hopes import HopedTruth
from harness.protocol.names import ANY, Name
from harness.protocol.needs import OTHER_SEEDS
from harness.protocol.prediction import PredictionPlan
from harness.protocol.questions import QUESTIONS
from harness.protocol.record import NOT_FIXED
from harness.protocol.record import Record as _Record
from harness.protocol.reporting import ReportPlan
from harness.protocol.sets import GROUPS, DeclaredSet, SetNames
from harness.protocol.statistics import BaselinePlan, CalibrationPlan, ClusterPlan, LooksPlan, PrevalencePlan, SlicePlan
from harness.protocol.stress import DetectionPlan, RobustnessPlan
from harness.protocol.study import StudyPlan
from harness.protocol.throughput import ThroughputPlan
from harness.protocol.training import ModelPlan, ReproducibilityPlan, TrainingPlan


class Identity(_Record):
    """Who this protocol is and what a pass would mean.

    id:           names the protocol in runs, packs and ledgers; letters, digits, "_", "." and "-".
    title:        one line for a person; what no required criterion carries is refused, here and in `intended_use`.
    version:      of the protocol; raised when anything in it changes.
    intended_use: what the classifier is for, and what a pass does not say; printed beside every verdict.
    """

    id: Name
    title: str
    version: str
    intended_use: str


class Protocol(_Record):
    """A whole validation protocol. `source` is the file it was read from; `digest` covers all but that."""

    identity: Annotated[Identity, NOT_FIXED]
    dataset: DatasetPlan
    split: SplitPlan
    # How the candidate is made: every candidate may be another one.
    training: Annotated[TrainingPlan, NOT_FIXED]
    model: Annotated[ModelPlan | None, NOT_FIXED] = None
    reproducibility: ReproducibilityPlan
    external: tuple[ExternalPlan, ...] = ()
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    unknown: tuple[UnknownPlan, ...] = Field(default=(), exclude_if=lambda sets: not sets)
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    throughput: ThroughputPlan
    # How the candidate answers. Left out of the content where eager torch does, so that a protocol keeps its digest.
    prediction: Annotated[PredictionPlan, NOT_FIXED] = Field(
        default=PredictionPlan(), exclude_if=lambda plan: plan == PredictionPlan()
    )
    looks: LooksPlan = LooksPlan()
    clusters: ClusterPlan = ClusterPlan()
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    slices: SlicePlan | None = Field(default=None, exclude_if=lambda plan: plan is None)
    baseline: BaselinePlan = BaselinePlan()
    calibration: CalibrationPlan = CalibrationPlan()
    prevalence: PrevalencePlan | None = None
    robustness: RobustnessPlan | None = None
    detection: DetectionPlan | None = None
    # Left out of the content where nothing is hoped for, so that a protocol without a plan keeps its digest.
    plan: Annotated[HopedTruth | None, NOT_FIXED] = Field(default=None, exclude_if=lambda plan: plan is None)
    # Left out of the content where it says nothing else than usual, so that a protocol without one keeps its digest.
    report: Annotated[ReportPlan, NOT_FIXED] = Field(default=ReportPlan(), exclude_if=lambda plan: plan == ReportPlan())
    # Left out of the content where nothing is stated, so that a protocol without it keeps its digest.
    study: Annotated[StudyPlan, NOT_FIXED] = Field(default=StudyPlan(), exclude_if=lambda plan: plan == StudyPlan())
    waivers: tuple[Waiver, ...] = ()
    # Left out of the content where there are none, so that a protocol without one keeps its digest.
    amendments: Annotated[tuple[Amendment, ...], NOT_FIXED] = Field(default=(), exclude_if=lambda made: not made)
    source: Path = Field(exclude=True)

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        ids = [criterion.id for criterion in self.criteria]
        if duplicates := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"the criterion ids {duplicates} are used more than once; give each its own")
        if not any(criterion.required for criterion in self.criteria):
            raise ValueError("no criterion is required, so every run would pass; require at least one")
        external, unknown = [plan.name for plan in self.external], [plan.name for plan in self.unknown]
        if len({name.casefold() for name in (*external, *unknown)}) != len(external) + len(unknown):
            raise ValueError(f"the sets {[*external, *unknown]} are not distinct when case is ignored")
        for plan in self.external:
            plan.refuse_foreign_labels(f"external.{plan.name}.labels", self.dataset.classes)
        for criterion in self.criteria:
            sets = QUESTIONS[criterion.question].sets_among(external, unknown)
            if criterion.set not in sets:
                raise ValueError(
                    f"criterion {criterion.id}: question {criterion.question!r} has no set {criterion.set!r}; "
                    f"it can be one of {', '.join(sets) or 'none: no such set is declared'}"
                )
            if criterion.required and criterion.set == "validation":
                raise ValueError(
                    f"criterion {criterion.id}: the kept epoch is chosen on validation, so its numbers flatter; a "
                    "required criterion is judged on test or on an external set"
                )
            metric = criterion.entry
            if metric.sets and criterion.set not in metric.sets:
                raise ValueError(
                    f"criterion {criterion.id}: {metric.name} is measured on set {' or '.join(map(repr, metric.sets))} "
                    "alone"
                )
            if metric.protocol_table is not None and attrgetter(metric.protocol_table)(self) is None:
                raise ValueError(
                    f"criterion {criterion.id}: metric {metric.name!r} needs the table `{metric.protocol_table}`"
                )
            if metric.adapted and self.adaptation_of(criterion.set) is None:
                raise ValueError(
                    f"criterion {criterion.id}: metric {metric.name!r} needs external.{criterion.set}.adaptation, "
                    "which says with which cells the classifier is adapted, and how"
                )
            if criterion.cell_class is not None and criterion.cell_class not in self.dataset.classes:
                raise ValueError(
                    f"criterion {criterion.id}: unknown class {criterion.cell_class!r}; "
                    f"the classes are {', '.join(self.dataset.classes)}"
                )
        named = {*GROUPS, *(name for plan in (self.dataset, *self.external) for name in plan.slice_names)}
        if self.slices is not None and (strange := [name for name in self.slices.columns if name not in named]):
            raise ValueError(
                f"slices.columns names {strange[0]!r}, and nothing says which column that is; it can be one of "
                f"{', '.join(sorted(named))}. Name further ones in dataset.columns.slices"
            )
        for criterion in self.criteria:
            if criterion.kind is not None and criterion.kind not in self.kinds_of(criterion.metric):
                raise ValueError(
                    f"criterion {criterion.id}: kind {criterion.kind!r} is not among what the tables `robustness`, "
                    f"`detection` and `slices` name for {criterion.metric}: "
                    f"{', '.join(self.kinds_of(criterion.metric)) or 'none'}"
                )
        if (self.dataset.expectations is not None) != any(c.metric == "unmet_expectations" for c in self.criteria):
            raise ValueError(
                "dataset.expectations and a criterion on unmet_expectations go together: without the criterion nobody "
                "judges the suite, without the suite there is nothing to judge. Add the other, or remove both"
            )
        if self.dataset.digest is not None and not any(c.metric == PINNED_BY for c in self.criteria):
            raise ValueError(
                f"dataset.digest pins the images, and no criterion on {PINNED_BY} judges whether they are those. "
                "Extend base.toml, whose D12 does, or add one"
            )
        gated = any(OTHER_SEEDS in criterion.entry.needs for criterion in self.criteria)
        if gated != (len(self.training.seeds) > 1):
            raise ValueError(
                "a criterion on recipe_accuracy needs at least two training.seeds"
                if gated
                else f"training.seeds = {list(self.training.seeds)} and no criterion on recipe_accuracy gates on them; "
                "add one, or leave `seeds` away"
            )
        if self.prevalence is not None and set(self.prevalence.shares) != set(self.dataset.classes):
            raise ValueError(
                f"prevalence.shares names {sorted(self.prevalence.shares)}, the classes are "
                f"{sorted(self.dataset.classes)}; give every class its share"
            )
        if self.plan is not None:
            self.plan.refuse_foreign_names(self.dataset.classes, external)
        for waiver in self.waivers:
            if waiver.criterion not in ids:
                raise ValueError(f"the waiver for {waiver.criterion!r} names no criterion of this protocol")
        return self

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))

    def names_in(self, set_name: str) -> SetNames:
        """How classes and columns are written in the dataset or in an external set, declared or not."""
        home: SetNames = self.dataset
        own = next((plan for plan in self.external if plan.name == set_name), home)
        return SetNames(
            labels=home.labels if own.labels is None else own.labels,
            columns=home.columns if own.columns is None else own.columns,
        )

    def image_rules(self, set_name: str) -> ImageRules:
        """What the images of the dataset, or of a set beside it, declared or not, may be."""
        beside: tuple[_SetBeside, ...] = (*self.external, *self.unknown)
        plans = {"dataset": self.dataset.images, **{plan.name: plan.images for plan in beside}}
        return plans.get(set_name, UNDECLARED)

    def unknown_plan(self, set_name: str) -> UnknownPlan | None:
        """What is declared of a set of classes that the classifier does not know; None where nothing is."""
        return next((plan for plan in self.unknown if plan.name == set_name), None)

    def confident_at(self, set_name: str) -> float:
        """From which probability on a cell of such a set, declared or not, is confidently called what it is not."""
        plan = self.unknown_plan(set_name)
        return CONFIDENT_AT if plan is None else plan.confident_at

    def adaptation_of(self, set_name: str) -> AdaptationPlan | None:
        """How a classifier is adapted to an external set; None where nothing is declared."""
        return next((plan.adaptation for plan in self.external if plan.name == set_name), None)

    def pin_of(self, set_name: str) -> str | None:
        """The digest that the dataset or an external set must have; None where the protocol states none."""
        beside: tuple[_SetBeside, ...] = (*self.external, *self.unknown)
        sets: dict[str, DeclaredSet] = {"dataset": self.dataset, **{plan.name: plan for plan in beside}}
        return None if (plan := sets.get(set_name)) is None else plan.digest

    def kinds_of(self, metric: str) -> tuple[str, ...]:
        """The kinds that a metric per corruption can be asked of."""
        kinds = metric_table()[metric].kinds
        plan = None if kinds is None else getattr(self, kinds.table)
        if kinds is None or plan is None:
            return ()
        return (*getattr(plan, kinds.key), *([ANY] if kinds.together else []))

    def waiver_for(self, criterion_id: str) -> Waiver | None:
        return next((waiver for waiver in self.waivers if waiver.criterion == criterion_id), None)
