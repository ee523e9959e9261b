"""Defines what a classifier is, whoever made it, and checks the answers that it gives.

Every kind of classifier is a door: one module beside this one. A door offers what its card says, and nothing outside
this room knows more about it. Predictions that already exist are not a classifier: see harness/run/stages/given.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from harness.core.errors import InvalidCard, InvalidPredictions, NotApplicable
from harness.core.numbers import SUMS_TO_ONE, real_numbers
from harness.core.progress import Report
from harness.model.images import Images
from harness.model.records import ModelCard
from harness.protocol.prediction import Engine

CHECKED_IMAGES = 8
# Of log-probabilities, where a logit's change shows whatever the confidence: a device may sum in another order the
# second time, which moves a logit by millionths; dropout moves it by tenths.
STEADY = 1e-4
LEAST_PROBABILITY = 1e-12  # what lies below counts as this: no float32 softmax is steady there
# Between batches and memory layouts float32 differs by the order of summation: on the CPU, under 1e-5 was observed. No
# other device was measured; those that are known to have been silently wrong gave other answers altogether.
PLAIN_PROBABILITY = 1e-3

# The most that an engine which somebody chose may differ: as an exported file may (harness/metrics/parity.py).
ENGINE_PROBABILITY = 1e-4

Answer = Callable[[np.ndarray], np.ndarray]  # of the images at these places; as a door gives it, so not yet checked


@dataclass(frozen=True, slots=True)
class Machine:
    """What a door may use.

    device:     "cpu", "cuda" or "mps".
    batch_size: images at once where cells are scored.
    workers:    threads that decode; beside a CUDA device, processes.
    engine:     what computes the networks of torch; see harness/model/engines.py.
    """

    device: str
    batch_size: int
    workers: int
    progress: Report
    engine: Engine = "eager"


class Classifier(Protocol):
    """Anything that gives class probabilities for images."""

    @property
    def card(self) -> ModelCard: ...

    def predict_proba(self, images: Images) -> np.ndarray:
        """(n, n_classes) float64, rows sum to 1, in the order of the images and of the card's classes."""
        ...


@runtime_checkable
class Preparing(Classifier, Protocol):
    """Separates preprocessing from the network, so that others can act in between: "prepared arrays" on its card."""

    def prepare(self, images: Images) -> np.ndarray:
        """(n, side, side, 3) uint8 RGB, resized and cropped to what the network sees, and not yet scaled."""
        ...

    def forward(self, arrays: np.ndarray) -> np.ndarray:
        """Probabilities of prepared arrays: `predict_proba(images)` is `forward(prepare(images))`, to the bit."""
        ...


@runtime_checkable
class Embedding(Classifier, Protocol):
    """Gives the features that it computes of an image: "features" on its card."""

    def embed(self, images: Images) -> np.ndarray:
        """(n, n_features) float64, in the order of the images."""
        ...


@runtime_checkable
class PreparedEmbedding(Preparing, Embedding, Protocol):
    """Both: `embed(images)` is `features(prepare(images))`, to the bit."""

    def features(self, arrays: np.ndarray) -> np.ndarray: ...


@runtime_checkable
class PlainlyScoring(Preparing, Protocol):
    """Can also score without its device: one array at a time, on the CPU."""

    @property
    def device(self) -> str: ...

    @property
    def chosen_engine(self) -> str | None:
        """What the protocol had it computed by; None where that is what computes it plainly, too."""
        ...

    def forward_plainly(self, arrays: np.ndarray) -> np.ndarray: ...


@runtime_checkable
class Closing(Classifier, Protocol):
    """Holds something beyond its own memory, such as another process, until it is closed."""

    def close(self) -> None: ...


@runtime_checkable
class Piped(Classifier, Protocol):
    """Is another process: its answers take the time of a pipe, which can be taken alone."""

    def pipe_samples_s(self, images: Images) -> tuple[float, ...]:
        """Seconds that the bytes of these images take there, and a short word back, several times over."""
        ...


def predict(
    classifier: Classifier,
    images: Images,
    *,
    known_steady: bool = False,
    answers: Callable[[Images], np.ndarray] | None = None,
) -> np.ndarray:
    """Probabilities of every image, each scored exactly once, after checks that apply to every classifier.

    Args:
        known_steady: the same classifier has just answered as many images steadily: that is asked once, not again of
            each of dozens of passes over the same cells. Every row is there and finite in any case.
        answers: who answers in its place, such as the same classifier on other machines; it is asked itself for what is
            checked.
    Returns:
        (n, n_classes) float64 in the order of the images.
    Raises:
        InvalidPredictions: the answer is no array of numbers; a row is missing, not finite or no distribution; or it
            differs when the same images are shown again, one at a time, or (for a network) on the CPU.
    """

    def answer(some: np.ndarray) -> np.ndarray:
        return classifier.predict_proba(images.take(some))

    def plainly(some: np.ndarray) -> np.ndarray:
        assert isinstance(classifier, PlainlyScoring)  # as `_checked` asks
        return classifier.forward_plainly(classifier.prepare(images.take(some)))

    found = _whole(classifier, (answers or classifier.predict_proba)(images), images)
    return found if known_steady else _checked(classifier, found, images, answer, plainly)


def predict_prepared(
    classifier: Preparing, arrays: np.ndarray, images: Images, *, known_steady: bool = False
) -> np.ndarray:
    """As `predict`, for arrays that the classifier prepared from `images` and that may have been corrupted since."""
    return predict_batches(classifier, [arrays], arrays.__getitem__, images, known_steady=known_steady)


def predict_batches(
    classifier: Preparing,
    batches: Iterable[np.ndarray],
    some_of: Callable[[np.ndarray], np.ndarray],
    images: Images,
    *,
    known_steady: bool = False,
) -> np.ndarray:
    """As `predict_prepared`, for arrays that come batch by batch.

    Args:
        some_of: the arrays at these places, once more.
    """

    def answer(some: np.ndarray) -> np.ndarray:
        return classifier.forward(some_of(some))

    def plainly(some: np.ndarray) -> np.ndarray:
        assert isinstance(classifier, PlainlyScoring)  # as `_checked` asks
        return classifier.forward_plainly(some_of(some))

    answers = [classifier.forward(batch) for batch in batches]
    none = np.empty((0, len(classifier.card.classes)))
    found = _whole(classifier, answers[0] if len(answers) == 1 else np.concatenate(answers or [none]), images)
    return found if known_steady else _checked(classifier, found, images, answer, plainly)


def refuse_wrong_card(classifier: Classifier) -> None:
    """Refuse a classifier whose methods are not those that its card promises.

    Raises:
        InvalidCard: with the ability.
    """
    for ability, kind in (("prepared arrays", Preparing), ("features", Embedding)):
        promised, offered = ability in classifier.card.abilities, isinstance(classifier, kind)
        if promised != offered:
            raise InvalidCard(
                f"the card of {classifier.card.name} {'promises' if promised else 'does not name'} {ability!r}, and "
                f"{type(classifier).__name__} {'offers' if offered else 'does not offer'} it. Let the two agree."
            )


def embed(classifier: Classifier, images: Images) -> np.ndarray:
    """(n, n_features) float64 of every image.

    Raises:
        NotApplicable: the classifier gives no features.
        InvalidPredictions: the answer is no array of numbers, or a row is missing or not finite.
    """
    if (reason := classifier.card.why_not({"features"})) is not None:
        raise NotApplicable(reason)
    refuse_wrong_card(classifier)
    assert isinstance(classifier, Embedding)  # as its card says
    return whole_features(classifier.embed(images), images)


def whole_features(answer: object, images: Images) -> np.ndarray:
    """What a door gave as features of these images, as float64: one finite row for each.

    Raises:
        InvalidPredictions: it is none.
    """
    found = _numbers(answer, images)
    if found.ndim != 2 or len(found) != len(images) or not np.isfinite(found).all():
        raise InvalidPredictions(
            f"{_called(images)}: features of shape {found.shape} for {len(images)} images, or some not finite. A door "
            "gives one finite row for each image."
        )
    return found


def _checked(classifier: Classifier, found: np.ndarray, images: Images, answer: Answer, plainly: Answer) -> np.ndarray:
    """`found`, after the checks that make sense for any classifier, of whose inside nothing is known.

    plainly: how a classifier answers that scores plainly; every other is asked for one image at a time.
    """

    def asked(how: Answer, some: np.ndarray) -> np.ndarray:
        return _whole(classifier, how(some), replace(images.take(some), label=images.label))

    if len(images):
        first = np.arange(min(CHECKED_IMAGES, len(images)))
        _refuse_unsteady(classifier.card.name, asked(answer, first), asked(answer, first), images)
        spread = np.unique(np.linspace(0, len(images) - 1, CHECKED_IMAGES, dtype=np.int64))
        plain = (
            asked(plainly, spread)
            if isinstance(classifier, PlainlyScoring)
            else np.concatenate([asked(answer, spread[[place]]) for place in range(len(spread))])
        )
        _refuse_other_answers(classifier, found[spread], plain, [images.names[i] for i in spread], images)
    return found


def _whole(classifier: Classifier, answer: object, images: Images) -> np.ndarray:
    """What a door answered, as float64: one distribution over the classes for each image."""
    found = _numbers(answer, images)
    _refuse_missing(found, images, classifier.card)
    _refuse_not_finite(found, images)
    _refuse_no_distribution(found, images)
    return found


def _numbers(answer: object, images: Images) -> np.ndarray:
    try:
        return real_numbers(answer)
    except ValueError as error:
        raise InvalidPredictions(
            f"{_called(images)}: the answer is {error}. A door gives a NumPy array of float64, one row for each image."
        ) from None


def _refuse_missing(found: np.ndarray, images: Images, card: ModelCard) -> None:
    """Every cell is scored, or none is judged: a dropped last batch made 373 of 375 once."""
    if found.ndim != 2 or found.shape[1] != len(card.classes):
        raise InvalidPredictions(
            f"{_called(images)}: probabilities of shape {found.shape} from {card.name}, which has {len(card.classes)} "
            "classes. Give one column for each class of the card, in its order."
        )
    if len(found) != len(images):
        missing = images.names[len(found) :]
        named = f": without a score are {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}" if missing else ""
        raise InvalidPredictions(
            f"{_called(images)}: {len(found)} rows of probabilities for {len(images)} cells{named}. Score every cell "
            "exactly once; a loader that drops its last batch does not."
        )


def _refuse_not_finite(found: np.ndarray, images: Images) -> None:
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        raise InvalidPredictions(
            f"{_called(images)}: the output for {images.names[int(np.argmin(finite))]} is not finite. Its training "
            "diverged (lower the learning rate), or what answers for it is broken."
        )


def _refuse_no_distribution(found: np.ndarray, images: Images) -> None:
    fits = (found >= 0).all(axis=1) & (np.abs(found.sum(axis=1) - 1) <= SUMS_TO_ONE)
    if not fits.all():
        row = int(np.argmin(fits))
        raise InvalidPredictions(
            f"{_called(images)}: {np.sum(~fits)} of {len(found)} rows are not probabilities; the first is that of "
            f"{images.names[row]}: {found[row].round(3)}. A row has no value below 0 and sums to 1: if these are "
            "logits, let the door apply softmax."
        )


def _refuse_unsteady(name: str, once: np.ndarray, again: np.ndarray, images: Images) -> None:
    """Two answers for the same cells must agree: with dropout or augmentation left on they do not."""
    one, other = (np.log(np.clip(each, LEAST_PROBABILITY, None)) for each in (once, again))
    apart = np.abs(one - other).max(axis=1)
    if not apart.max() <= STEADY:
        raise InvalidPredictions(
            f"{_called(images)}: {name} answers differently when it is shown the same {len(once)} cells again "
            f"(log-probabilities differ by {apart.max():.2g}, first for "
            f"{images.names[int(np.argmax(~(apart <= STEADY)))]}). Something random is left on, such as dropout: make "
            "it follow model.eval()."
        )


def _refuse_other_answers(
    classifier: Classifier, found: np.ndarray, plain: np.ndarray, names: list[str], images: Images
) -> None:
    """Some cells, scored once more in the plainest way, must get the same answer.

    A device that computes wrongly does not say so: its answers are finite, and the same every time.
    """
    apart = np.abs(found - plain).max(axis=1)
    engine = classifier.chosen_engine if isinstance(classifier, PlainlyScoring) else None
    wrong = np.flatnonzero(~(apart <= (ENGINE_PROBABILITY if engine else PLAIN_PROBABILITY)))  # True for NaN too
    if len(wrong):
        other = found.argmax(axis=1) != plain.argmax(axis=1)
        listed = "; ".join(
            f"{names[i]} (probabilities differ by {apart[i]:.2g}{', another class' * bool(other[i])})" for i in wrong
        )
        how = "together than one by one"
        remedy = "The answer for a cell must not depend on the cells beside it"
        if isinstance(classifier, PlainlyScoring):
            how = f"in batches on {classifier.device} than one by one, scored plainly on the CPU"
            use = "" if classifier.device == "cpu" else "--device cpu, or "
            if engine:
                how = f"in batches by {engine} on {classifier.device} than one by one, by eager torch on the CPU"
                use = f'engine = "eager" in [prediction] instead of "{engine}", {use}'
            remedy = f"The device, its driver or its memory layout computes wrongly: use {use}another version of torch"
        raise InvalidPredictions(
            f"{_called(images)}: {len(wrong)} of {len(found)} cells are predicted differently by "
            f"{classifier.card.name} {how}: {listed}. "
            f"{remedy}."
        )


def _called(images: Images) -> str:
    return images.label or f"{len(images)} images"
