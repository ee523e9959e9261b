"""Does the same seed give the same model? Answered by doing it: a small training in fresh processes.

Run as `python -m harness.run.reproduction REQUEST_JSON`, it makes manifest, split, training and predictions and
prints their digests as one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from harness.core.errors import TrainingError
from harness.core.places import PROJECT
from harness.core.progress import silent
from harness.data.manifest import read_manifest, scan
from harness.data.records import CellImage
from harness.data.split import draw_split, read_split
from harness.metrics.predictions import predictions_of
from harness.metrics.reproducibility import ProcessDigests
from harness.model.classifier import Machine, predict
from harness.model.devices import n_threads
from harness.model.images import images_of
from harness.model.trained import open_trained, train_classifier
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.training import TrainingPlan, WeightsPlan

# What differs between the two processes; nothing of it may change a digest.
CONDITIONS: tuple[dict[str, Any], ...] = (
    {"hash_seed": "0", "workers": 1, "listing_seed": 1},
    {"hash_seed": "4242", "workers": 3, "listing_seed": 2},
)


def reproduce(protocol: Protocol, *, data: Path, split_file: Path | None, device: str) -> tuple[ProcessDigests, ...]:
    """The digests that fresh processes get under different conditions, side by side.

    Raises:
        TrainingError: a process ended without an answer.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        running = []
        for conditions in CONDITIONS:
            request = {
                "protocol": str(protocol.source.resolve()),
                "data": str(data.resolve()),
                "split_file": str(split_file.resolve()) if split_file else None,
                "device": device,
                **conditions,
            }
            environment = {
                **os.environ,
                "PYTHONHASHSEED": conditions["hash_seed"],
                "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])),
            }
            command = [sys.executable, "-m", __name__, json.dumps(request)]
            running.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    cwd=elsewhere,  # nor may the working directory matter
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        answers = [(process, *process.communicate()) for process in running]
    for process, _, errors in answers:
        if process.returncode != 0:
            raise TrainingError(f"a reproducibility process ended with {process.returncode}:\n{errors.strip()[-2000:]}")
    return tuple(ProcessDigests(**json.loads(output.splitlines()[-1])) for _, output, _ in answers)


def repeated(protocol: Protocol) -> TrainingPlan:
    """The training that the processes repeat: the protocol's, but for what has no part in whether its draws repeat."""
    plan, training = protocol.reproducibility, protocol.training
    return training.model_copy(
        update={
            "image_size_px": plan.image_size_px,
            "weights": WeightsPlan(source="none"),  # the question is whether the draws repeat, not where they start
            "lr_finder": None,
            "seeds": (),
            "phases": tuple(phase.model_copy(update={"max_epochs": plan.epochs}) for phase in training.phases),
        }
    )


def _small(part: Sequence[CellImage], per_class: int) -> list[CellImage]:
    """The first few of each class in the order of their digests."""
    chosen, seen = [], Counter[str]()
    for image in sorted(part, key=lambda image: image.sha256):
        if seen[image.label] < per_class:
            seen[image.label] += 1
            chosen.append(image)
    return chosen


def _digests(request: dict[str, Any]) -> ProcessDigests:
    rng = Random(request["listing_seed"])
    protocol, data = read_protocol(Path(request["protocol"])), Path(request["data"])
    classes, plan = protocol.dataset.classes, protocol.reproducibility
    manifest = read_manifest(
        data,
        name="dataset",
        classes=classes,
        workers=request["workers"],
        names=(names := protocol.names_in("dataset")),
        parts=protocol.dataset.parts,
        listing=lambda folder: rng.sample(listed := scan(folder), len(listed)),
    )
    split = (
        read_split(Path(request["split_file"]), manifest, names=names, parts=protocol.dataset.parts)
        if request["split_file"]
        else draw_split(manifest, protocol.split)
    )
    share = max(2, plan.images_per_class // 3)
    wanted = {"train": plan.images_per_class, "validation": share, "test": share}
    small_parts = {part: _small(split.part(part), n) for part, n in wanted.items()}
    formats = protocol.dataset.images.formats
    whole = repeated(protocol)
    small = whole.model_copy(update={"batch_size": min(16, whole.batch_size, len(small_parts["train"]))})
    machine = Machine(request["device"], batch_size=7, workers=request["workers"], progress=silent)
    with tempfile.TemporaryDirectory() as folder:
        record = train_classifier(
            small,
            train_cells=small_parts["train"],
            validation_cells=small_parts["validation"],
            root=manifest.root,
            classes=classes,
            formats=formats,
            weights_file=None,
            machine=machine,
            folder=Path(folder),
        )
        test = small_parts["test"]
        images = images_of(test, manifest.root, formats=formats)
        probabilities = predict(open_trained(Path(folder), machine), images)
        predictions = predictions_of(test, probabilities, set_name="test", classes=classes)
    conditions = (
        f"PYTHONHASHSEED={os.environ.get('PYTHONHASHSEED')}, {request['workers']} workers, "
        f"listing shuffled with {request['listing_seed']}, {n_threads()} threads on {machine.device}"
    )
    return ProcessDigests(conditions, split.digest, record.losses_digest, record.weights_digest, predictions.digest)


if __name__ == "__main__":
    print(json.dumps(asdict(_digests(json.loads(sys.argv[1])))))
