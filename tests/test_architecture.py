"""The arrows of the map: each room imports only rooms before it, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.places import PROJECT

HOUSE = PROJECT / "harness"
# Data flows down this list and never back (docs/architecture.md).
ROOMS = ("core", "protocol", "data", "model", "metrics", "judge", "run", "report", "pack", "jobs")
MODULES = sorted(file for file in HOUSE.rglob("*.py") if len(file.relative_to(HOUSE).parts) > 1)
# Each library, and the rooms whose business it is.
KEPT_IN = {
    "torch": {"model", "run"},
    "torchvision": {"model"},
    "fastai": {"model"},
    "safetensors": {"model"},
    "onnx": {"model"},
    "onnxruntime": {"model"},
    "openvino": {"model"},
    "timm": {"model"},
    "captum": {"model"},
    "great_expectations": {"data"},
    "matplotlib": {"report"},
    "distributed": {"run"},
    "jinja2": {"report"},
    "pytest": set(),
    "mlflow": set(),
}

# A criterion is checked against the table of metrics; metrics are written in terms of criteria. Named for types only.
LOOK_AHEAD = {"harness/protocol/criteria.py": {"harness.metrics.metric", "harness.metrics.metric.Metric"}}


def imported(source: str) -> Iterator[str]:
    """Every module that a source names in an import, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "harness" and len(parts) > 1 and (HOUSE / parts[1]).is_dir() else None


def upward(room: str, source: str) -> set[str]:
    """What a module of this room imports of rooms that come after it."""
    later = ROOMS[ROOMS.index(room) + 1 :]
    return {module for module in imported(source) if room_of(module) in later}


def place(file: Path) -> str:
    return file.relative_to(PROJECT).as_posix()


def test_every_room_is_on_the_map():
    rooms = {file.relative_to(HOUSE).parts[0] for file in MODULES}
    assert rooms == {*ROOMS, "claims"}


@pytest.mark.parametrize("file", MODULES, ids=place)
def test_data_flow_down_the_rooms_and_never_back(file: Path):
    room, source = file.relative_to(HOUSE).parts[0], file.read_text(encoding="utf-8")
    if room == "claims":  # can be used alone: core, and one function for an interval
        others = {module for module in imported(source) if room_of(module) not in (None, "core", "claims")}
        assert others <= {"harness.metrics.intervals", "harness.metrics.intervals.clopper_pearson_bounds"}
    else:
        assert upward(room, source) <= LOOK_AHEAD.get(place(file), set())
        front = {m for m in imported(source) if m.split(".")[:2] in (["harness", "plugin"], ["harness", "cli"])}
        assert not front


@pytest.mark.parametrize("file", MODULES, ids=place)
def test_a_library_stays_in_the_room_whose_business_it_is(file: Path):
    room = file.relative_to(HOUSE).parts[0]
    used = {module.partition(".")[0] for module in imported(file.read_text(encoding="utf-8"))}
    assert {library for library in used & set(KEPT_IN) if room not in KEPT_IN[library]} == set()


def test_the_one_look_ahead_is_the_table_of_metrics():
    """Criteria are checked against metrics, which are written in terms of criteria; nothing else is looked up late."""
    late = {place(file) for file in HOUSE.rglob("*.py") if 'import_module("harness' in file.read_text(encoding="utf-8")}
    assert late == {"harness/protocol/criteria.py"}


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        ("metrics", "from harness.judge.criteria import judge", True),
        ("data", "if True:\n    import harness.run.store", True),
        ("model", "def f():\n    from harness.metrics import table", True),
        ("judge", "from harness.metrics.table import TABLE", False),
        ("pack", "from harness.core.files import read_plain", False),
    ],
)
def test_an_arrow_against_the_flow_would_be_seen(room: str, line: str, found: bool):
    assert bool(upward(room, line)) is found
