"""How a classifier is adapted to another laboratory by a few of its labelled cells: which cells, and how."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.protocol.record import Record

Method = Literal["none", "batch-norm", "head", "fine-tune", "cross-validation"]
CHOICE: Method = "cross-validation"  # chooses among the others
MOST_CELLS = 100  # what a laboratory labels in an afternoon; published adaptations need no more


class AdaptationPlan(Record):
    """The classifier is adapted to the set by a few of its cells, drawn and named before, and judged on the others.

    cells:  at most how many are drawn: of every class alike as far as the set allows, never more than half of a class;
            patients, slides and pictures are drawn whole.
    seed:   of the draw, and of whatever else the adaptation draws.
    method: "batch-norm": the statistics of its batch-norm layers estimated anew on the drawn cells, without labels, and
            then fixed; "head": a new last layer on the classifier's own features, a logistic regression whose
            strength cross-validation chooses; "fine-tune": all weights trained on for some epochs; "none": nothing;
            "cross-validation": whichever of these has most of the drawn cells right, each asked of what was adapted
            without it. No other cell has a say.
    """

    cells: int = Field(ge=2, le=MOST_CELLS)
    seed: int
    method: Method
