"""Predictions in a pack beside those of its sets: by other seeds, of corrupted cells, and those of the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.core.errors import EvidenceError
from harness.core.text import brief
from harness.metrics.predictions import Predictions
from harness.pack.read import Pack
from harness.pack.read_predictions import read_predictions
from harness.run.results import RunResults

BASELINE = "baseline"
CORRUPTED = "corrupted"
ADAPTED, DRAWN = "adapted", "drawn"
UNKNOWN = "unknown"


def further_predictions(results: RunResults) -> Iterator[tuple[str, Predictions]]:
    """Name below predictions/, without suffix, and what is written there."""
    for seed, found in results.seed_predictions.items():
        yield f"seeds/test_{seed}", found
    for name, adapted in results.adaptations.items():
        yield f"{ADAPTED}/{name}", adapted.predictions
        yield f"{DRAWN}/{name}", adapted.drawn
    for name, found in results.unknown.items():
        yield f"{UNKNOWN}/{name}", found
    for kind, found in results.corrupted.items():
        yield f"{CORRUPTED}/{kind}", found
    if (baseline := results.baseline) is not None:
        for name in results.comparisons:
            if name in baseline.predictions:
                yield f"{BASELINE}/{name}", baseline.predictions[name]
        for kind in results.corrupted_comparisons:
            if kind in baseline.corrupted:
                yield f"{BASELINE}/{CORRUPTED}/{kind}", baseline.corrupted[kind]


def read_further(
    pack: Pack, name: str, stated: object, *, set_name: str, further_classes: Sequence[str] = ()
) -> Predictions:
    """The predictions that a pack has under such a name, checked against what its evidence states of them.

    stated: with `digest` and `n`. further_classes: those that have a column beside the protocol's.
    Raises:
        EvidenceError: as `read_predictions`; or nothing is stated.
    """
    if not isinstance(stated, Mapping):
        raise EvidenceError(f"what the evidence says of predictions/{name}.csv is {brief(stated)}, not a table")
    alone = replace(pack, evidence={**pack.evidence, "predictions": {name: stated}})
    return replace(read_predictions(alone, name, further_classes=further_classes), set=set_name)


def stated_of(found: Predictions | None) -> dict[str, object] | None:
    """What the evidence states of such predictions."""
    return None if found is None else {"digest": found.digest, "n": len(found.digests)}
