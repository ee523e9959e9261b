"""How was the classifier made, on which cells was anything fitted, and does a repeated training agree?"""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.printing import sentence
from harness.report.section import Limit, Material, Section
from harness.run.results import RunResults

PREPROCESSING = ("image_size_px", "resize", "normalisation")


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
    model, e = page.run.model, page.evidence
    if model is None:
        return
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
    unsaid = [name for name in PREPROCESSING if name not in model.stated]
    if unsaid:
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
