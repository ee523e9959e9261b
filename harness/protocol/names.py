"""What several tables of a protocol are written in: the parts of a dataset, names, and shares of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from harness.protocol.questions import DEVICES

PARTS = ("train", "validation", "test")
# How parts are written in tables and as names of folders, whatever their case; `[dataset.parts]` adds to it.
PART_ALIASES = {
    **{name: name for name in PARTS},
    **{"training": "train", "val": "validation", "valid": "validation", "testing": "test"},
}
UNUSED = "unused"  # what `[dataset.parts]` says of a folder that is not read
ANY = "any"  # flips under at least one transform; inputs of every kind together
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Names become folder names, element ids and test ids; restricting them here keeps every later place simple.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
# Names of the dataset, its parts, the training and the devices, which no external set may have.
RESERVED_SETS = ("dataset", *PARTS, "training", "export", *DEVICES, "any")


def part_called(written: str, parts: Mapping[str, str] | None) -> str | None:
    """The part of the split that is meant; None where nothing says so. parts: as in `DatasetPlan`."""
    return (parts or {}).get(written) or PART_ALIASES.get(written.casefold())
