"""How a set is written where it is not as the protocol calls it, and how many images each class has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from harness.protocol.record import Record

COLUMN_ROLES = ("path", "label", "patient", "slide", "site", "split", "sha256")
GROUPS = ("patient", "slide", "site")
SLICES = "slices."  # before the name of a slice, where columns are listed by what they say
MINIMUM = "minimum"  # the key of `images_per_class` that speaks of every class


class ColumnPlan(Record):
    """What the columns of a label table are called, where it is not by the name of the key.

    path, label, patient, slide, site, split, sha256: the column of the table that holds it.
    slices:    name -> column whose values divide the set, such as magnification or stain; for `worst_slice`.
    unused:    columns that look like a patient, slide, site or part, and are none.
    delimiter: what separates the cells; found out from the first line where it is not stated.
    """

    path: str | None = None
    label: str | None = None
    patient: str | None = None
    slide: str | None = None
    site: str | None = None
    split: str | None = None
    sha256: str | None = None
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    slices: dict[str, str] = Field(default_factory=dict, exclude_if=lambda slices: not slices)
    unused: tuple[str, ...] = ()
    delimiter: Literal[",", ";", "\t", "|"] | None = None

    @property
    def mapped(self) -> dict[str, str]:
        """Key -> column, for those that are stated."""
        return {role: name for role in COLUMN_ROLES if (name := getattr(self, role)) is not None}

    @property
    def read(self) -> dict[str, str]:
        """The same with the columns of slices, whose key is such as "slices.stain"."""
        return self.mapped | {SLICES + name: column for name, column in self.slices.items()}

    @model_validator(mode="after")
    def _one_meaning_each(self) -> ColumnPlan:
        for name in self.slices:
            if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,63}", name) or name in COLUMN_ROLES:
                raise ValueError(
                    f"slices cannot be called {name!r}: use letters, digits, '_' and '-', and none of "
                    f"{', '.join(COLUMN_ROLES)}"
                )
        stated = [*self.read.values(), *self.unused]
        if doubles := sorted({name for name in stated if stated.count(name) > 1}):
            raise ValueError(f"the column {doubles[0]!r} is named more than once; give each column one meaning")
        return self


class SetNames(Record):
    """How classes and columns are written in a set.

    labels: name of a folder, or value of a table's label column -> class.
    """

    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    labels: dict[str, str] | None = Field(default=None, exclude_if=lambda labels: labels is None)
    columns: ColumnPlan | None = Field(default=None, exclude_if=lambda columns: columns is None)

    @property
    def label_of(self) -> Mapping[str, str]:
        return self.labels or {}

    @property
    def slice_names(self) -> tuple[str, ...]:
        return () if self.columns is None else tuple(self.columns.slices)

    def refuse_foreign_labels(self, where: str, classes: Sequence[str]) -> None:
        """
        Raises:
            ValueError: a label stands for something that is not a class.
        """
        for written, name in self.label_of.items():
            if name not in classes:
                raise ValueError(
                    f"{where}: {written!r} stands for {name!r}, which is not a class; the classes are "
                    f"{', '.join(classes)}"
                )


class DeclaredSet(SetNames):
    """A set as a protocol declares it.

    digest: pins the images: "sha256:" and the digest of every file's content with its label, whatever the files are
            called and wherever they lie; `python -m harness pin` prints it. Without it other images go unnoticed.
    """

    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    digest: str | None = Field(default=None, pattern="^sha256:[0-9a-f]{64}$", exclude_if=lambda digest: digest is None)


@dataclass(frozen=True, slots=True)
class CountRange:
    """How many images of a class there must be: exactly `least`, which `most` then is too, or at least so many."""

    least: int
    most: int | None

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"at least {self.least}"


def check_counts(stated: object) -> None:
    """
    Raises:
        ValueError: this is nothing that `images_per_class` can be.
    """
    counts = [*stated.values()] if isinstance(stated, dict) else [] if stated is None else [stated]
    if stated == {} or not all(type(count) is int and count >= 1 for count in counts):
        raise ValueError(
            "images_per_class is a whole number of at least 1, a table with one for each class, or "
            f"{{ {MINIMUM} = N }}; leave it away where nothing is asked"
        )


def counts_of(stated: int | Mapping[str, int] | None, classes: Sequence[str]) -> dict[str, CountRange]:
    """How many images each class must have.

    Where nothing is stated, one: a class without an image can be neither learnt nor judged.

    Raises:
        ValueError: a table that does not name every class.
    >>> print(*counts_of({"minimum": 20}, ["cat", "dog"]).values(), sep=", ")
    at least 20, at least 20
    """
    match stated:
        case None:
            return dict.fromkeys(classes, CountRange(1, None))
        case int():
            return dict.fromkeys(classes, CountRange(stated, stated))
        case _ if set(stated) == {MINIMUM}:
            return dict.fromkeys(classes, CountRange(stated[MINIMUM], None))
        case _ if set(stated) == set(classes):
            return {name: CountRange(stated[name], stated[name]) for name in classes}
    raise ValueError(
        f"images_per_class names {sorted(stated)}, the classes are {sorted(classes)}; give every class its number, or "
        f"write {{ {MINIMUM} = N }} alone"
    )
