"""A small, complete run made by hand: numpy only, no torch. What evidence tests draw, render and pack.

Its numbers are made up, yet consistent with one another; its verdicts come from the real judge.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.data.leakage import ListedImage
from harness.data.records import CellImage, Finding, ImageFacts, IntegrityReport, Manifest, Split, sorted_by_path
from harness.data.split import split_stratified
from harness.judge.criteria import complete, judge
from harness.judge.proofs import Proof, Trial
from harness.judge.verdicts import Verdict
from harness.metrics.calibration import calibration_report
from harness.metrics.classification import estimate, evaluate
from harness.metrics.comparison import compare
from harness.metrics.counts import exact_count
from harness.metrics.estimates import Unavailable
from harness.metrics.explanations import Explanations
from harness.metrics.gaps import accuracy_gap
from harness.metrics.predictions import Predictions
from harness.metrics.reproducibility import ProcessDigests
from harness.metrics.timing import latency
from harness.model.records import (
    EpochRecord,
    LearningRateCurve,
    PhaseRecord,
    TimedBlocks,
    Timing,
    TrainingRecord,
    WeightsRecord,
)
from harness.pack.tables import as_json, evidence
from harness.protocol.criteria import Criterion, Waiver
from harness.protocol.datasets import DatasetPlan, ExternalPlan, ImageRules, SplitPlan, SyntheticPlan
from harness.protocol.names import PARTS
from harness.protocol.records import Identity, Protocol
from harness.protocol.reporting import ReportPlan
from harness.protocol.statistics import PrevalencePlan
from harness.protocol.throughput import ThroughputPlan
from harness.protocol.training import (
    AugmentationPlan,
    LearningRateFinderPlan,
    PhasePlan,
    ReproducibilityPlan,
    TrainingPlan,
    WeightsPlan,
)
from harness.report.page import limits_of, render_report
from harness.run.packages import Declared, Package, Packages
from harness.run.results import Baseline, BaselineCheck, RunResults, SetSummary
from harness.run.store import StageRecord

TODAY = date(2026, 1, 15)
PREVALENCE = {"basophil": 0.01, "eosinophil": 0.03, "lymphocyte": 0.3, "monocyte": 0.06, "neutrophil": 0.6}
CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
IMAGES_PER_CLASS = 40
SECOND_LABORATORY = (6, 22, 30, 24, 58)
NINE_MONOCYTES = (0, 0, 0, 9, 0)


# What stands for every figure where none is to be looked at: the first bytes of a PNG.
A_FIGURE = {"class_distribution": b"\x89PNG\r\n\x1a\n"}


def plain_name(cell_class: str, number: int) -> str:
    return f"{cell_class}_{number:03d}.jpg"


def no_picture(key: str) -> bytes:
    """Stands for an image's content where no test opens the file."""
    return key.encode()


NOBODY_ASKED = "these numbers are made up, and there is no classifier to ask"


def example_run(
    *,
    file_name: Callable[[str, int], str] = plain_name,
    content: Callable[[str], bytes] = no_picture,
    n_wrong: int = 3,
    environment: dict[str, str] | None = None,
    forged: Callable[[Split], Split] = lambda drawn: drawn,
    figures: bool = True,
) -> RunResults:
    """A run that went to its end.

    Args:
        file_name: makes the name of an image file from its class and number.
        content: makes the bytes of an image file from a key that no other image has.
        n_wrong: how many test cells are misclassified.
        environment: overrides single entries.
        forged: makes another split of the one that was drawn; everything else follows from it.
        figures: what its protocol says of them; to draw them takes most of the time that writing its pack takes.
    """
    protocol = example_protocol()
    if not figures:
        protocol = protocol.model_copy(update={"report": ReportPlan(figures=False)})
    dataset = _images("dataset", (IMAGES_PER_CLASS,) * len(CLASSES), file_name, content)
    split = forged(split_stratified(Manifest("dataset", Path(), CLASSES, dataset), protocol.split))
    externals = {
        "second-laboratory": _images("second-laboratory", SECOND_LABORATORY, file_name, content),
        "nine-monocytes": _images("nine-monocytes", NINE_MONOCYTES, file_name, content),
    }
    wrong = {"train": 1, "validation": 1, "test": n_wrong, "second-laboratory": 31, "nine-monocytes": 0}
    predictions = {
        name: _predictions(name, images, wrong[name], seed)
        for seed, (name, images) in enumerate({**{part: split.part(part) for part in PARTS}, **externals}.items())
    }
    sets = {"dataset": dataset, **externals}
    before = _predictions("test", split.test, 1, 99)
    return RunResults(
        run_id="2026-01-15T093000-3f2a",
        started_at="2026-01-15T09:30:00+00:00",
        seconds=312.4,
        command="pytest suites/ --device cpu",
        protocol=protocol,
        environment=example_environment() | (environment or {}),
        proof=example_proof(),
        explanations=Explanations({}, no_maps=NOBODY_ASKED, no_nearest=NOBODY_ASKED),
        uncompared=(ListedImage("dataset", "basophil/smooth.png", "basophil"),),
        packages=example_packages(),
        verdicts=_verdicts(protocol, predictions),
        sets=(
            *(_summary(name, images) for name, images in sets.items()),
            SetSummary("third-clinic", "external", 0, {}, "", "--external", absent_because="no such folder"),
        ),
        integrity=_integrity(dataset),
        split=split,
        training=_training(),
        predictions=predictions,
        evaluations={name: evaluate(each) for name, each in predictions.items()},
        seed_predictions={7: before, 42: predictions["test"]},
        baseline=Baseline(
            name="2025-12-01T080000-77aa",
            run_id="2025-12-01T080000-77aa",
            commit=_sha("commit")[:40],
            classes=CLASSES,
            predictions={"test": before},
            protocol_digest=protocol.digest,
            passed=True,
            sums_digest=_sha("sums"),
            check=BaselineCheck(
                not_recomputed=("models/: their digests are checked, their weights are not opened",),
                signed_by=(_sha("author"),),
                vouched_by=(f"{_sha('author')} (Ada, trust.toml)",),
            ),
        ),
        comparisons={"test": compare(predictions["test"], before, baseline_run="2025-12-01T080000-77aa")},
        calibrations={
            name: calibration_report(
                predictions["validation"],
                predictions[name],
                n_bins=15,
                binning="equal-width",
                alpha=0.05,
                level=0.95,
                prevalence=PREVALENCE,
                seed=42,
            )
            for name in ("test", "nine-monocytes")
        },
        looks={"test": 2, "second-laboratory": 1, "nine-monocytes": 1},
        reproducibility=tuple(
            ProcessDigests("cpu, 2 threads, float32", *(_sha(word) for word in ("split", "loss", "weight", "predict")))
            for _ in range(2)
        ),
        timings=_timings(),
        stages=tuple(
            StageRecord(name, seconds, reused, _sha(name))
            for name, seconds, reused in [
                ("manifest", 0.42, False),
                ("integrity", 1.9, False),
                ("split", 0.03, False),
                ("train", 241.0, True),
                ("predict", 6.1, False),
                ("timing", 12.0, False),
            ]
        ),
    )


def stopped_run() -> RunResults:
    """A run that ended at the integrity check: nothing later exists, and no criterion on it was judged."""
    run = example_run()
    kept = [verdict for verdict in run.verdicts if verdict.criterion.question == "integrity"]
    reason = "MissingData: no folder of class 'monocyte' under data/. Name the folder with --data."
    return dataclasses.replace(
        run,
        verdicts=complete(run.protocol, kept, otherwise="not reached: the run stopped before it"),
        sets=run.sets[:1],
        split=None,
        training=None,
        predictions={},
        evaluations={},
        seed_predictions={},
        baseline=None,
        comparisons={},
        calibrations={},
        looks={},
        reproducibility=(),
        timings=(),
        stages=run.stages[:2],
        stopped_because=reason,
    )


def unread_run() -> RunResults:
    """A run that ended before it read an image: the smallest whose pack verifies."""
    run = stopped_run()
    verdicts = complete(run.protocol, (), otherwise="not reached: the run stopped before it")
    return dataclasses.replace(run, verdicts=verdicts, sets=(), integrity=None)


def without_misclassified_cells() -> RunResults:
    return example_run(n_wrong=0)


def example_picture(key: str) -> bytes:
    """A small PNG, a different one for each key."""
    pixels = np.frombuffer(hashlib.sha512(key.encode()).digest()[:48], dtype=np.uint8).reshape(4, 4, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels.repeat(6, axis=0).repeat(6, axis=1)).save(buffer, format="PNG")
    return buffer.getvalue()


def write_example_dataset(root: Path, *, file_name: Callable[[str, int], str] = plain_name) -> Manifest:
    """The dataset of `example_run(file_name=file_name, content=example_picture)`, on disk."""
    images = _images("dataset", (IMAGES_PER_CLASS,) * len(CLASSES), file_name, example_picture)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(IMAGES_PER_CLASS):
            (root / name / file_name(name, number)).write_bytes(example_picture(_key("dataset", name, number)))
    return Manifest("dataset", root, CLASSES, images, ignored=("notes.txt",))


def example_pixels(digests: Sequence[str]) -> dict[str, np.ndarray]:
    """A cell-like picture for each digest, of sizes that differ."""
    return {digest: _cell(int(digest[:8], 16)) for digest in digests}


def example_environment() -> dict[str, str]:
    return {
        "commit": "7de19e4c0ffee7de19e4c0ffee7de19e4c0ffee7",
        "dirty": "False",
        "harness": "0.1.0",
        "python": "3.11.7",
        "torch": "2.13.0+cpu",
        "platform": "Linux-6.1-x86_64",
        "device": "cpu",
        "threads": "2",
    }


def example_packages() -> Packages:
    return Packages(
        installed=(
            Package("numpy", "2.4.6", expression="BSD-3-Clause"),
            Package("torch", "2.13.0+cpu", licences=("BSD",)),
            Package("torchvision", "0.28.0"),
        ),
        declared_in="pyproject.toml",
        requirements=(
            Declared("leukocyte-harness", "torch==2.13.0", None, "2.13.0+cpu"),
            Declared("leukocyte-harness", "torchvision==0.28.0", None, "0.28.0"),
            Declared("leukocyte-harness", "mlflow<4,>=3.17.2", "mlflow", None),
        ),
        tried_in="constraints.txt",
        unlisted=("numpy",),
    )


def example_protocol() -> Protocol:
    rules = ImageRules(formats=("JPEG", "PNG"), min_side_px=64, max_side_px=512)
    return Protocol(
        identity=Identity(
            id="example",
            title="Example protocol",
            version="1.0",
            intended_use="Shows what a report looks like. Five classes of white blood cells, one cell an image.",
        ),
        dataset=DatasetPlan(
            description="Synthetic cells, drawn by tests/example_run.py.",
            classes=CLASSES,
            images_per_class=IMAGES_PER_CLASS,
            images=rules,
            synthetic=SyntheticPlan(seed=1, images_per_class=IMAGES_PER_CLASS, size_px=96),
        ),
        split=SplitPlan(train=0.7, validation=0.15, test=0.15, seed=42),
        training=TrainingPlan(
            architecture="resnet18",
            weights=WeightsPlan(source="none"),
            image_size_px=64,
            resize="squish",
            batch_size=32,
            seed=42,
            precision="float32",
            weight_decay=0.01,
            lr_finder=LearningRateFinderPlan(iterations=60),
            augmentation=AugmentationPlan(
                flips=True,
                max_rotate_deg=180.0,
                min_scale=0.75,
                max_warp=0.2,
                max_lighting=0.5,
                max_hue=0.05,
                max_saturation=0.2,
                p_affine=0.75,
                p_lighting=0.75,
                p_colour=0.5,
            ),
            phases=(
                PhasePlan(
                    name="head", trains="head", learning_rate=1e-3, schedule="one-cycle", max_epochs=20, patience=3
                ),
                PhasePlan(
                    name="all", trains="all", learning_rate=1e-4, schedule="one-cycle", max_epochs=20, patience=5
                ),
            ),
        ),
        reproducibility=ReproducibilityPlan(images_per_class=6, image_size_px=32, epochs=1),
        external=tuple(
            ExternalPlan(name=name, description=description, independence=independence, images=rules)
            for name, description, independence in [
                ("second-laboratory", "Another stain and another camera.", "shown"),
                ("nine-monocytes", "Nine monocytes of the first camera.", "not shown"),
                ("third-clinic", "Promised, never sent.", "shown"),
            ]
        ),
        criteria=_criteria(),
        throughput=ThroughputPlan(warmup_queries=5, queries=100, offline_rounds=5, offline_images=200, batch_size=32),
        prevalence=PrevalencePlan(source="Middle of common adult reference ranges.", shares=PREVALENCE),
        waivers=(
            Waiver(
                criterion="P2",
                reason="No Apple machine is at hand; measured by hand before a release.",
                owner="a maintainer",
                expires=date(2027, 1, 31),
            ),
        ),
        source=Path("suites/protocols/example.toml"),
    )


def _criteria() -> tuple[Criterion, ...]:
    def criterion(
        id: str,
        question: str,
        set: str,
        metric: str,
        *,
        floor: float | None = None,
        ceiling: float | None = None,
        cell_class: str | None = None,
        required: bool = True,
    ) -> Criterion:
        return Criterion.model_validate(
            {
                "id": id,
                "question": question,
                "set": set,
                "metric": metric,
                "floor": floor,
                "ceiling": ceiling,
                "cell_class": cell_class,
                "level": 0.95,
                "rationale": f"Why {id} has this bound: stated by the example, before the run.",
                "required": required,
            }
        )

    return (
        criterion("D1", "integrity", "dataset", "count_mismatches", ceiling=0.0),
        criterion("D2", "integrity", "dataset", "unreadable_images", ceiling=0.0),
        criterion("S1", "split", "dataset", "leaked_units", ceiling=0.0),
        criterion("G1", "reproducibility", "dataset", "loss_differences", ceiling=0.0, required=False),
        criterion("T1", "training", "training", "accuracy_gap", ceiling=0.1, required=False),
        criterion("A1", "accuracy", "test", "accuracy", floor=0.7),
        *(
            criterion(f"R1-{name}", "accuracy", "test", "recall", floor=0.5, cell_class=name, required=False)
            for name in CLASSES
        ),
        criterion("F1-monocyte", "accuracy", "test", "f1", floor=0.9, cell_class="monocyte", required=False),
        criterion("E1", "external", "second-laboratory", "accuracy", floor=0.92),
        criterion("E2", "external", "nine-monocytes", "accuracy", floor=0.92, required=False),
        criterion("E3", "external", "third-clinic", "accuracy", floor=0.8, required=False),
        criterion("P1", "throughput", "cpu", "latency_s", ceiling=0.1),
        criterion("P2", "throughput", "mps", "latency_s", ceiling=0.1),
        criterion("P3", "throughput", "cpu", "images_per_s", floor=20.0, required=False),
    )


def example_proof() -> Proof:
    """Of three planted faults one survived; the control was quiet."""
    caught = Trial("K1", "a training cell is also a test cell", "L1 failed", "L1 failed", True, 9.5)
    survived = Trial("H5", "a figure is <gone>", "exit 1", "nothing complained", False, 3.25)
    control = Trial("C-pack", "the untouched pack verifies", "exit 0", "exit 0", True, 2.0)
    return Proof(
        code=_sha("code"),
        version="0.3.0",
        quick=True,
        made="2026-01-14T20:00:00Z",
        seconds=61.5,
        faults=(caught, caught, survived),
        controls=(control,),
    )


def _verdicts(protocol: Protocol, predictions: dict[str, Predictions]) -> tuple[Verdict, ...]:
    evaluations = {name: evaluate(each) for name, each in predictions.items()}

    def measured(criterion: Criterion) -> Verdict | None:
        if criterion.id == "P2":
            return judge(criterion, Unavailable("this machine has no MPS device"), protocol=protocol, today=TODAY)
        if criterion.set == "third-clinic":
            return judge(
                criterion, Unavailable("external set third-clinic: no such folder"), protocol=protocol, today=TODAY
            )
        if criterion.id == "P3":
            return None
        match criterion.question:
            case "accuracy" | "external":
                found = estimate(
                    evaluations[criterion.set], criterion.metric, cell_class=criterion.cell_class, level=criterion.level
                )
            case "training":
                found = accuracy_gap(evaluations["train"], evaluations["validation"], level=criterion.level)
            case "throughput":
                found = latency(_timings()[0], metric=criterion.metric, level=criterion.level)
            case _:
                of = IMAGES_PER_CLASS * len(CLASSES) if criterion.question == "integrity" else None
                found = exact_count(criterion.metric, criterion.set, (), of=of)
        return judge(criterion, found, protocol=protocol, today=TODAY)

    judged = [verdict for criterion in protocol.criteria if (verdict := measured(criterion)) is not None]
    return complete(protocol, judged, otherwise="its test was deselected")


def _key(set_name: str, cell_class: str, number: int) -> str:
    return f"{set_name}/{cell_class}/{number}"


def _images(
    set_name: str, counts: Sequence[int], file_name: Callable[[str, int], str], content: Callable[[str], bytes]
) -> tuple[CellImage, ...]:
    return sorted_by_path(
        CellImage(
            path=f"{name}/{file_name(name, number)}",
            label=name,
            sha256=hashlib.sha256(content(_key(set_name, name, number))).hexdigest(),
            n_bytes=len(content(_key(set_name, name, number))),
        )
        for name, count in zip(CLASSES, counts, strict=True)
        for number in range(count)
    )


def _predictions(name: str, images: Sequence[CellImage], n_wrong: int, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.array([CLASSES.index(image.label) for image in images], dtype=np.int64)
    said = labels.copy()
    wrong = rng.choice(len(images), size=n_wrong, replace=False)
    said[wrong] = (labels[wrong] + rng.integers(1, 3, size=n_wrong)) % len(CLASSES)
    logits = rng.normal(size=(len(images), len(CLASSES)))
    logits[np.arange(len(images)), said] += rng.uniform(4, 12, size=len(images))
    # Noise must not overrule what was said.
    logits[np.arange(len(images)), said] = np.maximum(logits.max(axis=1) + 0.3, logits[np.arange(len(images)), said])
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Predictions(
        set=name,
        classes=CLASSES,
        paths=tuple(image.path for image in images),
        digests=tuple(image.sha256 for image in images),
        labels=labels,
        probabilities=exponentials / exponentials.sum(axis=1, keepdims=True),
    )


def _summary(name: str, images: tuple[CellImage, ...]) -> SetSummary:
    manifest = Manifest(name, Path("drawn"), CLASSES, images)
    role = "dataset" if name == "dataset" else "external"
    return SetSummary(
        name, role, len(images), manifest.counts, manifest.digest, "drawn", note="synthetic cells", synthetic=True
    )


def _integrity(images: tuple[CellImage, ...]) -> IntegrityReport:
    rules = ("contract_violations", "count_mismatches", "unreadable_images", "unlisted_files")
    return IntegrityReport(
        checked=dict.fromkeys(rules, len(images)),
        findings=(
            Finding(
                "unlisted_files",
                "monocyte/monocyte_999.jpg",
                "is in no row of the manifest",
                "Add a row with its label, or move the file out.",
            ),
        ),
        facts=tuple(ImageFacts(image.path, 96, 96, "PNG", "RGB") for image in images),
    )


def _training() -> TrainingRecord:
    rates = np.geomspace(1e-6, 1.0, 60)
    losses = 1.6 - 1.1 / (1 + np.exp(-(np.log10(rates) + 3.2) * 3)) + 6 * np.clip(np.log10(rates) + 1.0, 0, None) ** 2
    return TrainingRecord(
        architecture="resnet18",
        device="cpu",
        precision="float32",
        seed=42,
        weights=WeightsRecord("none", None, (), ("conv1.weight", "layer1.0.conv1.weight", "layer4.1.conv2.weight")),
        learning_rate_curve=LearningRateCurve(tuple(rates.tolist()), tuple(losses.tolist()), 2.1e-3),
        phases=(
            _phase("head", 14, best=10, patience=3, floor=0.42, before=_sha("b0"), after=_sha("b0")),
            _phase("all", 20, best=19, patience=5, floor=0.08, before=_sha("b0"), after=_sha("b1")),
        ),
        weights_digest=_sha("weights"),
    )


def _phase(name: str, n: int, *, best: int, patience: int, floor: float, before: str, after: str) -> PhaseRecord:
    # Validation loss falls until `best` and rises after it.
    epochs = tuple(
        EpochRecord(
            epoch=epoch,
            learning_rate=1e-3,
            n_trainable_parameters=266_757 if name == "head" else 11_437_125,
            train_loss=floor + 1.1 * 0.78**epoch,
            validation_loss=floor + 0.08 + 1.0 * 0.75 ** min(epoch, best) + 0.02 * max(0, epoch - best),
            validation_accuracy=round((1 - 0.8 * 0.75**epoch) * 30) / 30,
            seconds=7.1,
        )
        for epoch in range(n)
    )
    stopped = "epoch limit" if n == 20 else "early stopping"
    return PhaseRecord(name, name, 20, patience, 1e-3 if name == "head" else 1e-4, epochs, stopped, best, before, after)


def _timings() -> tuple[Timing, ...]:
    rng = np.random.default_rng(7)
    shapes = ((0.02, 0.004), (0.015, 0.003))
    single, model = (tuple((base + rng.gamma(2, scale, 100)).tolist()) for base, scale in shapes)
    loads = tuple((rng.integers(5, 20, 50) / 100).tolist())
    rounds = tuple((1.8 + rng.gamma(2, 0.05, 5)).tolist())
    return (
        Timing("SingleStream", "decode-to-label", "cpu", 1, 1, single, None, 0.125, TimedBlocks(50, 0.25, loads)),
        Timing("SingleStream", "model-only", "cpu", 1, 1, model, others_share=0.125),
        Timing("Offline", "decode-to-label", "cpu", 200, 32, rounds, others_share=0.125),
    )


def _cell(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(60, 140, size=2))
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - height / 2, x - width / 2) / min(height, width)
    pixels = np.full((height, width, 3), (238, 222, 226), dtype=np.float64)
    pixels[radius < 0.4] = (205, 180, 215)
    pixels[radius < 0.22] = rng.integers(70, 130, size=3) * (1.0, 0.7, 1.3)
    return np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def page_of(run: RunResults, *, ignored: Sequence[str] | None = None, **options: Any) -> str:
    """The report of a run, printed from the evidence that its pack would hold."""
    manifest = None if ignored is None else Manifest("dataset", Path(), CLASSES, (), ignored=tuple(ignored))
    options = {"figures": {}} | options
    return render_report(run, evidence=json.loads(as_json(evidence(run, manifest))), ignored=ignored, **options)


def limits_in(run: RunResults) -> list[str]:
    """The limits of a run as plain text."""
    return [limit.text for limit in limits_of(run, evidence=json.loads(as_json(evidence(run, None))))]
