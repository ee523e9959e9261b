"""What was changed in a protocol after a look at a set, in the open: both values, and who answers for it."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import Field, model_validator

from harness.protocol.record import Record
from harness.protocol.terms import canonical, plain

Stated = bool | int | float | str | date | tuple[Any, ...] | dict[str, Any] | None


LABELS = "labels"  # begins the key of corrected labels, which are of the data: "labels.test"
CELLS = "cells"  # begins the key of pictures that a set no longer shows as they were, which are of the data
GROUPS = "groups"  # begins the key of moved patients, slides, sites and other columns, which are of the data, too


class Amendment(Record):
    """One key that has changed since a set was first looked at. An undeclared change keeps a run from passing.

    key:    of the whole protocol, with dots, such as "criteria.A1.floor"; an entry goes by its id, name or criterion.
            "labels.SET" names cells of a set whose labels were corrected: path as it is now -> label, before and now.
            "groups.SET" names the columns whose groups have other cells: patient, slide, site or another -> how many
            groups, and a digest of which cells share one, as the run prints them.
            "cells.SET" names pictures that were dropped from a set, saved anew with other pixels, or moved to another
            part by other files or labels: how many it had, how many are gone, anew and moved, and a digest
            of which, as the run prints them.
    old:    what it was at the first look, as the ledger has it; left out where the key was not there.
    new:    what this protocol says; left out where it has no such key.
    reason: why it was changed, for the report.
    owner:  who answers for it.
    day:    on which it was decided.
    """

    key: str = Field(min_length=1)
    old: Stated = None
    new: Stated = None
    reason: str = Field(min_length=10)
    owner: str = Field(min_length=2)
    day: date

    @property
    def of_labels(self) -> bool:
        return self.key.startswith(f"{LABELS}.")

    @property
    def of_data(self) -> bool:
        """Whether it is of the data, whose present values no protocol says."""
        return self.of_labels or self.key.startswith((f"{GROUPS}.", f"{CELLS}."))

    @model_validator(mode="after")
    def _of_values(self) -> Amendment:
        for name, value in (("old", self.old), ("new", self.new)):
            try:
                canonical(plain(value))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"`{name}` is no value that a protocol's key can have: {error}") from None
        return self
