"""How the candidate is made, or which one is judged: network, weights, phases, preprocessing."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from harness.protocol.names import Fraction, Name, Positive, Sha256
from harness.protocol.record import Record as _Record

ARCHITECTURE_PATTERN = r"^(timm:)?[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)?$"
PACKAGED_FILE_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*(/(?!\.)[^/]+)+"
Normalisation = Literal["imagenet", "background-white"]
Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]  # of a resize, in Pillow's words
# ImageNet's mean and standard deviation per channel, of RGB / 255: what torchvision's weights were trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
