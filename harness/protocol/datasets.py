"""The sets of a protocol: what every image must be, how the dataset is split, and which sets lie beside it."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from harness.protocol.adaptation import AdaptationPlan
from harness.protocol.expectations import ExpectationSuite
from harness.protocol.modes import ACCEPTABLE, why_not
from harness.protocol.names import PARTS, RESERVED_SETS, UNUSED, Name, OpenFraction
from harness.protocol.record import Record as _Record
from harness.protocol.record import Text
from harness.protocol.sets import CountRange, DeclaredSet, check_counts, counts_of

PINNED_BY = "digest_mismatches"  # the metric that holds a set to its digest
# What may be decoded; `harness.data.decoding` knows more by their first bytes, and names them.
Format = Literal["JPEG", "PNG", "BMP", "TIFF", "WEBP"]
FORMATS = get_args(Format)
CONFIDENT_AT = 0.9  # of a set of unknown cells that says nothing else
# 67 million pixels: below what Pillow takes for a decompression bomb, far above the photograph of one cell.
LARGEST_SIDE_PX = 8192


class SyntheticPlan(_Record):
    """How the embedded cells are drawn when no `--data` is given.

    seed:             of the drawing.
    images_per_class: how many cells are drawn of each class.
    size_px:          side of the square images, in pixels.
    """

    seed: int
    images_per_class: int = Field(ge=1)
    size_px: int = Field(ge=32)


class ImageRules(_Record):
    """What every image file must be. Sides are in pixels, inclusive.

    formats:     the file formats that are allowed.
    modes:       the colour modes that are allowed, as they are stored and in Pillow's words; docs/images.md lists them.
    min_side_px: the shortest side that an image may have.
    max_side_px: the longest side that an image may have.
    """

    formats: tuple[Format, ...]
    modes: tuple[str, ...] = ("RGB",)
    min_side_px: int = Field(ge=1)
    max_side_px: int = Field(le=LARGEST_SIDE_PX)

    @field_validator("modes")
    @classmethod
    def _decodable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for mode in value:
            if (reason := why_not(mode)) is not None:
                raise ValueError(
                    f"mode {mode!r} cannot be accepted: {reason}. Convert the images to RGB with the program that "
                    f"wrote them; acceptable are {', '.join(ACCEPTABLE)}"
                )
        return value

    @model_validator(mode="after")
    def _ordered(self) -> ImageRules:
        if self.min_side_px > self.max_side_px:
            raise ValueError("min_side_px is larger than max_side_px")
        return self

    @property
    def max_bytes(self) -> int:
        """The most bytes that an honest file can have: its pixels uncompressed (4 channels, 16 bits) and 1 MiB."""
        return 8 * self.max_side_px**2 + 2**20


# For a set of which the protocol says nothing: whatever becomes RGB without a guess. Public sets of TIFF files have a
# channel of opacity that says nothing; one that does is a finding (`harness.data.decoding.facts_of`).
UNDECLARED = ImageRules(formats=FORMATS, modes=("RGB", "RGBA"), min_side_px=1, max_side_px=4096)


class DatasetPlan(DeclaredSet):
    """The set that is split into train, validation and test.

    description:  what the images are and where they come from, for the report.
    classes:      the names of the class folders or labels, in the order of the classifier's outputs.
    images:       what every image file must be.
    images_per_class: a number for every class, a table with one for each, { minimum = N }, or absent: then every
                  class has an image.
    parts:        name of a folder above the class folders -> part, or "unused" for one that is not read.
    pixels_suffice: why a copy can only be the same pixels again, where images are too small (a side under 32 px) or too
                  smooth to be compared otherwise; without it no search for copies passes there.
    synthetic:    draws cells where no `--data` is given; leave it out for images of your own.
    expectations: the user's own suite; in the file, the name of a great-expectations JSON file beside it.
    """

    description: Text
    classes: tuple[Name, ...] = Field(min_length=2)
    images_per_class: int | dict[str, int] | None = None
    images: ImageRules
    parts: dict[str, Literal[*PARTS, UNUSED]] = Field(default_factory=dict, exclude_if=lambda parts: not parts)  # type: ignore[valid-type]
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    # No mere text: whether there is one decides, so that it is fixed before the first look.
    pixels_suffice: str | None = Field(default=None, min_length=10, exclude_if=lambda reason: reason is None)
    synthetic: SyntheticPlan | None = None
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    expectations: ExpectationSuite | None = Field(default=None, exclude_if=lambda suite: suite is None)

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len({name.casefold() for name in value}) != len(value):
            raise ValueError(f"the classes {list(value)} are not distinct when case is ignored")
        return value

    @field_validator("images_per_class", mode="before")
    @classmethod
    def _countable(cls, value: object) -> object:
        check_counts(value)
        return value

    @model_validator(mode="after")
    def _names_are_classes(self) -> DatasetPlan:
        counts_of(self.images_per_class, self.classes)
        self.refuse_foreign_labels("labels", self.classes)
        return self

    @property
    def counts(self) -> dict[str, CountRange]:
        """How many images each class must have."""
        return counts_of(self.images_per_class, self.classes)


DigestOrStart = Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$")]


class SplitPlan(_Record):
    """Who is in which part: stratified by class, by group where groups are known.

    train, validation, test: the part's share of every class; the three add up to 1.
    seed: of the draw.
    together: groups of images that show the same cell, such as copies that L1 found in two parts; each group comes
        into one. Of each image the SHA-256 of its file, or at least its first twelve digits: names decide nothing.
        Images that are not there are left out; a digest that is mistyped leaves its copy to L1.
    """

    train: OpenFraction
    validation: OpenFraction
    test: OpenFraction
    seed: int
    together: tuple[tuple[DigestOrStart, ...], ...] = Field(default=(), exclude_if=lambda groups: not groups)

    @model_validator(mode="after")
    def _adds_up(self) -> SplitPlan:
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(
                f"train + validation + test = {self.train:g} + {self.validation:g} + {self.test:g} = {total:g}, not 1; "
                "every image belongs to exactly one part"
            )
        return self

    @property
    def ratios(self) -> dict[str, float]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


class _SetBeside(DeclaredSet):
    """A set that lies beside the dataset and is only ever evaluated.

    name:        how criteria call it; a folder of this name beside the data folder is taken for it.
    description: what the images are, where they come from, and what shows that they are independent.
    images:      what every image file of it must be.
    """

    name: Name
    description: Text
    images: ImageRules

    @field_validator("name")
    @classmethod
    def _no_part(cls, value: str) -> str:
        if value.casefold() in RESERVED_SETS:
            raise ValueError(f"a set beside the dataset cannot be called {value!r}: that name is taken")
        return value


class ExternalPlan(_SetBeside):
    """A set from elsewhere, only ever evaluated. Its `labels` and `columns` are the dataset's where it states none.

    synthetic:   of the embedded protocol: which cells are drawn for it.
    independence: "shown" needs facts that the protocol states in `description`; "not shown" cannot satisfy an
    external criterion, whatever the accuracy.
    adaptation:  by which of its cells a classifier is adapted to it; only its other cells are judged then.
    """

    independence: Literal["shown", "not shown"]
    synthetic: Literal["second-laboratory", "nine-monocytes"] | None = None
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    adaptation: AdaptationPlan | None = Field(default=None, exclude_if=lambda plan: plan is None)


class UnknownPlan(_SetBeside):
    """A set of cells of classes that the classifier does not know. Its `labels` say which folder is which kind of cell.

    confident_at: a cell to which the classifier gives one of its own classes at least this probability is confidently
                  called something that it is not.
    """

    confident_at: OpenFraction = CONFIDENT_AT
