"""What rests on what in a run: stages that name their inputs, each made once, when it is first asked for.

A stage is a function behind a name. It gets its inputs from the graph, and no other stage than those it names; what is
worth keeping it has kept on disk by a recipe, under a key made of the content of its inputs, its part of the protocol,
versions, and the meaning of the recipe's code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from harness.core.progress import Report
from harness.core.spent import Spent
from harness.run.code import installed
from harness.run.setting import Setting
from harness.run.store import Store

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Args = tuple[object, ...]
# Whatever every recipe computes with: another version of it may make other numbers. What some classifiers alone are
# computed with (timm, onnxruntime) is on their card, so that to install it retrains nothing.
VERSIONS = ("torch", "torchvision", "fastai", "fastcore", "numpy", "scipy", "scikit-learn", "pillow")


class Recipe(Protocol):
    """How a stage's result is made on disk.

    Its module, with everything of ours that this one imports, is the code that the result depends on.
    """

    def made_of(self) -> Mapping[str, object]:
        """Whatever else the result depends on, as JSON has it: content, never a place."""

    def make(self, folder: Path, progress: Report) -> None:
        """Write the result's files; go on from what a killed run left in the folder."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage(Generic[P, T_co]):
    """One step of a run, or several alike: one for each set, seed or metric that it is asked for.

    inputs: the stages whose results it may ask for.
    code:   the modules whose meaning is in the key of what it keeps on disk; none where it keeps nothing.
    """

    name: str
    inputs: tuple[Stage[..., Any], ...]
    code: tuple[str, ...]
    make: Callable[Concatenate[Asking, P], T_co]


def stage(
    *inputs: Stage[..., Any], keeps: type[Recipe] | None = None, runs: tuple[str, ...] = ()
) -> Callable[[Callable[Concatenate[Asking, P], T]], Stage[P, T]]:
    """Make a function the stage of its name.

    Args:
        keeps: the recipe of what it keeps on disk.
        runs:  modules that the recipe runs without importing them, such as by `python FILE`.
    """

    def made(function: Callable[Concatenate[Asking, P], T]) -> Stage[P, T]:
        code = (keeps.__module__, *runs) if keeps is not None else ()
        return Stage(function.__name__, inputs, code, function)

    return made


class Graph:
    """The stages of one run: asked for a result, it makes what is missing, and remembers it."""

    def __init__(self, setting: Setting, *, store: Store, progress: Report) -> None:
        self.setting, self.store, self.progress = setting, store, progress
        self.spent = Spent()
        self._results: dict[Stage[..., Any], dict[Args, Any]] = {}

    def __call__(self, stage: Stage[P, T], *args: P.args, **named: P.kwargs) -> T:
        made, asked = self._results.setdefault(stage, {}), (*args, *named.values())
        if asked not in made:
            with self.spent.on(stage.name):
                made[asked] = stage.make(Asking(self, stage), *args, **named)
        return made[asked]  # type: ignore[no-any-return]

    def enter(self, stage: Stage[..., T], result: T, *args: object) -> None:
        """Remember what was measured elsewhere, such as by a stopwatch, as what the stage has made."""
        self._results.setdefault(stage, {})[args] = result

    def results(self, stage: Stage[..., T]) -> dict[Args, T]:
        """What the stage has made so far, by what it was asked for; nothing is made for the sake of the question."""
        return dict(self._results.get(stage, {}))

    def result(self, stage: Stage[[], T]) -> T | None:
        """What a stage has made that is asked for nothing in particular; None where it did not run."""
        return self.results(stage).get(())


@dataclass(frozen=True, slots=True)
class Asking:
    """What a stage may ask while it makes its result."""

    _graph: Graph
    _stage: Stage[..., Any]

    @property
    def setting(self) -> Setting:
        return self._graph.setting

    @property
    def progress(self) -> Report:
        return self._graph.progress

    def __call__(self, stage: Stage[P, T], *args: P.args, **named: P.kwargs) -> T:
        """The result of one of its inputs."""
        if stage not in self._stage.inputs:
            raise LookupError(f"stage {self._stage.name} asks for {stage.name}, and does not name it as an input")
        return self._graph(stage, *args, **named)

    def keep(self, name: str, recipe: Recipe, *, anew: bool = False) -> Path:
        """The folder with what the recipe makes: kept under this name from before, or made now.

        Args:
            anew: take nothing that another run has kept.
        Raises:
            StoreError: another run is making the same, or the folder cannot be written.
        """
        if type(recipe).__module__ not in self._stage.code:
            raise LookupError(f"stage {self._stage.name} keeps a {type(recipe).__name__}, and does not say so")
        store = self._graph.store
        folder = keep(store, name, recipe, code=self._stage.code, progress=self.progress, anew=anew)
        self._graph.spent.found(self._stage.name, kept=store.records[-1].reused)
        return folder


def keep(
    store: Store, name: str, recipe: Recipe, *, code: tuple[str, ...], progress: Report, anew: bool = False
) -> Path:
    """The folder `name` with what the recipe makes, under a key of all that the result depends on."""
    key = {
        **recipe.made_of(),
        "code": installed().digest(*code),
        "versions": {name: version(name) for name in VERSIONS},
    }
    return store.fetch(name, key, lambda folder: recipe.make(folder, progress), anew=anew)
