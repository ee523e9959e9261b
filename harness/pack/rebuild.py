"""Which run do these files tell of? An evidence pack in, the run's records out, every number made of the predictions.

What rests on cells is computed again from predictions/, what rests on samples from the raw timings, what was counted
from the listed findings. The rest (texts, times, environment, the network's training) is taken as recorded;
`not_recomputed` says so. Neither the model nor an image is needed, and neither torch nor fastai is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.core.errors import EvidenceError
from harness.core.text import brief
from harness.data.leakage import DuplicatePair, ListedImage
from harness.data.records import Manifest, Split
from harness.judge.amended import changes_in
from harness.judge.chances import Chances
from harness.judge.proofs import Proof
from harness.judge.regrouped import groups_beside_baseline
from harness.metrics.provenance_records import Provenance
from harness.metrics.shortcuts import ShortcutReport
from harness.pack.files import EVIDENCE
from harness.pack.further import UNKNOWN
from harness.pack.given_check import check_given
from harness.pack.measurements import RecordedMeasurements
from harness.pack.read import Pack
from harness.pack.rebuilding.dataset import Dataset, check_uncompared, read_dataset
from harness.pack.rebuilding.frame import Discrepancy, Frame, frame_of
from harness.pack.rebuilding.judged import Judged, read_judged, read_packages, read_parity
from harness.pack.rebuilding.looks import Shown, read_chains, read_dropped, read_looks, read_relabelled, read_rescored
from harness.pack.rebuilding.measures import calibrate_again, compare_again, explain_again, recorded_robustness
from harness.pack.rebuilding.said import Said, draw_again, read_said
from harness.pack.rebuilding.sets import count_sets, images_of
from harness.pack.rebuilding.split import check_split, fits_again, read_split
from harness.pack.rebuilding.verdicts import judge_again
from harness.pack.split_check import SPLIT
from harness.pack.tables import MANIFEST
from harness.run.custody import Custody
from harness.run.results import RunResults
from harness.run.store import StageRecord


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A run as its pack tells of it, with what did not fit together on the way.

    results:    None where a table or record could not be read, so that the rest cannot be told.
    manifest:   the dataset; its root is not known. None where the run read none.
    not_recomputed:     what had to be taken as recorded, one sentence each.
    """

    results: RunResults | None
    manifest: Manifest | None
    discrepancies: tuple[Discrepancy, ...]
    not_recomputed: tuple[str, ...]


def rebuild(pack: Pack) -> Rebuilt:
    """The records that this pack was written from, made again as far as the pack goes.

    Raises:
        EvidenceError: evidence.json lacks what everything else rests on, such as a protocol that can be read.
    """
    frame = frame_of(pack)
    seconds = _seconds(frame)
    manifest: Manifest | None = None
    file = MANIFEST
    try:
        dataset = read_dataset(frame)
        manifest, file = dataset.manifest, SPLIT
        split = read_split(frame, manifest)
        file = EVIDENCE
        judged = read_judged(frame)
        said = read_said(frame, split, _copies(frame, judged))
    except EvidenceError as error:
        frame.note(file, "", str(error))
        said = None
    if said is None:  # what rests on it would only be missed in a dozen other places
        return Rebuilt(None, manifest, tuple(frame.discrepancies), ())
    results = _results(frame, _Read(dataset, split, judged, said), seconds)
    results = replace(results, explanations=explain_again(frame, results))
    results = replace(results, verdicts=judge_again(frame, RecordedMeasurements(results, manifest), judged))
    return Rebuilt(results, manifest, tuple(frame.discrepancies), tuple(frame.not_recomputed))


class _Read(NamedTuple):
    """What everything else is made of."""

    dataset: Dataset
    split: Split | None
    judged: Judged
    said: Said


def _results(frame: Frame, read: _Read, seconds: float) -> RunResults:
    """Everything but explanations and verdicts, which are asked of it; every step notes what differs."""
    dataset, split, judged, said = read
    check_split(frame, split, dataset.manifest, draws=judged.given is None)
    _check_given(frame, read)
    draw_again(frame, said, judged.duplicates or ())
    sets = count_sets(frame, dataset, said)
    parity = read_parity(frame, said.predictions)
    fits = fits_again(frame, split, said)
    corrupted, compared = compare_again(frame, said, judged.baseline, _copies(frame, judged))
    calibrations = calibrate_again(frame, said, judged)
    uncompared: tuple[ListedImage, ...] = frame.of(tuple[ListedImage, ...], "uncompared")
    if judged.duplicates is not None:
        check_uncompared(frame, dataset.integrity, uncompared)
        frame.take(
            "which pictures resemble each other, and what headers and colours say of their origin: the images are "
            "not in the pack"
        )
    robustness = recorded_robustness(frame, said, judged)
    packages = read_packages(frame)
    proof: Proof | None = frame.of(Proof | None, "proof")
    if proof is not None:
        frame.take("what became of the planted faults: recorded, and counted again")
    ledger = read_looks(frame, Shown(dataset, judged, said))
    chances: Chances | None = frame.of(Chances | None, "chances")
    if chances is not None:
        frame.take("how likely a pass was at the hoped-for truth: `harness plan` asks it again")
    known_chains = read_chains(frame, ledger.looks)
    if frame.has("custody"):
        frame.take("which code from outside was loaded, and which files are dated after the clock")
    relabelled = read_relabelled(frame, said, ledger.looks, compared.comparisons)
    dropped = read_dropped(frame, ledger.looks)
    rescored = read_rescored(frame, said)
    return RunResults(
        run_id=frame.run_id,
        started_at=frame.started_at,
        seconds=seconds,
        command=frame.field("run", "command", kind=str),
        protocol=frame.protocol,
        environment=frame.of(dict[str, str], "environment"),
        metrics=frame.of(tuple[str, ...] | None, "metrics") or (),
        verdicts=(),
        sets=sets,
        integrity=dataset.integrity,
        split=split,
        training=judged.training,
        model=judged.model,
        given=judged.given,
        parity=parity,
        predictions=said.predictions,
        evaluations=said.evaluations,
        seed_predictions=said.seeds,
        baseline=compared.baseline,
        comparisons=compared.comparisons,
        adaptations=said.adaptations,
        unknown=said.unknown,
        corrupted=corrupted,
        corrupted_comparisons=compared.corrupted,
        calibrations=calibrations,
        looks=ledger.numbers,
        ledger=ledger.looks,
        known_chains=known_chains,
        custody=frame.of(Custody | None, "custody"),
        rescored=rescored,
        relabelled=relabelled,
        dropped=dropped,
        changes=changes_in(
            frame.protocol,
            ledger.looks,
            run=frame.run_id,
            baseline=None if compared.baseline is None else compared.baseline.compared,
            relabelled=relabelled,
            regrouped=groups_beside_baseline(compared.comparisons.items()),
            split=None if split is None else split.source,
            dropped=dropped,
            rules=frame.rules,
        ),
        fits=fits,
        reproducibility=judged.processes,
        timings=judged.timings,
        duplicates=judged.duplicates,
        uncompared=uncompared,
        shortcuts=frame.of(ShortcutReport | None, "shortcuts"),
        provenance=frame.of(dict[str, Provenance], "provenance"),
        robustness=robustness,
        stages=frame.of(tuple[StageRecord, ...], "stages"),
        packages=packages,
        proof=proof,
        signed_with=frame.of(str | None, "signed_with"),
        cannot_pass=frame.of(dict[str, str] | None, "cannot_pass") or {},
        chances=chances,
        rules=frame.rules,
        stopped_because=frame.of(str | None, "run", "stopped_because"),
    )


def _seconds(frame: Frame) -> float:
    seconds = frame.field("run", kind=dict).get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise EvidenceError(f"run > seconds holds {brief(seconds)}, which is not a number")
    return seconds


def _copies(frame: Frame, judged: Judged) -> tuple[DuplicatePair, ...]:
    """The cells that count as one, where the judge that wrote the pack counted so."""
    return (judged.duplicates or ()) if frame.rules.one_picture else ()


def _check_given(frame: Frame, read: _Read) -> None:
    """Whether the judged files of predictions say what the pack says of them."""
    dataset, split, judged, said = read
    if judged.given is None:
        return
    found, taken = check_given(
        frame.pack,
        judged.given,
        predictions={**said.predictions, **{f"{UNKNOWN}/{name}": each for name, each in said.unknown.items()}},
        images=images_of(dataset, said),
        split=split,
        classes=frame.protocol.dataset.classes,
    )
    for each in found:
        frame.note(*each)
    frame.take(*taken)
