"""One validation run: every stage a property that is computed once, in the order in which data flows.

Knows nothing of pytest: the fixtures in fixtures/pipeline.py name these stages one by one, and the evidence pack is
written from `results`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.core.digests import digest_of
from harness.core.errors import DataError, InvalidPredictions
from harness.core.files import write_atomically
from harness.core.progress import Report
from harness.core.text import first_few
from harness.data.expectations import Asked, expected_by_user
from harness.data.hashing import ImageHashes, hash_images
from harness.data.integrity import inspect
from harness.data.leakage import DuplicatePair, find_duplicates, unsearchable
from harness.data.manifest import read_manifest
from harness.data.metadata import SetFacts, read_facts
from harness.data.records import CellImage, IntegrityReport, Manifest, Split
from harness.data.split import check_split, read_split, split_stratified
from harness.judge.criteria import level_at
from harness.judge.ledger import cells_digest, look_number, read_ledger, record_look
from harness.judge.pretrained import unasked
from harness.metrics.calibration import calibration_report
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.classification import DISPLAY_LEVEL, evaluate
from harness.metrics.comparison import Comparison, compare, refuse_other_cells
from harness.metrics.detection import Detection, detect, strangeness
from harness.metrics.deviations import training_deviations
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.fits import FITTING_PARTS, Fit, fit_of, fits_on_judged_cells
from harness.metrics.leakage import dependent_sets, leakage
from harness.metrics.predictions import Predictions, predictions_of
from harness.metrics.provenance import Provenance, compare_provenance, fingerprint
from harness.metrics.robustness import FlipRate, SeverityCurve, flip_rates, severity_curves
from harness.metrics.shortcuts import ShortcutReport, find_shortcuts
from harness.metrics.stability import Robustness
from harness.model.classifier import load_classifier, predict
from harness.model.devices import choose_device
from harness.model.exports import CLASSIFIER, EXPORT, Claims, classifier_bytes, export_learner
from harness.model.judged import ModelFile
from harness.model.preprocessing import CellPixels, decode_all
from harness.model.records import JudgedModel, Timing, TrainingRecord
from harness.model.scenarios import Scenario, scenarios
from harness.model.stress import outlook, stressed
from harness.model.training import best_weights, read_training_record, train
from harness.model.weights import find_weights_file, read_tensors
from harness.protocol.records import PARTS, REPRODUCIBILITY_METRICS, Criterion, ExternalPlan, ImageRules, Protocol
from harness.run.export_check import exported_differences
from harness.run.reproduction import differences, reproduce
from harness.run.results import Baseline, ProcessDigests, SetSummary
from harness.run.store import Store, code_digest

PACKAGE = Path(__file__).resolve().parent
# The sources that decide what a stage makes; the rooms after it (judge, evidence) do not.
STAGE_CODE = tuple(
    PACKAGE / name for name in ("data", "model", "protocol.py", "protocol_file.py", "records.py", "run.py")
)
# Findings after which nothing can be computed; the others are judged, and the run goes on.
BLOCKING_RULES = ("contract_violations", "unreadable_images", "missing_files")
EXPORT_CHECK_IMAGES = 20
# Questions whose criteria are judged on cells that training must not know, so that looks at them are counted.
LOOKING = ("accuracy", "regression", "calibration", "robustness", "external")
STRANGENESS = "strangeness"
SHORTCUT_ALPHA = 0.01  # of any false finding among all headers that are tested
KEPT = "predictions.npz"
# For a set of which the protocol says nothing: whatever becomes RGB without a guess. Public sets of TIFF files have a
# channel of opacity that says nothing; one that does is a finding (`harness.data.decoding.facts_of`).
UNDECLARED = ImageRules(formats=("JPEG", "PNG", "BMP", "TIFF"), modes=("RGB", "RGBA"), min_side_px=1, max_side_px=4096)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says, beside the protocol.

    run_id:    what the run is called in the ledger and in its pack.
    external:  set name -> folder.
    synthetic: the names of the sets that were drawn; "dataset" is the one that is split.
    ledger:    the file in which every look at a test or external set is recorded.
    baseline:  the run that this one is compared with, if any.
    model:     the classifier that is judged instead of training one, if any.
    """

    run_id: str
    data: Path
    external: Mapping[str, Path]
    synthetic: frozenset[str]
    split_file: Path | None
    device: str
    workers: int
    ledger: Path
    baseline: Baseline | None = None
    model: ModelFile | None = None


def beside(data: Path) -> Path:
    """The folder that holds the data folder; of a CSV, the one that holds the folder that it lies in."""
    folder = data if data.is_dir() else data.parent
    return folder.resolve().parent


class Run:
    """The stages of one run over one protocol. Each is computed when it is first asked for."""

    def __init__(self, protocol: Protocol, options: RunOptions, *, store: Store, progress: Report) -> None:
        self.protocol, self.options = protocol, options
        self.device = choose_device(options.device)  # one that is not there ends the run before it begins
        self._store, self._progress = store, progress
        self._predictions: dict[tuple[str, int], Predictions] = {}
        self._models: dict[int, Path] = {}  # training seed -> the folder with its weights
        self._set_facts: dict[str, SetFacts] = {}
        self._comparisons: dict[str, Comparison] = {}
        self._calibrations: dict[str, CalibrationReport] = {}
        self._timings: dict[str, Timing] = {}
        self.looks: dict[str, int] = {}  # set -> the number of this look at it
        self.scored: dict[str, tuple[str, ...]] = {}  # set -> digests of the cells that the network was shown

    # --- data ---

    @cached_property
    def manifest(self) -> Manifest:
        return read_manifest(self.options.data, name="dataset", classes=self.classes, workers=self.options.workers)

    @cached_property
    def integrity(self) -> IntegrityReport:
        plan = self.protocol.dataset
        return self._inspected(self.manifest, plan.images, plan.images_per_class, further=expected_by_user(plan))

    @cached_property
    def split(self) -> Split:
        """The split in use, after integrity found nothing that forbids one.

        Raises:
            DataError: integrity found images that cannot be used.
        """
        _refuse_blocked(self.manifest, self.integrity)
        if self.options.split_file is not None:
            split = read_split(self.options.split_file, self.manifest)
        else:
            split = split_stratified(self.manifest, self.protocol.split)
        self._refuse_other_test_part(split)
        return split

    @cached_property
    def split_checks(self) -> Mapping[str, tuple[str, ...]]:
        """Split metric -> what is wrong, one line each."""
        return check_split(self.split, self.manifest, self.protocol.split)

    @cached_property
    def listed(self) -> Mapping[str, Manifest | Unavailable]:
        """Every external set of protocol and command line as it lies there, or why its images cannot be looked at."""
        sets: dict[str, Manifest | Unavailable] = {}
        for name in dict.fromkeys([*(plan.name for plan in self.protocol.external), *self.options.external]):
            folder = self.options.external.get(name)
            if folder is None:
                sets[name] = Unavailable(
                    f"external set {name} is not there: no --external {name}=DIR, no folder {name} beside the data"
                )
                continue
            manifest = read_manifest(folder, name=name, classes=self.classes, workers=self.options.workers)
            sets[name] = self._intact(manifest)
        return sets

    @cached_property
    def external(self) -> Mapping[str, Manifest | Unavailable]:
        """Every external set as it may be scored, or why not: also one that holds files of the dataset."""
        return {
            name: self._apart(found) if isinstance(found, Manifest) else found for name, found in self.listed.items()
        }

    # --- independence ---

    @property
    def _comparable(self) -> tuple[Manifest, ...]:
        """The external sets whose pictures are compared with the dataset's: those that hold copies of it above all."""
        return tuple(found for found in self.listed.values() if isinstance(found, Manifest))

    @cached_property
    def hashes(self) -> tuple[ImageHashes, ...]:
        """What each picture of the dataset and of the external sets is compared by."""
        sets = [(self.manifest, self.protocol.dataset.images)]
        sets += [(manifest, self._external_rules(manifest.name)) for manifest in self._comparable]
        return tuple(
            hash_images(
                manifest.images,
                manifest.root,
                set_name=manifest.name,
                rules=rules,
                workers=self.options.workers,
                progress=self._progress,
            )
            for manifest, rules in sets
        )

    @cached_property
    def duplicates(self) -> tuple[DuplicatePair, ...]:
        """Every picture that is in two places, within and across the dataset and the external sets."""
        return find_duplicates(self.hashes, workers=self.options.workers)

    @cached_property
    def shortcuts(self) -> ShortcutReport:
        """What can be guessed of a class from headers, borders, coarse pixels and names."""
        rng = np.random.default_rng(self.protocol.split.seed)
        return find_shortcuts(self._facts(self.manifest), alpha=SHORTCUT_ALPHA, level=DISPLAY_LEVEL, rng=rng)

    @cached_property
    def provenance(self) -> Mapping[str, Provenance]:
        """External set -> what its images say of where they come from, beside the dataset's."""
        source = fingerprint(self._facts(self.manifest), name="dataset")
        rng = np.random.default_rng(self.protocol.split.seed)
        return {
            each.name: compare_provenance(
                source,
                fingerprint(self._facts(each), name=each.name),
                alpha=SHORTCUT_ALPHA,
                level=DISPLAY_LEVEL,
                rng=rng,
            )
            for each in self._comparable
        }

    @cached_property
    def leakage_checks(self) -> Mapping[str, tuple[str, ...]]:
        """Leakage metric -> what is wrong, one line each."""
        return leakage(self.duplicates, self.shortcuts, self.split)

    @cached_property
    def dependent_sets(self) -> Mapping[str, str]:
        """External set -> what in its images speaks against its independence of the dataset."""
        units = {each.name: {image.unit for image in each.images} for each in (self.manifest, *self._comparable)}
        return dependent_sets(self.duplicates, self.provenance, units)

    def _facts(self, manifest: Manifest) -> SetFacts:
        if manifest.name not in self._set_facts:
            rules = self.protocol.dataset.images if manifest is self.manifest else self._external_rules(manifest.name)
            self._set_facts[manifest.name] = read_facts(
                manifest.images,
                manifest.root,
                formats=rules.formats,
                workers=self.options.workers,
                progress=self._progress,
                label=f"reading headers of {manifest.name}",
            )
        return self._set_facts[manifest.name]

    # --- model ---

    @cached_property
    def processes(self) -> tuple[ProcessDigests, ...]:
        """What fresh processes got from a small training under different conditions."""
        plan = self.protocol
        key = {
            "protocol": [
                part.model_dump(mode="json") for part in (plan.dataset, plan.split, plan.training, plan.reproducibility)
            ],
            "data": self.manifest.digest,
            "split": self.split.digest,
            "code": code_digest(*STAGE_CODE),
            "versions": _versions(),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
        }

        def make(folder: Path) -> None:
            self._progress("small training in two fresh processes", 0, 1, "")
            found = reproduce(
                self.protocol,
                data=self.options.data,
                split_file=self.options.split_file,
                device=self.device.type,
            )
            _write_json(folder / "processes.json", [asdict(process) for process in found])
            self._progress("small training in two fresh processes", 1, 1, "")

        folder = self._store.fetch("reproducibility", key, make)
        return tuple(ProcessDigests(**process) for process in _read_json(folder / "processes.json"))

    @cached_property
    def reproducibility_checks(self) -> Mapping[str, tuple[str, ...]]:
        fields = ("split", "losses", "weights", "predictions")
        return {
            metric: differences(self.processes, field)
            for metric, field in zip(REPRODUCIBILITY_METRICS, fields, strict=True)
        }

    @cached_property
    def model(self) -> JudgedModel | None:
        """The classifier that is judged instead of training one, with what is known of the cells it was trained on."""
        given = self.options.model
        if given is None:
            return None
        # Not by `_fit`: no external set has a say here, and one that cannot be read must not cost the report.
        own = {part: fit_of("", part, self.split.part(part), judged={}).cells for part in FITTING_PARTS}
        told = {part: getattr(given.claims, part) for part in FITTING_PARTS}
        if any(told.values()):
            return replace(given.record, cells="stated by the file" if told == own else "others than this split's")
        # A CSV given as --data may have a split column; only --split says that the classifier was trained with it.
        named = self.options.split_file not in (None, self.options.data)
        return replace(given.record, cells="stated by the split file" if named else "unknown")

    def unasked(self, criterion: Criterion) -> Unavailable | None:
        """Why a criterion is not asked of the judged classifier; None where it is."""
        return unasked(criterion, self.model)

    @cached_property
    def models(self) -> Path:
        """The folder with the judged classifier's weights of every phase and `training.json`."""
        return self._trained(self.protocol.training.seed)

    def _trained(self, seed: int) -> Path:
        if seed not in self._models:
            self._models[seed] = self._train(seed)
        return self._models[seed]

    def _train(self, seed: int) -> Path:
        # What other seeds are trained beside it changes nothing in a training.
        plan = self.protocol.training.model_copy(update={"seed": seed, "seeds": ()})
        weights_file = find_weights_file(
            plan.weights, near=(self.protocol.source.resolve().parent, beside(self.options.data))
        )
        key = {
            "plan": plan.model_dump(mode="json"),
            "classes": self.classes,
            "train": _contents(self.split.train),
            "validation": _contents(self.split.validation),
            "formats": self.protocol.dataset.images.formats,
            "code": code_digest(*STAGE_CODE),
            "versions": _versions(),
            "device": self.device.type,
            "threads": torch.get_num_threads(),  # the order of summation, and so the last bit, follows it
        }

        def make(folder: Path) -> None:
            train(
                plan,
                train=self._cells("train", oversampling=plan.augmentation.oversampling),
                validation=self._cells("validation"),
                n_classes=len(self.classes),
                weights_file=weights_file,
                device=self.device,
                folder=folder,
                progress=self._progress,
            )

        return self._store.fetch("training", key, make)

    @cached_property
    def training(self) -> TrainingRecord:
        return read_training_record(self.models)

    @cached_property
    def kept_model(self) -> Path:
        """The folder with the judged file, as it was read, and with its weights."""
        given = self.options.model
        assert given is not None  # asked for by --model alone
        key = {"sha256": given.record.sha256, "weights": given.record.weights_digest, "claims": asdict(given.claims)}
        return self._store.fetch("model", key, given.keep)

    @cached_property
    def weights_digest(self) -> str:
        """Of the classifier that is judged, whether it was trained here or not."""
        return self._weights_digest(self.protocol.training.seed)

    def _weights_digest(self, seed: int) -> str:
        given = self.options.model
        return given.record.weights_digest if given else read_training_record(self._trained(seed)).weights_digest

    def _weights(self, seed: int) -> Path:
        if self.options.model is not None:
            return self.kept_model / CLASSIFIER
        return self._trained(seed) / best_weights(self.protocol.training.phases[-1].name)

    @cached_property
    def classifier(self) -> nn.Sequential:
        """The judged network in evaluation mode on the run's device: that of the last phase, where one was trained."""
        return self._loaded(self._weights(self.protocol.training.seed), self.device)

    @cached_property
    def export(self) -> Path:
        """The file `export.pkl` with, beside it, what opening it in a fresh process showed, and the safe format."""
        plan = self.protocol.training
        claims = Claims(
            classes=self.classes,
            architecture=plan.architecture,
            image_size_px=plan.image_size_px,
            resize=plan.resize,
            normalisation=plan.normalisation,
            protocol=self.protocol.identity.id,
            **{part: self._fit("", part).cells for part in FITTING_PARTS},
        )
        key = {
            "weights": self.training.weights_digest,
            "claims": asdict(claims),
            "validation": self.predictions("validation").digest,
            "code": code_digest(*STAGE_CODE),
            "versions": _versions(),
        }

        def make(folder: Path) -> None:
            weights = self._weights(plan.seed)
            write_atomically(folder / CLASSIFIER, classifier_bytes(read_tensors(weights, sha256=None), claims))
            model = self._loaded(weights, torch.device("cpu"))
            path = folder / EXPORT
            export_learner(model, classes=self.classes, size_px=plan.image_size_px, resize=plan.resize, path=path)
            self._progress("export.pkl in a fresh process", 0, 1, "")
            some = _some_cells(self.predictions("validation"), EXPORT_CHECK_IMAGES)
            _write_json(folder / "differences.json", exported_differences(path, some, self.manifest.root))
            self._progress("export.pkl in a fresh process", 1, 1, "")

        return self._store.fetch("export", key, make) / EXPORT

    @cached_property
    def training_checks(self) -> Mapping[str, tuple[str, ...]]:
        """Training metric -> what is wrong, one line each; of a judged classifier those that are asked of it."""
        if (given := self.options.model) is not None:
            found = {"judged_cells_in_fits": fits_on_judged_cells(self.fits)}
            if given.record.format == "fastai pickle":
                some = _some_cells(self.predictions("validation"), EXPORT_CHECK_IMAGES)
                file = self.kept_model / given.stored_as
                found["exported_model_differences"] = exported_differences(file, some, self.manifest.root)
            return found
        return {
            **training_deviations(self.training, self.protocol.training),
            "judged_cells_in_fits": fits_on_judged_cells(self.fits),
            "exported_model_differences": tuple(_read_json(self.export.with_name("differences.json"))),
        }

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """Everything that takes a value from cells, with the cells; the sets that are judged must be none of them."""
        trained = [
            ("weights of the network", "train"),
            ("learning rate that the finder suggests (reported; the protocol's is used)", "train"),
            ("kept epoch of each phase, and when it stops early", "validation"),
        ]
        if self.model is not None:  # what it was fitted on is somebody's word, or not known
            told = f"{self.model.cells}, not seen by this run"
            trained = [(f"weights of the network ({told})", "train"), (f"kept epoch ({told})", "validation")]
            trained = trained if self.model.knows_its_cells else []
        afterwards = [
            ("temperature (reported; predictions are judged without it)", "validation"),
            ("threshold of the conformal sets", "validation"),
        ]
        return tuple(self._fit(what, on) for what, on in (*trained, *afterwards))

    def _fit(self, what: str, on: str) -> Fit:
        judged = {"test": self.split.test} | {
            name: found.images for name, found in self.external.items() if isinstance(found, Manifest)
        }
        return fit_of(what, on, self.split.part(on), judged=judged)

    # --- predictions ---

    def predictions(self, set_name: str) -> Predictions:
        """The classifier's probabilities for one part or external set; scored once, then kept.

        Each set that training must not know is put on the ledger when it is looked at.

        Raises:
            DataError: the external set is not there; ask `external` first.
        """
        return self._predictions_of(set_name, self.protocol.training.seed)

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        """The confusion matrix of one part or external set, or why there is none."""
        missing = self._missing(set_name)
        return missing if missing is not None else self._evaluate(self.predictions(set_name))

    def seed_evaluations(self, set_name: str) -> dict[int, Evaluation]:
        """The evaluation of every seed's classifier on one part, the judged one among them."""
        # First on the ledger: seeds that a killed run had looked at before would count as a choice made by another run.
        self.predictions(set_name)
        return {
            seed: self._evaluate(self._predictions_of(set_name, seed)) for seed in self.protocol.training.every_seed
        }

    def level(self, criterion: Criterion) -> float:
        """The level of the bounds that this criterion acts on; looks at its set before this one raise it."""
        # Where the budget of looks is spent, the bounds are shown at the protocol's level, and nothing passes.
        return level_at(self.protocol, criterion, self.look(criterion)) or criterion.level

    def look(self, criterion: Criterion) -> int | None:
        """Which look at its set this criterion is judged at; None where looks are not counted, or the set is absent."""
        if criterion.question not in LOOKING or self._missing(criterion.set) is not None:
            return None
        self.predictions(criterion.set)
        return self.looks.get(criterion.set)

    def comparison(self, set_name: str) -> Comparison | Unavailable:
        """Candidate and baseline on one set, or why they are not compared."""
        baseline = self.options.baseline
        if baseline is None:
            optional = self.protocol.baseline.needed == "optional"
            return Unavailable("no baseline given (--baseline PACK)", not_asked=optional)
        if (missing := self._missing(set_name)) is not None:
            return missing
        if set_name not in baseline.predictions:
            return Unavailable(f"baseline {baseline.run_id} has no predictions of {set_name}")
        if set_name not in self._comparisons:
            self._comparisons[set_name] = compare(
                self.predictions(set_name), baseline.predictions[set_name], baseline_run=baseline.run_id
            )
        return self._comparisons[set_name]

    def calibration(self, set_name: str) -> CalibrationReport | Unavailable:
        """How far the confidences on one set can be believed; whatever is fitted is fitted on validation."""
        if (missing := self._missing(set_name)) is not None:
            return missing
        if set_name not in self._calibrations:
            plan, prevalence = self.protocol.calibration, self.protocol.prevalence
            self._calibrations[set_name] = calibration_report(
                self.predictions("validation"),
                self.predictions(set_name),
                n_bins=plan.n_bins,
                binning="equal-width",
                alpha=plan.miscoverage,
                level=DISPLAY_LEVEL,
                prevalence=prevalence.shares if prevalence is not None else None,
                seed=self.protocol.training.seed,
            )
        return self._calibrations[set_name]

    @cached_property
    def stress(self) -> dict[str, np.ndarray]:
        """What the network says of the test part disturbed and turned, and how strange inputs look to it.

        Keys as `model.stress` gives them; rows of the test part in the order of its predictions.
        """
        plan, robustness, detection = self.protocol.training, self.protocol.robustness, self.protocol.detection
        batch_size = self.protocol.throughput.batch_size
        key = {
            "weights": self.weights_digest,
            "parts": [_contents(self.split.part(name)) for name in PARTS],
            "robustness": robustness and robustness.model_dump(mode="json"),
            "detection": detection and detection.model_dump(mode="json"),
            "pixels": [plan.image_size_px, plan.resize, plan.normalisation],
            "batch_size": batch_size,
            "code": code_digest(*STAGE_CODE),
            "versions": _versions(),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
        }

        def make(folder: Path) -> None:
            test, classifier = self._cells("test"), self.classifier
            found: dict[str, np.ndarray] = {}
            if robustness is not None:
                found |= stressed(
                    classifier, test, robustness, device=self.device, batch_size=batch_size, progress=self._progress
                )
            if detection is not None:
                train_cells = self._cells("train")
                seen = outlook(
                    classifier,
                    detection,
                    train=train_cells,
                    sets={"test": test, detection.reference: self._cells(detection.reference)},
                    device=self.device,
                    batch_size=batch_size,
                    progress=self._progress,
                )
                scores = strangeness(detection.score, seen, train_labels=train_cells.labels)
                found |= {f"{STRANGENESS} {name}": values for name, values in scores.items()}
            found["digests"] = np.array([image.sha256 for image in test.images])
            np.savez(folder / KEPT, **found)  # type: ignore[arg-type]  # its stub takes any keyword for allow_pickle

        folder = self._store.fetch("robustness", key, make)
        with np.load(folder / KEPT) as kept:
            row = {digest: index for index, digest in enumerate(kept["digests"].tolist())}
            order = [row[image.sha256] for image in self.split.test]
            aligned = {name: kept[name] for name in kept.files if name != "digests"}
        own = f"{STRANGENESS} "
        return {
            name: values[order] if not name.startswith(own) or name == f"{own}test" else values
            for name, values in aligned.items()
        }

    def robustness(self, *, level: float) -> Robustness:
        """Severity curves, flip rates and detection with one-sided bounds at `level`."""
        plan, clean = self.protocol, self.predictions("test")
        correlation = plan.clusters.intracluster_correlation

        def said(name: str) -> Predictions:
            return replace(clean, probabilities=self.stress[name])

        curves: tuple[SeverityCurve, ...] = ()
        flips: tuple[FlipRate, ...] = ()
        detection: Detection | None = None
        if plan.robustness is not None:
            disturbed = {
                (kind, severity): said(f"{kind} {severity}")
                for kind in plan.robustness.kinds
                for severity in plan.robustness.severities
            }
            curves = severity_curves(clean, disturbed, intracluster_correlation=correlation, level=level)
            transformed = {name: said(name) for name in plan.robustness.invariances}
            flips = flip_rates(clean, transformed, intracluster_correlation=correlation, level=level)
        own = f"{STRANGENESS} "
        strange = {name.removeprefix(own): v for name, v in self.stress.items() if name.startswith(own)}
        if plan.detection is not None:
            detection = detect(
                score=plan.detection.score,
                set_name="test",
                cells=strange["test"],
                reference=plan.detection.reference,
                reference_cells=strange[plan.detection.reference],
                others={kind: strange[kind] for kind in plan.detection.kinds},
                tpr=plan.detection.true_positive_rate,
                level=level,
            )
        return Robustness(curves, flips, detection, strange)

    # --- speed ---

    @cached_property
    def scenarios(self) -> Mapping[str, Scenario]:
        """Throughput metric -> what to time."""
        return scenarios(
            self.classifier,
            [self.manifest.root / image.path for image in self.split.test],
            training=self.protocol.training,
            formats=self.protocol.dataset.images.formats,
            plan=self.protocol.throughput,
            device=self.device,
            workers=self.options.workers,
        )

    def timing(self, metric: str, measure: Callable[[Scenario], Iterable[float] | None]) -> Timing | Unavailable:
        """The timing of one metric on this run's device: measured once by `measure`, then kept."""
        if metric not in self._timings:
            samples = measure(self.scenarios[metric])
            if samples is None:
                return Unavailable("timing is switched off (--benchmark-disable)", waivable=False)
            self._timings[metric] = self.scenarios[metric].timing(tuple(samples))
        return self._timings[metric]

    # --- evidence ---

    def reached(self) -> dict[str, Any]:
        """The fields of `RunResults` whose stages ran; a stage that nobody asked for is not started for the report."""
        done = self.__dict__  # where cached_property keeps what it computed
        names, seed = [*PARTS, *(self.external if "listed" in done else ())], self.protocol.training.seed
        predictions = {name: self._predictions[name, seed] for name in names if (name, seed) in self._predictions}
        return {
            "integrity": done.get("integrity"),
            "split": done.get("split"),
            "training": done.get("training"),
            "model": self.model if "split" in done else self.options.model and self.options.model.record,
            "reproducibility": done.get("processes", ()),
            "predictions": predictions,
            "evaluations": {name: self._evaluate(found) for name, found in predictions.items()},
            "seed_predictions": {s: found for (name, s), found in self._predictions.items() if name == "test"}
            if len(self.protocol.training.every_seed) > 1 and self.options.model is None
            else {},
            "baseline": self.options.baseline,
            "comparisons": dict(self._comparisons),
            "calibrations": self._confidences(predictions),
            "duplicates": done.get("duplicates"),
            "uncompared": unsearchable(done["hashes"]) if "hashes" in done else (),
            "shortcuts": done.get("shortcuts"),
            "provenance": dict(done.get("provenance", {})),
            "robustness": self.robustness(level=DISPLAY_LEVEL) if "stress" in done else None,
            "fits": done.get("fits", ()),
            "looks": dict(self.looks),
            "ledger": read_ledger(self.options.ledger) if self.looks else (),
            "timings": tuple(self._timings.values()),
            "sets": self._summaries(),
            "stages": tuple(self._store.records),
        }

    def _confidences(self, predictions: Mapping[str, Predictions]) -> dict[str, CalibrationReport]:
        """The calibration of every judged set that was scored, whether or not a criterion asks for it."""
        names = [name for name in predictions if name not in ("train", "validation")]
        found = {name: self.calibration(name) for name in names} if "validation" in predictions else {}
        return {name: each for name, each in found.items() if not isinstance(each, Unavailable)}

    def model_files(self) -> dict[str, Path]:
        """File name -> file of every model that this run made, or of the one that it judged."""
        done, files = self.__dict__, {}
        if "models" in done:
            names = [best_weights(phase.name) for phase in self.protocol.training.phases]
            files = {name: done["models"] / name for name in names}
        if "export" in done:
            files |= {name: done["export"].with_name(name) for name in (EXPORT, CLASSIFIER)}
        if self.options.model is not None and "manifest" in done:  # judged or not, the record names it
            name = self.options.model.stored_as
            files[name] = self.kept_model / name
        return files

    @property
    def classes(self) -> tuple[str, ...]:
        return self.protocol.dataset.classes

    def _missing(self, set_name: str) -> Unavailable | None:
        """Why an external set cannot be had; None for one that is there, and for the dataset's parts."""
        found = None if set_name in PARTS else self.external[set_name]
        return found if isinstance(found, Unavailable) else None

    def _evaluate(self, predictions: Predictions) -> Evaluation:
        return evaluate(predictions, intracluster_correlation=self.protocol.clusters.intracluster_correlation)

    def _loaded(self, weights: Path, device: torch.device) -> nn.Sequential:
        plan = self.protocol.training
        return load_classifier(
            weights,
            architecture=plan.architecture,
            normalisation=plan.normalisation,
            n_classes=len(self.classes),
            device=device,
        )

    def _predictions_of(self, set_name: str, seed: int) -> Predictions:
        if (set_name, seed) not in self._predictions:
            predictions = self._predicted(set_name, seed)
            if set_name not in ("train", "validation"):
                self._record_look(predictions, seed)
            self._predictions[set_name, seed] = predictions
        return self._predictions[set_name, seed]

    def _record_look(self, predictions: Predictions, seed: int) -> None:
        """On the ledger before anybody sees a number; a seed that is only reported is recorded, and no look."""
        name = predictions.set
        source = self.manifest if name in PARTS else self.external[name]
        assert isinstance(source, Manifest)  # a set that is not there has no predictions
        judged = seed == self.protocol.training.seed
        look = record_look(
            self.options.ledger,
            run=self.options.run_id,
            set=name,
            source=digest_of(sorted(image.sha256 for image in source.images)),
            cells=cells_digest(predictions),
            n=len(predictions.digests),
            model=self._weights_digest(seed),
            predictions=predictions.digest,
            protocol=self.protocol.digest,
            role="judged" if judged else "seed",
        )
        if judged:
            self.looks[name] = look_number(
                read_ledger(self.options.ledger),
                run=look.run,
                source=look.source,
                cells=look.cells,
                predictions=look.predictions,
            )

    def _refuse_other_test_part(self, split: Split) -> None:
        """A baseline of other test cells is refused before the hours of training, not after them."""
        baseline = self.options.baseline
        if baseline is not None and "test" in baseline.predictions:
            refuse_other_cells(
                predictions_of(
                    split.test,
                    np.full((len(split.test), len(self.classes)), 1 / len(self.classes)),
                    set_name="test",
                    classes=self.classes,
                ),
                baseline.predictions["test"],
                baseline_run=baseline.run_id,
            )

    def _summaries(self) -> tuple[SetSummary, ...]:
        done, summaries = self.__dict__, []
        if (manifest := done.get("manifest")) is not None:
            summaries.append(self._summary(manifest, "dataset", self.protocol.dataset.description))
        plans: dict[str, ExternalPlan] = {plan.name: plan for plan in self.protocol.external}
        for name, found in (self.external if "listed" in done else {}).items():
            note = plans[name].description if name in plans else "named on the command line; no criteria"
            if isinstance(found, Unavailable):
                summaries.append(SetSummary(name, "external", 0, {}, "", "", note, absent_because=found.reason))
            else:
                summaries.append(self._summary(found, "external", note))
        return tuple(summaries)

    def _summary(self, manifest: Manifest, role: str, note: str) -> SetSummary:
        return SetSummary(
            name=manifest.name,
            role=role,
            n_images=len(manifest.images),
            counts=manifest.counts,
            digest=manifest.digest,
            location=manifest.root.name,  # the folder's name: a whole path says where a person lives
            note=note,
            synthetic=manifest.name in self.options.synthetic,
        )

    def _external_rules(self, name: str) -> ImageRules:
        for plan in self.protocol.external:
            if plan.name == name:
                return plan.images
        return UNDECLARED

    def _apart(self, manifest: Manifest) -> Manifest | Unavailable:
        """An external set, or why it is none: it holds files of the dataset."""
        own = {image.sha256 for image in self.manifest.images}
        shared = [image.path for image in manifest.images if image.sha256 in own]
        if shared:
            return Unavailable(
                f"set {manifest.name} is not external: {len(shared)} of its {len(manifest.images)} images are also in "
                f"the dataset, first {shared[0]!r}",
                waivable=False,
            )
        return manifest

    def _intact(self, manifest: Manifest) -> Manifest | Unavailable:
        """An external set, or why it is none: it breaks the rules that it was given."""
        findings = self._inspected(manifest, self._external_rules(manifest.name), None).findings
        if findings:
            return Unavailable(
                f"set {manifest.name} is not what was declared: {len(findings)} integrity finding(s), "
                f"first {findings[0]}",
                waivable=False,
            )
        return manifest

    def _inspected(
        self, manifest: Manifest, rules: ImageRules, images_per_class: int | None, *, further: Sequence[Asked] = ()
    ) -> IntegrityReport:
        total = len(manifest.images)
        return inspect(
            manifest,
            images=rules,
            images_per_class=images_per_class,
            workers=self.options.workers,
            further=further,
            progress=lambda done: self._progress(f"inspecting {manifest.name}", done, total, ""),
        )

    def _source(self, set_name: str) -> tuple[tuple[CellImage, ...], Path, ImageRules]:
        """(images, root, rules) of a part of the dataset or of an external set."""
        if set_name in PARTS:
            return self.split.part(set_name), self.manifest.root, self.protocol.dataset.images
        found = self.external[set_name]
        if isinstance(found, Unavailable):
            raise DataError(found.reason)
        return found.images, found.root, self._external_rules(set_name)

    def _cells(self, set_name: str, *, oversampling: int = 1) -> CellPixels:
        """Decoded cells in the order of their content: what a file is called must not reach the network's training."""
        images, root, rules = self._source(set_name)
        plan = self.protocol.training
        return decode_all(
            sorted(images, key=lambda image: image.sha256),
            root,
            classes=self.classes,
            size_px=plan.image_size_px * oversampling,
            resize=plan.resize,
            formats=rules.formats,
            workers=self.options.workers,
            progress=self._progress,
            label=f"decoding {set_name}",
        )

    def _predicted(self, set_name: str, seed: int) -> Predictions:
        images = self._source(set_name)[0]
        plan, judged = self.protocol.training, seed == self.protocol.training.seed
        weights = self._weights(seed)
        key = {
            "weights": self._weights_digest(seed),
            "images": _contents(images),
            "pixels": [plan.image_size_px, plan.resize, plan.normalisation],
            "batch_size": self.protocol.throughput.batch_size,  # sums of another batch may round otherwise
            "code": code_digest(*STAGE_CODE),
            "versions": _versions(),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
        }

        def make(folder: Path) -> None:
            cells = self._cells(set_name)
            probabilities = predict(
                self.classifier if judged else self._loaded(weights, self.device),
                cells,
                device=self.device,
                batch_size=self.protocol.throughput.batch_size,
                progress=self._progress,
                label=f"scoring {set_name}" if judged else f"scoring {set_name}, seed {seed}",
            )
            _refuse_unscored(cells.images, probabilities, set_name=set_name)
            np.savez(folder / KEPT, digests=[image.sha256 for image in cells.images], probabilities=probabilities)

        folder = self._store.fetch(f"predictions-{set_name}", key, make)
        with np.load(folder / KEPT) as kept:
            if judged:
                self.scored[set_name] = tuple(kept["digests"].tolist())
            row = {digest: index for index, digest in enumerate(kept["digests"].tolist())}
            ordered = kept["probabilities"][[row[image.sha256] for image in images]]
        return predictions_of(images, ordered, set_name=set_name, classes=self.classes)


def _refuse_blocked(manifest: Manifest, report: IntegrityReport) -> None:
    blocking = [finding for finding in report.findings if finding.rule in BLOCKING_RULES]
    if blocking:
        listed = "\n".join(f"  {finding}" for finding in first_few(blocking, 10))
        raise DataError(
            f"set {manifest.name!r} cannot be used before {len(blocking)} integrity finding(s) are settled:\n{listed}"
        )


def _refuse_unscored(cells: Sequence[CellImage], probabilities: np.ndarray, *, set_name: str) -> None:
    """Every cell is scored, or none is judged: a dropped last batch made 373 of 375 once."""
    if len(probabilities) != len(cells):
        missing = [cell.path for cell in cells[len(probabilities) :]]
        named = f": without a score are {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}" if missing else ""
        raise InvalidPredictions(
            f"set {set_name}: {len(probabilities)} rows of probabilities for {len(cells)} cells{named}. Score every "
            "cell exactly once; a loader that drops its last batch does not."
        )


def _contents(images: Iterable[CellImage]) -> list[list[str]]:
    """What a stage's key says of images: content and label, whatever the files are called."""
    return sorted([image.sha256, image.label] for image in images)


def _some_cells(predictions: Predictions, count: int) -> Predictions:
    """At most about `count` cells, spread evenly over the set, and so over its classes."""
    every = slice(None, None, max(1, len(predictions.digests) // count))
    return replace(
        predictions,
        paths=predictions.paths[every],
        digests=predictions.digests[every],
        labels=predictions.labels[every],
        probabilities=predictions.probabilities[every],
        groups=predictions.groups[every] if predictions.groups else None,
    )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "torchvision", "fastai", "numpy", "pillow")}


def _write_json(path: Path, value: object) -> None:
    write_atomically(path, json.dumps(value, indent=1).encode())


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
