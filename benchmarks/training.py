"""How long does an epoch take, ours beside the plain fastai recipe, and is its validation loss as good?

    python -m benchmarks training --data=../shared/data/leukocytes --images=600 --epochs=3

Both train the same network from the same initial weights on the same cells with the same augmentation, optimiser and
one-cycle schedule. The plain recipe is what fastai's documentation has: files opened and resized image by image in
every epoch by its default loader, float32. Ours is what a run does by `precision = "auto"`. Every training is a process
of its own; for each of three seeds the plain recipe comes first, then ours, then the plain recipe again, and the other
way round in the second: the ratio of the two is the control (A/A), and if its interval leaves 1 out, nothing here
holds. An epoch is timed with its validation; the first of each training is left out, in which libraries and threads
start.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._ratios import ratio_of
from fixtures.laboratories import HOME
from fixtures.smears import write_smears
from harness.core.places import PROJECT
from harness.core.progress import silent
from harness.core.threads import available_cores
from harness.data.manifest import read_manifest
from harness.data.records import CellImage
from harness.protocol.file import read_protocol
from harness.protocol.training import PhasePlan, TrainingPlan, WeightsPlan

PLAIN, OURS, AGAIN = "plain fastai", "ours", "plain fastai, again"
SEEDS = (1, 2, 3)
PEAK_RATE = 1e-3
VALIDATED = 5  # every fifth cell of a class is validated on


def plan_of(asked: argparse.Namespace, seed: int) -> TrainingPlan:
    """The published recipe's augmentation; every layer trained from random weights."""
    published = read_protocol(PROJECT / "suites" / "protocols" / "leukocyte.toml").training
    phase = PhasePlan(
        name="all",
        trains="all",
        learning_rate=PEAK_RATE,
        schedule="one-cycle",
        max_epochs=asked.epochs,
        patience=asked.epochs,
    )
    return published.model_copy(
        update={
            "weights": WeightsPlan(source="none"),
            "image_size_px": asked.size,
            "resize": "squish",
            "batch_size": asked.batch,
            "seed": seed,
            "seeds": (),
            "precision": asked.precision,
            "lr_finder": None,
            "phases": (phase,),
        }
    )


def divided(data: Path, n: int) -> tuple[Path, tuple[str, ...], list[CellImage], list[CellImage]]:
    """(root, classes, train cells, validation cells): the same for every seed, by the order of their content."""
    classes = tuple(sorted(each.name for each in data.iterdir() if each.is_dir()))
    found = read_manifest(data, name="dataset", classes=classes, workers=available_cores())
    train: list[CellImage] = []
    validation: list[CellImage] = []
    for label in classes:
        own = sorted((image for image in found.images if image.label == label), key=lambda image: image.sha256)
        for place, image in enumerate(own[: n // len(classes)]):
            (train if place % VALIDATED else validation).append(image)
    return found.root, classes, train, validation


def by_harness(plan: TrainingPlan, data: Path, n: int) -> tuple[list[float], list[float]]:
    """Seconds and validation loss of each epoch, as a run trains."""
    from harness.model.classifier import Machine
    from harness.model.trained import train_classifier

    root, classes, train, validation = divided(data, n)
    with tempfile.TemporaryDirectory() as folder:
        record = train_classifier(
            plan,
            train_cells=train,
            validation_cells=validation,
            root=root,
            classes=classes,
            formats=("JPEG", "PNG"),
            weights_file=None,
            machine=Machine("cpu", plan.batch_size, available_cores(), progress=silent),
            folder=Path(folder),
        )
    epochs = record.phases[0].epochs
    return [each.seconds for each in epochs], [each.validation_loss for each in epochs]


def by_fastai(plan: TrainingPlan, data: Path, n: int) -> tuple[list[float], list[float]]:
    """The same by fastai's own data block and loader."""
    import harness.model.torchvision_compat  # noqa: F401, I001  (before anything imports torchvision)
    import fastai.callback.schedule  # noqa: F401  (gives a Learner `fit_one_cycle`)
    from fastai.callback.core import Callback
    from fastai.data.block import CategoryBlock, DataBlock
    from fastai.data.transforms import FuncSplitter, Normalize, parent_label
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy
    from fastai.optimizer import Adam
    from fastai.vision.augment import Resize, ResizeMethod
    from fastai.vision.data import ImageBlock

    from harness.model.networks import untrained
    from harness.model.preprocessing import CellPixels
    from harness.model.seeding import seed_everything
    from harness.model.training import augmentations

    class Clock(Callback):  # type: ignore[misc]
        order = 55  # after the recorder, whose values it reads

        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.losses: list[float] = []

        def before_epoch(self) -> None:
            self._began = time.monotonic()

        def after_epoch(self) -> None:
            self.seconds.append(time.monotonic() - self._began)
            self.losses.append(float(self.recorder.values[-1][1]))

    root, classes, train, validation = divided(data, n)
    held_out = {root / image.path for image in validation}
    seed_everything(plan.seed)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=list(classes), sort=False)),
        get_y=parent_label,
        splitter=FuncSplitter(lambda path: path in held_out),
        item_tfms=Resize(plan.image_size_px, method=ResizeMethod.Squish),
        batch_tfms=[
            *augmentations(plan.augmentation, size_px=plan.image_size_px),
            Normalize.from_stats(plan.mean, plan.deviation),
        ],
    )
    loaders = block.dataloaders([root / image.path for image in (*train, *validation)], bs=plan.batch_size)
    none = CellPixels((), np.zeros((0, plan.image_size_px, plan.image_size_px, 3), np.uint8), np.zeros(0, np.int64))
    model, _ = untrained(plan, n_classes=len(classes), weights_file=None, train=none)
    clock = Clock()
    learner = Learner(
        loaders,
        model,
        loss_func=CrossEntropyLossFlat(),
        opt_func=Adam,
        metrics=accuracy,
        wd=plan.weight_decay,
        cbs=[clock],
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(plan.phases[0].max_epochs, PEAK_RATE)
    return clock.seconds, clock.losses


def one(asked: argparse.Namespace) -> None:
    """One training in this process; what came of it as a line of JSON."""
    side, seed = asked.one[0], int(asked.one[1])
    train = by_harness if side == OURS else by_fastai
    began = time.monotonic()
    seconds, losses = train(plan_of(asked, seed), asked.data, asked.images)
    # Linux counts in KiB, macOS in bytes; the workers of fastai's loader are processes beside it.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * unit
    whole = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "losses": losses, "peak_gib": peak / 2**30, "whole_s": whole}))


def trained(side: str, seed: int, given: list[str]) -> dict[str, Any]:
    print(f"seed {seed}: {side}", file=sys.stderr, flush=True)
    line = [sys.executable, "-m", "benchmarks", "training", *given, "--one", side, str(seed)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=PROJECT, check=False)
    if done.returncode:
        raise SystemExit(f"{side}, seed {seed}, ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder with one sub-folder per class (default: drawn cells)")
    parser.add_argument("--images", type=int, default=600, help="how many of them (default: 600)")
    parser.add_argument("--epochs", type=int, default=3, help="of each training (default: 3)")
    parser.add_argument("--size", type=int, default=96, help="side that the network sees (default: 96)")
    parser.add_argument("--batch", type=int, default=32, help="(default: 32)")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="ours")
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "SEED"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is not None:
        one(asked)
        return 0
    if asked.epochs < 2:
        parser.error("--epochs: at least 2, because the first is not counted")
    with tempfile.TemporaryDirectory() as folder:
        if asked.data is None:
            asked.data = Path(folder) / "drawn"
            classes = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
            each = dict.fromkeys(classes, -(-asked.images // len(classes)))
            write_smears(asked.data, images_per_class=each, laboratory=HOME, size_px=asked.size, seed=1)
        given = [f"--data={asked.data.resolve()}", f"--precision={asked.precision}"]
        given += [f"--{key}={getattr(asked, key)}" for key in ("images", "epochs", "size", "batch")]
        found = _in_turns(given)
    epochs = {side: [s for each in runs for s in each["seconds"][1:]] for side, runs in found.items()}
    control = ratio_of(epochs[AGAIN], epochs[PLAIN])
    print(f"\n{available_cores()} cores, {asked.images} images at {asked.size} px, {asked.epochs} epochs, 3 seeds\n")
    print("| side | seconds of an epoch (median) | times as fast | validation loss of each seed | peak memory, GiB |")
    print("|---|---|---|---|---|")
    for side, runs in found.items():
        times = "" if side == PLAIN else str(ratio_of(epochs[PLAIN], epochs[side]))
        losses = ", ".join(f"{each['losses'][-1]:.3f}" for each in runs)
        peak = max(each["peak_gib"] for each in runs)
        print(f"| {side} | {np.median(epochs[side]):.1f} | {times} | {losses} | {peak:.2f} |")
    print(f"\ncontrol, the plain recipe beside itself: {control}")
    return 0 if control.lower <= 1.0 <= control.upper else 1


def _in_turns(given: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Side -> what each seed came to; the order is turned round from seed to seed, so that no side is always first."""
    found: dict[str, list[dict[str, Any]]] = {PLAIN: [], OURS: [], AGAIN: []}
    for turn, seed in enumerate(SEEDS):
        for side in list(found)[:: -1 if turn % 2 else 1]:
            found[side].append(trained(side, seed, given))
    return found


if __name__ == "__main__":
    sys.exit(main())
