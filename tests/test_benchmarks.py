"""The measurements are run by hand, and seldom: what they take from the house has to be there when it is rebuilt."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator

import pytest

from benchmarks.__main__ import HERE, measurements

OURS = ("harness", "fixtures", "benchmarks")


def taken_by(name: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything of ours that a measurement imports, inside its functions too."""
    for node in ast.walk(ast.parse((HERE / f"{name}.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            yield from ((str(node.module), each.name) for each in node.names)
        elif isinstance(node, ast.Import):
            yield from ((each.name, "__name__") for each in node.names if each.name.split(".")[0] in OURS)


@pytest.mark.parametrize("name", sorted({path.stem for path in HERE.glob("*.py")} - {"__init__", "__main__"}))
def test_a_measurement_imports_what_there_is(name: str):
    for module, wanted in taken_by(name):
        there = hasattr(importlib.import_module(module), wanted) or importlib.util.find_spec(f"{module}.{wanted}")
        assert there, f"benchmarks/{name}.py imports {wanted} from {module}, which has none"


def test_there_are_measurements():
    assert len(measurements()) > 15
