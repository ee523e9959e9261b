"""What the kept results of a run are made of: everything that can change them, and nothing that cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from drawn import CLASSES

from fixtures.drawing import DrawnSet, Smears
from fixtures.laboratories import HOME, SECOND
from harness.core.digests import digest_of
from harness.core.progress import silent
from harness.data.records import CellImage
from harness.metrics.predictions import Predictions, predictions_of
from harness.model.classifier import Machine
from harness.model.model_file import ModelFile
from harness.model.records import JudgedModel, ModelCard
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.run.graph import Recipe
from harness.run.recipes import basis, export, onnx, reproducibility, training
from harness.run.recipes.basis import Pictures
from harness.run.recipes.classifier import Source
from harness.run.recipes.corruptions import Corruptions
from harness.run.recipes.export import Export
from harness.run.recipes.judged import GivenModel
from harness.run.recipes.onnx import OnnxAnswers, OnnxExport
from harness.run.recipes.predictions import Scoring
from harness.run.recipes.reproducibility import Reproduction
from harness.run.recipes.training import Training

PROTOCOL = read_protocol(DEFAULT_PROTOCOL)
PLAN = PROTOCOL.training
HERE, THERE = Path("here"), Path("there")


def cell(name: str, *, label: str = CLASSES[0], content: str = "0") -> CellImage:
    return CellImage(path=f"{label}/{name}.png", label=label, sha256=content * 64, n_bytes=1)


def pictures(*cells: CellImage, **changes: Any) -> Pictures:
    told = {"name": "test", "cells": cells or (cell("a"), cell("b", content="1")), "formats": ("PNG",), "root": HERE}
    return Pictures(**{**told, **changes})


def predictions(content: str = "0") -> Predictions:
    cells = (cell("a", content=content),)
    return predictions_of(cells, np.full((1, 5), 0.2), set_name="validation", classes=CLASSES)


def card(**changes: Any) -> ModelCard:
    told = {
        "door": "model file",
        "name": "m.bin",
        "digest": "1" * 64,
        "classes": CLASSES,
        "preprocessing": None,
        "abilities": ("probabilities",),
        "corruptions_act_on": "RGB frames",
    }
    return ModelCard(**{**told, **changes})


def given(digest: str = "1", suffix: str = "bin", sha256: str = "2") -> ModelFile:
    said = card(digest=digest * 64)
    record = JudgedModel(f"m.{suffix}", sha256 * 64, 9, "test", "", "mean", said.digest, ("classes",), card=said)
    return ModelFile(record, said, cast(Any, None), b"bytes", cast(Any, None))


MACHINE = Machine("cpu", 8, workers=1, progress=silent)
OTHER_DEVICE = dataclasses.replace(MACHINE, device="cuda")
OTHER_BATCH = dataclasses.replace(MACHINE, batch_size=9)
MORE_WORKERS = dataclasses.replace(MACHINE, workers=9)
SOURCE = Source(given(), MACHINE)
OTHER_PICTURES = pictures(cell("a"), cell("b", content="2"))
PARTS = {"train": pictures(name="train"), "validation": pictures(name="validation"), "test": pictures()}
SEED_1 = PLAN.model_copy(update={"seed": PLAN.seed + 1})
LONGER = PLAN.model_copy(update={"phases": tuple(each.model_copy(update={"max_epochs": 99}) for each in PLAN.phases)})


def having(**changes: object) -> Protocol:
    return PROTOCOL.model_copy(update=changes)


# Recipe, and for each of its fields: other values that make another result, and others that do not.
RECIPES: list[tuple[Any, dict[str, tuple[list[Any], list[Any]]]]] = [
    (
        pictures(),
        {
            "name": ([], ["other"]),
            "cells": (
                [OTHER_PICTURES.cells, pictures().cells[:1], (cell("a", label=CLASSES[1]), cell("b", content="1"))],
                [pictures().cells[::-1], (cell("renamed"), cell("b", content="1"))],
            ),
            "formats": ([("PNG", "JPEG")], []),
            "root": ([], [THERE]),
        },
    ),
    (
        Training(PLAN, CLASSES, pictures(), pictures(), MACHINE, "float32", None, None),
        {
            "plan": ([SEED_1, PLAN.model_copy(update={"image_size_px": 33})], []),
            "classes": ([CLASSES[::-1]], []),
            "train": ([OTHER_PICTURES], [pictures(root=THERE)]),
            "validation": ([OTHER_PICTURES], [pictures(root=THERE)]),
            "machine": ([OTHER_DEVICE], [OTHER_BATCH, MORE_WORKERS]),
            "precision": (["bfloat16"], []),
            "weights_file": ([], [THERE]),
            "engine": (["timm 2.0"], []),
        },
    ),
    (
        Scoring(pictures(), SOURCE, lambda: cast(Any, None), "test"),
        {
            "pictures": ([OTHER_PICTURES], [pictures(root=THERE)]),
            "source": (
                [Source(given("3"), MACHINE), Source(given(), OTHER_DEVICE), Source(given(), OTHER_BATCH)],
                [Source(given(), MORE_WORKERS), Source(given(sha256="3"), MACHINE)],
            ),
            "open": ([], [lambda: cast(Any, 1)]),
            "label": ([], ["test, seed 1"]),
            "answers": ([], [lambda images: cast(Any, 1)]),
        },
    ),
    (
        Corruptions(PARTS, CLASSES, SOURCE, PROTOCOL.robustness, PROTOCOL.detection, lambda: cast(Any, None)),
        {
            "parts": ([{**PARTS, name: OTHER_PICTURES} for name in PARTS], [{**PARTS, "test": pictures(root=THERE)}]),
            "classes": ([CLASSES[::-1]], []),
            "source": ([Source(given("3"), MACHINE), Source(given(), OTHER_DEVICE)], [Source(given(), MORE_WORKERS)]),
            "robustness": ([None, PROTOCOL.robustness.model_copy(update={"seed": 1})], []),  # type: ignore[union-attr]
            "detection": ([None, PROTOCOL.detection.model_copy(update={"seed": 1})], []),  # type: ignore[union-attr]
            "open": ([], [lambda: cast(Any, 1)]),
            "corrupted": ([], [lambda images: cast(Any, 1)]),
        },
    ),
    (
        Export("p", {"train": "a", "validation": "b"}, predictions(), HERE, HERE),
        {
            "protocol": (["q"], []),
            "fitted": ([{"train": "c", "validation": "b"}], []),
            "validation": ([predictions("1")], []),
            "trained": ([THERE], []),  # another training there, see below
            "root": ([], [THERE]),
        },
    ),
    (
        OnnxExport("p", {"train": "a", "validation": "b"}, HERE),
        {
            "protocol": (["q"], []),
            "fitted": ([{"train": "c", "validation": "b"}], []),
            "trained": ([THERE], []),  # another training there, see below
        },
    ),
    (
        OnnxAnswers(HERE, (pictures(),), MACHINE),
        {
            "file": ([THERE], []),  # another file there, see below
            "sets": (
                [(OTHER_PICTURES,), (pictures(), pictures(name="other")), (pictures(name="other"),)],
                [(pictures(root=THERE),)],
            ),
            "machine": ([OTHER_BATCH], [MORE_WORKERS]),
        },
    ),
    (GivenModel(given()), {"given": ([given(sha256="3"), given(suffix="pth")], [])}),
    (
        Reproduction(PROTOCOL, "m", "s", "cpu", "float32", HERE, None),
        {
            "protocol": (
                [
                    having(training=SEED_1),
                    having(dataset=PROTOCOL.dataset.model_copy(update={"parts": {"a": "train"}})),
                    having(reproducibility=PROTOCOL.reproducibility.model_copy(update={"epochs": 2})),
                    having(split=PROTOCOL.split.model_copy(update={"seed": PROTOCOL.split.seed + 1})),
                ],
                [
                    having(training=LONGER),
                    having(training=PLAN.model_copy(update={"seeds": (PLAN.seed, PLAN.seed + 1)})),
                    having(dataset=PROTOCOL.dataset.model_copy(update={"images_per_class": 9})),
                ],
            ),
            "manifest": (["n"], []),
            "split": (["t"], []),
            "device": (["cuda"], []),
            "precision": (["bfloat16"], []),
            "data": ([], [THERE]),
            "split_file": ([], [THERE]),
        },
    ),
    (
        Smears({"dataset": DrawnSet(HOME, {CLASSES[0]: 2}, 1)}, 32, 1),
        {
            "sets": (
                [
                    {"dataset": DrawnSet(SECOND, {CLASSES[0]: 2}, 1)},
                    {"dataset": DrawnSet(HOME, {CLASSES[0]: 3}, 1)},
                    {"dataset": DrawnSet(HOME, {CLASSES[0]: 2}, 2)},
                    {"other": DrawnSet(HOME, {CLASSES[0]: 2}, 1)},
                ],
                [],
            ),
            "size_px": ([33], []),
            "workers": ([], [9]),
        },
    ),
]
CASES = [
    pytest.param(recipe, field, *others, id=f"{type(recipe).__name__}-{field}")
    for recipe, fields in RECIPES
    for field, others in fields.items()
]


COMPUTING = (Training, Scoring, Corruptions, OnnxAnswers, Reproduction)


@pytest.fixture(autouse=True)
def cards_of_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    cards: Mapping[Path, ModelCard] = {HERE: card(), THERE: card(digest="9" * 64)}
    for module in (export, onnx):
        monkeypatch.setattr(module, "card_of", cards.__getitem__)
    monkeypatch.setattr(onnx, "file_digest", str)


@pytest.mark.parametrize(("recipe", "field", "others", "same"), CASES)
def test_whatever_changes_a_result_is_in_its_key_and_nothing_else_is(
    recipe: Recipe, field: str, others: list[Any], same: list[Any]
):
    def made_of(value: object) -> str:
        return digest_of(dataclasses.replace(cast(Any, recipe), **{field: value}).made_of())

    own = digest_of(recipe.made_of())
    assert len({own, *map(made_of, others)}) == 1 + len(others)
    assert {own, *map(made_of, same)} == {own}


@pytest.mark.parametrize(("recipe", "fields"), RECIPES, ids=lambda value: type(value).__name__)
def test_every_field_of_a_recipe_is_looked_at_above(recipe: Any, fields: Mapping[str, Any]):
    assert {field.name for field in dataclasses.fields(recipe)} == set(fields)
    assert all(others or same for others, same in fields.values())


@pytest.mark.parametrize(
    "recipe", [each for each, _ in RECIPES if isinstance(each, COMPUTING)], ids=lambda r: type(r).__name__
)
def test_another_number_of_threads_makes_another_key_where_a_network_computes(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    before = digest_of(recipe.made_of())
    for module in (basis, onnx, training, reproducibility):
        monkeypatch.setattr(module, "n_threads", lambda: 77)
    assert digest_of(recipe.made_of()) != before


def test_what_writes_and_computes_a_graph_is_in_the_keys_of_what_rests_on_it(monkeypatch: pytest.MonkeyPatch):
    """A new onnxruntime asks the file again; it trains nothing, and a new torch alone writes the file anew."""
    written, answered = (each for each, _ in RECIPES if isinstance(each, OnnxExport | OnnxAnswers))
    assert {"onnx", "onnxscript"} <= set(written.made_of())
    before = digest_of(answered.made_of())
    monkeypatch.setattr(onnx, "engine", lambda: "onnxruntime 99")
    assert digest_of(answered.made_of()) != before
    computed = Source(ModelFile(given().record, card(engine="onnxruntime 99"), *[cast(Any, None)] * 3), MACHINE)
    assert computed.card.answers_by["engine"] == "onnxruntime 99"
    assert "engine" not in SOURCE.card.answers_by
