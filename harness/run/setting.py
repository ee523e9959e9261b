"""What one run is asked: its protocol, and what the command line says beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.mapping import MapEngine
from harness.judge.continuity import KnownChain
from harness.model.devices import choose_device
from harness.model.engines import engine_for, told
from harness.model.precision import Precision, precision_used
from harness.protocol.datasets import ImageRules
from harness.protocol.prediction import Engine
from harness.protocol.records import Protocol
from harness.run.results import Baseline

if TYPE_CHECKING:
    from harness.data.prediction_files import PredictionsTable
    from harness.model.given import GivenClassifier


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says, beside the protocol.

    run_id:    what the run is called in the ledger and in its pack.
    external:  set name -> folder.
    unknown:   set name -> folder with cells of classes that the classifier does not know.
    synthetic: the names of the sets that were drawn; "dataset" is the one that is split.
    ledger:    the file in which every look at a test or external set is recorded.
    known_chains: chains of looks that the ledger must continue.
    baseline:  the run that this one is compared with, if any.
    model:     the classifier that is judged instead of training one, if any.
    predictions: tables of predictions that are judged instead of asking a classifier, if any.
    masks:     set name, or "dataset" -> folder with masks of its cells.
    spread:    what per-image stages are spread over other machines by; None where all is done on this one.
    """

    run_id: str
    data: Path
    external: Mapping[str, Path]
    synthetic: frozenset[str]
    split_file: Path | None
    device: str
    workers: int
    ledger: Path
    known_chains: tuple[KnownChain, ...] = ()
    baseline: Baseline | None = None
    model: GivenClassifier | None = None
    predictions: tuple[PredictionsTable, ...] = ()
    unknown: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)
    spread: MapEngine | None = None

    @property
    def split_is_stated(self) -> bool:
        """Whether --split says which cells a classifier that exists was trained on.

        Parts that the data came with, as folders or a column of the CSV given as --data, say it of no classifier.
        """
        return self.split_file not in (None, self.data)


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that is fixed before the first stage. device: "cpu", "cuda" or "mps"."""

    protocol: Protocol
    options: RunOptions
    device: str

    @classmethod
    def of(cls, protocol: Protocol, options: RunOptions) -> Setting:
        """
        Raises:
            DeviceUnavailable: this machine has no such device; the run ends before it begins.
            EngineUnavailable: the protocol's engine is not installed; so does it.
        """
        found = cls(protocol, options, choose_device(options.device).type)
        told(found.engine)
        return found

    @property
    def engine(self) -> Engine:
        """What computes a network of torch on this device, as the protocol wants it."""
        return engine_for(self.protocol.prediction.engine, self.device)

    @property
    def precision(self) -> Precision:
        """What a training by the protocol computes in on this device."""
        return precision_used(self.protocol.training.precision, choose_device(self.device))

    @property
    def classes(self) -> tuple[str, ...]:
        return self.protocol.dataset.classes

    @property
    def unknown(self) -> tuple[str, ...]:
        """The sets of cells of classes that the classifier does not know, of protocol and command line."""
        return tuple(dict.fromkeys([*(plan.name for plan in self.protocol.unknown), *self.options.unknown]))

    def rules(self, set_name: str) -> ImageRules:
        """What the protocol says of the images of the dataset or of a set beside it."""
        return self.protocol.image_rules(set_name)


def sibling_dir(data: Path) -> Path:
    """The folder that holds the data folder; of a CSV, the one that holds the folder that it lies in."""
    folder = data if data.is_dir() else data.parent
    return folder.resolve().parent
