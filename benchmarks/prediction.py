"""From image files to labels: ours by each engine beside fastai's `get_preds`, and beside the network alone.

    python -m benchmarks prediction --data=../shared/data/leukocytes --rounds=8

Every side answers for the same files with the same weights in float32, and its labels are compared with `get_preds`.
Sides take turns, forwards in one round and backwards in the next (ABBA); `get_preds` runs twice a round, and the ratio
of the two is the control (A/A): if its interval leaves 1 out, nothing here holds. A ratio is the geometric mean over
rounds of images per second by images per second, with a 95 % interval by t on the logarithms. Without --data, drawn
cells. A column gives this process' processor time, which other load on the machine disturbs less than the clock.
Exits 1 where a label differs beyond rounding, or where the control fails.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import harness.core.threads  # isort: skip  (before any library with threads)
import harness.model.torchvision_compat  # noqa: F401  # isort: skip
import fastai.callback.progress  # noqa: F401  (gives a Learner `no_bar`)
import numpy as np
import torch
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import IndexSplitter, Normalize
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.data import ImageBlock
from torch import nn

from benchmarks._ratios import Ratio, ratio_of
from fixtures.laboratories import HOME
from fixtures.smears import write_smears
from harness.core.errors import EngineUnavailable
from harness.core.progress import silent
from harness.core.threads import available_cores
from harness.model.classifier import Machine
from harness.model.devices import choose_device, device_name, inference, synchronise
from harness.model.images import files_of
from harness.model.networks import normalise, with_head
from harness.model.prefetch import fit_all
from harness.model.records import ModelCard, Preprocessing
from harness.model.torch_network import ABILITIES, TorchNetwork
from harness.model.weights import network
from harness.protocol.prediction import Engine
from harness.protocol.training import IMAGENET_MEAN, IMAGENET_STD, WeightsPlan

CLASSES = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")
FASTAI, AGAIN = "fastai get_preds", "fastai get_preds, again"
NEAR = 1e-3  # two probabilities that are nearer may change places by rounding
QUIET: dict[str, Any] = {"workers": available_cores(), "progress": silent, "label": ""}


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one side in one round. cpu_s: of all threads of this process, without processes that it has decode."""

    wall_s: float
    cpu_s: float


def ratio(ours: Sequence[Spent], theirs: Sequence[Spent]) -> Ratio:
    """How many times as fast ours is, from seconds of the same rounds."""
    return ratio_of([each.wall_s for each in theirs], [each.wall_s for each in ours])


@contextmanager
def pictures(data: Path | None, n: int, *, size_px: int) -> Iterator[list[Path]]:
    """n image files in a shuffled order: of a folder, over and over where it holds fewer, or drawn."""
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            data = Path(folder) / "drawn"
            each = dict.fromkeys(CLASSES, -(-n // len(CLASSES)))
            write_smears(data, images_per_class=each, laboratory=HOME, size_px=size_px, seed=1)
        files = sorted(file for file in data.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not files:
            raise SystemExit(f"{data}: no .jpg or .png in it. Name a folder that holds some with --data.")
        random.Random(0).shuffle(files)
        yield (files * -(-n // len(files)))[:n]


def network_that_differs(pixels: np.ndarray, how: Preprocessing) -> nn.Module:
    """fastai's vision model on a ResNet-18 with drawn weights and with the statistics of these images.

    Speed does not depend on the weights; with statistics that were never taken, every image would get one label.
    """
    torch.manual_seed(0)
    net = with_head(network("resnet18", WeightsPlan(source="none"), None)[0], len(CLASSES))
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the plain mean over batches
    with torch.no_grad():
        net.train()(normalise(torch.from_numpy(pixels), how))
    return net.eval()


def card_of(how: Preprocessing) -> ModelCard:
    return ModelCard(
        door="benchmark",
        name="ResNet-18",
        digest="0" * 64,
        classes=CLASSES,
        preprocessing=how,
        abilities=ABILITIES,
        corruptions_act_on="prepared arrays",
    )


def fastai_s(net: nn.Module, files: Sequence[Path], *, size_px: int, device: torch.device, batch: int) -> Learner:
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=list(CLASSES), sort=False)),
        get_y=lambda path: CLASSES[0],
        splitter=IndexSplitter([0]),
        item_tfms=Resize(size_px, method=ResizeMethod.Squish),
        batch_tfms=Normalize.from_stats(IMAGENET_MEAN, IMAGENET_STD),
    )
    loaders = block.dataloaders(list(files[:2]), bs=batch, num_workers=0, device=device)
    return Learner(loaders, net.to(device), loss_func=CrossEntropyLossFlat())


def taken_in_turns(
    sides: Mapping[str, Callable[[], np.ndarray]], rounds: int
) -> tuple[dict[str, list[Spent]], dict[str, np.ndarray]]:
    """(side -> what each round took, side -> what it answered last); one round before them goes uncounted."""
    seconds: dict[str, list[Spent]] = {name: [] for name in sides}
    answers = {}
    for turn in range(rounds + 1):
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            began, busy = time.perf_counter(), time.process_time()
            answers[name] = sides[name]()
            if turn:
                seconds[name].append(Spent(time.perf_counter() - began, time.process_time() - busy))
        print(f"round {turn} of {rounds}", file=sys.stderr, flush=True)
    return seconds, answers


def labels_that_differ(one: np.ndarray, other: np.ndarray) -> int:
    """Images that get another label, though their two largest probabilities are further apart than rounding."""
    top = np.sort(other, axis=1)
    return int(((one.argmax(axis=1) != other.argmax(axis=1)) & (top[:, -1] - top[:, -2] > NEAR)).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder with images (default: drawn cells)")
    parser.add_argument("--images", type=int, default=256, help="how many of them a round (default: 256)")
    parser.add_argument("--rounds", type=int, default=8, help="(default: 8)")
    parser.add_argument("--size", type=int, default=224, help="side that the network sees (default: 224)")
    parser.add_argument("--batch", type=int, default=32, help="(default: 32)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--workers", type=int, default=available_cores(), help="that decode, ours (default: cores)")
    parser.add_argument("--fastai-workers", type=int, help="(default: 0 on the CPU, where that is faster; else cores)")
    parser.add_argument(
        "--engines", nargs="+", choices=get_args(Engine), default=get_args(Engine), help="(default: all)"
    )
    asked = parser.parse_args()
    device, how = choose_device(asked.device), Preprocessing(size_px=asked.size, resize="squish")
    workers = asked.fastai_workers
    workers = workers if workers is not None else 0 if device.type == "cpu" else available_cores()
    with pictures(asked.data, asked.images, size_px=360) as files:
        images = files_of(files, formats=("JPEG", "PNG"))
        net = network_that_differs(fit_all(images.take(range(min(64, len(files)))), how, **QUIET), how)
        ours = {}
        for engine in asked.engines:
            machine = Machine(device.type, asked.batch, workers=asked.workers, progress=silent, engine=engine)
            try:
                ours[engine] = TorchNetwork(card_of(how), copy.deepcopy(net), machine)
            except EngineUnavailable as error:
                print(f"left out: {error}", file=sys.stderr)
        learner = fastai_s(net, files, size_px=asked.size, device=device, batch=asked.batch)
        arrays = next(iter(ours.values())).prepare(images)

        def get_preds() -> np.ndarray:
            loader = learner.dls.test_dl(files, num_workers=workers)
            with learner.no_bar(), inference():
                found: np.ndarray = learner.get_preds(dl=loader)[0].numpy()
            synchronise(device)
            return found

        sides: dict[str, Callable[[], np.ndarray]] = {FASTAI: get_preds}
        for name, each in ours.items():
            sides[name] = lambda each=each: each.predict_proba(images)  # type: ignore[misc]
            sides[f"{name}, network alone"] = lambda each=each: each.forward(arrays)  # type: ignore[misc]
        sides[AGAIN] = get_preds
        seconds, answers = taken_in_turns(sides, asked.rounds)
    control = ratio(seconds[AGAIN], seconds[FASTAI])
    print(
        f"{device_name(device)}, {available_cores()} cores, torch {torch.__version__}, {asked.images} images at "
        f"{asked.size} px in batches of {asked.batch}, {asked.rounds} rounds, fastai with {workers} workers\n"
    )
    print(
        "| side | images/s (median) | times `get_preds` | share of the network alone | labels that differ | "
        "processor, ms an image |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    differing = 0
    for name, taken in seconds.items():
        n = labels_that_differ(answers[name], answers[FASTAI])
        differing += n
        alone = seconds.get(f"{name}, network alone")
        share = f"{ratio(taken, alone)}" if alone else "-"
        speed = asked.images / float(np.median([each.wall_s for each in taken]))
        busy = 1000 * float(np.median([each.cpu_s for each in taken])) / asked.images
        print(
            f"| {name} | {speed:.1f} | {ratio(taken, seconds[FASTAI])} | {share} | {n} of {asked.images} | {busy:.1f} |"
        )
    n_labels = len(np.unique(answers[FASTAI].argmax(axis=1)))
    print(f"\nlabels that were given: {n_labels} of {len(CLASSES)}; control (A/A): {control}")
    holds = control.lower <= 1 <= control.upper
    if not holds:
        print("The control leaves out 1: the machine was not steady, and nothing above holds. Time it again.")
    return int(differing > 0 or not holds)


if __name__ == "__main__":
    sys.exit(main())
