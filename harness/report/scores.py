"""By which classes and cells did a candidate's probabilities get worse, and with which corruptions its answers?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.core.text import first_few
from harness.metrics.comparison import Comparison
from harness.metrics.paired_scores import PairedScores

MOST_CLASSES = 6  # that got worse, and
MOST_CELLS = 8  # that were lost: the report has all of them


def scores_told(found: PairedScores, name: str) -> str:
    """What became of the Brier score of a set, by which classes and by which cells, worst first."""
    said = [f"{name}: {brier_told(found)}"]
    if cells := first_few(_cells_less_sure(found), MOST_CELLS, more="and {n} more"):
        said.append(f"most: {', '.join(cells)}")
    return "; ".join(said)


def brier_told(found: PairedScores) -> str:
    """Such as "Brier score 0.0301, was 0.0120; worse: monocyte (0.0931, was 0.0120)"."""
    said = f"Brier score {found.candidate.mean():.4f}, was {found.baseline.mean():.4f}"
    classes = first_few(_classes_less_sure(found), MOST_CLASSES, more="and {n} more")
    return f"{said}; worse: {', '.join(classes)}" if classes else said


def worse_corruptions(found: Mapping[str, Comparison]) -> list[str]:
    """The kinds that lost more cells than they gained, worst first, such as "noise (3 lost, 1 gained of 30)"."""
    counts = {kind: comparison.counts() for kind, comparison in found.items()}
    worse = [kind for kind, (lost, gained, _) in counts.items() if lost > gained]
    worse.sort(key=lambda kind: counts[kind][1] - counts[kind][0])
    return [f"{kind} ({lost} lost, {gained} gained of {n})" for kind in worse for lost, gained, n in (counts[kind],)]


def _classes_less_sure(found: PairedScores) -> list[str]:
    means = {name: found.means_of(name) for name in sorted(set(found.reference))}
    worse = [name for name, (before, now) in means.items() if now > before]
    worse.sort(key=lambda name: means[name][0] - means[name][1])
    return [f"{name} ({means[name][1]:.4f}, was {means[name][0]:.4f})" for name in worse]


def _cells_less_sure(found: PairedScores) -> list[str]:
    """Such as "'a.png' of monocyte (1.20, was 0.01)"."""
    differences = found.differences
    worse = [row for row in np.argsort(-differences, kind="stable").tolist() if differences[row] > 0]
    return [
        f"{found.paths[row]!r} of {found.reference[row]} ({found.candidate[row]:.2f}, was {found.baseline[row]:.2f})"
        for row in worse
    ]
