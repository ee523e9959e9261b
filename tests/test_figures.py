"""Figures: which ones a run has, what they are drawn from, and that their bytes are stable."""

from __future__ import annotations

import dataclasses
import io
import math

import matplotlib
import numpy as np
import pytest
from example_run import CLASSES, example_pixels, example_run, stopped_run, without_misclassified_cells
from PIL import Image

from harness.data.records import CellImage
from harness.metrics.classification import estimate, evaluate
from harness.metrics.estimates import Evaluation
from harness.metrics.predictions import Predictions
from harness.model.records import LearningRateCurve, PhaseRecord
from harness.protocol.names import PARTS
from harness.protocol.sets import CountRange
from harness.report import figures, plots
from harness.report.encoding import compact
from harness.report.figures import _sample_images, draw_figures, draw_thumbnails, images_to_show
from harness.report.sections.failures import shown_cells
from harness.report.sections.labels import shown_suspects
from harness.report.wording import MANY_CLASSES

EVERY_FIGURE = {
    "class_distribution",
    "split_distribution",
    "sample_images",
    "training_loss_phase1",
    "training_loss_phase2",
    "learning_rate_finder",
    "confusion_matrix_validation",
    "confusion_matrix_test",
    "confusion_matrix_external",
    "per_class_metrics",
    "test_vs_external",
    "generalisation_gap",
    "latency_distribution",
    "correct_predictions_test",
    "incorrect_predictions_test",
}
OF_PHOTOGRAPHS = {"sample_images", "correct_predictions_test", "incorrect_predictions_test"}


@pytest.fixture(scope="module")
def run():
    return example_run()


@pytest.fixture(scope="module")
def drawn(run):
    return draw_figures(run, example_pixels(images_to_show(run)))


@pytest.fixture
def said(monkeypatch):
    """Every statement figure's words, in the order drawn."""
    texts = []

    def keep(title, text):
        texts.append(text)
        return b"statement"

    monkeypatch.setattr(plots, "statement", keep)
    return texts


def test_a_complete_run_has_all_figures_and_two_of_each_examined_set(drawn):
    examined = {
        f"{stem}_{name}" for stem in ("reliability_diagram", "risk_coverage") for name in ("test", "nine-monocytes")
    }
    assert set(drawn) == EVERY_FIGURE | examined


def test_every_figure_is_readable_and_of_sensible_size_and_those_of_photographs_are_webp(drawn):
    for name, png in drawn.items():
        with Image.open(io.BytesIO(png)) as image:
            image.load()
            assert image.format == ("WEBP" if name in OF_PHOTOGRAPHS else "PNG"), name
            assert 700 <= image.width <= 2000, name
            assert 200 <= image.height <= 2000, name
            assert "Software" not in image.info, name


def test_figures_stay_small_enough_to_be_kept_for_years(drawn):
    # The pictures are noisy. The same figures as plain PNGs take 3.2 MB.
    assert sum(map(len, drawn.values())) < 700_000


def test_a_compact_picture_is_hardly_told_from_its_original():
    chart = Image.new("RGB", (60, 60), "white")
    chart.paste("#D55E00", (10, 10, 40, 40))
    assert np.array_equal(_pixels(compact(chart)), np.asarray(chart))
    photograph = Image.fromarray(next(iter(example_pixels(["0123456789abcdef"]).values()))).resize((300, 300))
    difference = _pixels(compact(photograph)).astype(int) - np.asarray(photograph)
    assert np.abs(difference).mean() < 4


def test_a_sweep_that_begins_at_its_lowest_loss_is_still_seen():
    # fastai's smoothed loss begins at the first batch's own, which may be the lowest of all.
    curve = LearningRateCurve(tuple(np.geomspace(1e-7, 1, 8).tolist()), (2.2, 2.5, 2.7, 2.6, 2.5, 2.4, 9.0, 80.0), 1e-3)
    low, high = plots._descent(curve)
    assert low < 2.2
    assert 2.7 < high < 20


@pytest.mark.parametrize("share", np.linspace(0, 1, 11).tolist())
def test_a_count_in_a_matrix_stands_out_from_its_shade(share):
    shade = plots.SHADES(share / plots.DARKEST)
    ink = matplotlib.colors.to_rgba(plots._ink_on(shade))
    light, dark = sorted((_luminance(shade), _luminance(ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.1  # the best that black or white can do on the middle blues


@pytest.mark.slow
def test_drawing_twice_gives_the_same_bytes_and_leaves_matplotlib_as_it_was(run, drawn):
    before = dict(matplotlib.rcParams)
    assert draw_figures(run, example_pixels(images_to_show(run))) == drawn
    assert dict(matplotlib.rcParams) == before


def test_a_users_matplotlib_settings_change_no_byte(run, drawn):
    with matplotlib.rc_context({"font.size": 30, "text.parse_math": True, "savefig.dpi": 300}):
        assert figures._figures_of_training(run)["training_loss_phase1"] == drawn["training_loss_phase1"]


def test_a_stage_that_did_not_run_has_no_figure():
    # The stopped run read the dataset and got no further.
    assert set(draw_figures(stopped_run(), {})) == {"class_distribution"}
    assert images_to_show(stopped_run()) == ()


def test_images_to_show_are_samples_of_train_and_at_most_fifty_test_cells(run):
    shown = set(images_to_show(run))
    of = {part: {image.sha256 for image in run.split.part(part)} for part in ("train", "validation", "test")}
    assert len(shown & of["train"]) == 25
    suspected = {each.sha256 for found in shown_suspects(run).values() for each in found}
    assert len((shown - suspected) & of["test"]) <= 25 + 3  # 25 of 27 correct, all three wrong
    assert len(shown & of["test"]) >= 25 + 3
    assert shown & of["validation"] == suspected & of["validation"]
    assert list(images_to_show(run)) == sorted(shown)


def test_the_order_of_the_predictions_never_changes_which_images_are_shown(run):
    test = run.predictions["test"]
    order = np.random.default_rng(3).permutation(len(test.digests))
    shuffled = dataclasses.replace(
        test,
        paths=tuple(test.paths[i] for i in order),
        digests=tuple(test.digests[i] for i in order),
        labels=test.labels[order],
        probabilities=test.probabilities[order],
    )
    other = dataclasses.replace(run, predictions={**run.predictions, "test": shuffled})
    assert images_to_show(other) == images_to_show(run)


def test_more_than_25_wrong_cells_show_the_25_most_confident():
    n = 40
    confidence = np.linspace(0.55, 0.94, n)
    wrong = Predictions(
        set="test",
        classes=("a", "b"),
        paths=tuple(f"{i}.png" for i in range(n)),
        digests=tuple(f"{i:064x}" for i in range(n)),
        labels=np.zeros(n, dtype=np.int64),
        probabilities=np.column_stack([1 - confidence, confidence]),
    )
    assert figures._wrong_rows(wrong) == list(range(39, 14, -1))


def test_a_missing_image_is_drawn_as_a_box_that_says_so(run, drawn):
    assert figures._figures_of_data(run, {})["sample_images"] != drawn["sample_images"]


def test_no_misclassified_cell_is_said_in_words_with_its_count(said):
    drawn = figures._figures_of_test_cells(without_misclassified_cells().predictions["test"], {})
    assert drawn["incorrect_predictions_test"] == b"statement"
    assert said == ["no test cell was misclassified (0 of 30)"]


def test_no_finder_in_the_protocol_is_said_in_words(run, said):
    training = dataclasses.replace(run.training, learning_rate_curve=None)
    figures._figures_of_training(dataclasses.replace(run, training=training))
    assert said[0].startswith("The protocol asks for no learning-rate finder")


def test_no_external_set_is_said_in_words(run, said):
    evaluations = {name: run.evaluations[name] for name in ("train", "validation", "test")}
    drawn = figures._figures_of_results(dataclasses.replace(run, evaluations=evaluations, predictions={}), {})
    assert drawn["confusion_matrix_external"] == b"statement"
    assert said[0].startswith("No external set was evaluated")


def test_a_class_without_cells_is_undefined_in_matrix_and_metrics(run, monkeypatch):
    texts = []
    monkeypatch.setattr(plots.Axes, "text", _spy(texts, plots.Axes.text, 2))
    monkeypatch.setattr(plots.Axes, "annotate", _spy(texts, plots.Axes.annotate, 0))
    nine = run.evaluations["nine-monocytes"]
    plots.confusion_matrices("nine", [nine])
    assert texts.count("no cells") == 4
    assert texts.count("undefined") == 4
    assert not any("0 %" in text.replace("100 %", "") for text in texts)
    texts.clear()
    metrics = ("recall", "precision", "f1")
    plots.class_metrics("x", {c: {m: estimate(nine, m, cell_class=c, level=0.95) for m in metrics} for c in CLASSES})
    assert texts.count("recall undefined: no cells") == 4
    assert "recall 9/9 (100 %)" in texts


def test_a_set_without_any_cell_draws_without_a_number(run):
    empty = Evaluation("empty", CLASSES, np.zeros((5, 5), dtype=np.int64))
    plots.confusion_matrices("empty", [empty])
    plots.accuracies("empty", [estimate(empty, "accuracy", cell_class=None, level=0.95)])


def test_losses_that_are_not_numbers_are_counted_not_hidden(run, monkeypatch):
    titles = []
    monkeypatch.setattr(plots.Axes, "set_title", _spy(titles, plots.Axes.set_title, 0))
    phase: PhaseRecord = run.training.phases[0]
    broken = tuple(dataclasses.replace(e, train_loss=math.nan, validation_loss=math.nan) for e in phase.epochs[:2])
    plots.training_curves(dataclasses.replace(phase, epochs=broken))
    assert titles == ["head: stopped after 2 of at most 20 epochs (early stopping; 4 losses are not numbers)"]


def test_a_learning_rate_sweep_of_any_shape_draws():
    plots.learning_rates(LearningRateCurve((1e-5, 1e-4), (math.nan, math.nan), None), used=None)
    plots.learning_rates(LearningRateCurve((1e-5, 1e-4), (1.0, 1.0), 1e-4), used=1e-3)
    plots.learning_rates(LearningRateCurve((1e-5, 1e-4, 1e-3), (1.0, 0.5, math.inf), 1e-4), used=1e-3)


@pytest.mark.parametrize("name", ["$\\frac{", "細胞\u202e\udcff\n", "x" * 300, "_a_", ""])
def test_a_hostile_set_name_draws_as_text(run, name):
    plots.confusion_matrices("one", [dataclasses.replace(run.evaluations["test"], set=name)])


def test_pictures_of_any_shape_fit_the_gallery():
    shapes = [(1, 1, 3), (1, 400, 3), (400, 1, 3), (300, 300, 3)]
    tiles = [plots.Tile(np.zeros(shape, dtype=np.uint8), "caption") for shape in shapes]
    plots.gallery("shapes", [("row", tiles)], n_columns=5)


def test_thumbnails_are_small_and_of_cells_that_the_page_lists_only(run):
    thumbnails = draw_thumbnails(run, example_pixels(images_to_show(run)), side_px=48)
    discordant = {cell.digest for cell in run.comparisons["test"].discordant}
    suspected = {each.sha256 for name in PARTS for each in shown_suspects(run).get(name, ())}
    assert set(thumbnails) == shown_cells(run) | discordant | suspected
    for png in thumbnails.values():
        assert max(Image.open(io.BytesIO(png)).size) <= 48


def test_the_example_is_consistent_with_itself(run):
    for name, predictions in run.predictions.items():
        assert np.array_equal(evaluate(predictions).confusion, run.evaluations[name].confusion)
    assert run.evaluations["test"].n - run.evaluations["test"].n_correct == 3
    assert run.evaluations["second-laboratory"].n_correct == 140 - 31


def _pixels(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _spy(kept, original, position):
    def spied(self, *args, **kwargs):
        kept.append(args[position])
        return original(self, *args, **kwargs)

    return spied


# --- from 2 to 100 classes ------------------------------------------------------------------------


def evaluation_of(n_classes: int) -> Evaluation:
    """Most cells right; the second class has none, and the first is taken for the last three times."""
    confusion = np.diag(np.full(n_classes, 5))
    confusion[1] = 0
    confusion[0, -1] += 3
    return Evaluation("test", tuple(f"a_class_called_{i:03}" for i in range(n_classes)), confusion)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 5, MANY_CLASSES, MANY_CLASSES + 1, 100])
def test_every_figure_of_classes_is_of_a_size_that_can_be_looked_at(n_classes: int):
    found = evaluation_of(n_classes)
    counts = dict.fromkeys(found.classes, 7)
    metrics = {
        name: {m: estimate(found, m, cell_class=name, level=0.95) for m in ("recall", "precision", "f1")}
        for name in found.classes
    }
    pixels = np.full((30, 30, 3), 200, dtype=np.uint8)
    cells = {name: [CellImage(f"{name}/{i}.png", name, f"{name}{i}", 1) for i in range(5)] for name in found.classes}
    drawn = {
        "matrix": plots.confusion_matrices("t", [found]),
        "matrices": plots.confusion_matrices("t", [found, found]),
        "counts": plots.class_counts("t", counts, expected=dict.fromkeys(counts, CountRange(8, 8))),
        "parts": plots.part_counts("t", dict.fromkeys(("train", "validation", "test"), counts)),
        "metrics": plots.class_metrics("t", metrics),
        "samples": _sample_images(cells, {cell.sha256: pixels for each in cells.values() for cell in each}),
    }
    for name, content in drawn.items():
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
        assert width <= 4600, name
        assert height <= 5200, name
        assert len(content) < 700_000, name


def test_an_error_in_a_matrix_of_many_classes_is_seen_and_a_class_without_cells_is_grey():
    found = evaluation_of(40)
    figure = plots.blank(10, 10)
    axes = figure.add_subplot()
    plots._large_matrix(axes, found)
    (image,) = axes.get_images()
    pixels = np.asarray(image.get_array())
    red, green, blue, _ = pixels[0, -1]
    assert red - max(green, blue) > 0.2
    assert pixels[3, 7].tolist() == [1, 1, 1, 1]  # nothing was taken so
    assert len(set(pixels[1, 0, :3].tolist())) == 1
    assert pixels[1, 0, 0] < 1
    blue_of_hit = pixels[3, 3]
    assert blue_of_hit[2] > blue_of_hit[0]
    assert [text.get_text() for text in axes.texts][:2] == ["5/8", "no cells"]


def test_what_is_flat_keeps_its_colour_in_a_compact_drawing():
    # Thirty faint shades of blue beside as many of grey, on edges of two hundred colours: each is a rate of its row.
    chart = np.full((200, 400, 3), 255, dtype=np.uint8)
    shades = [(240 - each, 246 - each, 253) for each in range(12)] + [(242 - each,) * 3 for each in range(11)]
    for place, shade in enumerate(shades):
        chart[20:60, 10 + 15 * place : 20 + 15 * place] = shade
    chart[100, 100:300] = [(each, 90, 255 - each) for each in range(200)]
    found = _pixels(compact(Image.fromarray(chart)))
    assert np.array_equal(found[:100], chart[:100])
    assert np.abs(found.astype(int) - chart).max() <= 12
