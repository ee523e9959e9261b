"""The classifier of a protocol's training, made once below a folder of reports and kept there."""

from __future__ import annotations

from pathlib import Path

from harness.core.progress import Report
from harness.protocol.records import Protocol
from harness.run.graph import Graph
from harness.run.setting import RunOptions, Setting
from harness.run.store import Store

WORKERS = 2


def run_of(protocol: Protocol, *, data: Path, reports: Path, progress: Report, device: str = "auto") -> Graph:
    """A run whose stages are made as they are asked for; it records no look and judges nothing."""
    place = reports / ".stages"
    place.mkdir(parents=True, exist_ok=True)
    options = RunOptions("benchmark", data, {}, frozenset(), None, device, WORKERS, reports / "ledger.jsonl")
    return Graph(Setting.of(protocol, options), store=Store(place, fresh=False), progress=progress)


def with_seed(protocol: Protocol, seed: int) -> Protocol:
    """The same protocol with this one seed of its training."""
    plan = protocol.training.model_copy(update={"seed": seed, "seeds": ()})
    return protocol.model_copy(update={"training": plan})
