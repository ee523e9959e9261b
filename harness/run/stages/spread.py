"""What a classifier answers on other machines, where `--engine` spreads the run: to the bit what it answers here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from harness.core.digests import digest_of
from harness.core.mapping import MapEngine, Task, readable_sample
from harness.data.corruptions import second_cells_of
from harness.model.devices import n_threads
from harness.model.elsewhere import Answering, Corrupting, Reopened, Shown
from harness.model.images import ImageFile, Images
from harness.protocol.stress import RobustnessPlan
from harness.run.graph import VERSIONS, Asking, stage
from harness.run.stages.model import kept_model, machine, source, trained

# Beside those of every key, what some networks are computed with.
PACKAGES = (*VERSIONS, "onnxruntime", "openvino", "timm")
COMMAND = "the command that answers is a process of this machine"
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Asked(Task[Shown, R_co], Protocol[R_co]):
    """A task that a classifier does."""

    @property
    def classifier(self) -> Reopened: ...


@stage(source, trained, kept_model)
def reopened(run: Asking, seed: int) -> Reopened | str:
    """How another process opens the classifier of a seed, or why none can."""
    setting, on = run.setting, machine(run)
    given = setting.options.model
    if given is not None and not given.kept_as:
        return COMMAND
    trust = given is not None and given.record.trusted is not None
    return Reopened(
        place=(run(trained, seed) if given is None else run(kept_model) / given.kept_as[0]).resolve(),
        protocol=None if given is None else setting.protocol,
        trusted=(given.record.sha256,) if given is not None and trust else (),
        answers_by=digest_of(run(source, seed).card.answers_by),
        device=on.device,
        batch_size=on.batch_size,
        engine=on.engine,
        threads=n_threads(),
    )


@stage(reopened)
def answering(run: Asking, seed: int) -> Callable[[Images], np.ndarray] | None:
    """Asks the workers of `--engine` for the answers of the classifier of a seed; None where it answers here."""
    spread = run.setting.options.spread
    if spread is None:
        return None
    classifier = run(reopened, seed)
    if isinstance(classifier, str):
        spread.stays_here("scoring", classifier)
        return None
    task, none = Answering(classifier, PACKAGES), np.empty((0, len(run.setting.classes)))

    def answers(images: Images) -> np.ndarray:
        shown = [Shown(name, file) for name, file in zip(images.names, _files(images), strict=True)]
        return np.concatenate([none, *_parts(run, spread, task, shown, label=f"scoring {images.label}")])

    return answers


@stage(reopened)
def corrupting(run: Asking) -> Callable[[Images], dict[str, np.ndarray]] | None:
    """Asks the workers of `--engine` for the judged classifier's answers on corrupted images; None where it is here."""
    spread, protocol = run.setting.options.spread, run.setting.protocol
    if spread is None or protocol.robustness is None:
        return None
    classifier = run(reopened, protocol.training.seed)
    if isinstance(classifier, str):
        spread.stays_here("corrupting cells", classifier)
        return None
    task, plan = Corrupting(classifier, PACKAGES, protocol.robustness), protocol.robustness

    def corrupted(images: Images) -> dict[str, np.ndarray]:
        parts = _parts(run, spread, task, _beside_seconds(images, plan), label="corrupting cells")
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return corrupted


def _parts(run: Asking, spread: MapEngine, task: Asked[R], shown: Sequence[Shown], *, label: str) -> list[R]:
    """What each slice comes to: of whole batches, so that every image is answered beside the same others as here."""
    return spread.map(
        task,
        shown,
        label=label,
        multiple=task.classifier.batch_size,
        sample=readable_sample((each.file.path, str(each.file.sha256)) for each in shown),
        done=lambda done: run.progress(label, done, len(shown), ""),
    )


def _files(images: Images) -> list[ImageFile]:
    assert images.files is not None  # images of a set lie in files
    return [replace(file, path=file.path.absolute()) for file in images.files]


def _beside_seconds(images: Images, plan: RobustnessPlan) -> list[Shown]:
    """Each image with the one that may be shown beside it, which is one of the whole set and not of its slice."""
    files = _files(images)
    if "second_cell" not in plan.kinds:
        return [Shown(name, file) for name, file in zip(images.names, files, strict=True)]
    second = second_cells_of([str(file.sha256) for file in files], seed=plan.seed)
    return [Shown(name, file, files[place]) for name, file, place in zip(images.names, files, second, strict=True)]
