"""Which figures does a run have, and what is on them? A run's records and pixels in, bytes out: PNG or WebP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage
from harness.metrics.classification import estimate
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate, Evaluation
from harness.metrics.gaps import generalisation_gap
from harness.metrics.predictions import Predictions
from harness.metrics.timing import LATENCIES
from harness.protocol.names import PARTS
from harness.report import plots
from harness.report.calibration_plots import reliability_diagram, risk_coverage
from harness.report.counts import dataset_counts, part_counts
from harness.report.encoding import thumbnail
from harness.report.further_plots import gaps, latencies
from harness.report.plots import Tile
from harness.report.robustness_plots import detection_figure, disturbance_sheet, severity_figure
from harness.report.sections.failures import lookalikes, shown_cells
from harness.report.sections.labels import shown_suspects
from harness.report.wording import MANY_CLASSES, probability, proportion, short
from harness.run.results import RunResults

N_COLUMNS = 5
MOST_CELLS_SHOWN = 25
MOST_PAIRS_SHOWN = 12


def draw_figures(run: RunResults, images: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Every figure of this run that its protocol allows, by file stem. A stage that did not run has none.

    Args:
        images: SHA-256 of an image file -> its (h, w, 3) uint8 pixels, for those of `images_to_show`. One that is
            absent is drawn as a box that says so.
    """
    if not run.protocol.report.figures:
        return {}
    drawn = (
        _figures_of_data(run, images)
        | _figures_of_training(run)
        | _figures_of_results(run, images)
        | _figures_of_confidence(run)
        | _figures_of_robustness(run, images)
        | _figures_of_speed(run)
        | _figures_of_copies(run, images)
    )
    return {name: png for name, png in drawn.items() if run.protocol.report.draws(name)}


def images_to_show(run: RunResults) -> tuple[str, ...]:
    """The digests of the images that the page and its figures need and may show, sorted."""
    if run.protocol.report.images == "none":
        return ()
    test = _counted_test(run)
    digests = _discordant(run) | _suspected(run) | shown_cells(run) | lookalikes(run)
    if test is not None:
        digests |= {test.digests[row] for row in _wrong_rows(test)}
    if run.protocol.report.images == "all":
        digests |= {image.sha256 for cells in _samples(run).values() for image in cells}
        listed = _listed(run)
        both = {(each.set, each.path) for pair in _duplicate_pairs(run) for each in (pair.first, pair.second)}
        digests |= {listed[place] for place in both if place in listed}
        digests |= set() if test is None else {test.digests[row] for row in _correct_rows(test)}
    return tuple(sorted(digests))


def draw_thumbnails(run: RunResults, images: Mapping[str, np.ndarray], *, side_px: int = 96) -> dict[str, bytes]:
    """A small WebP of each cell that the page lists with its picture and whose pixels are given, by digest."""
    wanted = sorted(shown_cells(run) | _discordant(run) | _suspected(run) | lookalikes(run))
    return {digest: thumbnail(images[digest], side_px) for digest in wanted if digest in images}


def _suspected(run: RunResults) -> set[str]:
    """The cells of the dataset whose labels the page suspects."""
    return {each.sha256 for name, found in shown_suspects(run).items() if name in PARTS for each in found}


def _counted_test(run: RunResults) -> Predictions | None:
    return run.counted(run.predictions["test"]) if "test" in run.predictions else None


def external_evaluations(run: RunResults) -> list[Evaluation]:
    return [evaluation for name, evaluation in run.evaluations.items() if name not in PARTS]


def _figures_of_data(run: RunResults, images: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    figures = {}
    if (counts := dataset_counts(run)) is not None:
        title = f"Images per class in the dataset (n = {sum(counts.values()):,})"
        figures["class_distribution"] = plots.class_counts(
            title, counts, expected=run.protocol.dataset.counts if run.protocol.dataset.images_per_class else {}
        )
    if run.split is not None:
        figures["split_distribution"] = plots.part_counts("Images per class and part", part_counts(run))
        figures["sample_images"] = _sample_images(_samples(run), images)
    return figures


def _sample_images(samples: Mapping[str, Sequence[CellImage]], images: Mapping[str, np.ndarray]) -> bytes:
    """A row for each class; of many classes one image each, row after row."""
    which = "in the train part, by digest"
    if len(samples) <= MANY_CLASSES:
        rows = [(name, [Tile(images.get(cell.sha256), "") for cell in cells]) for name, cells in samples.items()]
        return plots.gallery(f"Sample images: the first five of each class {which}", rows, n_columns=N_COLUMNS)
    firsts = [
        Tile(images.get(cell.sha256), plots.legible(name, at_most=24))
        for name, cells in samples.items()
        for cell in cells[:1]
    ]
    n_columns = 2 * N_COLUMNS
    rows = [("", firsts[start : start + n_columns]) for start in range(0, len(firsts), n_columns)]
    return plots.gallery(f"Sample images: the first of each class {which}", rows, n_columns=n_columns)


def _figures_of_training(run: RunResults) -> dict[str, bytes]:
    if run.training is None:
        return {}
    figures = {
        f"training_loss_phase{number}": plots.training_curves(phase)
        for number, phase in enumerate(run.training.phases, start=1)
        if phase.epochs
    }
    curve = run.training.learning_rate_curve
    if curve is None:
        text = "The protocol asks for no learning-rate finder, so none was run.\nThe learning rates are the protocol's."
        figures["learning_rate_finder"] = plots.statement("Learning-rate finder", text)
    else:
        used = run.protocol.training.phases[0].learning_rate
        figures["learning_rate_finder"] = plots.learning_rates(curve, used=used)
    return figures


def _figures_of_results(run: RunResults, images: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    figures = {
        f"confusion_matrix_{name}": plots.confusion_matrices(f"Confusion matrix: {name}", [run.evaluations[name]])
        for name in ("validation", "test")
        if name in run.evaluations
    }
    external = external_evaluations(run)
    if external:
        figures["confusion_matrix_external"] = plots.confusion_matrices("Confusion matrices: external sets", external)
    if (test := run.evaluations.get("test")) is not None:
        if not external:
            text = "No external set was evaluated in this run.\nWhat the classifier does elsewhere is not known."
            figures["confusion_matrix_external"] = plots.statement("Confusion matrices: external sets", text)
        figures["per_class_metrics"] = plots.class_metrics(
            f"Per class on test (n = {test.n:,}), with 95 % Wilson intervals",
            {
                name: {
                    m: estimate(test, m, cell_class=name, level=DISPLAY_LEVEL) for m in ("recall", "precision", "f1")
                }
                for name in test.classes
            },
            floors=_class_floors(run),
        )
        figures["test_vs_external"] = plots.accuracies(
            "Accuracy: test against external sets" if external else "Accuracy on test (no external set was evaluated)",
            [estimate(each, "accuracy", cell_class=None, level=DISPLAY_LEVEL) for each in (test, *external)],
            floors={c.set: c.floor for c in run.protocol.criteria if c.metric == "accuracy" and c.floor is not None},
        )
    figures |= _figure_of_gaps(run)
    if (predictions := _counted_test(run)) is not None:
        figures |= _figures_of_test_cells(predictions, images)
    return figures


def _figure_of_gaps(run: RunResults) -> dict[str, bytes]:
    test = run.evaluations.get("test")
    if test is None or not test.n:
        return {}
    found = [generalisation_gap(test, each, level=DISPLAY_LEVEL) for each in external_evaluations(run)]
    drawn = [each for each in found if isinstance(each, Estimate) and each.value is not None]
    ceilings = {
        c.set: c.ceiling for c in run.protocol.criteria if c.metric == "generalisation_gap" and c.ceiling is not None
    }
    title = "What is lost elsewhere: percentage points of accuracy"
    return {"generalisation_gap": gaps(title, drawn, ceilings=ceilings)} if drawn else {}


def _class_floors(run: RunResults) -> dict[tuple[str, str], float]:
    return {
        (c.cell_class, c.metric): c.floor
        for c in run.protocol.criteria
        if c.set == "test" and c.cell_class is not None and c.floor is not None and c.question == "accuracy"
    }


def _figures_of_confidence(run: RunResults) -> dict[str, bytes]:
    figures = {}
    for name, report in run.calibrations.items():
        figures[f"reliability_diagram_{name}"] = reliability_diagram(report)
        figures[f"risk_coverage_{name}"] = risk_coverage(report)
    return figures


def _figures_of_robustness(run: RunResults, images: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    found, plan, figures = run.robustness, run.protocol.robustness, {}
    if found is None:
        return {}
    if found.curves and plan is not None:
        floors = {c.kind: c.bound for c in run.protocol.criteria if c.metric == "disturbed_accuracy" and c.kind}
        agreed = {kind: (plan.agreed[kind], floors[kind]) for kind in plan.kinds if kind in floors}
        figures["severity_curves"] = severity_figure(found.curves, agreed=agreed)
        shown = [images[cell.sha256] for cells in _samples(run).values() for cell in cells[:1] if cell.sha256 in images]
        if len(shown) > 1:
            title = "What the severities look like (a cell of the train part)"
            figures["disturbances"] = disturbance_sheet(shown[0], shown[1], title=title, seed=plan.seed)
    if found.detection is not None:
        others = {each.kind: found.strangeness[each.kind] for each in found.detection.kinds}
        cells = found.strangeness[found.detection.set]
        figures["inputs_without_a_cell"] = detection_figure(found.detection, cells=cells, others=others)
    return figures


def _figures_of_speed(run: RunResults) -> dict[str, bytes]:
    """Of the scenarios that ask query by query, one image over and over apart: it says what decoding would hide."""
    timed = [each for each in run.timings if (each.scenario, each.span) in LATENCIES.values() and len(each.samples_s)]
    if not timed:
        return {}
    asked = {LATENCIES[c.metric]: c.ceiling for c in run.protocol.criteria if c.metric in LATENCIES and c.ceiling}
    places = {n: asked[key] for n, each in enumerate(timed) if (key := (each.scenario, each.span)) in asked}
    return {"latency_distribution": latencies("How long a query takes", timed, ceilings=places)}


def _duplicate_pairs(run: RunResults) -> list[DuplicatePair]:
    """As many as the figure has room for; the doubtful ones, which somebody should look at, come first."""
    return sorted(run.duplicates or (), key=lambda pair: (pair.kind == "same pixels", pair.detail))[:MOST_PAIRS_SHOWN]


def _listed(run: RunResults) -> dict[tuple[str, str], str]:
    """(set, path) of an image -> its digest, as far as the run knows it."""
    found = {
        (name, path): d
        for name, each in run.predictions.items()
        for d, path in zip(each.digests, each.paths, strict=True)
    }
    parts = () if run.split is None else (run.split.part(name) for name in PARTS)
    return found | {("dataset", image.path): image.sha256 for part in parts for image in part}


def _figures_of_copies(run: RunResults, images: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Both pictures of each pair side by side, two pairs a row."""
    pairs, digests = _duplicate_pairs(run), _listed(run)
    if not pairs:
        return {}
    tiles = []
    for pair in pairs:
        for which, other in ((pair.first, pair.transform), (pair.second, f"correlation {pair.detail:.3f}")):
            pixels = images.get(digests.get((which.set, which.path), ""))
            lines = [f"{which.set}, {which.label}", PurePosixPath(which.path).name, other]
            tiles.append(Tile(pixels, "\n".join(plots.legible(line, at_most=24) for line in lines)))
    title = f"Pictures in two places: {len(pairs)} of {len(run.duplicates or ())} pairs, the least alike first"
    return {
        "duplicate_pairs": plots.gallery(
            title, [("", tiles[at : at + 4]) for at in range(0, len(tiles), 4)], n_columns=4
        )
    }


def _discordant(run: RunResults) -> set[str]:
    """Test cells that exactly one of candidate and baseline has right; they are among the dataset's images."""
    comparison = run.comparisons.get("test")
    return {cell.digest for cell in comparison.discordant} if comparison is not None else set()


def _figures_of_test_cells(test: Predictions, images: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    n, n_correct = len(test.digests), int(test.correct.sum())
    right, wrong = _correct_rows(test), _wrong_rows(test)
    figures = {}
    if right:
        title = f"Correct on test: {proportion(n_correct, n)}; {len(right)} of {n_correct} shown, by class and digest"
        figures["correct_predictions_test"] = plots.gallery(title, _tiles(test, right, images), n_columns=N_COLUMNS)
    else:
        text = f"no test cell was classified correctly (0 of {n})"
        figures["correct_predictions_test"] = plots.statement("Correct on test", text)
    if wrong:
        title = f"Misclassified on test: {proportion(n - n_correct, n)}; "
        title += f"{len(wrong)} of {n - n_correct} shown, the most confident first"
        figures["incorrect_predictions_test"] = plots.gallery(title, _tiles(test, wrong, images), n_columns=N_COLUMNS)
    else:
        text = f"no test cell was misclassified (0 of {n})"
        figures["incorrect_predictions_test"] = plots.statement("Misclassified on test", text)
    return figures


def _tiles(
    predictions: Predictions, rows: Sequence[int], images: Mapping[str, np.ndarray]
) -> list[tuple[str, list[Tile]]]:
    def tile(row: int) -> Tile:
        reference = predictions.classes[predictions.labels[row]]
        predicted = predictions.classes[predictions.predicted[row]]
        classes = [reference] if reference == predicted else [f"reference {reference}", f"predicted {predicted}"]
        lines = [*classes, f"confidence {probability(float(predictions.confidence[row]))}"]
        caption = [plots.legible(line, at_most=28) for line in (*lines, short(predictions.digests[row]))]
        return Tile(images.get(predictions.digests[row]), "\n".join(caption))

    return [("", [tile(row) for row in rows[start : start + N_COLUMNS]]) for start in range(0, len(rows), N_COLUMNS)]


def _samples(run: RunResults) -> dict[str, list[CellImage]]:
    """Five images of each class. From the train part: showing pictures must not be one more look at the test part."""
    if run.split is None:
        return {}
    train = sorted(run.split.train, key=lambda image: (image.sha256, image.path))
    classes = run.protocol.dataset.classes
    return {name: [image for image in train if image.label == name][:N_COLUMNS] for name in classes}


def _correct_rows(predictions: Predictions) -> list[int]:
    """Up to 25 correct cells: of each class in turn the next by digest, listed by class."""
    rows = sorted(np.flatnonzero(predictions.correct).tolist(), key=lambda row: predictions.digests[row])
    seen = [0] * len(predictions.classes)
    turns = []
    for row in rows:
        label = int(predictions.labels[row])
        turns.append((seen[label], label, row))
        seen[label] += 1
    return [row for _, _, row in sorted(sorted(turns)[:MOST_CELLS_SHOWN], key=lambda turn: (turn[1], turn[0]))]


def _wrong_rows(predictions: Predictions) -> list[int]:
    """Up to 25 misclassified cells, the most confident first: the choice must not hide the worst."""
    wrong = np.flatnonzero(~predictions.correct).tolist()
    confidence = predictions.confidence
    return sorted(wrong, key=lambda row: (-confidence[row], predictions.digests[row]))[:MOST_CELLS_SHOWN]
