"""Every stage of a run, and the code that each one's kept result depends on."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import harness.run.stages
from fixtures.drawing import Smears
from harness.run.graph import Stage


def every_stage() -> dict[str, Stage[..., Any]]:
    modules = [
        importlib.import_module(f"{harness.run.stages.__name__}.{found.name}")
        for found in pkgutil.iter_modules(harness.run.stages.__path__)
    ]
    return {each.name: each for module in modules for each in vars(module).values() if isinstance(each, Stage)}


# Stage -> the modules that it names as its code; the cells are drawn before there is a run.
KEPT_STAGES = {name: stage.code for name, stage in every_stage().items() if stage.code}
KEPT_STAGES["smears"] = (Smears.__module__,)
