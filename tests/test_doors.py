"""Nothing outside harness/model knows what a classifier is made of."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness

ROOM = Path(harness.__file__).parent
PROJECT = ROOM.parent
# What plants bugs and damages files reaches into libraries on purpose.
PLANTING = (PROJECT / "fixtures" / "bugs.py", PROJECT / "fixtures" / "tampering.py")
OUTSIDE = sorted(
    file
    for folder in (ROOM, PROJECT / "suites", PROJECT / "fixtures")
    for file in folder.rglob("*.py")
    if ROOM / "model" not in file.parents and file not in PLANTING
)
LIBRARIES = ("torch", "torchvision", "fastai", "timm", "onnxruntime", "safetensors")
# Of a network: its parts, its kinds, where it is cut.
WORDS = ("Sequential", "Module", "Tensor", "CUT", "state_dict", "load_state_dict", "inference_mode", "no_grad")


def knowledge(tree: ast.AST) -> Iterator[str]:
    """What a module says that only the model room may know."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if each.name.partition(".")[0] in LIBRARIES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in LIBRARIES:
            yield f"from {node.module} import"
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value in (0, 1):
            name = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if name in ("model", "network", "classifier", "_model", "_network", "_classifier"):
                yield f"{name}[{node.slice.value}]"
        elif isinstance(node, ast.Attribute) and node.attr in WORDS:
            yield node.attr
        elif isinstance(node, ast.Name) and node.id in WORDS:
            yield node.id


@pytest.mark.parametrize("file", OUTSIDE, ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_no_module_outside_the_model_room_knows_torch_or_a_network_s_parts(file: Path):
    assert list(knowledge(ast.parse(file.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import torch.nn as nn", ["import torch.nn"]),
        ("def f():\n    from fastai.learner import Learner", ["from fastai.learner import"]),
        ("features = self.model[0](pixels)", ["model[0]"]),
        ("classifier[1]", ["classifier[1]"]),
        ("def f(model: nn.Sequential): ...", ["Sequential"]),
        ("'torch is a word', rows[0], model['a']", []),
    ],
)
def test_what_such_a_module_would_say_is_found(code: str, found: list[str]):
    assert list(knowledge(ast.parse(code))) == found


def test_a_run_shows_no_cell_by_the_training_plan():
    # Preprocessing is on the classifier's card. The reproducibility plan's size is put into a small training plan.
    # A map is framed by what the card says that the network saw.
    exceptions = {"reproduction.py": {"image_size_px"}, "explanations.py": {"resize"}}
    for file in (ROOM / "run").rglob("*.py"):
        read = {n.attr for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Attribute)}
        assert read & {"image_size_px", "resize", "normalisation"} <= exceptions.get(file.name, set()), file


def test_cards_and_records_are_read_without_torch():
    light = "harness.model.records, harness.model.classifier, harness.model.corrupted, harness.model.ood"
    code = f"import sys, {light}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
