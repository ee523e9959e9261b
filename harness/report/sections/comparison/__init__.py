"""What other seeds came to, and how the candidate stands against its baseline, cell by cell."""

from __future__ import annotations

from dataclasses import asdict

from harness.metrics.classification import estimate, evaluate
from harness.metrics.comparison import Comparison, difference, remarks
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate
from harness.metrics.paired import mcnemar_exact
from harness.metrics.paired_scores import PairedScores, brier_difference
from harness.report.section import Section
from harness.run.results import RunResults


def facts(run: RunResults) -> dict[str, object]:
    """seeds: seed -> its accuracy; sets: set -> what its pairs of answers come to, in all and class by class.

    kinds: what the pairs of answers to corrupted cells come to, kind by kind.
    """
    seeds = {
        str(seed): asdict(estimate(evaluate(run.counted(found)), "accuracy", cell_class=None, level=DISPLAY_LEVEL))
        for seed, found in run.seed_predictions.items()
    }
    return {
        "seeds": seeds,
        "sets": {name: _facts_of(found) for name, found in run.comparisons.items()},
        "kinds": [paired_row(found, None, name=kind) for kind, found in run.corrupted_comparisons.items()],
    }


def _facts_of(comparison: Comparison) -> dict[str, object]:
    every = [None, *(name for name in comparison.classes if comparison.counts(name)[2])]
    return {
        "n": comparison.counts()[2],
        "rows": [paired_row(comparison, name) for name in every],
        "brier": None if comparison.scores is None else _brier(comparison.scores, comparison.set),
        "remarks": list(remarks(comparison, level=DISPLAY_LEVEL)),
    }


def _brier(scores: PairedScores, set_name: str) -> dict[str, object]:
    found = brier_difference(scores, set_name=set_name, level=DISPLAY_LEVEL)
    return {
        "baseline": float(scores.baseline.mean()),
        "candidate": float(scores.candidate.mean()),
        "difference": found.value,
        "bounds": {"lower": found.lower, "upper": found.upper},
    }


def paired_row(comparison: Comparison, cell_class: str | None, *, name: str | None = None) -> dict[str, object]:
    """What the pairs of answers of one class come to, or of all; name: what the row is called instead."""
    b, c, n = comparison.counts(cell_class)
    table = comparison.table if cell_class is None else comparison.table[[comparison.classes.index(cell_class)]]
    metric = "accuracy_difference" if cell_class is None else "recall_difference"
    found = difference(comparison, metric, cell_class=cell_class, level=DISPLAY_LEVEL)
    assert isinstance(found, Estimate) and found.value is not None  # only classes with cells get a row
    return {
        "name": name or cell_class or "all",
        "n": n,
        "both_right": int(table[:, 1, 1].sum()),
        "gained": c,
        "lost": b,
        "both_wrong": int(table[:, 0, 0].sum()),
        "difference": found.value,
        "bounds": {"lower": found.lower, "upper": found.upper},
        "interval": found.display and asdict(found.display),
        "mcnemar_p": mcnemar_exact(b, c)[0],
    }


SECTION = Section("comparison", "Other seeds, and the baseline", facts=facts)
