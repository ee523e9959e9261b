"""How was the classifier made, on which cells was anything fitted, and does a repeated training agree?"""

from __future__ import annotations

from collections.abc import Iterator

from harness.data.prediction_records import GivenPredictions
from harness.model.records import JudgedModel
from harness.report.printing import Printer, sentence
from harness.report.section import Limit, Material, Section
from harness.run.results import RunResults

PREPROCESSING = ("image_size_px", "resize", "normalisation")
OF_A_GRAPH = ("image_size_px", "resize", "filter", "channels", "value_range", "mean", "deviation", "outputs")


def view(page: Material) -> list[tuple[str, str]]:
    """(what, whether all processes agree on it). The conditions are meant to differ."""
    processes = page.run.reproducibility
    rows = []
    for name in ("conditions", "split", "losses", "weights", "predictions") if processes else ():
        differ = "differ on purpose" if name == "conditions" else "DIFFER"
        rows.append((name, "agree" if len({getattr(process, name) for process in processes}) == 1 else differ))
    return rows


def facts(run: RunResults) -> dict[str, object]:
    training = run.training
    return {
        "losses_digest": None if training is None else training.losses_digest,
        "seconds": [] if training is None else [phase.seconds for phase in training.phases],
        "processes": list(range(1, len(run.reproducibility) + 1)),
    }


def limits(page: Material) -> Iterator[Limit]:
    if page.run.given is not None:
        yield from _limits_of_predictions(page.run.given)
    if page.run.model is not None:
        yield from _limits_of_model(page.run.model, page.evidence)


def _limits_of_predictions(given: GivenPredictions) -> Iterator[Limit]:
    yield Limit(
        "Predictions were judged, and no classifier: that one and the same classifier made all of them, from these "
        "images alone, is the word of whoever brought them.",
        "Any statement on a classifier beyond these answers: new images, disturbed cells, speed, how it was trained.",
    )
    if given.knows_its_cells:
        yield Limit(
            "Which cells the classifier was trained on is stated by the split alone: this run saw no training.",
            "That no cell of the test part was trained on, beyond that word.",
        )
    elif given.divided:
        yield Limit(
            "The parts came with the data, and nobody says that the classifier was trained with them; --split would.",
            "That no cell of the test part was trained on.",
        )
    elif given.undivided:
        yield Limit(
            "Separation from training is not shown: no split was given, and every cell is judged as test.",
            "Performance on new cells from this dataset: cells that the classifier was trained on may be among them.",
        )


def _limits_of_model(model: JudgedModel, e: Printer) -> Iterator[Limit]:
    yield Limit(
        "The classifier existed before the run: its training was not watched, and not repeated.",
        "Any statement on how it was trained; that training it again gives the same.",
    )
    if model.knows_its_cells:
        yield Limit(
            f"The cells that it was trained on are {model.cells}: this run saw none of its training.",
            "That no cell of the test part was trained on, beyond that word.",
        )
    else:
        known = "not known" if model.cells == "unknown" else "not this run's train part, by its file's word"
        yield Limit(
            f"The cells that it was trained on are {known}: cells of the validation and test parts may be among them.",
            "Performance on new cells from the test part; a gap between train and validation; calibration and "
            "thresholds as fitted on cells that it had not seen.",
        )
    if model.command is not None:
        yield Limit(
            "What the command runs was not seen: its line and the digests of the files that it names are recorded.",
            "That the same line gives the same answers tomorrow, or on another machine; on which device it computes.",
        )
        return
    is_graph = model.format == "ONNX"
    unsaid = [name for name in (OF_A_GRAPH if is_graph else PREPROCESSING) if name not in model.stated]
    if unsaid and is_graph:
        yield Limit(
            f"Its file does not state {', '.join(unsaid)}; it was shown what the protocol says.",
            "How it does with the preprocessing of its own program.",
        )
    elif unsaid:
        plan = ("protocol", "content", "training")
        yield Limit(
            sentence(
                "Its file does not state {unsaid}; it was shown what the protocol says: {size} px, {resize}, {norm}.",
                unsaid=", ".join(unsaid),
                size=e.plain_count(*plan, "image_size_px"),
                resize=e.text(*plan, "resize"),
                norm=e.text(*plan, "normalisation"),
            ),
            "How it does with the preprocessing of its own program.",
        )


SECTION = Section("training", "Model and training", view, limits, facts)
