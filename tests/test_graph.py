"""The graph of stages: each made once, from the inputs that it names, and kept under a key of all that it rests on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from stage_code import KEPT_STAGES, every_stage
from test_architecture import imported

from harness.core.progress import Report, silent
from harness.run import graph as graph_module
from harness.run.code import OURS, Code, Source, on_disk
from harness.run.graph import Asking, Graph, keep, stage
from harness.run.setting import Setting
from harness.run.store import Store

NOWHERE = cast(Setting, None)  # no stage here asks for it


@dataclass(frozen=True)
class Number:
    """Keeps a number."""

    value: int

    def made_of(self) -> Mapping[str, object]:
        return {"value": self.value}

    def make(self, folder: Path, progress: Report) -> None:
        (folder / "number.txt").write_text(str(self.value))


made: list[str] = []


@stage()
def one(run: Asking) -> int:
    made.append("one")
    return 1


@stage(one)
def several(run: Asking, factor: int) -> int:
    made.append(f"several {factor}")
    return factor * run(one)


@stage(several)
def total(run: Asking) -> int:
    return run(several, 2) + run(several, 3) + run(several, 2)


@stage()
def failing(run: Asking) -> int:
    made.append("failing")
    raise ZeroDivisionError


@stage(total)
def greedy(run: Asking) -> int:
    return run(total) + run(one)


@stage(several, keeps=Number)
def kept(run: Asking, factor: int) -> int:
    folder = run.keep("kept", Number(run(several, factor)))
    return int((folder / "number.txt").read_text())


@stage()
def careless(run: Asking) -> Path:
    return run.keep("kept", Number(1))


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The text of each module that a key asks for, this one among them."""
    texts = {Number.__module__: "X = 1", "harness.a": "", "harness.b": ""}
    code = Code(lambda name: Source(texts[name], package=False) if name in texts else None)
    monkeypatch.setattr(graph_module, "installed", lambda: code)
    return texts


@pytest.fixture
def run(tmp_path: Path) -> Graph:
    made.clear()
    return Graph(NOWHERE, store=Store(tmp_path, fresh=False), progress=silent)


def test_a_stage_is_made_when_it_is_first_asked_for_and_once_for_each_thing_it_is_asked_for(run: Graph):
    assert made == []
    assert run(total) == 7
    assert run(total) == 7
    assert made == ["several 2", "one", "several 3"]
    assert run(several, 3) == 3
    assert made == ["several 2", "one", "several 3"]


def test_what_a_stage_is_asked_for_by_name_is_the_same_as_by_place(run: Graph):
    assert run(several, factor=5) == run(several, 5) == 5
    assert made.count("several 5") == 1


def test_a_run_knows_which_stages_ran_and_asking_so_makes_none(run: Graph):
    assert run.result(one) is None
    assert run.results(several) == {}
    assert made == []
    run(total)
    assert run.result(one) == 1
    assert run.results(several) == {(2,): 2, (3,): 3}


def test_a_stage_that_fails_has_no_result_and_is_tried_again(run: Graph):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run(failing)
    assert run.result(failing) is None
    assert made == ["failing", "failing"]


def test_a_stage_can_ask_for_no_other_than_the_inputs_that_it_names(run: Graph):
    with pytest.raises(LookupError, match="stage greedy asks for one, and does not name it as an input"):
        run(greedy)


def test_a_stage_can_keep_nothing_that_it_does_not_declare(run: Graph):
    with pytest.raises(LookupError, match="stage careless keeps a Number, and does not say so"):
        run(careless)


def test_what_was_measured_elsewhere_is_remembered_as_the_result(run: Graph):
    run.enter(several, 70, 7)
    assert run(several, 7) == 70
    assert made == []


def test_what_is_kept_is_not_made_again_by_the_next_run(run: Graph, tmp_path: Path):
    assert run(kept, 4) == 4
    again = Graph(NOWHERE, store=Store(tmp_path, fresh=False), progress=silent)
    assert again(kept, 4) == 4
    assert again(kept, 5) == 5
    assert [record.reused for record in (*run.store.records, *again.store.records)] == [False, True, False]


def key_of(tmp_path: Path, recipe: Number, code: tuple[str, ...] = ("harness.a",)) -> str:
    store = Store(tmp_path, fresh=False)
    keep(store, "kept", recipe, code=code, progress=silent)
    return store.records[0].key


def test_the_key_is_made_of_the_recipe_the_code_and_the_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = key_of(tmp_path, Number(1))
    assert key_of(tmp_path, Number(1)) == first
    others = {key_of(tmp_path, Number(2)), key_of(tmp_path, Number(1), ("harness.b",))}
    monkeypatch.setattr(graph_module, "version", lambda name: "0.0" if name == "torch" else "1.0")
    others.add(key_of(tmp_path, Number(1)))
    assert len({first, *others}) == 4


# Module -> its distribution, where the two have different names.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
# What carries, checks or shows numbers and makes none.
TOOLING = {
    "pydantic": "checks the records of the protocol",
    "rich": "draws progress",
    "safetensors": "writes and reads tensors to the bit",
}
# What computes for some classifiers or recipes alone: their card or the recipe names its version (test_recipes.py,
# test_architectures.py), and a new one retrains nothing.
NAMED = {"captum", "onnx", "onnxruntime", "onnxscript", "openvino", "timm"}


def test_the_version_of_every_library_that_a_recipe_computes_with_is_in_its_key():
    modules = {name for roots in KEPT_STAGES.values() for name in Code().closure(*roots)}
    sources = [source.text for source in map(on_disk, modules) if source is not None]
    used = {name.partition(".")[0] for text in sources for name in imported(text)}
    foreign = used - sys.stdlib_module_names - set(OURS)
    assert {DISTRIBUTIONS.get(name, name) for name in foreign - set(TOOLING) - NAMED} <= set(graph_module.VERSIONS)
    assert set(TOOLING) <= foreign


def test_no_two_stages_of_a_run_share_a_name_and_inputs_are_made_before_what_rests_on_them():
    stages = every_stage()
    place = {id(each): number for number, each in enumerate(stages.values())}
    assert len(place) == len(stages)

    def depth(each: Any, above: tuple[str, ...] = ()) -> int:
        assert each.name not in above
        return 1 + max((depth(other, (*above, each.name)) for other in each.inputs), default=0)

    assert max(depth(each) for each in stages.values()) > 5
    assert all(id(other) in place for each in stages.values() for other in each.inputs)
