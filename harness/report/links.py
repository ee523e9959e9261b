"""Where does the evidence of a criterion stand: its section, its figure, the file of its data?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.protocol.criteria import Criterion

# Question -> the section that answers it.
SECTION_OF = {
    "integrity": "data",
    "split": "split",
    "leakage": "split",
    "reproducibility": "training",
    "training": "training",
    "export": "training",
    "accuracy": "results",
    "regression": "comparison",
    "calibration": "confidence",
    "robustness": "disturbances",
    "unknown": "disturbances",
    "external": "external",
    "throughput": "speed",
}
# Question -> the stem of its figure, before the set's name where each set has one; the first that is there.
FIGURES_OF = {
    "integrity": ("class_distribution",),
    "split": ("split_distribution",),
    "leakage": ("split_distribution",),
    "training": ("training_loss_phase1",),
    "accuracy": ("confusion_matrix_{set}", "test_vs_external"),
    "calibration": ("reliability_diagram_{set}",),
    "robustness": ("severity_curves",),
    "external": ("confusion_matrix_external", "test_vs_external"),
}
FILE_OF = {"integrity": "manifest.csv", "split": "data_split.csv", "leakage": "data_split.csv"}
ANCHOR = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Links:
    """Ids on the page, and the name of a file of the pack; None where there is none."""

    section: str
    figure: str | None
    file: str | None


def links_of(
    criterion: Criterion, *, evaluated: Sequence[str], figures: Mapping[str, bytes], files: Sequence[str]
) -> Links:
    return Links(_section_of(criterion, evaluated), _figure_of(criterion, figures), _file_of(criterion, files))


def anchor(kind: str, name: str) -> str | None:
    """The id of a figure or a set on the page; None for a name that no id can hold."""
    return f"{kind}-{name}" if ANCHOR.fullmatch(name) else None


def _figure_of(criterion: Criterion, figures: Mapping[str, bytes]) -> str | None:
    """The id of the figure that shows what a criterion is about, if the page has one."""
    stems = FIGURES_OF.get(criterion.question, ())
    if criterion.metric.startswith("ood_"):
        stems = ("inputs_without_a_cell",)
    elif criterion.question == "accuracy" and criterion.cell_class is not None:
        stems = ("per_class_metrics",)
    shown = (stem for each in stems if (stem := each.format(set=criterion.set)) in figures)
    return next((anchor("figure", stem) for stem in shown), None)


def _section_of(criterion: Criterion, evaluated: Sequence[str]) -> str:
    """The id of the section or, where one set of several is meant, of the set."""
    own = anchor("set", criterion.set) if criterion.set in evaluated else None
    by_set = criterion.question in ("accuracy", "external") and own is not None
    return own if by_set and own is not None else SECTION_OF[criterion.question]


def _file_of(criterion: Criterion, files: Sequence[str]) -> str | None:
    """The file of the pack that a criterion's numbers follow from."""
    beside = "unknown/" if criterion.question == "unknown" else ""
    table = f"predictions/{beside}{criterion.set}.csv"
    name = table if table in files else FILE_OF.get(criterion.question, "evidence.json")
    return name if name in files else None
