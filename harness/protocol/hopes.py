"""What truth does a protocol hope for? What a run's chances are computed from, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from harness.protocol.record import Record

Hope = Annotated[float, Field(gt=0.0, le=1.0)]


class HopedTruth(Record):
    """The truth that is hoped for, from which `python -m harness plan` tells the chances of passing. It judges nothing.

    accuracy:    the true share of right answers on the cells of every class that `recall` does not name.
    recall:      class -> the true share of its cells that are recognised, where it is another.
    external:    external set -> the same of every class there, where it differs from that on cells of the dataset.
    correlation: how alike right and wrong answers truly are within a patient or slide, where these are known; what
                 `clusters` assumes, unless it is stated.
    draws:       how many test sets are simulated.
    seed:        of the simulation.
    """

    accuracy: Hope
    recall: dict[str, Hope] = Field(default_factory=dict)
    external: dict[str, Hope] = Field(default_factory=dict)
    correlation: float | None = Field(default=None, ge=0.0, lt=1.0)
    draws: int = Field(default=2000, ge=100, le=100_000)
    seed: int = Field(default=1, ge=0)

    def recall_of(self, cell_class: str, set_name: str) -> float:
        """The hoped-for recall of a class in a set."""
        return self.external.get(set_name, self.recall.get(cell_class, self.accuracy))

    def refuse_foreign_names(self, classes: Sequence[str], external: Sequence[str]) -> None:
        """
        Raises:
            ValueError: a class or an external set that the protocol does not have.
        """
        for key, names, known in (("recall", self.recall, classes), ("external", self.external, external)):
            if foreign := sorted(set(names) - set(known)):
                raise ValueError(f"plan.{key} names {foreign[0]!r}; it can be one of {', '.join(known) or 'none'}")
