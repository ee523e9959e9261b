"""How a classifier is adapted to another laboratory by a few of its labelled cells: which cells, and how."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from harness.protocol.record import Record

Method = Literal["head"]
METHODS = get_args(Method)
MOST_CELLS = 100  # what a laboratory labels in an afternoon; published adaptations need no more


class AdaptationPlan(Record):
    """The classifier is adapted to the set by a few of its cells, drawn and named before, and judged on the others.

    cells:  at most how many are drawn: of every class alike as far as the set allows, never more than half of a class;
            patients, slides and pictures are drawn whole.
    seed:   of the draw, and of whatever else the adaptation draws.
    method: "head": a new last layer on the classifier's own features, a logistic regression.
    """

    cells: int = Field(ge=2, le=MOST_CELLS)
    seed: int
    method: Method
