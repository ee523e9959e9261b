"""How a classifier that existed before the run is kept: its file as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.progress import Report
from harness.model.given import GivenClassifier


@dataclass(frozen=True, slots=True, eq=False)
class GivenModel:
    """What --model names."""

    given: GivenClassifier

    def made_of(self) -> Mapping[str, object]:
        return {"sha256": self.given.record.sha256, "kept_as": self.given.kept_as}

    def make(self, folder: Path, progress: Report) -> None:
        self.given.keep(folder)
