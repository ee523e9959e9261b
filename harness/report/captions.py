"""What stands below each figure, and what a reader who cannot see it is told."""

from __future__ import annotations

from collections.abc import Iterable

# File stem -> (caption, what a reader who cannot see it is told).
CAPTIONS = {
    "class_distribution": (
        "Images per class",
        "Bar chart of the dataset's images per class; the table of sets has them.",
    ),
    "split_distribution": (
        "Images per class and part",
        "Bar chart of images per class and part, as in the table above.",
    ),
    "sample_images": (
        "Sample images of the train part",
        "A grid of images: one row per class, up to five images each.",
    ),
    "training_loss_phase1": ("Training, phase 1", "Losses and validation accuracy by epoch; the kept epoch is marked."),
    "training_loss_phase2": ("Training, phase 2", "Losses and validation accuracy by epoch; the kept epoch is marked."),
    "learning_rate_finder": ("Learning-rate finder", "Loss by learning rate, or a sentence that no finder was run."),
    "confusion_matrix_validation": ("Confusion matrix, validation", "The counts of the table on validation, shaded."),
    "confusion_matrix_test": ("Confusion matrix, test", "The counts of the table on test, shaded."),
    "confusion_matrix_external": ("Confusion matrices, external sets", "The counts of each external set, shaded."),
    "per_class_metrics": ("Recall, precision and F1 per class", "Points with whiskers; the per-class table has them."),
    "test_vs_external": ("Accuracy by set", "Points with whiskers; the table of accuracies has the same numbers."),
    "correct_predictions_test": ("Correctly classified test cells", "Images with reference label and confidence."),
    "incorrect_predictions_test": ("Misclassified test cells", "Images with reference, predicted class, confidence."),
}

CAPTIONS |= {
    "generalisation_gap": (
        "What is lost elsewhere",
        "Points with whiskers for each external set, as in the table above.",
    ),
    "latency_distribution": (
        "How long a query takes",
        "A histogram for each scenario, with its median, 90th percentile and 99th percentile.",
    ),
    "duplicate_pairs": ("Pictures in two places", "Both pictures of each pair side by side, the least alike first."),
    "severity_curves": ("Accuracy over severity", "One panel a disturbance; the table has the counts."),
    "disturbances": ("What the severities look like", "Rows: disturbances; columns: severities, on one train cell."),
    "inputs_without_a_cell": ("Strangeness of cells and of inputs without one", "Histograms, with the threshold."),
}

# Stem before the set's name -> the same, for figures that each judged set has one of.
CAPTIONS_BY_SET = {
    "reliability_diagram": ("Accuracy against confidence", "The calibration table has the numbers."),
    "risk_coverage": (
        "Errors left if unsure cells are referred",
        "The share of errors by the share of cells answered.",
    ),
}


def figures_of(sets: Iterable[str], *, n_phases: int) -> frozenset[str]:
    """The name of every figure that a run with these judged sets and so many phases of training can have."""
    of_sets = {f"{stem}_{name}" for stem in CAPTIONS_BY_SET for name in sets}
    return frozenset({*CAPTIONS, *of_sets, *(f"training_loss_phase{n}" for n in range(1, n_phases + 1))})


def caption_of(name: str) -> tuple[str, str] | None:
    """(caption, alternative text) of a figure that has its place on the page."""
    if name in CAPTIONS:
        return CAPTIONS[name]
    for stem, (caption, alternative) in CAPTIONS_BY_SET.items():
        if name.startswith(f"{stem}_"):
            return f"{caption}, {name.removeprefix(f'{stem}_')}", alternative
    if name.startswith("training_loss_phase"):
        return f"Training, phase {name.removeprefix('training_loss_phase')}", CAPTIONS["training_loss_phase1"][1]
    return None
