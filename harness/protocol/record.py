"""What every record of a protocol is: frozen, strict, and without a key that nobody knows."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NotFixed:
    """Marks a key that may be other at a later look at a set: no verdict follows from it, or it makes the candidate."""


NOT_FIXED = NotFixed()
Text = Annotated[str, NOT_FIXED]  # such as a title or a reason: for whoever reads it
OptionalText = Annotated[str | None, NOT_FIXED]
