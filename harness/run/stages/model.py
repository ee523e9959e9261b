"""The classifier that is judged, whether it is trained here or was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.metrics.fits import FITTING_PARTS, fit_of
from harness.model.architectures import engine_of, refuse_untrainable
from harness.model.classifier import Classifier, Machine
from harness.model.records import JudgedModel, ModelCard, TrainingRecord
from harness.model.training import read_training_record
from harness.model.weights import find_weights_file
from harness.run.graph import Asking, stage
from harness.run.recipes.basis import Pictures
from harness.run.recipes.classifier import Source
from harness.run.recipes.judged import GivenModel
from harness.run.recipes.training import Training
from harness.run.setting import sibling_dir
from harness.run.stages.data import split
from harness.run.stages.external import images, listing


@stage(images, listing)
def pictures(run: Asking, set_name: str) -> Pictures:
    """The images of a part or set, as they may be shown to a classifier."""
    found = run(listing, set_name)
    formats = run.setting.rules(found.name).formats
    return Pictures(name=set_name, cells=run(images, set_name), formats=formats, root=found.root)


# --- trained here ---------------------------------------------------------------------------------


@stage(pictures, keeps=Training)
def trained(run: Asking, seed: int) -> Path:
    """The folder with the weights of every phase of the training with this seed, and its record."""
    setting = run.setting
    # What other seeds are trained beside it changes nothing in a training.
    plan = setting.protocol.training.model_copy(update={"seed": seed, "seeds": ()})
    refuse_untrainable(plan.architecture)
    near = (setting.protocol.source.resolve().parent, sibling_dir(setting.options.data))
    recipe = Training(
        plan=plan,
        classes=setting.classes,
        train=run(pictures, "train"),
        validation=run(pictures, "validation"),
        machine=machine(run),
        precision=setting.precision,
        weights_file=find_weights_file(plan.weights, near=near),
        engine=engine_of(plan.architecture),
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
    return replace(given.record, cells="stated by the split file" if options.split_is_stated else "unknown")


@stage(keeps=GivenModel)
def kept_model(run: Asking) -> Path:
    """The folder with the judged file, as it was read."""
    given = run.setting.options.model
    assert given is not None  # asked for by --model alone
    return run.keep("model", GivenModel(given))


# --- either ---------------------------------------------------------------------------------------


@stage(trained)
def source(run: Asking, seed: int) -> Source:
    """The classifier of the training with this seed, or the one that was given; it is not opened yet."""
    given = run.setting.options.model
    return Source(given if given is not None else run(trained, seed), machine(run))


@stage(source)
def card(run: Asking) -> ModelCard:
    """Of the judged classifier."""
    return run(source, run.setting.protocol.training.seed).card


@stage(source)
def classifier(run: Asking) -> Classifier:
    """The judged classifier on the run's device: that of the last phase, where one was trained."""
    return run(source, run.setting.protocol.training.seed).open()


@stage(source, classifier)
def opening(run: Asking, seed: int) -> Callable[[], Classifier]:
    """Opens the classifier of a seed; only the judged one stays in memory."""
    if seed == run.setting.protocol.training.seed:
        return lambda: run(classifier)
    return run(source, seed).open


def machine(run: Asking) -> Machine:
    setting = run.setting
    batch_size = setting.protocol.throughput.batch_size
    return Machine(setting.device, batch_size, setting.options.workers, progress=run.progress, engine=setting.engine)
