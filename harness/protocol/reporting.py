"""What the report shows: pictures are somebody's, and a report travels further than the images it judges."""

from __future__ import annotations

from typing import Literal

from harness.protocol.record import Record

# Figures made of cells, by what `report.images` lets the report show; without their pictures they would say nothing.
_OF_ANY_CELL = frozenset({"sample_images", "correct_predictions_test", "disturbances", "duplicate_pairs"})
LEFT_OUT = {"all": frozenset[str](), "errors": _OF_ANY_CELL, "none": _OF_ANY_CELL | {"incorrect_predictions_test"}}


class ReportPlan(Record):
    """What leaves the building with the report.

    images:  "all" cells that it has a place for; "errors" alone: misclassified and discordant cells, and those whose
             labels are suspected; or "none", where patients' pictures or their licence forbid it.
    figures: whether any is drawn. Verdicts, tables and evidence need none, and to draw them takes seconds, which a
             gate that looks at every commit may not have.
    """

    images: Literal["all", "errors", "none"] = "all"
    figures: bool = True

    def draws(self, figure: str) -> bool:
        """Whether a run has a figure of this name, if there is anything to draw in it."""
        return self.figures and figure not in LEFT_OUT[self.images]
