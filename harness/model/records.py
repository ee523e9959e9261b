"""What a classifier is, how it was trained or obtained, and how fast it answered. Values only, without torch."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, astuple, dataclass
from typing import Literal

from harness.core.digests import digest_of
from harness.core.errors import InvalidCard
from harness.protocol.training import IMAGENET_MEAN, IMAGENET_STD, Filter, Normalisation, TrainingPlan

# What a metric may need of a classifier, and what a classifier without it cannot do.
ABILITIES = {
    "probabilities": "give a probability of every class",
    "new images": "answer for images that it has not been shown yet",
    "features": "give the features that it sees in an image",
    "training": "be trained by this run",
    "prepared arrays": "answer for arrays that were prepared beforehand",
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a decoded image becomes what a classifier is shown, in the order of the fields.

    size_px:    side of the square that it is shown.
    resize:     "squish" changes the aspect ratio; "crop" keeps it and cuts the longer side around the centre.
    filter:     the resampling filter of the resize, in Pillow's words.
    crop:       share of the resized side that is kept around the centre; 1.0 keeps everything.
    channels:   their order.
    value_range: what the levels 0 and 255 become.
    mean, deviation: per channel, subtracted and divided by, in units of `value_range`.
    normalisation: what the network's first layer adds; see harness/model/normalisation.py.
    """

    size_px: int
    resize: Literal["squish", "crop"]
    filter: Filter = "bilinear"
    crop: float = 1.0
    channels: Literal["RGB", "BGR"] = "RGB"
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_STD
    normalisation: Normalisation = "imagenet"

    def __post_init__(self) -> None:
        if self.size_px < 1 or not 0 < self.crop <= 1 or min(self.deviation) <= 0:
            raise InvalidCard(
                f"{self}: a side has pixels, a crop keeps a share in (0, 1], and a deviation is above 0. Correct it."
            )
        if self.value_range[0] == self.value_range[1]:
            raise InvalidCard(f"value_range = {self.value_range} makes every image one colour. Name two values.")


def preprocessing_of(plan: TrainingPlan) -> Preprocessing:
    """What a network that is trained by this plan will be shown."""
    return Preprocessing(
        size_px=plan.image_size_px,
        resize=plan.resize,
        mean=plan.mean,
        deviation=plan.deviation,
        normalisation=plan.normalisation,
    )


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Who made a classifier, what identifies it, what its outputs mean and what it can do.

    door:      how it came here, such as "trained here" or "model file".
    name:      what a person calls it: its file or architecture.
    digest:    what identifies the answers that it gives; of a network, the digest of its weights.
    classes:   what each column of its probabilities stands for, in order.
    preprocessing: what is done to an image before it sees it; None where its maker does that out of sight.
    abilities: keys of `ABILITIES`.
    corruptions_act_on: the arrays that it prepares, where it lets us at them, else the decoded images.
    file_sha256: of the file that it was read from, if any.
    architecture: of the network that the weights fill: those of the same tensors may compute otherwise, such as with
               other padding. None where `digest` is of a whole graph or of a command.
    engine:    what computes its answers and its version, where that is not torch with torchvision's networks alone.
    asked_anew: True where `digest` does not identify its answers, so that none kept from an earlier run is its own.
    """

    door: str
    name: str
    digest: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing | None
    abilities: tuple[str, ...]
    corruptions_act_on: Literal["prepared arrays", "RGB frames"]
    file_sha256: str | None = None
    architecture: str | None = None
    engine: str | None = None
    asked_anew: bool | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.abilities) - set(ABILITIES)):
            raise InvalidCard(f"card of {self.name!r}: unknown ability {unknown[0]!r}. Use {', '.join(ABILITIES)}.")
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise InvalidCard(f"card of {self.name!r}: classes are {list(self.classes)}. Name each of them once.")
        if ("prepared arrays" in self.abilities) != (self.corruptions_act_on == "prepared arrays"):
            raise InvalidCard(
                f"card of {self.name!r}: corruptions act on {self.corruptions_act_on}, and its abilities are "
                f"{', '.join(self.abilities)}. Corruptions act on prepared arrays exactly where it prepares them."
            )

    @property
    def answers_by(self) -> dict[str, object]:
        """What its answers for an image depend on, for the keys of stages: what it is called is none of it."""
        shown = None if self.preprocessing is None else asdict(self.preprocessing)
        computed = {"architecture": self.architecture, "engine": self.engine}
        said = {name: value for name, value in computed.items() if value is not None}
        return {"digest": self.digest, "classes": self.classes, "preprocessing": shown, **said}

    def why_not(self, needs: Collection[str]) -> str | None:
        """Why something that needs these abilities is not applicable to this classifier; None where it is."""
        missing = [f"cannot {ABILITIES[need]}" for need in ABILITIES if need in needs and need not in self.abilities]
        return f"not applicable: {self.name} ({self.door}) {' and '.join(missing)}" if missing else None


@dataclass(frozen=True, slots=True)
class LearningRateCurve:
    """The learning-rate finder's sweep, and the rate that fastai's `valley` rule suggests."""

    learning_rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What the sentinel saw in one epoch."""

    epoch: int
    learning_rate: float
    n_trainable_parameters: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """One training phase.

    stop_reason: "epoch limit" or "early stopping".
    best_epoch:  the epoch whose weights were kept (lowest validation loss), counted from 0.
    backbone_before, backbone_after: digests of every backbone tensor, BatchNorm statistics included.
    """

    name: str
    trains: str
    max_epochs: int
    patience: int
    peak_learning_rate: float
    epochs: tuple[EpochRecord, ...]
    stop_reason: str
    best_epoch: int
    backbone_before: str
    backbone_after: str

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)


@dataclass(frozen=True, slots=True)
class WeightsRecord:
    """Where the initial weights came from and which tensors they filled."""

    source: str
    sha256: str | None
    filled: tuple[str, ...]
    unfilled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """Everything about a training but the weights themselves.

    card: of the classifier that it left; None in the pack of an older harness.
    """

    architecture: str
    device: str
    precision: str
    seed: int
    weights: WeightsRecord
    learning_rate_curve: LearningRateCurve | None
    phases: tuple[PhaseRecord, ...]
    weights_digest: str
    card: ModelCard | None = None

    @property
    def losses_digest(self) -> str:
        return digest_of([[e.train_loss, e.validation_loss] for p in self.phases for e in p.epochs])


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that a command line names. name: as it is written there; sha256: when the run began."""

    name: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class CommandLimits:
    """What a command may take.

    start_s, answer_s: seconds until its greeting, and until it answers one request.
    total_s:    seconds that the run waits for it, all added up.
    memory_gib: of address space, for each of its processes.
    """

    start_s: float = 120.0
    answer_s: float = 120.0
    total_s: float = 7200.0
    memory_gib: float = 16.0

    def __post_init__(self) -> None:
        if not all(0 < value < math.inf for value in astuple(self)):
            raise InvalidCard(f"{self}: a limit is a number above 0. Correct it.")


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command that was asked for probabilities over pipes: what is known of it, which is not what is inside.

    line:          the command line as given.
    files:         the files that the line names, the program itself among them where it is one.
    protocol:      version of the line protocol.
    name, version: what it calls itself; nobody can check it.
    memory_bound:  whether this system enforced `limits.memory_gib`.
    """

    line: str
    files: tuple[NamedFile, ...]
    protocol: int
    name: str
    version: str
    limits: CommandLimits
    memory_bound: bool

    @property
    def digest(self) -> str:
        """What identifies the command, and not its answers: those are identified by their own digest."""
        files = [[each.name, each.sha256] for each in self.files]
        return digest_of([self.line, files, self.protocol, self.name, self.version])


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A classifier that existed before the run, and was judged (--model, --model-command) instead of training one.

    file:           the name of its file; sha256 and n_bytes are of the bytes that were loaded. Of a command its line,
                    "" and 0.
    format:         what was read, such as "safetensors", "state dict", "fastai pickle" or "command".
    layout:         how its tensors are named: "fastai" (body and head), or as "torchvision" or "timm" name them; of an
                    ONNX graph what it is given and gives, such as "NCHW float32 in, logits out".
    architecture:   of the network that its tensors fill, all of it; of an ONNX graph what it says, or how large it is.
    weights_digest: of these tensors, as in a `TrainingRecord`; of an ONNX graph that of its file. "" for a command,
                    like layout and architecture.
    stated:         what the file itself says, and the protocol agrees with, such as "classes" and "image_size_px".
    trained_by:     id of the protocol that it says it was trained by.
    trusted:        why a pickle was opened; None where none was.
    cells:          what is known of the cells that it was trained on.
    card:           None in the pack of an older harness.
    command:        what is known of a command; None of a file.
    unwrapped:      what its tensors were taken out of, such as "key 'state_dict'" and "prefix 'module.'".
    """

    file: str
    sha256: str
    n_bytes: int
    format: str
    layout: str
    architecture: str
    weights_digest: str
    stated: tuple[str, ...]
    trained_by: str | None = None
    trusted: str | None = None
    cells: Literal["unknown", "stated by the file", "stated by the split file", "others than this split's"] = "unknown"
    card: ModelCard | None = None
    command: CommandRecord | None = None
    unwrapped: tuple[str, ...] | None = None

    @property
    def digest(self) -> str:
        """What the ledger calls it by: the digest of its weights, or of the command."""
        return self.weights_digest if self.command is None else self.command.digest

    @property
    def knows_its_cells(self) -> bool:
        """Whether somebody says that it was trained on this run's train part, and chosen on its validation part."""
        return self.cells in ("stated by the file", "stated by the split file")


def block_ends(n: int, blocks: int) -> tuple[int, ...]:
    """After how many of n samples each block ends.

    >>> block_ends(10, 3)
    (3, 6, 10)
    """
    return tuple(n * block // blocks for block in range(1, blocks + 1))


@dataclass(frozen=True, slots=True)
class TimedBlocks:
    """Blocks of samples, of as many each as can be.

    n:       how many.
    pause_s: seconds between two of them.
    others_shares: of the machine's processor time during each, what other processes took; empty where not known.
    """

    n: int
    pause_s: float
    others_shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """What a classifier said of a cell while it was timed. predicted: the column of its largest probability."""

    sha256: str
    predicted: int


COLD = "ColdStart"  # no scenario of LoadGen's, which leaves loading untimed


@dataclass(frozen=True, slots=True)
class Settling:
    """Untimed queries before the timed ones.

    seconds: of all of them.
    steady:  whether the last of them showed no trend; False: not within the time that the protocol gives; None: the
             protocol does not ask, or so few were asked in that time that nobody can tell.
    """

    queries: int
    seconds: float
    steady: bool | None

    def __post_init__(self) -> None:
        if self.queries < 1 or not 0 <= self.seconds < math.inf:
            raise ValueError(
                f"{self.queries} untimed queries in {self.seconds} s: there are none that take such a time"
            )


@dataclass(frozen=True, slots=True)
class Timing:
    """Raw samples of one scenario on one device.

    scenario: "SingleStream" (batch 1, next on completion), "MultiStream" (8 images, next on completion) or "Offline"
              (all at once), LoadGen's names; "SingleStream, one image" asks for the same image over and over. Of
              "Server" (batch 1, arriving at random) seconds count from a query's arrival, of "ColdStart" from opening
              the classifier.
    span:     "decode-to-label" or "model-only".
    samples_s: seconds per query, in the order measured; each query holds `images_per_query` images.
    pipe_samples_s: of a command, the seconds that as many bytes as a query's take through its pipe and back, without an
               answer; they are within `samples_s`.
    others_share: of the machine's processor time while it was timed, what other processes took; None where unknown.
    blocks:     apart in time, where the samples came in such; None: all in a row.
    answers:    each different one that was given, in the order of the digests; None in the pack of an older harness.
    waited_s:   of "Server", the seconds of each sample in which the query stood in line; None of the others.
    settling:   what was asked untimed, where the protocol says for how long.
    """

    scenario: str
    span: str
    device: str
    images_per_query: int
    batch_size: int
    samples_s: tuple[float, ...]
    pipe_samples_s: tuple[float, ...] | None = None
    others_share: float | None = None
    blocks: TimedBlocks | None = None
    answers: tuple[TimedAnswer, ...] | None = None
    waited_s: tuple[float, ...] | None = None
    settling: Settling | None = None

    def __post_init__(self) -> None:
        waited = (0.0,) * len(self.samples_s) if self.waited_s is None else self.waited_s
        if len(waited) != len(self.samples_s) or not all(
            0 <= w <= s for w, s in zip(waited, self.samples_s, strict=True)
        ):
            raise ValueError(
                f"{self.scenario}, {self.span}: no query takes less than no time, or than it stood in line"
            )

    @property
    def images_per_s(self) -> float:
        """Images over total time of all samples."""
        return self.images_per_query * len(self.samples_s) / sum(self.samples_s)
