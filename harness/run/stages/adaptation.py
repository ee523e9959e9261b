"""The classifier adapted to a few cells of an external set, judged beside itself on the set's other cells."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.core.digests import digest_of
from harness.core.errors import NotApplicable
from harness.judge.answers import answers_of, pack_answers
from harness.judge.ledger import cells_digest, read_ledger, record_look
from harness.judge.look import Role
from harness.judge.looks import look_number
from harness.judge.pictures import pack_pictures
from harness.metrics.adaptation import Adapted, beside_unadapted, drawn_from
from harness.metrics.comparison import Comparison
from harness.metrics.estimates import Unavailable
from harness.metrics.predictions import Predictions
from harness.run.graph import Asking, stage
from harness.run.recipes.adaptation import Adaptation, read_adaptation
from harness.run.recipes.basis import Pictures
from harness.run.recipes.classifier import OPENS
from harness.run.recipes.predictions import Scoring, read_scores
from harness.run.stages.data import picture_digests
from harness.run.stages.external import drawn, listing
from harness.run.stages.independence import duplicates
from harness.run.stages.model import opening, pictures, source
from harness.run.stages.predictions import pixel_digests, predictions, unanswered


@dataclass(frozen=True, slots=True, eq=False)
class AdaptedSeen:
    """look: the number of this look of an adapted classifier at the cells that were not drawn."""

    adapted: Adapted
    look: int


@stage(drawn, listing)
def drawn_pictures(run: Asking, set_name: str) -> Pictures:
    """The drawn cells of a set, as they may be shown to a classifier."""
    return Pictures(
        name=drawn_from(set_name),
        cells=run(drawn)[set_name],
        formats=run.setting.rules(set_name).formats,
        root=run(listing, set_name).root,
    )


@stage(drawn_pictures, picture_digests, source, opening, predictions, keeps=Scoring, runs=OPENS)
def drawn_predictions(run: Asking, set_name: str) -> Predictions:
    """What the classifier says of the drawn cells as it is; that they are fits is then on the ledger."""
    seed, shown = run.setting.protocol.training.seed, run(drawn_pictures, set_name)
    run(predictions, set_name)  # the look at the cells that are judged comes first
    recipe = Scoring(pictures=shown, source=run(source, seed), open=run(opening, seed), label=shown.name)
    kept = run.keep(f"predictions-{set_name}-drawn", recipe, anew=bool(recipe.source.card.asked_anew))
    found, _ = read_scores(kept, shown, run.setting.classes)
    digests = run(picture_digests, set_name)
    pixels = tuple(digests[cell.path] for cell in shown.cells)
    _record(run, replace(found, set=set_name), role="fit", model=recipe.source.card.digest, pixels=pixels)
    return found


@stage(
    drawn_pictures,
    drawn_predictions,
    pictures,
    pixel_digests,
    source,
    opening,
    predictions,
    keeps=Adaptation,
    runs=OPENS,
)
def adapted(run: Asking, set_name: str) -> AdaptedSeen | Unavailable:
    """What the adapted classifier says of the cells that were not drawn, or why it cannot be adapted so.

    The set must be there, with cells that were drawn: ask `adaptation`.
    """
    seed, before = run.setting.protocol.training.seed, run(predictions, set_name)
    plan = run.setting.protocol.adaptation_of(set_name)
    assert plan is not None  # cells were drawn by it
    fits, others = run(drawn_predictions, set_name), run(pictures, set_name)
    recipe = Adaptation(
        drawn=run(drawn_pictures, set_name),
        others=others,
        plan=plan,
        source=run(source, seed),
        open=run(opening, seed),
    )
    try:
        kept = run.keep(f"adaptation-{set_name}", recipe, anew=bool(recipe.source.card.asked_anew))
    except NotApplicable as error:
        return Unavailable(f"the classifier cannot be adapted by {plan.method!r}: {error}")
    found = read_adaptation(kept, others)
    after = replace(before, probabilities=found.probabilities)
    pixels = run(pixel_digests, set_name)
    look = _record(run, after, role="adapted", model=recipe.source.card.digest, pixels=pixels)
    return AdaptedSeen(Adapted(found.method, after, fits, found.scores, found.notes), look)


@stage(unanswered, drawn, adapted, predictions, duplicates)
def adaptation(run: Asking, set_name: str) -> Comparison | Unavailable:
    """The adapted classifier beside itself as it was, on the cells that were not drawn, or why there is none."""
    if (reason := run(unanswered, set_name)) is not None:
        return reason
    if not run(drawn).get(set_name):
        return Unavailable(
            f"no cell of {set_name} could be drawn to adapt with: at most half of a class, whole patients and slides"
        )
    found = run(adapted, set_name)
    if isinstance(found, Unavailable):
        return found
    return beside_unadapted(
        found.adapted,
        run(predictions, set_name),
        copies=run(duplicates),
        intracluster_correlation=run.setting.protocol.clusters.intracluster_correlation,
    )


@stage(adapted)
def look(run: Asking, set_name: str) -> int | None:
    """Which look of an adapted classifier at the cells that were not drawn this is; None where it was not adapted."""
    found = run(adapted, set_name)
    return None if isinstance(found, Unavailable) else found.look


def _record(run: Asking, found: Predictions, *, role: Role, model: str, pixels: tuple[str, ...]) -> int:
    """On the ledger before anybody sees a number; which look of an adapted classifier this is."""
    ledger = run.setting.options.ledger
    look = record_look(
        ledger,
        run=run.setting.options.run_id,
        set=found.set,
        source=digest_of(sorted(found.digests)),
        cells=cells_digest(found),
        n=len(found.digests),
        model=model,
        predictions=found.digest,
        protocol=run.setting.protocol.digest,
        role=role,
        answers=pack_answers(answers_of(found)),
        pictures=pack_pictures(pixels),
    )
    return look_number(
        read_ledger(ledger),
        run=look.run,
        source=look.source,
        cells=look.cells,
        predictions=look.predictions,
        answers=look.answers,
        role=role,
    )
