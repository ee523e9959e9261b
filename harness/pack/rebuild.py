"""Which run do these files tell of? An evidence pack in, the run's records out, every number made of the predictions.

What rests on cells is computed again from predictions/, what rests on samples from the raw timings, what was counted
from the listed findings. The rest (texts, times, environment, the network's training) is taken as recorded;
`not_recomputed` says so. Neither the model nor an image is needed, and neither torch nor fastai is imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from packaging.utils import canonicalize_name
from pydantic import Field

from harness.core.digests import digest_of
from harness.core.errors import EvidenceError, HarnessError
from harness.core.spreadsheet import active
from harness.core.strict_json import parse_json
from harness.core.text import brief
from harness.data.expectations import answers, expected_by_user, expected_of, findings_of, results_of, table_of
from harness.data.leakage import LEAST_SEARCHED_PX, DuplicatePair, ListedImage
from harness.data.pins import pin_findings
from harness.data.prediction_records import GivenPredictions
from harness.data.records import (
    CellImage,
    Finding,
    ImageFacts,
    IntegrityReport,
    Manifest,
    Reading,
    Split,
    SplitSource,
    sorted_by_path,
    sub_folders,
)
from harness.data.split import COLUMNS
from harness.judge.amended import changes_in, differences
from harness.judge.answers import answers_of, unpack_answers
from harness.judge.asking import ask, decide
from harness.judge.chances import Chances
from harness.judge.continuity import KnownChain
from harness.judge.criteria import not_judged
from harness.judge.labels import NO_CLASS
from harness.judge.ledger import START, LedgerError, Look, cells_digest, parse_ledger
from harness.judge.looks import look_number
from harness.judge.margins import Margin, Rest
from harness.judge.pretrained import nobody_asked
from harness.judge.proofs import Proof
from harness.judge.regrouped import groups_beside_baseline, unlike_columns
from harness.judge.relabelled import Relabelled, beside_baseline, corrected_pictures, unlike_ledger
from harness.judge.rescored import Rescored, chosen
from harness.judge.rules import KNOWN, OLDEST, RULES, Rules
from harness.judge.terms import unpack_terms
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.adaptation import Adapted, adapted_to, drawn_from
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.classification import evaluate
from harness.metrics.comparison import Comparison
from harness.metrics.copies import DATASET, counted_once
from harness.metrics.counts import exact_count
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Evaluation, Unavailable
from harness.metrics.explanations import Explanations
from harness.metrics.fits import FITTING_PARTS, Fit, fit_of
from harness.metrics.measurements import NotRecorded
from harness.metrics.parity import Parity
from harness.metrics.predictions import Predictions, predictions_of
from harness.metrics.provenance_records import Provenance
from harness.metrics.reproducibility import ProcessDigests
from harness.metrics.robustness import FlipRate, SeverityCurve
from harness.metrics.shortcuts import ShortcutReport
from harness.metrics.stability import Robustness
from harness.metrics.timing_rules import not_as_asked
from harness.model.ood import ood_score_of
from harness.model.records import CommandRecord, JudgedModel, Timing, TrainingRecord
from harness.pack.adapted import cells_of, read_adapted, unlike_draw
from harness.pack.comparing_again import Held, compared_again, corrupted_again
from harness.pack.components import COMPONENTS, read_components
from harness.pack.decode import decoded, recorded, rows_of, whole_number
from harness.pack.explained import explained_again
from harness.pack.files import EVIDENCE
from harness.pack.further import ADAPTED, DRAWN, UNKNOWN, read_further
from harness.pack.given_check import check_given
from harness.pack.measurements import RecordedMeasurements, at_level, calibration_of
from harness.pack.parity import TAKEN, parity_findings
from harness.pack.read import WITHOUT_PATHS, Pack, require_field
from harness.pack.read_predictions import read_predictions
from harness.pack.recorded_protocol import read_protocol_of
from harness.pack.split_check import SPLIT, check_source, source_of
from harness.pack.tables import MANIFEST, MANIFEST_COLUMNS, slice_columns
from harness.pack.unknown import read_unknown
from harness.protocol.criteria import Criterion
from harness.protocol.datasets import PINNED_BY
from harness.protocol.names import PARTS, part_called
from harness.protocol.questions import GATES
from harness.protocol.records import Protocol
from harness.protocol.sets import SLICES
from harness.protocol.terms import terms_of
from harness.report.page import renderer
from harness.report.sections.failures import to_explain
from harness.run.custody import Custody
from harness.run.packages import Declared, Packages, settled
from harness.run.results import Baseline, BaselineCheck, RunResults, SetSummary
from harness.run.store import StageRecord

LEDGER = "ledger.jsonl"
# Integrity rules whose every finding follows from manifest.csv; files that could not be decoded, others had to see.
FROM_EXPECTATIONS = ("count_mismatches", "unexpected_modes", "unmet_expectations")
NOT_WAIVABLE = "; a waiver excuses what is absent, not this"  # as schemas 2 and 3 recorded it


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One place where a pack is not what follows from the rest of it. field: empty where the whole file is meant."""

    file: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.message}" if self.field else f"{self.file}: {self.message}"


class RecordedProtocol(Protocol):
    """A protocol whose digest is that of its recorded content, to which a newer harness may have added defaults."""

    recorded_digest: str = Field(exclude=True)

    @property
    def digest(self) -> str:
        return self.recorded_digest


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A run as its pack tells of it, with what did not fit together on the way.

    results:    None where a table or record could not be read, so that the rest cannot be told.
    manifest:   the dataset; its root is not known. None where the run read none.
    not_recomputed:     what had to be taken as recorded, one sentence each.
    """

    results: RunResults | None
    manifest: Manifest | None
    discrepancies: tuple[Discrepancy, ...]
    not_recomputed: tuple[str, ...]


def rebuild(pack: Pack) -> Rebuilt:
    """The records that this pack was written from, made again as far as the pack goes.

    Raises:
        EvidenceError: evidence.json lacks what everything else rests on, such as a protocol that can be read.
    """
    return _Rebuilding(pack).whole()


def _protocol_of(pack: Pack) -> Protocol:
    protocol, digest = read_protocol_of(pack), require_field(pack, "protocol", "digest", kind=str)
    if digest_of(require_field(pack, "protocol", "content", kind=dict)) != digest:
        return protocol  # and the digest in evidence.json will be found not to be its own
    return RecordedProtocol.model_construct(**dict(protocol), recorded_digest=digest)


class _Rebuilding:
    """The records of one pack, made one after the other; what does not fit is noted, and the rest goes on."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.discrepancies: list[Discrepancy] = []
        self.not_recomputed: list[str] = []
        self.protocol = _protocol_of(pack)
        self.run_id = require_field(pack, "run", "id", kind=str)
        self.started_at = require_field(pack, "run", "started_at", kind=str)
        self.day = self._day()
        self.rules = self._rules()
        self.integrity: IntegrityReport | None = None
        self.manifest: Manifest | None = None
        self.split: Split | None = None
        self.predictions: dict[str, Predictions] = {}
        self.seeds: dict[int, Predictions] = {}
        self.adaptations: dict[str, Adapted] = {}
        self.unknown: dict[str, Predictions] = {}
        self.evaluations: dict[str, Evaluation] = {}
        self.comparisons: dict[str, Comparison] = {}
        self.corrupted: dict[str, Predictions] = {}
        self.corrupted_comparisons: dict[str, Comparison] = {}
        self.calibrations: dict[str, CalibrationReport] = {}
        self.timings: tuple[Timing, ...] = ()
        self.training: TrainingRecord | None = None
        self.model: JudgedModel | None = None
        self.given: GivenPredictions | None = None
        self.parity: Parity | None = None
        self.processes: tuple[ProcessDigests, ...] = ()
        self.baseline: Baseline | None = None
        self.sets: tuple[SetSummary, ...] = ()
        self.fits: tuple[Fit, ...] = ()
        self.ledger: tuple[Look, ...] = ()
        self.looks: dict[str, int] = {}
        self.known_chains: tuple[KnownChain, ...] = ()
        self.duplicates: tuple[DuplicatePair, ...] | None = None
        self.uncompared: tuple[ListedImage, ...] = ()
        self.shortcuts: ShortcutReport | None = None
        self.provenance: dict[str, Provenance] = {}
        self.robustness: Robustness | None = None

    def whole(self) -> Rebuilt:
        seconds = require_field(self.pack, "run", kind=dict).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise EvidenceError(f"run > seconds holds {brief(seconds)}, which is not a number")
        readings = (
            (MANIFEST, self._read_manifest),
            (SPLIT, self._read_split),
            (EVIDENCE, self._read_records),
            (EVIDENCE, self._read_predictions),
        )
        for file, step in readings:
            try:
                unreadable = not step()
            except EvidenceError as error:
                self._note(file, "", str(error))
                unreadable = True
            if unreadable:  # what rests on it would only be missed in a dozen other places
                return Rebuilt(None, self.manifest, tuple(self.discrepancies), ())
        self._check_split()
        if self.given is not None:
            found, taken = check_given(
                self.pack,
                self.given,
                predictions=self.predictions | {f"{UNKNOWN}/{name}": each for name, each in self.unknown.items()},
                images=self._images(),
                split=self.split,
                classes=self.protocol.dataset.classes,
            )
            for each in found:
                self._note(*each)
            self.not_recomputed += taken
        self._draw_again()
        self._count_sets()
        self._read_parity()
        self._fit_again()
        self._compare_again()
        self._calibrate_again()
        self.uncompared = self._of(tuple[ListedImage, ...], "uncompared")
        self._check_uncompared()
        self.shortcuts = self._of(ShortcutReport | None, "shortcuts")
        self.provenance = self._of(dict[str, Provenance], "provenance")
        if self.duplicates is not None:
            self.not_recomputed.append(
                "which pictures resemble each other, and what headers and colours say of their origin: the images are "
                "not in the pack"
            )
        self.robustness = self._recorded_robustness()
        if self.robustness is not None:
            self.not_recomputed.append(
                "what the network said of disturbed and turned cells, and how strange each input looked to it: counts "
                "and scores are recorded, bounds and detection follow from them"
            )
        packages = self._packages()
        proof = self._of(Proof | None, "proof")
        if proof is not None:
            self.not_recomputed.append("what became of the planted faults: recorded, and counted again")
        self._read_ledger()
        chances = self._of(Chances | None, "chances")
        if chances is not None:
            self.not_recomputed.append("how likely a pass was at the hoped-for truth: `harness plan` asks it again")
        self._read_chains()
        if self.pack.evidence.get("custody") is not None:
            self.not_recomputed.append("which code from outside was loaded, and which files are dated after the clock")
        relabelled = self._read_relabelled()
        results = RunResults(
            run_id=self.run_id,
            started_at=self.started_at,
            seconds=seconds,
            command=require_field(self.pack, "run", "command", kind=str),
            protocol=self.protocol,
            environment=self._of(dict[str, str], "environment"),
            metrics=self._of(tuple[str, ...] | None, "metrics") or (),
            verdicts=(),
            sets=self.sets,
            integrity=self.integrity,
            split=self.split,
            training=self.training,
            model=self.model,
            given=self.given,
            parity=self.parity,
            predictions=self.predictions,
            evaluations=self.evaluations,
            seed_predictions=self.seeds,
            baseline=self.baseline,
            comparisons=self.comparisons,
            adaptations=self.adaptations,
            unknown=self.unknown,
            corrupted=self.corrupted,
            corrupted_comparisons=self.corrupted_comparisons,
            calibrations=self.calibrations,
            looks=self.looks,
            ledger=self.ledger,
            known_chains=self.known_chains,
            custody=self._of(Custody | None, "custody"),
            rescored=self._read_rescored(),
            relabelled=relabelled,
            changes=changes_in(
                self.protocol,
                self.ledger,
                run=self.run_id,
                baseline=None if self.baseline is None else self.baseline.compared,
                relabelled=relabelled,
                regrouped=groups_beside_baseline(self.comparisons.items()),
                rules=self.rules,
            ),
            fits=self.fits,
            reproducibility=self.processes,
            timings=self.timings,
            duplicates=self.duplicates,
            uncompared=self.uncompared,
            shortcuts=self.shortcuts,
            provenance=self.provenance,
            robustness=self.robustness,
            stages=self._of(tuple[StageRecord, ...], "stages"),
            packages=packages,
            proof=proof,
            signed_with=self._of(str | None, "signed_with"),
            cannot_pass=self._of(dict[str, str] | None, "cannot_pass") or {},
            chances=chances,
            rules=self.rules,
            stopped_because=self._of(str | None, "run", "stopped_because"),
        )
        results = replace(results, explanations=self._explain_again(results))
        results = replace(results, verdicts=self._judge_again(RecordedMeasurements(results, self.manifest)))
        return Rebuilt(results, self.manifest, tuple(self.discrepancies), tuple(self.not_recomputed))

    def _note(self, file: str, field: str, message: str) -> None:
        self.discrepancies.append(Discrepancy(file, field, message))

    def _of(self, kind: Any, *keys: str) -> Any:
        value: object = self.pack.evidence
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return decoded(kind, value, " > ".join(keys))

    def _day(self) -> date:
        try:
            return datetime.fromisoformat(self.started_at).date()
        except ValueError:
            raise EvidenceError(f"run > started_at holds {brief(self.started_at)}, which is not a time") from None

    def _packages(self) -> Packages | None:
        """What was declared, as recorded, against the list of what was installed."""
        if self.pack.evidence.get("packages") is None:
            return None
        self.not_recomputed.append("what was installed and what was declared: recorded, and compared with each other")
        try:
            installed = read_components(parse_json(self.pack.read(COMPONENTS)))
        except (EvidenceError, ValueError) as error:
            self._note(COMPONENTS, "", str(error))
            installed = ()
        versions = {canonicalize_name(each.name): each.version for each in installed}
        for name, version in self._of(dict[str, str], "environment").items():
            if versions.get(name, version) != version:
                self._note(
                    COMPONENTS, name, f"{versions[name]} is written, {EVIDENCE} has {version} in its environment"
                )

        def declared(name: str) -> tuple[Declared, ...]:
            return self._of(tuple[Declared, ...], "packages", name)  # type: ignore[no-any-return]

        return settled(
            Packages(
                installed=installed,
                declared_in=self._of(str | None, "packages", "declared_in"),
                requirements=declared("requirements"),
                tried_in=self._of(str | None, "packages", "tried_in"),
                untried=declared("untried"),
                unlisted=self._of(tuple[str, ...], "packages", "unlisted"),
                conflicts=declared("conflicts"),
            )
        )

    # --- data ---

    def _read_manifest(self) -> bool:
        """The dataset, and what integrity found in it; its files' facts are columns of manifest.csv."""
        sets = self._of(tuple[SetSummary, ...], "sets")
        listed = any(each.name == "dataset" for each in sets)
        recorded = next((each.reading for each in sets if each.name == "dataset"), None)
        reading = recorded or Reading()
        images: list[CellImage] = []
        facts: list[ImageFacts] = []
        undecodable: dict[str, str] = {}
        checked: dict[str, int] | None = None
        findings: tuple[Finding, ...] = ()
        if self.pack.evidence.get("integrity") is not None:
            checked = self._of(dict[str, int], "integrity", "checked")
            findings = self._of(tuple[Finding, ...], "integrity", "findings")
            undecodable = self._of(dict[str, str], "integrity", "undecodable")
        if listed or MANIFEST in self.pack.files:
            further = slice_columns(reading)
            for number, row in enumerate(rows_of(self.pack, MANIFEST, (*MANIFEST_COLUMNS, *further)), start=2):
                path, label, sha256, n_bytes, width, height, format_, mode, *groups = row
                here = f"{MANIFEST}, row {number}"
                patient, slide, site, *values = (active(each) or None for each in groups)
                slices = tuple((name.removeprefix(SLICES), v) for name, v in zip(further, values, strict=True) if v)
                path = active(path)
                size, part = whole_number(here, n_bytes), reading.part_of(path)
                images.append(CellImage(path, label, sha256, size, patient, slide, site, part, slices))
                facts.append(
                    ImageFacts(
                        path,
                        whole_number(here, width) if width else None,
                        whole_number(here, height) if height else None,
                        format_ or None,
                        mode or None,
                        undecodable.get(path),
                    )
                )
            if images != list(sorted_by_path(images)):
                self._note(MANIFEST, "path", "the rows are not sorted by path")
            ignored = self._of(tuple[str, ...], "ignored")
            classes = self.protocol.dataset.classes
            self.manifest = Manifest("dataset", Path(), classes, tuple(images), ignored=ignored, reading=reading)
            if recorded is not None:
                self._check_reading(self.manifest)
        if checked is not None:
            self.integrity = self._expect_again(IntegrityReport(checked, findings, tuple(facts)))
            self._check_pin_of_dataset(self.integrity)
        return True

    def _check_reading(self, manifest: Manifest) -> None:
        """Whether the labels are those that the folders stand for, by the protocol and by the record of the reading."""
        reading, labels = manifest.reading, self.protocol.names_in("dataset").label_of
        for written, name in reading.labels.items():
            if labels.get(written) != name:
                self._note(
                    EVIDENCE,
                    "sets > dataset > reading > labels",
                    f"{written!r} was read as {name!r}; the protocol says {labels.get(written)!r}",
                )
        for folder, part in reading.parts.items():
            if part_called(folder, self.protocol.dataset.parts) != part:
                self._note(EVIDENCE, "sets > dataset > reading > parts", f"the folder {folder!r} was read as {part!r}")
        if reading.columns:
            return  # the labels of a table were not in its paths
        within = sub_folders((image.path for image in manifest.images), reading.parts)
        if reading.within not in (None, within):
            self._note(EVIDENCE, "sets > dataset > reading > within", f"the paths have {within}")
        for image in manifest.images:
            steps = image.path.split("/")
            below = steps[0] in reading.parts
            written = steps[below] if len(steps) > 1 + below else ""
            if labels.get(written, written) != image.label:
                self._note(MANIFEST, "label", f"{image.path!r} is labelled {image.label!r}")

    def _expect_again(self, report: IntegrityReport) -> IntegrityReport:
        """What was expected of the images, asked again of manifest.csv, and the findings that follow from it."""
        if self.manifest is None or require_field(self.pack, "integrity", kind=dict).get("expectations") is None:
            return report
        plan = self.protocol.dataset
        counts = plan.counts if "count_mismatches" in report.checked else None
        expected = expected_of(self.manifest, rules=plan.images, counts=counts)
        asked = (*expected, *expected_by_user(plan))
        table = table_of(self.manifest, report.facts, rules=plan.images)
        found = answers(table, [each.expectation for each in asked])
        made = set(findings_of(self.manifest, report.facts, asked, found, rules=plan.images))
        for each in sorted(made - set(report.findings), key=str):
            self._note(EVIDENCE, "integrity > findings", f"missing is {each}")
        for each in report.findings:
            if each not in made and each.rule in FROM_EXPECTATIONS:
                self._note(EVIDENCE, "integrity > findings", f"nothing in {MANIFEST} shows {each}")
        return replace(report, expectations=results_of(self.manifest, asked, found))

    def _check_uncompared(self) -> None:
        """Whether the images too small to be compared are named; which are too smooth, their pixels alone tell."""
        if not self.rules.searched or self.duplicates is None or self.integrity is None:
            return
        named = {image.path for image in self.uncompared if image.set == DATASET}
        for each in self.integrity.facts:
            sides = [side for side in (each.width_px, each.height_px) if side is not None]
            if min(sides, default=LEAST_SEARCHED_PX) < LEAST_SEARCHED_PX and each.path not in named:
                self._note(EVIDENCE, "uncompared", f"{each.path!r} is too small to be compared, and is not named")

    def _check_pin_of_dataset(self, report: IntegrityReport) -> None:
        """Whether what was found of its digest is what manifest.csv shows."""
        if self.manifest is None or (pin := self.protocol.dataset.digest) is None:
            return
        if PINNED_BY not in report.checked:
            self._note(
                EVIDENCE, f"integrity > checked > {PINNED_BY}", "the protocol pins the dataset, and nobody looked"
            )
        if (made := tuple(pin_findings(self.manifest, pin))) != report.of(PINNED_BY):
            said = made[0].detail if made else f"the digest of the images in {MANIFEST} is the pinned one"
            self._note(EVIDENCE, f"integrity > findings > {PINNED_BY}", said)

    def _read_split(self) -> bool:
        if self.pack.evidence.get("split") is None:
            return True
        if self.manifest is None:
            raise EvidenceError("the dataset was split, and there is no manifest.csv that says of which images it is")
        images = {image.path: image for image in self.manifest.images}
        parts: dict[str, list[CellImage]] = {part: [] for part in PARTS}
        for number, (path, _, label, part) in enumerate(rows_of(self.pack, SPLIT, COLUMNS), start=2):
            image = images.pop(active(path), None)
            if image is None or part not in parts:
                self._note(SPLIT, f"row {number}", f"{path!r} in {part!r} is not an image of {MANIFEST} in one part")
                continue
            if image.label != label:
                self._note(SPLIT, f"row {number}, label", f"{label!r} is written, manifest.csv says {image.label!r}")
            parts[part].append(image)
        for path in images:
            self._note(SPLIT, "filepath", f"{path!r} is in manifest.csv and in no part")
        origin = require_field(self.pack, "split", "origin", kind=str)
        source: SplitSource = self._of(SplitSource | None, "split", "source") or source_of(origin)
        self.split = Split(**{part: sorted_by_path(parts[part]) for part in PARTS}, origin=origin, source=source)
        return True

    def _check_split(self) -> None:
        if self.split is None or self.manifest is None:
            return
        found, taken = check_source(
            self.split,
            self.manifest,
            self.protocol.split,
            draws=self.given is None,
            drawn_by=self._of(dict[str, str], "environment").get("harness", "of no known version"),
        )
        for each in found:
            self._note(*each)
        self.not_recomputed += taken

    def _rules(self) -> Rules:
        """Those that some judge had, not those that a pack would like: by fewer questions more passes."""
        found = self._of(Rules | None, "rules")
        if found is not None and found not in KNOWN:
            self._note(EVIDENCE, "rules", f"no version of the judge had these: {found}")
            return RULES
        if found is None and "changes" in self.pack.evidence:  # which came later
            self._note(EVIDENCE, "rules", "they are missing, and every judge that tells `changes` tells its rules")
            return RULES
        if (
            found is not None
            and not found.one_picture
            and self._of(tuple[str, ...] | None, "page", "split", "repeated") is not None
        ):
            self._note(EVIDENCE, "rules", f"its page tells of repeated pictures, and no judge by {found} does")
            return RULES
        if found is None:
            self.not_recomputed.append(
                "what only a later judge asks: groups and copies were not counted, kinds not corrected for"
            )
        return found or OLDEST

    def _read_records(self) -> bool:
        """What is taken as recorded, because nothing in the pack can tell it again."""
        self.duplicates = self._of(tuple[DuplicatePair, ...] | None, "duplicates")
        self.training = self._of(TrainingRecord | None, "training")
        self.model = self._of(JudgedModel | None, "model")
        self.given = self._of(GivenPredictions | None, "given")
        if self.model is not None:
            self._check_model(self.model)
        if self.given is not None and (self.model or self.training) is not None:
            self._note(EVIDENCE, "given", "predictions were judged, and a classifier is recorded as well")
        self.processes = self._of(tuple[ProcessDigests, ...], "reproducibility")
        self.timings = self._of(tuple[Timing, ...], "timings")
        for place, timing in enumerate(self.timings):
            if (wrong := not_as_asked(timing, self.protocol.throughput)) is not None:
                self._note(EVIDENCE, f"timings[{place}].settling", wrong)
        if self.pack.evidence.get("baseline") is not None:
            self.baseline = Baseline(
                name=require_field(self.pack, "baseline", "run", kind=str),
                run_id=require_field(self.pack, "baseline", "run", kind=str),
                commit=require_field(self.pack, "baseline", "commit", kind=str),
                classes=self.protocol.dataset.classes,
                predictions={},
                protocol_digest=require_field(self.pack, "baseline", "protocol", kind=str),
                passed=require_field(self.pack, "baseline", "passed", kind=bool),
                sums_digest=require_field(self.pack, "baseline", "sums", kind=str),
                check=self._of(BaselineCheck | None, "baseline", "check"),
                margins=self._of(tuple[Margin, ...] | None, "baseline", "margins"),
                rest=self._of(Rest | None, "baseline", "rest"),
            )
            if self.baseline.margins is not None:
                self.not_recomputed.append("which margins the baseline's protocol had: its own pack has the protocol")
            if self.baseline.check is not None:
                self.not_recomputed.append("what judging the baseline's pack again came to, and who had signed it")
        return True

    def _check_model(self, model: JudgedModel) -> None:
        """The judged file is the one in models/, if the pack still has it, and nothing else was trained beside it."""
        if self.training is not None:
            self._note(EVIDENCE, "model", "a classifier that existed was judged, and a training is recorded as well")
        if model.command is not None:
            self._check_command(model, model.command)
            return
        files = {name: sha256 for name, sha256 in self.pack.sums.items() if name.startswith("models/judged.")}
        if list(files.values()) != [model.sha256]:
            held = ", ".join(f"{name} {sha256}" for name, sha256 in files.items()) or "no such file"
            self._note(EVIDENCE, "model > sha256", f"{model.sha256} is written, the sums list {held} in models/")
        self.not_recomputed.append(
            f"that {model.file} makes these predictions, and what it says of itself: its file is in models/, and "
            "`pytest suites/ --model` judges it again"
        )

    def _read_parity(self) -> None:
        self.parity = self._of(Parity | None, "parity")
        if self.parity is not None:
            for field, said in parity_findings(self.parity, sums=self.pack.sums, predictions=self.predictions):
                self._note(EVIDENCE, field, said)
            self.not_recomputed.append(TAKEN)

    def _check_command(self, model: JudgedModel, command: CommandRecord) -> None:
        """The card speaks of the recorded command; what answered, no pack can hold."""
        if model.card is None or model.card.digest != command.digest:
            self._note(EVIDENCE, "model > card > digest", f"{command.digest} follows from the recorded command")
        if model.file != command.line:
            self._note(EVIDENCE, "model > file", f"{command.line!r} is the recorded command")
        self.not_recomputed.append(
            f"that the command {model.file} makes these predictions: what answered is not in the pack; "
            "`pytest suites/ --model-command` asks it again"
        )

    # --- predictions ---

    def _read_predictions(self) -> bool:
        """False where one of the files cannot be read, or is not the one that evidence.json names."""
        whole = True
        for name in require_field(self.pack, "predictions", kind=dict):
            try:
                found = read_predictions(self.pack, name)
                if name in PARTS:
                    found = self._fitted_to_split(found, name, file=f"predictions/{name}.csv")
                else:
                    groups = self._of(tuple[str, ...] | None, "predictions", name, "groups")
                    columns = self._of(dict[str, tuple[str, ...]] | None, "predictions", name, "columns")
                    found = replace(found, groups=groups, columns=columns or {})
            except HarnessError as error:
                self._note(f"predictions/{name}.csv", "", str(error))
                whole = False
                continue
            self.predictions[name] = found
            self.evaluations[name] = self._evaluate(self._counted(found))
        for seed, stated in require_field(self.pack, "seeds", kind=dict).items():
            name = f"seeds/test_{seed}"
            try:
                digest = {"digest": stated.get("predictions"), "n": stated.get("n")}
                found = read_further(self.pack, name, digest, set_name="test")
                found = self._fitted_to_split(found, "test", file=f"predictions/{name}.csv")
                self.seeds[int(seed)] = found
            except (HarnessError, ValueError, AttributeError) as error:
                self._note(f"predictions/{name}.csv", "", str(error))
                whole = False
        return self._read_adaptations() and self._read_unknown() and whole

    def _read_adaptations(self) -> bool:
        """What adapted classifiers said, and that the drawn cells are those that the protocol draws."""
        if self.pack.evidence.get("adaptations") is None:  # none was declared, or by an older harness
            return True
        for name in require_field(self.pack, "adaptations", kind=dict):
            try:
                self.adaptations[name] = read_adapted(self.pack, name, self.predictions.get(name))
            except (HarnessError, ValueError) as error:
                self._note(f"predictions/{ADAPTED}/{name}.csv", "", str(error))
                return False
        return True

    def _read_unknown(self) -> bool:
        """What the classifier said of cells of classes that it does not know."""
        if self.pack.evidence.get("unknown") is None:  # none was shown, or by an older harness
            return True
        for name in require_field(self.pack, "unknown", kind=dict):
            try:
                self.unknown[name] = read_unknown(self.pack, name)
            except (HarnessError, ValueError) as error:
                self._note(f"predictions/{UNKNOWN}/{name}.csv", "", str(error))
                return False
        return True

    def _draw_again(self) -> None:
        for name, found in self.adaptations.items():
            plan = self.protocol.adaptation_of(name)
            for said in unlike_draw(found, self.predictions[name], plan, self.duplicates or ()):
                self._note(f"predictions/{DRAWN}/{name}.csv", "sha256", said)
        if self.adaptations:
            self.not_recomputed.append(
                "what a classifier says after it was adapted, and what cross-validation made of the ways to adapt it: "
                "recorded, without the adapted classifier"
            )

    def _fitted_to_split(self, found: Predictions, part: str, *, file: str) -> Predictions:
        """The predictions with the groups that manifest.csv names, if their cells are those of the part."""
        if self.split is None:
            raise EvidenceError(f"{part} was scored, and data_split.csv does not say which cells it has")
        images = self.split.part(part)
        wanted = [(image.path, image.sha256, image.label) for image in images]
        labels = (found.classes[label] for label in found.labels.tolist())
        scored = list(zip(found.paths, found.digests, labels, strict=True))
        if wanted != scored:
            lacking, foreign = Counter(wanted) - Counter(scored), Counter(scored) - Counter(wanted)
            first = next(iter([*lacking, *foreign]), ("their order",))[0]
            self._note(
                file,
                "path, sha256, label",
                f"these are not the cells of {part} in {SPLIT} and {MANIFEST}: {lacking.total()} are missing, "
                f"{foreign.total()} do not belong there, first {first!r}",
            )
            return found
        if not self.rules.fewest_groups:  # then no group was known but patients and slides
            images = tuple(replace(image, site=None) for image in images)
        return predictions_of(images, found.probabilities, set_name=part, classes=found.classes)

    def _counted(self, found: Predictions) -> Predictions:
        """One cell for each picture, where the judge that wrote the pack counted so."""
        return counted_once(found, self.duplicates) if self.rules.one_picture and self.duplicates else found

    def _evaluate(self, predictions: Predictions) -> Evaluation:
        found = evaluate(predictions, intracluster_correlation=self.protocol.clusters.intracluster_correlation)
        return replace(found, few_apart=bool(self.rules.few_apart))

    def _count_sets(self) -> None:
        """Sizes and digests of the sets, from manifest.csv and from the predictions of external sets."""
        counted = {name: self._cells_of(name) for name in self._beside}
        if self.manifest is not None:
            counted["dataset"] = self.manifest.images
        sets = []
        for summary in self._of(tuple[SetSummary, ...], "sets"):
            if summary.name in counted:
                stranger = self.unknown.get(summary.name)
                classes = self.protocol.dataset.classes
                kinds = classes if stranger is None else stranger.classes[len(classes) :]
                there = Manifest(summary.name, Path(), kinds, counted[summary.name])
                drawn = self.adaptations.get(summary.name)
                whole = there if drawn is None else replace(there, images=(*there.images, *cells_of(drawn.drawn)))
                pin = None if summary.pin is None else whole.pin  # an older harness told none
                again = replace(summary, n_images=len(there.images), counts=there.counts, digest=there.digest, pin=pin)
                sets.append(again)
                self._check_pin(whole)
            else:
                sets.append(summary)
                if summary.absent_because is None:
                    self.not_recomputed.append(
                        f"size and digest of set {summary.name}: the pack has no list of its images"
                    )
        self.sets = tuple(sets)
        for name in counted:
            if name not in {summary.name for summary in sets}:
                self._note(EVIDENCE, f"sets > {name}", "the set is in the pack and is not listed here")

    def _check_pin(self, found: Manifest) -> None:
        """A set from elsewhere that is not the pinned one is never scored; of the dataset a criterion speaks."""
        if found.name != "dataset":
            for each in pin_findings(found, self.protocol.pin_of(found.name)):
                self._note(f"predictions/{found.name}.csv", "sha256, label", each.detail)

    def _images(self) -> dict[str, tuple[CellImage, ...]]:
        """The images that the pack lists, of the dataset and of every external set that was scored."""
        own = {} if self.manifest is None else {"dataset": self.manifest.images}
        return own | {name: self._cells_of(name) for name in self._beside}

    @property
    def _beside(self) -> dict[str, Predictions]:
        """Set beside the dataset -> what was said of it: the external sets, then those of unknown classes."""
        return {name: found for name, found in self.predictions.items() if name not in PARTS} | self.unknown

    def _cells_of(self, name: str) -> tuple[CellImage, ...]:
        return cells_of(self._beside[name])

    def _fit_again(self) -> None:
        """Which cells things were fitted on, and how many of them are judged, counted by content."""
        fits = self._of(tuple[Fit, ...], "fits")
        if self.split is None:
            self.fits = fits
            return
        judged = {"test": self.split.test} | {n: self._cells_of(n) for n in self.predictions if n not in PARTS}
        for fit in fits:
            drawn = {drawn_from(name): each.drawn for name, each in self.adaptations.items()}
            if fit.on in drawn:
                self.fits += (fit_of(fit.what, fit.on, cells_of(drawn[fit.on]), judged=judged),)
                continue
            if fit.on not in FITTING_PARTS:
                self.fits += (fit,)  # which the criterion on fits counts as a deviation
                continue
            again = fit_of(fit.what, fit.on, self.split.part(fit.on), judged=judged)
            unscored = {name: n for name, n in fit.shared.items() if name not in judged}
            self.fits += (replace(again, shared={**again.shared, **unscored}),)

    # --- what is made of predictions ---

    def _compare_again(self) -> None:
        curves = self._of(tuple[SeverityCurve, ...] | None, "robustness", "curves") or ()
        held = Held(
            self.pack,
            self.protocol,
            self.rules,
            self.predictions,
            {},
            self.baseline,
            (self.duplicates or ()) if self.rules.one_picture else (),
        )
        self.corrupted = corrupted_again(held, curves, self._note)
        found = compared_again(replace(held, corrupted=self.corrupted), self._note)
        self.comparisons, self.corrupted_comparisons, self.baseline = found.comparisons, found.corrupted, found.baseline
        self.not_recomputed += found.taken

    def _calibrate_again(self) -> None:
        for name in require_field(self.pack, "calibrations", kind=dict):
            try:
                counted = {each: self._counted(found) for each, found in self.predictions.items()}
                self.calibrations[name] = calibration_of(
                    self.protocol, counted, name, judged=self.model or self.given, rules=self.rules
                )
            except HarnessError as error:
                self._note(EVIDENCE, f"calibrations > {name}", str(error))

    # --- robustness ---

    def _recorded_robustness(self) -> Robustness | None:
        """Counts and scores as recorded, with bounds made anew at the level of displays; None if not examined."""
        if self.pack.evidence.get("robustness") is None:
            return None
        curves = self._of(tuple[SeverityCurve, ...], "robustness", "curves")
        flips = self._of(tuple[FlipRate, ...], "robustness", "flips")
        scores = self._of(dict[str, tuple[float, ...]], "robustness", "strangeness")
        for curve in curves:
            self._check_clean(curve)
        recorded = Robustness(
            curves, flips, None, {name: np.array(values, dtype=np.float64) for name, values in scores.items()}
        )
        plan, record = self.protocol.detection, self.model or self.training
        card = None if record is None else record.card
        score = None if plan is None else plan.score if card is None else ood_score_of(plan, card)
        return at_level(recorded, self.protocol, score=score, level=DISPLAY_LEVEL, rules=self.rules)

    def _check_clean(self, curve: SeverityCurve) -> None:
        found, clean = self.evaluations.get(curve.set), curve.clean
        if found is None or (found.n_correct, found.n) != (clean.k, clean.n):
            here = "nothing" if found is None else f"{found.n_correct}/{found.n}"
            field = f"robustness > curves > {curve.kind}"
            self._note(EVIDENCE, field, f"{clean.k}/{clean.n} clean cells, the predictions of {curve.set} have {here}")
        for point in curve.points:
            if point.lost is not None and point.gained is not None and clean.k - point.lost + point.gained != point.k:
                field = f"robustness > curves > {curve.kind} > {point.severity}"
                self._note(EVIDENCE, field, f"{point.lost} lost and {point.gained} gained do not make {point.k} right")
            if point.by_group is not None and tuple(map(sum, zip(*point.by_group, strict=True))) != (
                point.n,
                point.lost,
                point.gained,
            ):
                self._note(EVIDENCE, f"robustness > curves > {curve.kind}", "its groups are not those of its cells")

    # --- looks ---

    def _read_ledger(self) -> None:
        """The chain, and that the looks of this run in it are those at the predictions that the pack holds."""
        if LEDGER in self.pack.files:
            try:
                self.ledger = parse_ledger(self.pack.read(LEDGER), where=LEDGER)
            except LedgerError as error:
                self._note(LEDGER, "", str(error))
                return
        own = [look for look in self.ledger if look.run == self.run_id]
        if any(look.pictures for look in own):
            self.not_recomputed.append("which pictures a look showed: recorded, and the images are not in the pack")
        for look in own:
            self._check_look(look)
            if look.role in ("judged", "adapted"):
                name = look.set if look.role == "judged" else adapted_to(look.set)
                self.looks[name] = look_number(
                    self.ledger,
                    run=look.run,
                    source=look.source,
                    cells=look.cells,
                    predictions=look.predictions,
                    answers=look.answers,
                    role=look.role,
                )
        judged, seeds = {look.set for look in own if look.role == "judged"}, {look.predictions for look in own}
        for name in self.predictions | self.unknown:
            if name not in ("train", "validation", *judged):
                self._note(LEDGER, f"set {name}", f"no look of run {self.run_id} at this set is on record")
        for name, adapted in self.adaptations.items():
            on_record = {(look.set, look.role, look.predictions) for look in own}
            for role, said in (("adapted", adapted.predictions), ("fit", adapted.drawn)):
                if (name, role, said.digest) not in on_record:
                    self._note(LEDGER, f"set {name}", f"no entry of run {self.run_id} has these cells as {role!r}")
        for seed, found in self.seeds.items():
            if found.digest not in seeds:
                self._note(LEDGER, f"seed {seed}", f"no look of run {self.run_id} at these predictions is on record")

    def _read_relabelled(self) -> tuple[Relabelled, ...]:
        """Which cells have another label than before: by the ledger, their paths as recorded, and by the baseline."""
        held: tuple[Relabelled, ...] = self._of(tuple[Relabelled, ...] | None, "relabelled") or ()
        seen = tuple(cell for cell in held if cell.picture)
        labels = {
            name: {path: each.classes[label] for path, label in zip(each.paths, each.labels.tolist(), strict=True)}
            for name, each in self.predictions.items()
        }
        labels |= {name: dict.fromkeys(each.paths, NO_CLASS) for name, each in self.unknown.items()}
        for said in unlike_ledger(seen, corrected_pictures(self.ledger, run=self.run_id), labels):
            self._note(EVIDENCE, "relabelled", said)
        if seen:
            self.not_recomputed.append("which of the cells of a label show the picture that had another one: recorded")
        return (*seen, *beside_baseline(self.comparisons.items()))

    def _read_rescored(self) -> Rescored | None:
        """What was scored again, if these are the cells that the run's id draws."""
        found: Rescored | None = self._of(Rescored | None, "rescored")
        if found is None or found.not_done:
            return found
        judged = {name: each for name, each in self.predictions.items() if name not in ("train", "validation")}
        drawn = [
            (name, each.paths[row], each.digests[row])
            for name, each in judged.items()
            for row in chosen(each, run=self.run_id)
        ]
        if drawn != [(cell.set, cell.path, cell.sha256) for cell in found.cells]:
            self._note(EVIDENCE, "rescored > cells", "these are not the cells that the run's id draws")
        self.not_recomputed.append(
            "what the classifier said of the cells that were scored again: recorded, and compared"
        )
        return found

    def _explain_again(self, results: RunResults) -> Explanations | None:
        found: Explanations | None = self._of(Explanations | None, "explanations")
        if found is None:
            if self.pack.evidence.get("renderer") == renderer() and to_explain(results):
                self._note(
                    EVIDENCE, "explanations", "cells are pictured, and nothing is told of why they were called so"
                )
            return None
        self.not_recomputed.append(
            "where the classifier's gradients and features lead: maps and distances are recorded, and compared"
        )
        again, problems = explained_again(found, results)
        for field, message in problems:
            self._note(EVIDENCE, f"explanations > {field}", message)
        return again

    def _read_chains(self) -> None:
        """The chains that the ledger had to continue: a head that stands in it is one that it continues."""
        self.known_chains = self._of(tuple[KnownChain, ...] | None, "known_chains") or ()
        hashes = {START, *(look.hash for look in self.ledger)}
        for place, chain in enumerate(self.known_chains):
            field = f"known_chains > {place} > continued"
            if self.ledger and chain.head in hashes and not chain.continued:
                self._note(EVIDENCE, field, f"the ledger has the head of {chain.source}")
            if self.ledger and chain.entries is None and chain.continued and chain.head not in hashes:
                self._note(EVIDENCE, field, f"the ledger does not have the head that {chain.source} names")
            if not chain.continued and any(look.run == self.run_id for look in self.ledger):
                self._note(LEDGER, "", f"a look by run {self.run_id}, which could not continue {chain.source}")
        if any(chain.continued and chain.head not in hashes for chain in self.known_chains):
            self.not_recomputed.append("that the ledger had the looks of a chain that was merged into it: recorded")

    def _check_look(self, look: Look) -> None:
        found = (self.predictions | self.unknown).get(look.set)
        if look.role == "seed":
            found = next((each for each in self.seeds.values() if each.digest == look.predictions), None)
        if look.role in ("fit", "adapted"):
            adapted = self.adaptations.get(look.set)
            found = None if adapted is None else adapted.drawn if look.role == "fit" else adapted.predictions
        if found is None:
            self._note(LEDGER, f"entry {look.index}", f"a look at {look.set} whose predictions are not in the pack")
            return
        images = cells_of(found) if look.set not in PARTS else self.manifest.images if self.manifest else ()
        wanted: dict[str, object] = {
            "predictions": found.digest,
            "n": len(found.digests),
            "cells": cells_digest(found),
            "protocol": self.protocol.digest,
            "source": digest_of(sorted(image.sha256 for image in images)),
        }
        judged = self.model.digest if self.model else self.training and self.training.weights_digest
        if judged is not None and look.role != "seed":
            wanted["model"] = judged
        if self.given is not None:
            wanted["model"] = self.given.digest(look.set)
        if look.rule:  # an older harness recorded none
            wanted["rule"] = self.protocol.looks.rule
        if look.terms:
            for each in differences(unpack_terms(look.terms), terms_of(self.protocol)):
                self._note(
                    LEDGER, f"entry {look.index}, terms", f"they are not the protocol's at {'.'.join(each.steps)}"
                )
        for kind in unlike_columns(look.groups, found.columns, n=look.n) if look.groups else ():
            self._note(LEDGER, f"entry {look.index}, groups", f"{kind!r} does not divide the cells as in the pack")
        if look.answers and not unpack_answers(look.answers).equals(answers_of(found)):
            self._note(LEDGER, f"entry {look.index}, answers", "they are not those of the predictions in the pack")
        for name, value in wanted.items():
            if getattr(look, name) != value:
                self._note(
                    LEDGER, f"entry {look.index}, {name}", f"{getattr(look, name)} is written, the pack has {value}"
                )
        try:
            early = datetime.fromisoformat(look.time) < datetime.fromisoformat(self.started_at)
        except TypeError:  # one of the two has no time zone
            early = True
        if early:
            self._note(LEDGER, f"entry {look.index}, time", f"{look.time} is before the run, {self.started_at}")

    # --- verdicts ---

    def _judge_again(self, evidence: RecordedMeasurements) -> tuple[Verdict, ...]:
        """One verdict per criterion, gate by gate, whatever evidence.json lists."""
        listed: list[Mapping[str, Any]] = [
            each for each in require_field(self.pack, "verdicts", kind=list) if isinstance(each, Mapping)
        ]
        stated = {str(each.get("criterion")): each for each in listed}
        verdicts, taken = [], []
        for criterion in sorted(self.protocol.criteria, key=lambda each: GATES.index(each.gate)):
            field = f"verdicts > {criterion.id}"
            if criterion.id not in stated:
                self._note(EVIDENCE, field, "the protocol asks for this criterion, and it has no verdict")
                verdicts.append(not_judged(criterion, "no verdict is recorded"))
                continue
            try:
                verdict, again = self._judged_again(criterion, evidence, stated[criterion.id], field)
            except (HarnessError, ValueError) as error:
                self._note(EVIDENCE, field, str(error))
                verdict, again = not_judged(criterion, "its verdict cannot be read"), True
            verdicts.append(verdict)
            taken += [] if again else [criterion.id]
        if taken:
            self.not_recomputed.append(
                f"what {', '.join(taken)} were decided on, or why they were not: the pack records it, and "
                "nothing in it measures it"
            )
        return tuple(verdicts)

    def _judged_again(
        self, criterion: Criterion, evidence: RecordedMeasurements, stated: Mapping[str, Any], field: str
    ) -> tuple[Verdict, bool]:
        """The verdict that follows, and whether it follows from more than the record of it."""
        outcome, reason = stated.get("outcome"), recorded(str, stated.get("reason"), where=f"{field} > reason")
        if outcome not in list(Outcome):
            raise EvidenceError(f"{outcome!r} is not an outcome")
        if outcome == Outcome.NOT_JUDGED:
            return not_judged(criterion, reason), False
        held: Estimate | None = decoded(Estimate | None, stated.get("estimate"), f"{field} > estimate")
        try:
            return ask(criterion, evidence, today=self.day), True
        except NotRecorded:
            found = self._as_recorded(criterion, held, stated, reason, field)
        return decide(criterion, found, evidence, today=self.day, family=()), False

    def _as_recorded(
        self, criterion: Criterion, held: Estimate | None, stated: Mapping[str, Any], reason: str, field: str
    ) -> Estimate | Unavailable:
        """What a criterion was decided on where nothing in the pack measures it; a count still counts what it lists."""
        if stated["outcome"] == Outcome.NOT_ASSESSED:
            return self._unavailable(criterion, stated, reason)
        if held is None:
            raise EvidenceError(f"{stated['outcome']!r} without an estimate")
        if criterion.question not in ("training", "reproducibility", "split", "robustness"):
            self._note(EVIDENCE, field, f"{stated['outcome']} is written, and what it rests on is not in the pack")
        if criterion.entry.unit == "count":
            return exact_count(criterion.metric, criterion.set, held.details, of=held.n)
        return held

    def _unavailable(self, criterion: Criterion, stated: Mapping[str, Any], reason: str) -> Unavailable:
        """Why the criterion could not be assessed, without what `judge` says of its waiver."""
        where = f"verdicts > {criterion.id} > unavailable"
        held: Unavailable | None = decoded(Unavailable | None, stated.get("unavailable"), where)
        if self.pack.evidence["schema"] in WITHOUT_PATHS:
            held = self._unavailable_of_old(criterion, reason)
        if held is None:
            raise EvidenceError(f"{where} does not say why it was not assessed")
        unasked = nobody_asked(
            criterion.metric,
            criterion.question,
            criterion.set,
            self.model or self.given,
            without_baseline=self.baseline is None and self.protocol.baseline.needed == "optional",
            unpinned=self.protocol.dataset.digest is None,
        )
        return replace(held, not_asked=unasked and stated.get("not_asked") is not False)

    def _unavailable_of_old(self, criterion: Criterion, reason: str) -> Unavailable:
        """The same of a pack of schema 2 or 3, whose reason ends with what was said of the waiver."""
        waiver = self.protocol.waiver_for(criterion.id)
        if waiver is not None and waiver.expires < self.day:
            expired = f"; the waiver of {waiver.owner} expired on {waiver.expires.isoformat()}"
            return Unavailable(reason.removesuffix(expired))
        waivable = waiver is None or not reason.endswith(NOT_WAIVABLE)
        return Unavailable(reason if waivable else reason.removesuffix(NOT_WAIVABLE), waivable=waivable)
