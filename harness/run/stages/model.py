"""The classifier that is judged, whether it is trained here or was given, and what it was fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from harness.metrics.fits import FITTING_PARTS, fit_of
from harness.model.classifier import load_classifier
from harness.model.exports import CLASSIFIER
from harness.model.records import JudgedModel, TrainingRecord
from harness.model.training import best_weights, read_training_record
from harness.model.weights import find_weights_file
from harness.run.graph import Asking, stage
from harness.run.recipes.basis import Pictures
from harness.run.recipes.judged import GivenModel
from harness.run.recipes.training import Training
from harness.run.setting import Setting, beside
from harness.run.stages.data import images, source, split


@stage(images, source)
def pictures(run: Asking, set_name: str) -> Pictures:
    """The images of a part or set, as they are shown to the network."""
    plan, found = run.setting.protocol.training, run(source, set_name)
    return Pictures(
        name=set_name,
        images=run(images, set_name),
        classes=run.setting.classes,
        formats=run.setting.rules(found.name).formats,
        size_px=plan.image_size_px,
        resize=plan.resize,
        root=found.root,
        workers=run.setting.options.workers,
    )


# --- trained here ---------------------------------------------------------------------------------


@stage(pictures, keeps=Training)
def trained(run: Asking, seed: int) -> Path:
    """The folder with the weights of every phase of the training with this seed, and its record."""
    setting = run.setting
    # What other seeds are trained beside it changes nothing in a training.
    plan = setting.protocol.training.model_copy(update={"seed": seed, "seeds": ()})
    near = (setting.protocol.source.resolve().parent, beside(setting.options.data))
    recipe = Training(
        plan=plan,
        train=run(pictures, "train"),
        validation=run(pictures, "validation"),
        device=setting.device,
        weights_file=find_weights_file(plan.weights, near=near),
    )
    return run.keep("training", recipe)


@stage(trained)
def models(run: Asking) -> Path:
    """The folder with the judged classifier's weights of every phase and `training.json`."""
    return run(trained, run.setting.protocol.training.seed)


@stage(models)
def training(run: Asking) -> TrainingRecord:
    """What is on record of the training of the judged classifier."""
    return read_training_record(run(models))


# --- given ----------------------------------------------------------------------------------------


@stage(split)
def model(run: Asking) -> JudgedModel | None:
    """The classifier that is judged instead of training one, with what is known of the cells it was trained on."""
    options = run.setting.options
    given = options.model
    if given is None:
        return None
    # Without the external sets: none has a say here, and one that cannot be read must not cost the report.
    own = {part: fit_of("", part, run(split).part(part), judged={}).cells for part in FITTING_PARTS}
    stated = {part: getattr(given.claims, part) for part in FITTING_PARTS}
    if any(stated.values()):
        return replace(given.record, cells="stated by the file" if stated == own else "others than this split's")
    # A CSV given as --data may have a split column; only --split says that the classifier was trained with it.
    named = options.split_file not in (None, options.data)
    return replace(given.record, cells="stated by the split file" if named else "unknown")


@stage(keeps=GivenModel)
def kept_model(run: Asking) -> Path:
    """The folder with the judged file, as it was read, and with its weights."""
    given = run.setting.options.model
    assert given is not None  # asked for by --model alone
    return run.keep("model", GivenModel(given))


# --- either ---------------------------------------------------------------------------------------


@stage(trained)
def weights_digest(run: Asking, seed: int) -> str:
    """Of the weights of the classifier with this seed, or of the one that was given."""
    given = run.setting.options.model
    return given.record.weights_digest if given else read_training_record(run(trained, seed)).weights_digest


@stage(trained, kept_model)
def weights(run: Asking, seed: int) -> Path:
    """The file with the weights of the classifier with this seed, or of the one that was given."""
    if run.setting.options.model is not None:
        return run(kept_model) / CLASSIFIER
    return run(trained, seed) / best_weights(run.setting.protocol.training.phases[-1].name)


@stage(weights)
def classifier(run: Asking) -> nn.Sequential:
    """The judged network in evaluation mode on the run's device: that of the last phase, where one was trained."""
    return loaded(run.setting, run(weights, run.setting.protocol.training.seed), run.setting.device)


@stage(weights, classifier)
def classifier_of(run: Asking, seed: int) -> Callable[[], nn.Sequential]:
    """Loads the classifier of a seed; only the judged one stays in memory."""
    setting = run.setting
    if seed == setting.protocol.training.seed:
        return lambda: run(classifier)
    file = run(weights, seed)
    return lambda: loaded(setting, file, setting.device)


def loaded(setting: Setting, file: Path, device: torch.device) -> nn.Sequential:
    plan = setting.protocol.training
    return load_classifier(
        file,
        architecture=plan.architecture,
        normalisation=plan.normalisation,
        n_classes=len(setting.classes),
        device=device,
    )
