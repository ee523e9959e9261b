"""What a run reached, for its pack: the results of the stages that ran, and of no stage that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import IncomparableSets
from harness.data.prediction_records import GivenPredictions
from harness.data.records import Manifest
from harness.judge.amended import changes_in
from harness.judge.dropped import dropped_of_dataset
from harness.judge.labels import picture_of
from harness.judge.ledger import read_ledger
from harness.judge.look import Look
from harness.judge.regrouped import groups_beside_baseline
from harness.judge.relabelled import Relabelled, beside_baseline, corrected_pictures
from harness.judge.rescored import Rescored
from harness.metrics.adaptation import adapted_to
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.comparison import Comparison
from harness.metrics.estimates import DISPLAY_LEVEL, Evaluation, Unavailable
from harness.metrics.explanations import Explanations
from harness.metrics.predictions import Predictions
from harness.model.engines import told as engine_told
from harness.model.exports import CLASSIFIER, EXPORT
from harness.model.training import best_weights
from harness.protocol.names import PARTS
from harness.run.graph import Graph
from harness.run.recipes.basis import Pictures
from harness.run.rescoring import GIVEN, rescore
from harness.run.results import SetSummary
from harness.run.setting import Setting
from harness.run.stages import (
    adaptation,
    corruptions,
    data,
    explanations,
    external,
    given,
    independence,
    model,
    onnx,
    predictions,
    prospects,
    reproducibility,
    timing,
)
from harness.run.stages import training_checks as checks


def reached(run: Graph) -> dict[str, Any]:
    """The fields of `RunResults` whose stages ran."""
    options = run.setting.options
    seen = judged_predictions(run)
    looks = looks_taken(run)
    ledger = read_ledger(options.ledger) if looks else ()
    known = next(iter(run.results(prospects.prospects).values()), None)
    comparisons = _comparisons(run, seen)
    relabelled = (*_relabelled(run, ledger), *beside_baseline(comparisons.items()))
    split = run.result(data.split)
    division = None if split is None else split.source
    dropped = dropped_of_dataset(
        ledger, run=options.run_id, split=division, dataset=lambda: run(predictions.shown_dataset)
    )
    return {
        "integrity": run.result(data.integrity),
        "split": split,
        "training": run.result(model.training),
        "model": run(model.model) if split is not None else options.model and options.model.record,
        "given": _given(run),
        "parity": next(reversed(run.results(onnx.onnx_parity).values()), None),
        "reproducibility": run.result(reproducibility.processes) or (),
        "predictions": seen,
        "evaluations": {name: _evaluation(run, name) for name in seen},
        "seed_predictions": seed_predictions(run),
        "baseline": options.baseline,
        "comparisons": comparisons,
        "adaptations": {
            name: found.adapted
            for (name,), found in run.results(adaptation.adapted).items()
            if isinstance(found, adaptation.AdaptedSeen)
        },
        "unknown": unknown_predictions(run),
        "corrupted": {} if run.result(corruptions.stress) is None else run(corruptions.corrupted),
        "corrupted_comparisons": _corrupted_comparisons(run),
        "calibrations": _calibrations(run, seen),
        "duplicates": run.result(independence.duplicates),
        "uncompared": () if run.result(independence.duplicates) is None else run(independence.uncompared),
        "shortcuts": run.result(independence.shortcuts),
        "provenance": dict(run.result(independence.provenance) or {}),
        "robustness": None if run.result(corruptions.stress) is None else run(corruptions.robustness, DISPLAY_LEVEL),
        "fits": run.result(checks.fits) or (),
        "looks": looks,
        "ledger": ledger,
        "known_chains": options.known_chains,
        "changes": changes_in(
            run.setting.protocol,
            ledger,
            run=options.run_id,
            baseline=None if options.baseline is None else options.baseline.compared,
            relabelled=relabelled,
            regrouped=groups_beside_baseline(comparisons.items()),
            split=division,
            dropped=dropped,
        ),
        "dropped": dropped,
        "relabelled": relabelled,
        "timings": tuple(run.results(timing.timed).values()),
        "cannot_pass": {} if known is None else known.hopeless,
        "chances": None if known is None else known.chances,
        "sets": _summaries(run),
        "stages": tuple(run.store.records),
    }


def engine_asked(setting: Setting) -> str:
    """What computed the answers, for a person; "" where nothing was asked."""
    given = setting.options.model
    if setting.options.predictions:
        return ""
    if given is not None and given.card.architecture is None:  # a graph, or a command
        return given.card.engine or "the command's own"
    return engine_told(setting.engine)


def _relabelled(run: Graph, ledger: Sequence[Look]) -> list[Relabelled]:
    """The cells of each picture that was looked at before under another label."""
    found = []
    for each in corrected_pictures(ledger, run=run.setting.options.run_id):
        shown = zip(run(external.images, each.set), run(predictions.pixel_digests, each.set), strict=True)
        paths = [image.path for image, digest in shown if f"{picture_of(digest):016x}" == each.picture]
        found += [Relabelled(each.set, path, *each[1:]) for path in paths]
    return found


def _comparisons(run: Graph, seen: Mapping[str, Predictions]) -> dict[str, Comparison]:
    """Of every set that both packs hold, whether or not a criterion asks for it."""
    baseline, asked = run.setting.options.baseline, run.results(predictions.comparison)
    also = {name for name in seen if baseline is not None and name in baseline.predictions}
    found: dict[str, Comparison] = {}
    for name in seen:
        if ((name,) not in asked and name not in also) or name in predictions.FITTING_SETS:
            continue
        try:
            compared = run(predictions.comparison, name)
        except IncomparableSets:
            continue  # other cells of a set that no criterion compares
        if isinstance(compared, Comparison):
            found[name] = compared
    return found


def _corrupted_comparisons(run: Graph) -> dict[str, Comparison]:
    """Of every kind of corruption that both packs hold, where the test parts were compared."""
    plan = run.setting.protocol.robustness
    if plan is None or run.result(corruptions.stress) is None or ("test",) not in run.results(predictions.comparison):
        return {}
    found = {kind: run(corruptions.corrupted_comparison, kind) for kind in plan.kinds}
    return {kind: each for kind, each in found.items() if isinstance(each, Comparison)}


def judged_predictions(run: Graph) -> dict[str, Predictions]:
    """Set name -> what the judged classifier said of it: of the parts, then of the external sets."""
    names, seed = [*PARTS, *_externals(run)], run.setting.protocol.training.seed
    seen = run.results(predictions.seen)
    return {name: seen[name, seed].predictions for name in names if (name, seed) in seen}


def unknown_predictions(run: Graph) -> dict[str, Predictions]:
    """Set of cells of classes that the judged classifier does not know -> what it said of them."""
    seen, seed = run.results(predictions.seen), run.setting.protocol.training.seed
    return {name: seen[name, seed].predictions for name in run.setting.unknown if (name, seed) in seen}


def seed_predictions(run: Graph) -> dict[int, Predictions]:
    """Training seed -> what its classifier said of the test part, where several were trained."""
    if len(run.setting.protocol.training.every_seed) == 1 or run.setting.options.model is not None:
        return {}
    seen = run.results(predictions.seen)
    return {seed: each.predictions for (name, seed), each in seen.items() if name == "test" and isinstance(seed, int)}


def looks_taken(run: Graph) -> dict[str, int]:
    """Set -> the number of this look at it."""
    seen = run.results(predictions.seen)
    looks = {each.predictions.set: each.look for each in seen.values() if each.look is not None}
    after = run.results(adaptation.look).items()
    return looks | {adapted_to(str(name)): number for (name,), number in after if number is not None}


def model_files(run: Graph) -> dict[str, Path]:
    """File name -> file of every model that this run made, or of the one that it judged."""
    files = {}
    if (folder := run.result(model.models)) is not None:
        names = [best_weights(phase.name) for phase in run.setting.protocol.training.phases]
        files = {name: folder / name for name in names}
    if (export := run.result(checks.export)) is not None:
        files |= {name: export.with_name(name) for name in (EXPORT, CLASSIFIER)}
    if (onnx_file := run.result(checks.onnx_file)) is not None:
        files[onnx_file.name] = onnx_file
    given = run.setting.options.model
    if given is not None and run.result(data.manifest) is not None:  # judged or not, the record names it
        files |= {name: run(model.kept_model) / name for name in given.kept_as}
    return files


def given_files(run: Graph) -> dict[str, bytes]:
    """Path in the pack -> content of every file of predictions that was judged, as it was read."""
    if run.result(data.manifest) is None:
        return {}
    return {table.record.kept_as: table.content for table in run.setting.options.predictions}


def external_pictures(run: Graph) -> tuple[Pictures, ...]:
    """Where the images of every external set that was judged lie."""
    return tuple(run(model.pictures, name) for name in judged_predictions(run) if name not in PARTS)


def rescored(
    run: Graph, *, command: str | None, limits: Mapping[str, float], trusted: Sequence[str]
) -> Rescored | None:
    """A few cells of each judged set, scored again by another path; None where none was judged.

    command, limits, trusted: what the command line says of a classifier that exists.
    """
    protocol, given_model = run.setting.protocol, run.setting.options.model
    judged = {n: found for n, found in judged_predictions(run).items() if n not in predictions.FITTING_SETS}
    if not judged:
        return None
    if run.setting.options.predictions:
        return Rescored(not_done=GIVEN)
    shown = {name: run(model.pictures, name) for name in judged}
    exported = run.result(checks.onnx_file)
    classifier: dict[str, object] = {}
    if exported is not None:  # onnxruntime starts in a tenth of the time that torch takes
        classifier = {"onnx": str(exported.resolve())}
    elif given_model is None:
        classifier = {"trained": str(run(model.models).resolve())}
    if command is not None:
        classifier = {"command": command, "limits": dict(limits)}
    elif given_model is not None:
        (name,) = given_model.kept_as
        classifier = {"model": str((run(model.kept_model) / name).resolve()), "trusted": list(trusted)}
    return rescore(
        judged,
        run=run.setting.options.run_id,
        classifier=classifier,
        protocol=protocol.source,
        roots={name: each.root for name, each in shown.items()},
        formats={name: each.formats for name, each in shown.items()},
    )


def explained(run: Graph, shown: explanations.Shown) -> Explanations:
    """Why these cells are called what they are called, as far as the judged classifier shows it."""
    return run(explanations.explanations, shown)


def _given(run: Graph) -> GivenPredictions | None:
    """The predictions that were judged; as they were read, where the run stopped before they were matched."""
    tables = run.setting.options.predictions
    if not tables or run.result(data.manifest) is None:
        return None
    return run.result(given.given) or GivenPredictions(tuple(table.record for table in tables))


def _externals(run: Graph) -> Mapping[str, Manifest | Unavailable]:
    """The external sets, where anybody has looked for them; as they lie there, where the run ended before that."""
    return {name: found for name, found in _beside(run).items() if name not in run.setting.unknown}


def _beside(run: Graph) -> Mapping[str, Manifest | Unavailable]:
    """The same with the sets of cells of unknown classes."""
    if run.result(independence.duplicates) is None:  # may be what ended it: it must not cost the pack
        return run.result(data.listed) or {}
    return run(external.beside)


def _evaluation(run: Graph, name: str) -> Evaluation:
    found = run(predictions.evaluation, name)
    assert isinstance(found, Evaluation)  # a set that was scored is there
    return found


def _calibrations(run: Graph, seen: Mapping[str, Predictions]) -> dict[str, CalibrationReport]:
    """The calibration of every judged set that was scored, whether or not a criterion asks for it."""
    names = [name for name in seen if name not in predictions.FITTING_SETS]
    fitted = "validation" in seen or bool(run.setting.options.predictions)
    found = {name: run(predictions.calibration, name) for name in names} if fitted else {}
    return {name: each for name, each in found.items() if not isinstance(each, Unavailable)}


def _summaries(run: Graph) -> tuple[SetSummary, ...]:
    protocol, summaries = run.setting.protocol, []
    if (dataset := run.result(data.manifest)) is not None:
        summaries.append(_summary(run, dataset, "dataset", protocol.dataset.description))
    notes = {plan.name: plan.description for plan in (*protocol.external, *protocol.unknown)}
    for name, found in _beside(run).items():
        note = notes.get(name, "named on the command line; no criteria")
        role = "unknown" if name in run.setting.unknown else "external"
        if isinstance(found, Unavailable):
            summaries.append(SetSummary(name, role, 0, {}, "", "", note, absent_because=found.reason))
        else:
            whole = run(external.apart)[name] if run.result(external.external) is not None else found
            assert isinstance(whole, Manifest)  # what was drawn of it belongs to it, and a pin is of all files
            summaries.append(replace(_summary(run, found, role, note), pin=whole.pin))
    return tuple(summaries)


def _summary(run: Graph, found: Manifest, role: str, note: str) -> SetSummary:
    return SetSummary(
        name=found.name,
        role=role,
        n_images=len(found.images),
        counts=found.counts,
        digest=found.digest,
        location=found.root.name,  # the folder's name: a whole path says where a person lives
        note=note,
        synthetic=found.name in run.setting.options.synthetic,
        reading=found.reading,
        pin=found.pin,
    )
