"""What the classifier says of each set, or said before the run.

Every look at a set that training must not know goes on the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.digests import digest_of
from harness.judge import pretrained
from harness.judge.answers import answers_of, pack_answers
from harness.judge.continuity import lost_ledger
from harness.judge.dropped import Dataset
from harness.judge.labels import NO_CLASS, pack_labels, picture_of
from harness.judge.ledger import cells_digest, read_ledger, record_look
from harness.judge.likenesses import likenesses_of, pack_likenesses
from harness.judge.look import LedgerError
from harness.judge.looks import look_number
from harness.judge.partitions import pack_groups
from harness.judge.pictures import pack_pictures
from harness.judge.same_pictures import Shown
from harness.judge.terms import pack_terms
from harness.metrics.calibration import calibration_report
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.classification import evaluate
from harness.metrics.comparison import Comparison, compare
from harness.metrics.copies import counted_once
from harness.metrics.ensemble import ensemble_beside_best
from harness.metrics.estimates import DISPLAY_LEVEL, Evaluation, Unavailable
from harness.metrics.predictions import Predictions, predictions_of, widened
from harness.run.graph import Asking, stage
from harness.run.recipes.classifier import OPENS
from harness.run.recipes.predictions import Scoring, read_scores
from harness.run.stages.data import picture_digests, thumbnails
from harness.run.stages.external import images, listing, missing, vocabulary
from harness.run.stages.given import answered, given, judged
from harness.run.stages.independence import duplicates
from harness.run.stages.model import opening, pictures, source
from harness.run.stages.spread import answering

FITTING_SETS = ("train", "validation")  # the sets that training may know: nobody counts the looks at them


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one classifier said of one set that it was shown.

    scored: digests of the cells, in the order in which they were shown.
    look:   the number of this look at the set; None where looks are not counted, as for a seed that is only reported.
    """

    predictions: Predictions
    scored: tuple[str, ...]
    look: int | None


@stage(images, listing, picture_digests)
def pixel_digests(run: Asking, set_name: str) -> tuple[str, ...]:
    """The digest of each image's pixels, in the order of the set."""
    digests = run(picture_digests, run(listing, set_name).name)
    return tuple(digests[image.path] for image in run(images, set_name))


@stage(images, pixel_digests)
def shown_labels(run: Asking, set_name: str) -> str:
    """The label of each picture of one set, as the ledger keeps them."""
    labels = (NO_CLASS if set_name in run.setting.unknown else image.label for image in run(images, set_name))
    return pack_labels(zip(run(pixel_digests, set_name), labels, strict=True))


@stage(images, listing, pixel_digests, thumbnails)
def shown_likenesses(run: Asking, set_name: str) -> str:
    """How the pictures of one set look, as the ledger keeps it."""
    shown = run(thumbnails, run(listing, set_name).name)
    cells = (shown[image.path] for image in run(images, set_name))
    return pack_likenesses(zip(run(pixel_digests, set_name), cells, strict=True))


@stage(picture_digests, thumbnails, listing)
def shown_dataset(run: Asking) -> Dataset:
    """Every picture of the dataset, whichever part it is in; one that cannot be decoded shows none."""
    digests, thumbs = run(picture_digests, "dataset"), run(thumbnails, "dataset")
    cells: dict[int, list[tuple[str, str]]] = {}
    for image in run(listing, "test").images:
        cells.setdefault(picture_of(digests[image.path]), []).append((image.sha256, image.label))
    return Dataset(Shown(*likenesses_of((digests[path], thumb) for path, thumb in thumbs.items())), cells)


@stage(images, pixel_digests)
def shown_groups(run: Asking, set_name: str) -> str:
    """Which pictures of one set share a patient, slide, site or other column, as the ledger keeps it."""
    columns = (image.columns for image in run(images, set_name))
    return pack_groups(zip(run(pixel_digests, set_name), columns, strict=True))


@stage(
    pictures,
    pixel_digests,
    shown_labels,
    shown_groups,
    shown_likenesses,
    images,
    listing,
    vocabulary,
    source,
    opening,
    answering,
    answered,
    given,
    keeps=Scoring,
    runs=OPENS,
)
def seen(run: Asking, set_name: str, seed: int) -> Seen:
    """The probabilities of one part or external set by the classifier of one seed; scored once, then kept.

    Raises:
        DataError: the external set is not there; ask `unanswered` first.
        InvalidPredictions: a cell of the set has no row in the predictions that were given.
    """
    if run.setting.options.predictions:
        return _as_given(run, set_name, seed)
    own = seed == run.setting.protocol.training.seed
    shown = run(pictures, set_name)
    recipe = Scoring(
        pictures=shown,
        source=run(source, seed),
        open=run(opening, seed),
        label=set_name if own else f"{set_name}, seed {seed}",
        answers=run(answering, seed),
    )
    kept = run.keep(f"predictions-{set_name}", recipe, anew=bool(recipe.source.card.asked_anew))
    found, scored = read_scores(kept, shown, run(vocabulary, set_name))
    return Seen(found, scored, None if set_name in FITTING_SETS else _look(run, found, seed))


@stage(missing, judged)
def unanswered(run: Asking, set_name: str) -> Unavailable | None:
    """Why there are no predictions of a part or an external set; None where there are, or can be made."""
    lost = None if set_name in FITTING_SETS else lost_ledger(run.setting.options.known_chains)
    reason = lost or run(missing, set_name)
    return reason if reason is not None else pretrained.unanswered(set_name, run(judged))


@stage(seen)
def predictions(run: Asking, set_name: str) -> Predictions:
    """What the judged classifier says of one set."""
    return run(seen, set_name, run.setting.protocol.training.seed).predictions


@stage(predictions, duplicates)
def counted(run: Asking, set_name: str) -> Predictions:
    """What every bound on one set is made of: one cell for each picture."""
    return counted_once(run(predictions, set_name), run(duplicates))


@stage(counted, unanswered)
def evaluation(run: Asking, set_name: str) -> Evaluation | Unavailable:
    """The confusion matrix of one part or external set, or why there is none."""
    reason = run(unanswered, set_name)
    return reason if reason is not None else evaluated(run, run(counted, set_name))


@stage(predictions, seen, duplicates)
def seed_predictions(run: Asking, set_name: str) -> dict[int, Predictions]:
    """What every seed's classifier says of one set, one cell for each picture; the judged one is among them."""
    # First on the ledger: seeds that a killed run had looked at before would count as a choice made by another run.
    run(predictions, set_name)
    seeds = run.setting.protocol.training.every_seed
    pairs = run(duplicates)
    return {seed: counted_once(run(seen, set_name, seed).predictions, pairs) for seed in seeds}


@stage(seed_predictions)
def seed_evaluations(run: Asking, set_name: str) -> dict[int, Evaluation]:
    """The evaluation of every seed's classifier on one set."""
    return {seed: evaluated(run, found) for seed, found in run(seed_predictions, set_name).items()}


@stage(seed_predictions)
def ensemble(run: Asking, set_name: str) -> Comparison | Unavailable:
    """The classifiers of all seeds together, paired with the best of them."""
    correlation = run.setting.protocol.clusters.intracluster_correlation
    return ensemble_beside_best(run(seed_predictions, set_name), intracluster_correlation=correlation)


@stage(unanswered)
def without_baseline(run: Asking, set_name: str) -> Unavailable | None:
    """Why no two classifiers can be compared on a set; None where there are predictions by both."""
    baseline = run.setting.options.baseline
    if baseline is None:
        optional = run.setting.protocol.baseline.needed == "optional"
        return Unavailable("no baseline given (--baseline PACK)", not_asked=optional)
    if (reason := run(unanswered, set_name)) is not None:
        return reason
    if set_name not in baseline.predictions:
        return Unavailable(f"baseline {baseline.run_id} has no predictions of {set_name}")
    return None


@stage(predictions, duplicates, without_baseline)
def comparison(run: Asking, set_name: str) -> Comparison | Unavailable:
    """Candidate and baseline on one set, or why they are not compared."""
    if (reason := run(without_baseline, set_name)) is not None:
        return reason
    baseline = run.setting.options.baseline
    assert baseline is not None  # asked before
    return compare(
        run(predictions, set_name),
        baseline.predictions[set_name],
        baseline_run=baseline.run_id,
        copies=run(duplicates),
        intracluster_correlation=run.setting.protocol.clusters.intracluster_correlation,
    )


@stage(counted, unanswered)
def calibration(run: Asking, set_name: str) -> CalibrationReport | Unavailable:
    """How far the confidences on one set can be believed; whatever is fitted is fitted on validation."""
    if (reason := run(unanswered, set_name)) is not None:
        return reason
    plan, prevalence = run.setting.protocol.calibration, run.setting.protocol.prevalence
    return calibration_report(
        run(counted, "validation") if run(unanswered, "validation") is None else None,
        run(counted, set_name),
        n_bins=plan.n_bins,
        binning="equal-width",
        alpha=plan.miscoverage,
        level=DISPLAY_LEVEL,
        referral=plan.referral,
        prevalence=prevalence.shares if prevalence is not None else None,
        seed=run.setting.protocol.training.seed,
        intracluster_correlation=run.setting.protocol.clusters.intracluster_correlation,
    )


def _as_given(run: Asking, set_name: str, seed: int) -> Seen:
    """What the files say of one set: every cell once, in the order of the set."""
    cells = run(images, set_name)
    probabilities, classes = run(answered, set_name).probabilities(cells, of=set_name), run(vocabulary, set_name)
    found = predictions_of(cells, widened(probabilities, classes), set_name=set_name, classes=classes)
    return Seen(found, found.digests, None if set_name in FITTING_SETS else _look(run, found, seed))


def evaluated(run: Asking, found: Predictions) -> Evaluation:
    return evaluate(found, intracluster_correlation=run.setting.protocol.clusters.intracluster_correlation)


def _look(run: Asking, found: Predictions, seed: int) -> int | None:
    """On the ledger before anybody sees a number; a seed that is only reported is recorded, and no look.

    Raises:
        LedgerError: nothing can be recorded.
    """
    ledger, protocol = run.setting.options.ledger, run.setting.protocol
    if (lost := lost_ledger(run.setting.options.known_chains)) is not None:
        raise LedgerError(f"{found.set} must not be looked at: {lost.reason}")
    own = seed == protocol.training.seed
    look = record_look(
        ledger,
        run=run.setting.options.run_id,
        set=found.set,
        source=digest_of(sorted(image.sha256 for image in run(listing, found.set).images)),
        cells=cells_digest(found),
        n=len(found.digests),
        model=found_in.digest(found.set) if (found_in := run(given)) is not None else run(source, seed).card.digest,
        predictions=found.digest,
        protocol=protocol.digest,
        role="judged" if own else "seed",
        answers=pack_answers(answers_of(found)),
        pictures=pack_pictures(run(pixel_digests, found.set)),
        terms=pack_terms(protocol),
        labels=run(shown_labels, found.set),
        groups=run(shown_groups, found.set),
        likenesses=run(shown_likenesses, found.set),
    )
    if not own:
        return None
    return look_number(
        read_ledger(ledger),
        run=look.run,
        source=look.source,
        cells=look.cells,
        predictions=look.predictions,
        answers=look.answers,
    )
