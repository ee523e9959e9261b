"""What the report shows: pictures are somebody's, and a report travels further than the images it judges."""

from __future__ import annotations

from typing import Literal

from harness.protocol.record import Record


class ReportPlan(Record):
    """What leaves the building with the report.

    images:  "all" cells that it has a place for; "errors" alone: misclassified and discordant cells, and those whose
             labels are suspected; or "none", where patients' pictures or their licence forbid it.
    figures: whether any is drawn. Verdicts, tables and evidence need none, and to draw them takes seconds, which a
             gate that looks at every commit may not have.
    """

    images: Literal["all", "errors", "none"] = "all"
    figures: bool = True
