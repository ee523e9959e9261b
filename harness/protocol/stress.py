"""What is done to cells, and shown instead of cells, to see whether the classifier holds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.protocol.names import OpenFraction
from harness.protocol.record import Record as _Record

# What `harness.data.corruptions` can do to a cell, and the inputs without one that it can make.
CORRUPTIONS = (
    "stain",
    "brightness",
    "contrast",
    "defocus",
    "noise",
    "jpeg",
    "resolution",
    "rotation",
    "scale",
    "bubble",
    "second_cell",
)
INVARIANCES = ("rotation_90", "rotation_180", "rotation_270", "flip_horizontal", "flip_vertical")
NO_CELLS = ("blank", "red_cells", "noise", "text", "grey")


class RobustnessPlan(_Record):
    """Disturbed copies of the test part; what the severities mean stands in `harness.data.corruptions`.

    kinds:       what is done to the images.
    severities:  those that are drawn, from 1 to 5.
    agreed:      kind -> the severity at which it is judged.
    invariances: turns and mirrorings after which the answer should be the same.
    seed:        of the draw.
    """

    kinds: tuple[Literal[CORRUPTIONS], ...] = Field(min_length=1)  # type: ignore[valid-type]
    severities: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field(min_length=1)
    agreed: dict[str, Annotated[int, Field(ge=1, le=5)]]
    invariances: tuple[Literal[INVARIANCES], ...] = ()  # type: ignore[valid-type]
    seed: int

    @model_validator(mode="after")
    def _agreed_are_drawn(self) -> RobustnessPlan:
        if nameless := sorted(set(self.kinds) - set(self.agreed)):
            raise ValueError(f"no severity is agreed for {', '.join(nameless)}; name one in `agreed`")
        if missing := {kind: self.agreed[kind] for kind in self.kinds if self.agreed[kind] not in self.severities}:
            raise ValueError(f"the agreed severities {missing} are not among severities {list(self.severities)}")
        return self


class DetectionPlan(_Record):
    """Inputs without a cell must look strange.

    score:     "confidence" (1 - largest probability), "entropy", or "mahalanobis" (distance of the network's features
               from those of the train part). Named before any was seen.
    reference: the part that fixes the threshold, at which `true_positive_rate` of its cells are kept.
    true_positive_rate: the share of the reference's cells that the threshold keeps.
    kinds:     inputs without a cell that are drawn.
    inputs_per_kind: how many of each.
    seed:      of the drawing.
    """

    score: Literal["confidence", "entropy", "mahalanobis"]
    reference: Literal["validation"] = "validation"
    true_positive_rate: OpenFraction
    kinds: tuple[Literal[NO_CELLS], ...] = Field(min_length=1)  # type: ignore[valid-type]
    inputs_per_kind: int = Field(ge=10)
    seed: int
