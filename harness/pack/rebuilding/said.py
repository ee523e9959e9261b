"""What was said of which cells: predictions, seeds, adapted classifiers and unknown cells, read and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.core.errors import EvidenceError, HarnessError
from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage, Split
from harness.metrics.adaptation import Adapted
from harness.metrics.classification import evaluate
from harness.metrics.copies import counted_once
from harness.metrics.estimates import Evaluation
from harness.metrics.fits import FITTING_PARTS
from harness.metrics.predictions import Predictions, predictions_of
from harness.pack.adapted import cells_of, read_adapted, unlike_draw
from harness.pack.further import ADAPTED, DRAWN, UNKNOWN, read_further
from harness.pack.read_predictions import read_predictions
from harness.pack.rebuilding.frame import Frame
from harness.pack.split_check import SPLIT
from harness.pack.tables import MANIFEST
from harness.pack.unknown import read_unknown
from harness.protocol.names import PARTS


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What was said of which cells.

    predictions:    by set, parts of the dataset first.
    counted:        the same with one cell for each picture, where the judge that wrote the pack counted so.
    evaluations:    of what was counted.
    seeds:          seed -> what its classifier said of the test part.
    adaptations, unknown:       by external set, by set of unknown classes.
    """

    predictions: dict[str, Predictions]
    counted: dict[str, Predictions]
    evaluations: dict[str, Evaluation]
    seeds: dict[int, Predictions]
    adaptations: dict[str, Adapted]
    unknown: dict[str, Predictions]

    @property
    def judged(self) -> dict[str, Predictions]:
        """Without the parts that a classifier is fitted on."""
        return {name: found for name, found in self.predictions.items() if name not in FITTING_PARTS}

    @property
    def beside(self) -> dict[str, Predictions]:
        """Set beside the dataset -> what was said of it: the external sets, then those of unknown classes."""
        return {name: found for name, found in self.predictions.items() if name not in PARTS} | self.unknown

    def cells_of(self, name: str) -> tuple[CellImage, ...]:
        return cells_of(self.beside[name])


def read_said(frame: Frame, split: Split | None, copies: Sequence[DuplicatePair]) -> Said | None:
    """None where one of the files cannot be read, or is not the one that evidence.json names.

    Args:
        copies: cells that show the same picture, by the rules of the pack.
    """
    failed: list[str] = []

    def each(field: str, file: str, read: Callable[[str, Any], Predictions | Adapted]) -> dict[str, Any]:
        found = {}
        for name, stated in frame.field(field, kind=dict).items():
            try:
                found[name] = read(name, stated)
            except (HarnessError, ValueError, AttributeError) as error:
                frame.note(file.format(name), "", str(error))
                failed.append(name)
        return found

    def of_seed(seed: str, stated: Any) -> Predictions:
        name, stated = f"seeds/test_{int(seed)}", {"digest": stated.get("predictions"), "n": stated.get("n")}
        found = read_further(frame.pack, name, stated, set_name="test")
        return _fitted_to_split(frame, split, found, "test", file=f"predictions/{name}.csv")

    predictions = each("predictions", "predictions/{}.csv", lambda name, _: _of_set(frame, split, name))
    seeds = each("seeds", "predictions/seeds/test_{}.csv", of_seed)
    adaptations, unknown = {}, {}  # of an older harness, or where none was declared, there are none
    if frame.has("adaptations"):
        adaptations = each(
            "adaptations",
            f"predictions/{ADAPTED}/{{}}.csv",
            lambda name, _: read_adapted(frame.pack, name, predictions.get(name)),
        )
    if frame.has("unknown"):
        unknown = each("unknown", f"predictions/{UNKNOWN}/{{}}.csv", lambda name, _: read_unknown(frame.pack, name))
    if failed:
        return None
    counted = {name: counted_once(found, copies) if copies else found for name, found in predictions.items()}
    return Said(
        predictions,
        counted,
        {name: _evaluate(frame, found) for name, found in counted.items()},
        {int(seed): found for seed, found in seeds.items()},
        adaptations,
        unknown,
    )


def _of_set(frame: Frame, split: Split | None, name: str) -> Predictions:
    found = read_predictions(frame.pack, name)
    if name in PARTS:
        return _fitted_to_split(frame, split, found, name, file=f"predictions/{name}.csv")
    groups = frame.of(tuple[str, ...] | None, "predictions", name, "groups")
    columns = frame.of(dict[str, tuple[str, ...]] | None, "predictions", name, "columns")
    return replace(found, groups=groups, columns=columns or {})


def draw_again(frame: Frame, said: Said, duplicates: Sequence[DuplicatePair]) -> None:
    """Whether the cells that a classifier was adapted on are those that the protocol draws."""
    for name, found in said.adaptations.items():
        plan = frame.protocol.adaptation_of(name)
        for problem in unlike_draw(found, said.predictions[name], plan, duplicates):
            frame.note(f"predictions/{DRAWN}/{name}.csv", "sha256", problem)
    if said.adaptations:
        frame.take(
            "what a classifier says after it was adapted, and what cross-validation made of the ways to adapt it: "
            "recorded, without the adapted classifier"
        )


def _fitted_to_split(frame: Frame, split: Split | None, found: Predictions, part: str, *, file: str) -> Predictions:
    """The predictions with the groups that manifest.csv names, if their cells are those of the part."""
    if split is None:
        raise EvidenceError(f"{part} was scored, and data_split.csv does not say which cells it has")
    images = split.part(part)
    wanted = [(image.path, image.sha256, image.label) for image in images]
    labels = (found.classes[label] for label in found.labels.tolist())
    scored = list(zip(found.paths, found.digests, labels, strict=True))
    if wanted != scored:
        lacking, foreign = Counter(wanted) - Counter(scored), Counter(scored) - Counter(wanted)
        first = next(iter([*lacking, *foreign]), ("their order",))[0]
        frame.note(
            file,
            "path, sha256, label",
            f"these are not the cells of {part} in {SPLIT} and {MANIFEST}: {lacking.total()} are missing, "
            f"{foreign.total()} do not belong there, first {first!r}",
        )
        return found
    if not frame.rules.fewest_groups:  # then no group was known but patients and slides
        images = tuple(replace(image, site=None) for image in images)
    return predictions_of(images, found.probabilities, set_name=part, classes=found.classes)


def _evaluate(frame: Frame, predictions: Predictions) -> Evaluation:
    found = evaluate(predictions, intracluster_correlation=frame.protocol.clusters.intracluster_correlation)
    return replace(found, few_apart=bool(frame.rules.few_apart))
