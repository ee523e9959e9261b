"""What is seen in a figure, in words: for whoever cannot see it. Its numbers stand in the tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.core.text import visible
from harness.metrics.estimates import Evaluation
from harness.metrics.timing import LATENCIES
from harness.model.records import Timing
from harness.protocol.names import PARTS
from harness.report.counts import dataset_counts
from harness.run.results import RunResults

MATRIX = "confusion_matrix_"


def seen_in(name: str, run: RunResults) -> str:
    """One sentence on what stands out in a figure; empty where there is nothing to say in words.

    A class or set whose name is a number is not named: it would read like one.
    """
    said = _said(name, run)
    return "" if any(word.strip(",.").isdecimal() for word in said.split()) else visible(said)


def _said(name: str, run: RunResults) -> str:
    match name:
        case "class_distribution":
            return _extremes(
                dataset_counts(run) or {}, most="Most images: {}", least="fewest: {}", same="All are alike."
            )
        case "test_vs_external":
            shown = {k: each.n_correct / each.n for k, each in _shown(run).items() if each.n}
            return _extremes(shown, most="Highest: {}", least="lowest: {}", same="")
        case "generalisation_gap" if (test := run.evaluations.get("test")) is not None and test.n:
            own = test.n_correct / test.n
            lost = {k: own - each.n_correct / each.n for k, each in _shown(run).items() if k != "test" and each.n}
            if len(lost) == 1:
                name, gap = next(iter(lost.items()))
                return f"It is less accurate on {name}." if gap > 0 else f"It is no less accurate on {name}."
            return _extremes(lost, most="Most is lost on {}", least="least on {}", same="As much is lost everywhere.")
        case "latency_distribution":
            spread = {_query(each): max(each.samples_s) / min(each.samples_s) for each in run.timings if _drawn(each)}
            return _extremes(spread, most="Queries differ most in {}", least="least in {}", same="")
        case "per_class_metrics" if "test" in run.evaluations:
            recalls = _recalls(run.evaluations["test"])
            return _extremes(recalls, most="Recall is highest for {}", least="lowest for {}", same="Recalls are alike.")
        case _ if name.startswith(MATRIX) and (found := run.evaluations.get(name.removeprefix(MATRIX))) is not None:
            return _most_frequent_error(found)
        case "severity_curves" if run.robustness is not None and run.robustness.curves:
            lows = {each.kind: min(point.accuracy for point in each.points) for each in run.robustness.curves}
            return _extremes(lows, most="The curve of {} falls least", least="that of {} most", same="")
    return ""


def _drawn(timing: Timing) -> bool:
    return (timing.scenario, timing.span) in LATENCIES.values() and bool(timing.samples_s)


def _query(timing: Timing) -> str:
    return f"{timing.scenario}, {timing.span}"


def _shown(run: RunResults) -> dict[str, Evaluation]:
    return {name: each for name, each in run.evaluations.items() if name == "test" or name not in PARTS}


def _recalls(found: Evaluation) -> dict[str, float]:
    return {name: found.confusion[i, i] / n for i, (name, n) in enumerate(found.support.items()) if n}


def _most_frequent_error(found: Evaluation) -> str:
    wrong = found.confusion - np.diag(np.diag(found.confusion))
    if not wrong.any():
        return "Every count is on the diagonal."
    reference, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    return f"The most frequent error: {found.classes[reference]} called {found.classes[predicted]}."


def _extremes(values: Mapping[str, float], *, most: str, least: str, same: str) -> str:
    if len(values) < 2:
        return ""
    high, low = max(values, key=lambda name: values[name]), min(values, key=lambda name: values[name])
    return same if values[high] == values[low] else f"{most.format(high)}; {least.format(low)}."
