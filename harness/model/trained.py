"""Trains a classifier on cells, opens it again from its folder, and writes the files that others open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from harness.core.files import write_atomically
from harness.data.records import CellImage
from harness.model.classifier import Machine
from harness.model.exports import CLASSIFIER, EXPORT, Claims, classifier_bytes, export_learner
from harness.model.preprocessing import CellPixels, decode_all
from harness.model.records import ModelCard, TrainingRecord
from harness.model.torch_network import TorchNetwork, network_of, on_device
from harness.model.training import best_weights, read_training_record, train
from harness.model.weights import read_tensors
from harness.protocol.training import IMAGENET_MEAN, IMAGENET_STD, TrainingPlan


def train_classifier(
    plan: TrainingPlan,
    *,
    train_cells: Sequence[CellImage],
    validation_cells: Sequence[CellImage],
    root: Path,
    classes: tuple[str, ...],
    formats: Sequence[str],
    weights_file: Path | None,
    machine: Machine,
    folder: Path,
) -> TrainingRecord:
    """Train on the files of these cells as the plan says; leaves weights and record in `folder`, as `train` does.

    The cells are taken in the order of their content: what a file is called must not reach the training.
    """

    def decoded(cells: Sequence[CellImage], part: str, *, oversampling: int) -> CellPixels:
        return decode_all(
            sorted(cells, key=lambda cell: cell.sha256),
            root,
            classes=classes,
            size_px=plan.image_size_px * oversampling,
            resize=plan.resize,
            formats=formats,
            workers=machine.workers,
            progress=machine.progress,
            label=f"decoding {part}",
        )

    return train(
        plan,
        train=decoded(train_cells, "train", oversampling=plan.augmentation.oversampling),
        validation=decoded(validation_cells, "validation", oversampling=1),
        classes=classes,
        weights_file=weights_file,
        device=torch.device(machine.device),
        folder=folder,
        progress=machine.progress,
    )


def card_of(folder: Path) -> ModelCard:
    """The card of the classifier whose training lies in `folder`."""
    card = read_training_record(folder).card
    assert card is not None  # a training of an older harness has another key, and is never found
    return card


def weights_of(folder: Path) -> Path:
    """The file with the weights of the last phase."""
    return folder / best_weights(read_training_record(folder).phases[-1].name)


def open_trained(folder: Path, machine: Machine) -> TorchNetwork:
    """The classifier whose training lies in `folder`, ready to predict."""
    record, card, file = read_training_record(folder), card_of(folder), weights_of(folder)
    assert card.preprocessing is not None
    network = network_of(
        read_tensors(file, sha256=None),
        architecture=record.architecture,
        n_classes=len(card.classes),
        how=card.preprocessing,
        where=str(file),
    )
    return TorchNetwork(card, network, machine)


def claims_of_training(trained: Path, *, protocol: str, train: str, validation: str) -> Claims:
    """What a file of the classifier whose training lies in `trained` says of itself; else as `write_exports`."""
    record, card = read_training_record(trained), card_of(trained)
    how = card.preprocessing
    assert how is not None
    return Claims(
        classes=card.classes,
        architecture=record.architecture,
        image_size_px=how.size_px,
        resize=how.resize,
        normalisation=how.normalisation,
        mean=how.mean if how.mean != IMAGENET_MEAN else None,
        deviation=how.deviation if how.deviation != IMAGENET_STD else None,
        protocol=protocol,
        train=train,
        validation=validation,
    )


def write_exports(trained: Path, into: Path, *, protocol: str, train: str, validation: str) -> None:
    """Write the classifier of a training as the files that others open: export.pkl and classifier.safetensors.

    Args:
        trained: the folder of the training.
        protocol: id of the protocol that it was trained by.
        train, validation: digests of the cells that it was trained on and chosen with.
    """
    record, card, file = read_training_record(trained), card_of(trained), weights_of(trained)
    how = card.preprocessing
    assert how is not None
    claims = claims_of_training(trained, protocol=protocol, train=train, validation=validation)
    state = read_tensors(file, sha256=None)
    write_atomically(into / CLASSIFIER, classifier_bytes(state, claims))
    network = on_device(
        network_of(state, architecture=record.architecture, n_classes=len(card.classes), how=how, where=str(file)),
        torch.device("cpu"),
    )
    export_learner(network, classes=card.classes, how=how, path=into / EXPORT)
