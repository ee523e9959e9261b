"""The validation protocol as frozen records, checked once at birth; `protocol_file` reads them from TOML.

Everything that decides a run's verdict is fixed here before the run and hashed into its evidence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from harness.core.digests import digest_of
from harness.protocol.adaptation import AdaptationPlan
from harness.protocol.amendments import Amendment
from harness.protocol.expectations import ExpectationSuite
from harness.protocol.hopes import HopedTruth
from harness.protocol.modes import ACCEPTABLE, why_not
from harness.protocol.needs import OTHER_SEEDS
from harness.protocol.prediction import PredictionPlan
from harness.protocol.questions import DEVICES, QUESTIONS
from harness.protocol.record import NOT_FIXED, OptionalText, Text
from harness.protocol.record import Record as _Record
from harness.protocol.reporting import ReportPlan
from harness.protocol.sets import GROUPS, CountRange, DeclaredSet, SetNames, check_counts, counts_of
from harness.protocol.study import StudyPlan

if TYPE_CHECKING:
    from harness.metrics.metric import Metric

PARTS = ("train", "validation", "test")
# How parts are written in tables and as names of folders, whatever their case; `[dataset.parts]` adds to it.
PART_ALIASES = {
    **{name: name for name in PARTS},
    **{"training": "train", "val": "validation", "valid": "validation", "testing": "test"},
}
UNUSED = "unused"  # what `[dataset.parts]` says of a folder that is not read

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
FEWEST_BLOCKS = 30  # 29 are the fewest samples with a 95 % upper bound of the 90th percentile
MAX_TIMED_S = 3600.0  # of one scenario; a published figure takes 600 s
PINNED_BY = "digest_mismatches"  # the metric that holds a set to its digest
ANY = "any"  # flips under at least one transform; inputs of every kind together
# What may be decoded; `harness.data.decoding` knows more by their first bytes, and names them.
Format = Literal["JPEG", "PNG", "BMP", "TIFF", "WEBP"]
FORMATS = get_args(Format)
CONFIDENT_AT = 0.9  # of a set of unknown cells that says nothing else
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Names become folder names, element ids and test ids; restricting them here keeps every later place simple.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
ARCHITECTURE_PATTERN = r"^(timm:)?[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)?$"
PACKAGED_FILE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*(/(?!\.)[^/]+)+"
Normalisation = Literal["imagenet", "background-white"]
Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]  # of a resize, in Pillow's words
# ImageNet's mean and standard deviation per channel, of RGB / 255: what torchvision's weights were trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# 67 million pixels: below what Pillow takes for a decompression bomb, far above the photograph of one cell.
LARGEST_SIDE_PX = 8192
# Names of the dataset, its parts, the training and the devices, which no external set may have.
RESERVED_SETS = ("dataset", *PARTS, "training", "export", *DEVICES, "any")


def metric_table() -> Mapping[str, Metric]:
    """The table of metrics, which criteria are checked against.

    Looked up when the first criterion is made and not imported: metrics are written in terms of criteria, so the room
    of metrics imports this one. It is the one place where a room asks a room that comes after it.
    """
    table: Mapping[str, Metric] = import_module("harness.metrics.table").TABLE
    return table


def part_called(written: str, parts: Mapping[str, str] | None) -> str | None:
    """The part of the split that is meant; None where nothing says so. parts: as in `DatasetPlan`."""
    return (parts or {}).get(written) or PART_ALIASES.get(written.casefold())


class Identity(_Record):
    """Who this protocol is and what a pass would mean.

    id:           names the protocol in runs, packs and ledgers; letters, digits, "_", "." and "-".
    title:        one line for a person; what no required criterion carries is refused, here and in `intended_use`.
    version:      of the protocol; raised when anything in it changes.
    intended_use: what the classifier is for, and what a pass does not say; printed beside every verdict.
    """

    id: Name
    title: str
    version: str
    intended_use: str


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


class DatasetPlan(DeclaredSet):
    """The set that is split into train, validation and test.

    description:  what the images are and where they come from, for the report.
    classes:      the names of the class folders or labels, in the order of the classifier's outputs.
    images:       what every image file must be.
    images_per_class: a number for every class, a table with one for each, { minimum = N }, or absent: then every
                  class has an image.
    parts:        name of a folder above the class folders -> part, or "unused" for one that is not read.
    synthetic:    draws cells where no `--data` is given; leave it out for images of your own.
    expectations: the user's own suite; in the file, the name of a great-expectations JSON file beside it.
    """

    description: Text
    classes: tuple[Name, ...] = Field(min_length=2)
    images_per_class: int | dict[str, int] | None = None
    images: ImageRules
    parts: dict[str, Literal[*PARTS, UNUSED]] = Field(default_factory=dict, exclude_if=lambda parts: not parts)  # type: ignore[valid-type]
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


class WeightsPlan(_Record):
    """Initial weights, stated so that no fallback can be silent.

    source: "imagenet" (torchvision's cache or download), "file" or "package" (with its SHA-256), or "none".
    sha256: of that file, 64 hexadecimal digits.
    file:   looked for as given, beside the protocol file, then beside the data folder; of a "package" its path from
            where packages are installed, whose first folder is the package's.
    layout: "torchvision" names; "torchvision-folded" has batch-norm folded into convolution weight and bias;
            "efficientnet-lite" has the names of efficientnet-lite-pytorch, whose tensors are in timm's order.
    partial: whether the file may leave backbone tensors unfilled; the evidence lists them.
    """

    source: Literal["imagenet", "file", "package", "none"]
    file: str | None = None
    sha256: Sha256 | None = None
    layout: Literal["torchvision", "torchvision-folded", "efficientnet-lite"] = "torchvision"
    partial: bool = False

    @model_validator(mode="after")
    def _complete(self) -> WeightsPlan:
        if self.source in ("file", "package") and (self.file is None or self.sha256 is None):
            raise ValueError(f'source = "{self.source}" needs both `file` and `sha256`')
        if self.source == "package" and not re.fullmatch(PACKAGED_FILE_PATTERN, str(self.file)):
            raise ValueError(
                f'source = "package" and file = {self.file!r}; it is the path of a file in a package, such as '
                '"weights/models/a.pth"'
            )
        return self


class AugmentationPlan(_Record):
    """fastai's batch transforms on training images; names as in `aug_transforms`.

    flips:          whether images are mirrored, left to right and top to bottom.
    max_rotate_deg: largest turn, in degrees either way.
    max_warp:       largest change of perspective.
    max_lighting:   largest change of brightness and contrast.
    max_hue:        largest turn of the hue.
    max_saturation: largest change of the saturation.
    p_affine:       share of images that are turned, mirrored, cropped or warped.
    p_lighting:     share of images whose lighting changes.
    p_colour:       share of images whose hue and saturation change.
    min_zoom, max_zoom: between which scales an image is shown, about its centre.
    """

    flips: bool
    max_rotate_deg: float = Field(ge=0.0, le=180.0)
    min_scale: float = Field(gt=0.0, le=1.0, description="smallest random crop, as a fraction of the area")
    max_warp: Fraction
    max_lighting: Fraction
    max_hue: Fraction
    max_saturation: Fraction
    p_affine: Fraction
    p_lighting: Fraction
    p_colour: Fraction
    # Other laboratories, see harness/model/stain.py; the defaults change nothing.
    min_zoom: float = Field(default=1.0, gt=0.0, le=1.0)
    max_zoom: float = Field(default=1.0, ge=1.0, le=8.0)
    max_shift: Fraction = Field(default=0.0, description="of the cell in the frame, in sides of the frame")
    oversampling: int = Field(default=1, ge=1, le=4, description="decoded at this many image_size_px, then zoomed")
    max_blur: Fraction = Field(default=0.0, description="largest sigma, in sides of the frame")
    max_stain_gain: float = Field(default=0.0, ge=0.0, le=2.0, description="largest |log gain| of an optical density")
    max_stain_mix: Fraction = Field(default=0.0, description="largest share of a density that comes from the others")
    max_tint: float = Field(default=0.0, ge=0.0, le=2.0, description="largest optical density added everywhere")
    p_stain: Fraction = Field(default=0.0, description="share of images blurred, and share stained")

    @model_validator(mode="after")
    def _stain_has_a_share(self) -> AugmentationPlan:
        stains = {name: getattr(self, name) for name in ("max_blur", "max_stain_gain", "max_stain_mix", "max_tint")}
        if not self.p_stain and (idle := {name: value for name, value in stains.items() if value}):
            raise ValueError(f"{idle} would change no image, since p_stain is 0. Say what share of images they change")
        return self


class LearningRateFinderPlan(_Record):
    """fastai's search for a learning rate, drawn for the report; the phases keep their own.

    iterations: batches that the search takes.
    """

    iterations: int = Field(ge=10)


class PhasePlan(_Record):
    """One phase of training.

    name:   names the file of its best weights.
    learning_rate: of the optimiser; of "one-cycle" its peak.
    max_epochs: the most epochs that it runs.
    patience: epochs without a better validation loss after which it stops.
    trains: "head" freezes every backbone tensor, BatchNorm weights and running statistics included;
            "all" trains every layer.
    schedule: "one-cycle" (fastai's fit_one_cycle, `learning_rate` is its peak) or "flat".
    """

    name: Name
    trains: Literal["head", "all"]
    learning_rate: float = Field(gt=0.0)
    schedule: Literal["one-cycle", "flat"]
    max_epochs: int = Field(ge=1)
    patience: int = Field(ge=1)


class TrainingPlan(_Record):
    """How the classifier is trained.

    architecture: a classifier of torchvision by its name, or of timm as "timm:NAME". --model judges them all; a
                  training takes those that harness/model/architectures.py names.
    weights:      what the training starts from.
    image_size_px: side to which every image is brought.
    resize:       "squish" changes the proportions, "crop" cuts off what is longer.
    batch_size:   images in one step.
    weight_decay: of the optimiser.
    lr_finder:    draws fastai's learning-rate finder; without it there is no such figure.
    augmentation: what is done to training images.
    phases:       one after the other.
    normalisation: what is done to every image, see harness/model/normalisation.py. "imagenet": the mean and deviation
           alone; "background-white": each channel's background made white first.
    mean, deviation: per channel of RGB / 255, subtracted and divided by; ImageNet's, unless the initial weights were
           trained with others.
    seed:  that of the classifier that is judged and exported.
    seeds: every seed that is trained and reported, `seed` among them; empty means `seed` alone.
    precision: of the forward pass while training; weights and predictions are float32 whatever it is. "auto" is
           "bfloat16" where the processor has it in hardware, else "float32"; the training's record says which.
    weight_averaging: per step, what a running average of the weights keeps of itself; 0 keeps the last step's weights.
    """

    architecture: str = Field(pattern=ARCHITECTURE_PATTERN)
    weights: WeightsPlan
    image_size_px: int = Field(ge=32, le=1024)
    resize: Literal["squish", "crop"]
    normalisation: Normalisation = "imagenet"
    # Left out of the content where they are ImageNet's, so that a protocol without them keeps its digest.
    mean: tuple[float, float, float] = Field(default=IMAGENET_MEAN, exclude_if=lambda said: said == IMAGENET_MEAN)
    deviation: tuple[Positive, Positive, Positive] = Field(
        default=IMAGENET_STD, exclude_if=lambda said: said == IMAGENET_STD
    )
    batch_size: int = Field(ge=2)
    seed: int
    seeds: tuple[int, ...] = ()
    precision: Literal["float32", "bfloat16", "auto"]
    weight_decay: float = Field(ge=0.0)
    weight_averaging: float = Field(default=0.0, ge=0.0, lt=1.0)
    lr_finder: LearningRateFinderPlan | None = None
    augmentation: AugmentationPlan
    phases: tuple[PhasePlan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct_phases(self) -> TrainingPlan:
        names = [phase.name for phase in self.phases]
        if len({name.casefold() for name in names}) != len(names):  # each names a file of weights
            raise ValueError(f"the phases {names} are not distinct when case is ignored")
        return self

    @model_validator(mode="after")
    def _white_is_of_imagenets_pixels(self) -> TrainingPlan:
        if self.normalisation != "imagenet" and (self.mean, self.deviation) != (IMAGENET_MEAN, IMAGENET_STD):
            raise ValueError(
                f"normalisation = {self.normalisation!r} is made of pixels as ImageNet's mean and deviation leave "
                'them; leave out `mean` and `deviation`, or say normalisation = "imagenet"'
            )
        return self

    @model_validator(mode="after")
    def _seeds_hold_the_judged_one(self) -> TrainingPlan:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"the seeds {list(self.seeds)} are not distinct; name each once")
        if self.seeds and self.seed not in self.seeds:
            raise ValueError(
                f"seeds = {list(self.seeds)} leaves out seed = {self.seed}, whose classifier is judged and exported. "
                "Add it to `seeds`, or set `seed` to one of them, before the run and not after it"
            )
        return self

    @property
    def every_seed(self) -> tuple[int, ...]:
        return self.seeds or (self.seed,)


class PreprocessingPlan(_Record):
    """How an image becomes what a classifier's file is shown, where the file does not say it; None: not stated here.

    The side and the resize are the training plan's, `image_size_px` and `resize`.

    filter:      the resampling filter of the resize, in Pillow's words.
    crop:        share of the resized side that is kept around the centre.
    channels:    their order.
    value_range: what the levels 0 and 255 become.
    mean, deviation: per channel in the order of `channels`, subtracted and divided by, in units of `value_range`.
    """

    filter: Filter | None = None
    crop: float | None = Field(default=None, gt=0.0, le=1.0)
    channels: Literal["RGB", "BGR"] | None = None
    value_range: tuple[float, float] | None = None
    mean: tuple[float, float, float] | None = None
    deviation: tuple[Positive, Positive, Positive] | None = None

    @field_validator("value_range")
    @classmethod
    def _two_values(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] == value[1]:
            raise ValueError(f"value_range = {list(value)} makes every image one colour; name two values")
        return value


class ModelPlan(_Record):
    """What is said of a classifier that already exists (--model), where its file does not say it.

    classes:        which class each of its outputs stands for, in their order.
    trusted_models: SHA-256 of pickles that may be opened, which runs the code in them.
    outputs:        of an ONNX graph: whether softmax is still to be taken.
    layout:         of an ONNX graph's input, where its shape does not tell; "flat" is one row of numbers an image,
                    pixel after pixel with its three channels.
    preprocessing:  what it must be shown.
    """

    classes: tuple[Name, ...] = ()
    trusted_models: tuple[Sha256, ...] = ()
    # Left out of the content where nothing is said, so that a protocol without them keeps its digest.
    outputs: Literal["logits", "probabilities"] | None = Field(default=None, exclude_if=lambda said: said is None)
    layout: Literal["NCHW", "NHWC", "flat"] | None = Field(default=None, exclude_if=lambda said: said is None)
    preprocessing: PreprocessingPlan | None = Field(default=None, exclude_if=lambda said: said is None)


class ReproducibilityPlan(_Record):
    """The small training that two fresh processes repeat.

    images_per_class: of the train part; a third as many of the others.
    image_size_px:    side of its images.
    epochs:           of each phase.
    """

    images_per_class: int = Field(ge=6)
    image_size_px: int = Field(ge=32)
    epochs: int = Field(ge=1)


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


# Of thirty candidates gated on one test part this rule keeps most power: docs/decisions/0037 has the simulation.
MOST_BUDGET = 10_000
HIGHEST_LEVEL = 1 - 1e-6  # a share of a smaller error, for one look of many, would be rounded away
USUAL_BUDGET = 30


class LooksPlan(_Record):
    """What repeated looks at one test or external set cost: how 1 - level is shared among them, before the first.

    correction: "first-look" gives one half of 1 - level to the first look and the other half, in equal parts, to the
                further looks of `budget`; "series" gives 1 / (m (m + 1)) of it to the m-th look, without a last one;
                "budget" gives an equal part to each of `budget` looks. After the last of a budget nothing passes.
                "none" divides nothing, and says why in `reason`. "look-number", 1 / m at the m-th look, is read in
                older packs alone: over many looks it adds up to more than 1 - level.
    budget:     how many looks share the error; 30 for "first-look" where it is left out.
    reason:     why nothing is corrected.
    """

    correction: Literal["first-look", "series", "budget", "none", "look-number"] = "first-look"
    budget: int | None = Field(default=None, ge=1, le=MOST_BUDGET)
    reason: OptionalText = Field(default=None, min_length=10)

    @model_validator(mode="before")
    @classmethod
    def _with_its_budget(cls, stated: Any) -> Any:
        """The budget is written into the record, so that a pack means the same whatever is usual later."""
        if isinstance(stated, Mapping) and stated.get("correction", "first-look") == "first-look":
            return {**stated, "budget": USUAL_BUDGET} if stated.get("budget") is None else stated
        return stated

    @model_validator(mode="after")
    def _complete(self) -> LooksPlan:
        if (self.correction in ("first-look", "budget")) != (self.budget is not None):
            raise ValueError(
                '`budget` is the number of looks that correction = "first-look" or "budget" shares the error among'
            )
        if self.correction == "first-look" and self.budget == 1:
            raise ValueError('a `budget` of 1 leaves no look after the first: write correction = "budget"')
        if self.correction == "none" and self.reason is None:
            raise ValueError('correction = "none" needs a `reason`: looking again raises the chance of a lucky pass')
        return self

    @property
    def rule(self) -> str:
        """The rule in a few words, such as "first-look of 30": what a ledger holds a later look to."""
        return self.correction if self.budget is None else f"{self.correction} of {self.budget}"


class ClusterPlan(_Record):
    """How alike cells of one patient or slide (of one site, where neither is known) are taken to be.

    intracluster_correlation: the least that is assumed; the sample's own estimate counts where it is larger.
    source: where that correlation is from, such as a study of the same smears; without one, nothing passes on the
            cells of fewer than 20 patients.
    """

    intracluster_correlation: Fraction = 0.1
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    # No mere text: whether there is one decides, so that it is fixed before the first look.
    source: str | None = Field(default=None, min_length=10, exclude_if=lambda source: source is None)

    @model_validator(mode="after")
    def _of_a_number(self) -> ClusterPlan:
        if self.source is not None and "intracluster_correlation" not in self.model_fields_set:
            raise ValueError("`source` says where `intracluster_correlation` is from; state the correlation too")
        return self


class SlicePlan(_Record):
    """Parts of a set that are looked at one by one: no average hides them.

    columns:         what `worst_slice` can be asked of: "patient", "slide", "site", or a name of `columns.slices`.
    minimum_support: cells that a site or slice must have to be judged; those with fewer are named.
    """

    columns: tuple[Name, ...] = ()
    minimum_support: int = Field(default=30, ge=1)


class BaselinePlan(_Record):
    """Whether a run must be compared with a baseline.

    needed: "optional": without --baseline nothing is asked of it; "required": a run without one does not pass.
    """

    needed: Literal["optional", "required"] = "optional"


class ReferralPlan(_Record):
    """Cells below a threshold of confidence are referred to a person; it is chosen on validation by learn-then-test.

    max_risk: the share of wrong answers among the cells that are answered that the threshold has to keep.
    level:    how sure that is, whatever number of thresholds is tried.
    """

    max_risk: OpenFraction
    level: float = Field(default=0.95, ge=0.5, le=HIGHEST_LEVEL)


class CalibrationPlan(_Record):
    """How confidence is examined.

    n_bins:      equal-width bins of confidence, half-open (lo, hi].
    miscoverage: the share of cells that split-conformal sets may miss.
    referral:    the rule by which unsure cells are referred, for `selective_risk` and `referral_rate`.
    """

    n_bins: int = Field(default=15, ge=2, le=100)
    miscoverage: OpenFraction = 0.05
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    referral: ReferralPlan | None = Field(default=None, exclude_if=lambda plan: plan is None)


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


class PrevalencePlan(_Record):
    """Each class's share where the classifier would be used; a test set has other shares than the world.

    source: where the shares come from.
    shares: class -> its share; they add up to 1.
    """

    source: Text = Field(min_length=10)
    shares: dict[str, Fraction]

    @model_validator(mode="after")
    def _adds_up(self) -> PrevalencePlan:
        if abs(sum(self.shares.values()) - 1.0) > 1e-9:
            raise ValueError(f"the shares add up to {sum(self.shares.values()):g}, not 1; every cell has one class")
        return self


class Criterion(_Record):
    """One question with its bound, fixed before the run.

    id:     names it everywhere; with "each" the class or kind is added.
    question: which suite asks it, and so at which gate it is judged.
    metric: what is measured, from docs/metrics.md.
    cell_class: of a metric per class: one of the classes, or "each".
    rationale: why this bound, for whoever reads the verdict; whoever changes the bound of a base states another.
    required: whether the run passes only with it; else it is reported for information.
    set:    "dataset" for integrity, split, leakage and reproducibility; "training"; "validation", "test" or an external
            set's name, or that of a set of unknown cells; for throughput the device: "mps", "cuda", "cpu" or "any".
    kind:   for robustness: of the disturbance, the transform or the input without a cell; "any" takes all together;
            for worst_slice the column.
    floor, ceiling: exactly one. A floor acts on the lower bound, a ceiling on the upper.
    level:  one-sided confidence of that bound.
    """

    id: Name
    question: Literal[tuple(QUESTIONS)]  # type: ignore[valid-type]
    set: str
    metric: str
    cell_class: str | None = None
    kind: str | None = None
    floor: float | None = None
    ceiling: float | None = None
    level: float = Field(ge=0.5, le=HIGHEST_LEVEL)
    rationale: Text = Field(min_length=1)
    required: bool

    @model_validator(mode="after")
    def _answerable(self) -> Criterion:
        if (self.floor is None) == (self.ceiling is None):
            raise ValueError(f"criterion {self.id} needs exactly one of `floor` and `ceiling`")
        table = metric_table()
        metric = table.get(self.metric)
        if metric is None or self.question not in metric.questions:
            known = ", ".join(each.name for each in table.values() if self.question in each.questions and each.bounded)
            raise ValueError(
                f"criterion {self.id}: no stage feeds metric {self.metric!r} for question {self.question!r}; "
                f"it can be one of {known}"
            )
        if not metric.bounded:
            raise ValueError(
                f"criterion {self.id}: metric {metric.name!r} has no bound, so nothing could pass or fail on it; it is "
                "reported for every set without a criterion"
            )
        for key, value, needed in (
            ("cell_class", self.cell_class, metric.per == "class"),
            ("kind", self.kind, metric.per in ("corruption", "column")),
        ):
            if (value is not None) != needed:
                word = f"needs a `{key}`" if needed else f"takes no `{key}`"
                raise ValueError(f"criterion {self.id}: metric {metric.name!r} {word}")
        # A bound on the wrong side or beyond every value would pass whatever was measured.
        if (self.floor is not None) != metric.higher_is_better:
            side = "floor` (more of it is better)" if metric.higher_is_better else "ceiling` (less of it is better)"
            raise ValueError(f"criterion {self.id}: metric {metric.name!r} takes a `{side}")
        self._refuse_vacuous_bound(metric)
        return self

    def _refuse_vacuous_bound(self, metric: Metric) -> None:
        lowest, highest = metric.range
        if metric.is_difference and not lowest < self.bound <= highest:
            raise ValueError(
                f"criterion {self.id}: {self.bound:g} is not a difference of two fractions; write floor = -0.02 to "
                "allow 2 points less than the baseline"
            )
        if metric.unit == "fraction" and not lowest <= self.bound <= highest:
            hint = f"; write {self.bound / 100:g} for {self.bound:g} %" if self.bound > 1 else ""
            raise ValueError(f"criterion {self.id}: {self.bound:g} is not a fraction in [0, 1]{hint}")
        if self.ceiling is not None and self.ceiling < lowest:
            raise ValueError(
                f"criterion {self.id}: {metric.name!r} is never below {lowest:g}, so nothing could meet a bound of "
                f"{self.bound:g}; state one of at least {lowest:g}"
            )
        if self.bound <= lowest if self.floor is not None else self.bound >= highest:
            raise ValueError(
                f"criterion {self.id}: nothing could miss a bound of {self.bound:g}; state one that can fail"
            )

    @property
    def entry(self) -> Metric:
        """Its metric's entry in the table."""
        return metric_table()[self.metric]

    @property
    def bound(self) -> float:
        return self.floor if self.floor is not None else self.ceiling  # type: ignore[return-value]

    @property
    def gate(self) -> str:
        """Which of `GATES` it belongs to."""
        question = QUESTIONS[self.question]
        return question.gate_per_class if question.gate_per_class and self.cell_class is not None else question.gate

    @property
    def family(self) -> str:
        """What criteria on the same metric of several classes share: their question, set and metric."""
        return f"{self.question}/{self.set}/{self.metric}"


class ThroughputPlan(_Record):
    """How inference is timed.

    warmup_queries: queries before the first that counts.
    queries:        single-image queries.
    blocks:         in how many blocks apart in time these come, at most one each; 1: all in a row.
    pause_s:        seconds between two blocks.
    offline_rounds: passes over many images.
    offline_images: images in one pass.
    batch_size:     images at a time where many are classified.
    server_rate:    images that arrive in a second, at random (a Poisson process), where server_latency_s is asked.
    steady_within_s: more untimed queries until their times show no trend, for at most so many seconds; 0: none.
    min_duration_s: seconds that the timed queries of a scenario must take; more are asked until they do, and what took
                    less is not assessed. 60 make a gate's figure, 600 a published one. Not of a cold start.
    """

    warmup_queries: int = Field(ge=1)
    queries: int = Field(ge=30)
    offline_rounds: int = Field(ge=5)  # fewer give no 95 % bound of a median
    offline_images: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    # Left out of the content where all come in a row, so that a protocol without them keeps its digest.
    blocks: int = Field(default=1, ge=1, exclude_if=lambda count: count == 1)
    pause_s: float = Field(default=0.0, ge=0.0, le=60.0, exclude_if=lambda seconds: seconds == 0)
    server_rate: float | None = Field(default=None, gt=0.0, exclude_if=lambda rate: rate is None)
    steady_within_s: float = Field(default=0.0, ge=0.0, le=600.0, exclude_if=lambda seconds: seconds == 0)
    min_duration_s: float = Field(default=0.0, ge=0.0, le=MAX_TIMED_S, exclude_if=lambda seconds: seconds == 0)

    @model_validator(mode="after")
    def _blocks_are_blocks(self) -> ThroughputPlan:
        if 1 < self.blocks < FEWEST_BLOCKS:
            raise ValueError(
                f"blocks = {self.blocks}: a 90th percentile has a 95 % bound from {FEWEST_BLOCKS} blocks on; 1 asks "
                "all in a row"
            )
        if (self.blocks > 1) != (self.pause_s > 0):
            raise ValueError(
                f"blocks = {self.blocks} and pause_s = {self.pause_s:g}: blocks are apart by a pause, and a pause is "
                "between blocks; give both or neither"
            )
        return self

    @model_validator(mode="after")
    def _server_ends(self) -> ThroughputPlan:
        if self.server_rate is not None and (self.warmup_queries + self.queries) / self.server_rate > MAX_TIMED_S:
            raise ValueError(
                f"server_rate = {self.server_rate:g}: {self.warmup_queries + self.queries} queries take longer than "
                f"{MAX_TIMED_S:g} s to arrive, and a run waits for them; ask for fewer, or let more arrive"
            )
        if self.server_rate is not None and self.queries / self.server_rate < self.min_duration_s:
            raise ValueError(
                f"server_rate = {self.server_rate:g}: {self.queries} queries arrive in "
                f"{self.queries / self.server_rate:g} s, and min_duration_s = {self.min_duration_s:g}; ask for "
                f"{math.ceil(self.min_duration_s * self.server_rate)} or more"
            )
        return self


class Waiver(_Record):
    """Lets a required criterion be `not assessed`, in the open. It never turns a failure into a pass.

    criterion: the id of the criterion.
    reason:  why it cannot be assessed, for the report.
    owner:   who answers for it.
    expires: the last day on which it counts.
    """

    criterion: Name
    reason: Text = Field(min_length=10)
    owner: Text = Field(min_length=2)
    expires: date


class Protocol(_Record):
    """A whole validation protocol. `source` is the file it was read from; `digest` covers all but that."""

    identity: Annotated[Identity, NOT_FIXED]
    dataset: DatasetPlan
    split: SplitPlan
    # How the candidate is made: every candidate may be another one.
    training: Annotated[TrainingPlan, NOT_FIXED]
    model: Annotated[ModelPlan | None, NOT_FIXED] = None
    reproducibility: ReproducibilityPlan
    external: tuple[ExternalPlan, ...] = ()
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    unknown: tuple[UnknownPlan, ...] = Field(default=(), exclude_if=lambda sets: not sets)
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    throughput: ThroughputPlan
    # How the candidate answers. Left out of the content where eager torch does, so that a protocol keeps its digest.
    prediction: Annotated[PredictionPlan, NOT_FIXED] = Field(
        default=PredictionPlan(), exclude_if=lambda plan: plan == PredictionPlan()
    )
    looks: LooksPlan = LooksPlan()
    clusters: ClusterPlan = ClusterPlan()
    # Left out of the content where there is none, so that a protocol without one keeps its digest.
    slices: SlicePlan | None = Field(default=None, exclude_if=lambda plan: plan is None)
    baseline: BaselinePlan = BaselinePlan()
    calibration: CalibrationPlan = CalibrationPlan()
    prevalence: PrevalencePlan | None = None
    robustness: RobustnessPlan | None = None
    detection: DetectionPlan | None = None
    # Left out of the content where nothing is hoped for, so that a protocol without a plan keeps its digest.
    plan: Annotated[HopedTruth | None, NOT_FIXED] = Field(default=None, exclude_if=lambda plan: plan is None)
    # Left out of the content where it says nothing else than usual, so that a protocol without one keeps its digest.
    report: Annotated[ReportPlan, NOT_FIXED] = Field(default=ReportPlan(), exclude_if=lambda plan: plan == ReportPlan())
    # Left out of the content where nothing is stated, so that a protocol without it keeps its digest.
    study: Annotated[StudyPlan, NOT_FIXED] = Field(default=StudyPlan(), exclude_if=lambda plan: plan == StudyPlan())
    waivers: tuple[Waiver, ...] = ()
    # Left out of the content where there are none, so that a protocol without one keeps its digest.
    amendments: Annotated[tuple[Amendment, ...], NOT_FIXED] = Field(default=(), exclude_if=lambda made: not made)
    source: Path = Field(exclude=True)

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        ids = [criterion.id for criterion in self.criteria]
        if duplicates := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"the criterion ids {duplicates} are used more than once; give each its own")
        if not any(criterion.required for criterion in self.criteria):
            raise ValueError("no criterion is required, so every run would pass; require at least one")
        external, unknown = [plan.name for plan in self.external], [plan.name for plan in self.unknown]
        if len({name.casefold() for name in (*external, *unknown)}) != len(external) + len(unknown):
            raise ValueError(f"the sets {[*external, *unknown]} are not distinct when case is ignored")
        for plan in self.external:
            plan.refuse_foreign_labels(f"external.{plan.name}.labels", self.dataset.classes)
        for criterion in self.criteria:
            sets = QUESTIONS[criterion.question].sets_among(external, unknown)
            if criterion.set not in sets:
                raise ValueError(
                    f"criterion {criterion.id}: question {criterion.question!r} has no set {criterion.set!r}; "
                    f"it can be one of {', '.join(sets) or 'none: no such set is declared'}"
                )
            if criterion.required and criterion.set == "validation":
                raise ValueError(
                    f"criterion {criterion.id}: the kept epoch is chosen on validation, so its numbers flatter; a "
                    "required criterion is judged on test or on an external set"
                )
            metric = criterion.entry
            if metric.sets and criterion.set not in metric.sets:
                raise ValueError(
                    f"criterion {criterion.id}: {metric.name} is measured on set {' or '.join(map(repr, metric.sets))} "
                    "alone"
                )
            if metric.protocol_table is not None and attrgetter(metric.protocol_table)(self) is None:
                raise ValueError(
                    f"criterion {criterion.id}: metric {metric.name!r} needs the table `{metric.protocol_table}`"
                )
            if metric.adapted and self.adaptation_of(criterion.set) is None:
                raise ValueError(
                    f"criterion {criterion.id}: metric {metric.name!r} needs external.{criterion.set}.adaptation, "
                    "which says with which cells the classifier is adapted, and how"
                )
            if criterion.cell_class is not None and criterion.cell_class not in self.dataset.classes:
                raise ValueError(
                    f"criterion {criterion.id}: unknown class {criterion.cell_class!r}; "
                    f"the classes are {', '.join(self.dataset.classes)}"
                )
        named = {*GROUPS, *(name for plan in (self.dataset, *self.external) for name in plan.slice_names)}
        if self.slices is not None and (strange := [name for name in self.slices.columns if name not in named]):
            raise ValueError(
                f"slices.columns names {strange[0]!r}, and nothing says which column that is; it can be one of "
                f"{', '.join(sorted(named))}. Name further ones in dataset.columns.slices"
            )
        for criterion in self.criteria:
            if criterion.kind is not None and criterion.kind not in self.kinds_of(criterion.metric):
                raise ValueError(
                    f"criterion {criterion.id}: kind {criterion.kind!r} is not among what the tables `robustness`, "
                    f"`detection` and `slices` name for {criterion.metric}: "
                    f"{', '.join(self.kinds_of(criterion.metric)) or 'none'}"
                )
        if (self.dataset.expectations is not None) != any(c.metric == "unmet_expectations" for c in self.criteria):
            raise ValueError(
                "dataset.expectations and a criterion on unmet_expectations go together: without the criterion nobody "
                "judges the suite, without the suite there is nothing to judge. Add the other, or remove both"
            )
        if self.dataset.digest is not None and not any(c.metric == PINNED_BY for c in self.criteria):
            raise ValueError(
                f"dataset.digest pins the images, and no criterion on {PINNED_BY} judges whether they are those. "
                "Extend base.toml, whose D12 does, or add one"
            )
        gated = any(OTHER_SEEDS in criterion.entry.needs for criterion in self.criteria)
        if gated != (len(self.training.seeds) > 1):
            raise ValueError(
                "a criterion on recipe_accuracy needs at least two training.seeds"
                if gated
                else f"training.seeds = {list(self.training.seeds)} and no criterion on recipe_accuracy gates on them; "
                "add one, or leave `seeds` away"
            )
        if self.prevalence is not None and set(self.prevalence.shares) != set(self.dataset.classes):
            raise ValueError(
                f"prevalence.shares names {sorted(self.prevalence.shares)}, the classes are "
                f"{sorted(self.dataset.classes)}; give every class its share"
            )
        if self.plan is not None:
            self.plan.refuse_foreign_names(self.dataset.classes, external)
        for waiver in self.waivers:
            if waiver.criterion not in ids:
                raise ValueError(f"the waiver for {waiver.criterion!r} names no criterion of this protocol")
        return self

    @property
    def digest(self) -> str:
        return digest_of(self.model_dump(mode="json"))

    def names_in(self, set_name: str) -> SetNames:
        """How classes and columns are written in the dataset or in an external set, declared or not."""
        home: SetNames = self.dataset
        own = next((plan for plan in self.external if plan.name == set_name), home)
        return SetNames(
            labels=home.labels if own.labels is None else own.labels,
            columns=home.columns if own.columns is None else own.columns,
        )

    def unknown_plan(self, set_name: str) -> UnknownPlan | None:
        """What is declared of a set of classes that the classifier does not know; None where nothing is."""
        return next((plan for plan in self.unknown if plan.name == set_name), None)

    def confident_at(self, set_name: str) -> float:
        """From which probability on a cell of such a set, declared or not, is confidently called what it is not."""
        plan = self.unknown_plan(set_name)
        return CONFIDENT_AT if plan is None else plan.confident_at

    def adaptation_of(self, set_name: str) -> AdaptationPlan | None:
        """How a classifier is adapted to an external set; None where nothing is declared."""
        return next((plan.adaptation for plan in self.external if plan.name == set_name), None)

    def pin_of(self, set_name: str) -> str | None:
        """The digest that the dataset or an external set must have; None where the protocol states none."""
        beside: tuple[_SetBeside, ...] = (*self.external, *self.unknown)
        sets: dict[str, DeclaredSet] = {"dataset": self.dataset, **{plan.name: plan for plan in beside}}
        return None if (plan := sets.get(set_name)) is None else plan.digest

    def kinds_of(self, metric: str) -> tuple[str, ...]:
        """The kinds that a metric per corruption can be asked of."""
        kinds = metric_table()[metric].kinds
        plan = None if kinds is None else getattr(self, kinds.table)
        if kinds is None or plan is None:
            return ()
        return (*getattr(plan, kinds.key), *([ANY] if kinds.together else []))

    def waiver_for(self, criterion_id: str) -> Waiver | None:
        return next((waiver for waiver in self.waivers if waiver.criterion == criterion_id), None)
