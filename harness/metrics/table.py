"""The one table of metrics: every entry that a module of this room declares in its `METRICS`."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import harness.metrics as room
from harness.metrics.metric import Metric
from harness.protocol.questions import QUESTIONS

# Modules of the room that read the table, so that it cannot wait for them.
READERS = ("table", "summary", "documentation")


def _discovered() -> Mapping[str, Metric]:
    """Name -> entry, in the order of questions, then of modules, then of declaration."""
    found: list[Metric] = []
    for module in sorted(each.name for each in pkgutil.iter_modules(room.__path__) if each.name not in READERS):
        found += getattr(import_module(f"{room.__name__}.{module}"), "METRICS", ())
    names = [metric.name for metric in found]
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise TypeError(f"the metrics {doubles} are declared more than once; name each in one module's METRICS")
    if lost := [m.name for m in found if not m.questions or not set(m.questions) <= set(QUESTIONS)]:
        raise TypeError(f"the metrics {lost} answer no known question; the questions are {', '.join(QUESTIONS)}")
    order = list(QUESTIONS)
    found.sort(key=lambda metric: order.index(metric.questions[0]))
    return MappingProxyType({metric.name: metric for metric in found})


TABLE = _discovered()


def metrics_of(question: str) -> tuple[Metric, ...]:
    """The metrics that answer one question."""
    return tuple(metric for metric in TABLE.values() if question in metric.questions)
