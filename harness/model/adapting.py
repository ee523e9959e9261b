"""Adapts a classifier that exists to a few labelled cells of another laboratory; the classifier stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from harness.core.errors import NotApplicable
from harness.model.classifier import Classifier, embed, predict
from harness.model.images import Images
from harness.model.retuned import fine_tuned, has_statistics, with_statistics_of
from harness.model.torch_network import WholeTorchNetwork
from harness.protocol.adaptation import CHOICE, Method

FOLDS = 5
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, of standardised features
LEAST_PROBABILITY = 1e-12

# (what was prepared of the drawn cells, their labels, what was prepared of other cells) -> probabilities of the latter.
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to adapt. prepare: what `fit` is given of images, made once of each."""

    prepare: Callable[[Images], np.ndarray]
    fit: Fit


@dataclass(frozen=True, slots=True, eq=False)
class AdaptedAnswers:
    """method, scores, notes: see `harness.metrics.adaptation.Adapted`. probabilities: (n_asked, n_classes) float64."""

    method: Method
    probabilities: np.ndarray
    scores: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def adapt(
    classifier: Classifier, drawn: Images, labels: np.ndarray, asked: Images, *, method: Method, seed: int
) -> AdaptedAnswers:
    """What the classifier says of the asked cells after it was adapted to the drawn ones.

    Args:
        labels: (n_drawn,) int64, columns of the card's classes.
        seed:   of whatever the method draws.
    Raises:
        NotApplicable: the classifier cannot be adapted so.
    """
    if method != CHOICE:
        way = way_of(method, classifier, seed=seed)
        return AdaptedAnswers(method, way.fit(way.prepare(drawn), labels, way.prepare(asked)))
    ways, notes = possible_ways(classifier, seed=seed)
    shown = {name: way.prepare(drawn) for name, way in ways.items()}
    scores: dict[str, int] = {}
    for name, way in ways.items():
        scores[name] = cross_validated(way.fit, shown[name], labels, seed=seed)
    best = max(ways, key=lambda name: scores[name])  # of ways that tie the first, which changes least
    found = ways[best].fit(shown[best], labels, ways[best].prepare(asked))
    return AdaptedAnswers(best, found, scores, notes)


def way_of(method: Method, classifier: Classifier, *, seed: int) -> Way:
    """
    Raises:
        NotApplicable: the classifier cannot be adapted so.
    """
    return WAYS[method](classifier, seed)


def possible_ways(classifier: Classifier, *, seed: int) -> tuple[dict[Method, Way], dict[str, str]]:
    """(the ways that this classifier can be adapted in, why not in the others), those that change least first."""
    ways: dict[Method, Way] = {}
    notes: dict[str, str] = {}
    for method in WAYS:
        try:
            ways[method] = way_of(method, classifier, seed=seed)
        except NotApplicable as error:
            notes[method] = str(error)
    return ways, notes


def cross_validated(fit: Fit, shown: np.ndarray, labels: np.ndarray, *, seed: int) -> int:
    """How many of the drawn cells are right, each asked of what was adapted without its fold."""
    right = 0
    for inside, outside in folds(labels, seed=seed):
        told = fit(shown[inside], labels[inside], shown[outside])
        right += int((told.argmax(axis=1) == labels[outside]).sum())
    return right


# --- as it was ----------------------------------------------------------------------------------


def _unchanged(classifier: Classifier, seed: int) -> Way:
    return Way(lambda images: predict(classifier, images, known_steady=True), lambda drawn, labels, asked: asked)


# --- the weights of a torch network -------------------------------------------------------------


def _batch_norm(classifier: Classifier, seed: int) -> Way:
    network = _network_of(classifier)
    if not has_statistics(network.network):
        raise NotApplicable("its network has no batch-norm layer whose statistics could be estimated anew")

    def fit(drawn: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        adapted = with_statistics_of(network.network, drawn, network.how, network.torch_device)
        return network.beside(adapted).forward(asked)

    return Way(network.prepare, fit)


def _fine_tuning(classifier: Classifier, seed: int) -> Way:
    network = _network_of(classifier)

    def fit(drawn: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        adapted = fine_tuned(network.network, drawn, labels, network.how, network.torch_device, seed=seed)
        return network.beside(adapted).forward(asked)

    return Way(network.prepare, fit)


def _network_of(classifier: Classifier) -> WholeTorchNetwork:
    if not isinstance(classifier, WholeTorchNetwork):
        raise NotApplicable(f"{classifier.card.name} ({classifier.card.door}) is not a torch network that is open here")
    return classifier


# --- a new head on fixed features ---------------------------------------------------------------


def _new_head(classifier: Classifier, seed: int) -> Way:
    n_classes = len(classifier.card.classes)

    def prepare(images: Images) -> np.ndarray:
        return np.hstack([embed(classifier, images), predict(classifier, images, known_steady=True)])

    def fit(drawn: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        features, others = drawn[:, :-n_classes], asked[:, :-n_classes]
        best = min(STRENGTHS, key=lambda strength: _log_loss(features, labels, strength, seed=seed))
        return _of_all_classes(features, labels, others, asked[:, -n_classes:], strength=best)

    refuse_without_features(classifier)
    return Way(prepare, fit)


def refuse_without_features(classifier: Classifier) -> None:
    """
    Raises:
        NotApplicable: it gives none.
    """
    if (reason := classifier.card.why_not({"features"})) is not None:
        raise NotApplicable(reason)


def _of_all_classes(
    features: np.ndarray, labels: np.ndarray, others: np.ndarray, before: np.ndarray, *, strength: float
) -> np.ndarray:
    """Probabilities of every class: the new head knows nothing of one without a drawn cell, whose stay as they were.

    before: (n_others, n_classes) what the classifier says as it is.
    """
    present = np.unique(labels)
    if len(present) < 2:
        return before
    left = before[:, present].sum(axis=1, keepdims=True)  # what the classes share that the head knows
    found = before.copy()
    found[:, present] = left * _head(features, labels, others, strength=strength)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _head(features: np.ndarray, labels: np.ndarray, others: np.ndarray, *, strength: float) -> np.ndarray:
    """Probabilities of the classes among `labels`, in ascending order."""
    scaler = StandardScaler().fit(features)
    own, asked = scaler.transform(features), scaler.transform(others)
    # The weights of a penalised fit lie in the span of its cells: a hundred numbers for the thousand of a network.
    span = np.linalg.svd(own, full_matrices=False)[2].T
    model = LogisticRegression(C=strength, max_iter=5000).fit(own @ span, labels)
    return np.asarray(model.predict_proba(asked @ span))


def _log_loss(features: np.ndarray, labels: np.ndarray, strength: float, *, seed: int) -> float:
    """Mean over the drawn cells, each asked of a head that was made without its fold."""
    lost = 0.0
    for inside, outside in folds(labels, seed=seed):
        present = np.unique(labels[inside])
        told = np.full((len(outside), int(labels.max()) + 1), LEAST_PROBABILITY)
        if len(present) > 1:
            told[:, present] = _head(features[inside], labels[inside], features[outside], strength=strength)
        lost -= np.log(np.maximum(told[np.arange(len(outside)), labels[outside]], LEAST_PROBABILITY)).sum()
    return float(lost / len(labels))


def folds(labels: np.ndarray, *, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows to fit on, rows to ask) of each fold; every class is dealt out in turn, however few cells it has."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    dealt = shuffled[np.argsort(labels[shuffled], kind="stable")]
    n = min(FOLDS, len(labels))
    fold = np.empty(len(labels), dtype=np.int64)
    fold[dealt] = np.arange(len(labels)) % n
    for each in range(n):
        yield np.flatnonzero(fold != each), np.flatnonzero(fold == each)


# Those that change least come first.
WAYS: Mapping[Method, Callable[[Classifier, int], Way]] = {
    "none": _unchanged,
    "batch-norm": _batch_norm,
    "head": _new_head,
    "fine-tune": _fine_tuning,
}
