"""What a candidate can lose without another class for any cell: sureness, corrupted cells, an external set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from example_run import A_FIGURE, CLASSES, example_picture, example_run, write_example_dataset
from test_verify import edit_json, edit_text, looked_at, mend_sums

from harness.data.records import Manifest
from harness.judge.asking import ask
from harness.judge.criteria import complete
from harness.judge.verdicts import Verdict
from harness.metrics.classification import evaluate
from harness.metrics.comparison import compare
from harness.metrics.predictions import Predictions
from harness.metrics.robustness import severity_curves
from harness.metrics.stability import Robustness
from harness.pack.baseline import read_baseline
from harness.pack.compare import compare_packs
from harness.pack.measurements import RecordedMeasurements
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.protocol.criteria import Criterion
from harness.protocol.records import Protocol
from harness.protocol.statistics import BaselinePlan
from harness.protocol.stress import RobustnessPlan
from harness.report.rooted import with_whole_paths
from harness.report.sentences import regressions_told
from harness.report.summary import summary
from harness.run.results import RunResults

KINDS = ("noise", "defocus")
PLAN = RobustnessPlan(kinds=KINDS, severities=(1, 2), agreed={"noise": 2, "defocus": 1}, seed=7)
GATE = {"question": "regression", "set": "test", "level": 0.95, "required": True, "rationale": "For this test."}
CRITERIA = (
    Criterion.model_validate({**GATE, "id": "G3", "metric": "brier_difference", "ceiling": 0.0, "level": 0.9}),
    *(
        Criterion.model_validate(
            {**GATE, "id": f"G4-{kind}", "metric": "disturbed_accuracy_difference", "kind": kind, "floor": -0.3}
        )
        for kind in KINDS
    ),
    Criterion.model_validate(
        {**GATE, "id": "G5", "metric": "accuracy_difference", "set": "second-laboratory", "floor": -0.02}
    ),
)


def called_otherwise(found: Predictions, rows: list[int]) -> Predictions:
    """The same with another class for these cells, as surely as before."""
    shown = found.probabilities.copy()
    shown[rows] = np.roll(shown[rows], 1, axis=1)
    return replace(found, probabilities=shown)


def barely_sure(found: Predictions) -> Predictions:
    """The same classes, each with a probability of 0.24 for a class: hardly more than a guess."""
    shown = np.full(found.probabilities.shape, 0.19)
    shown[np.arange(len(shown)), found.predicted] = 0.24
    return replace(found, probabilities=shown)


def run_of(run_id: str, *, change: Callable[[str, Predictions], Predictions] = lambda name, found: found) -> RunResults:
    """A run with corrupted cells. change: what another candidate says, by set or kind of corruption."""
    run = example_run(content=example_picture)
    protocol = Protocol.model_validate(
        {**dict(run.protocol), "robustness": PLAN, "criteria": (*run.protocol.criteria, *CRITERIA)}
    )
    predictions = run.predictions | {
        name: change(name, run.predictions[name]) for name in ("test", "second-laboratory")
    }
    test = predictions["test"]
    corrupted = {
        (kind, n): change(kind, called_otherwise(test, list(range(n + place))))
        for place, kind in enumerate(KINDS)
        for n in PLAN.severities
    }
    curves = severity_curves(test, corrupted, intracluster_correlation=0.1, level=0.95)
    return replace(
        run,
        run_id=run_id,
        protocol=protocol,
        predictions=predictions,
        evaluations={name: evaluate(each) for name, each in predictions.items()},
        verdicts=complete(protocol, run.verdicts, otherwise="not compared in its run"),
        corrupted={kind: corrupted[kind, PLAN.agreed[kind]] for kind in KINDS},
        robustness=Robustness(curves, (), None, {}),
        baseline=None,
        comparisons={},
        calibrations={},
        seed_predictions={},
    )


def written(run: RunResults, manifest: Manifest, reports: Path) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(run, reports=reports, manifest=manifest, models={}, formats=("PNG",))


def against(run: RunResults, pack: Path, manifest: Manifest) -> RunResults:
    """The run as `--baseline` makes it: compared with the pack wherever both hold predictions."""
    theirs = read_baseline(pack, sets=("test", "second-laboratory"), classes=CLASSES, asked=BaselinePlan())
    compared = replace(
        run,
        baseline=theirs,
        comparisons={
            name: compare(run.predictions[name], found, baseline_run=theirs.run_id)
            for name, found in theirs.predictions.items()
        },
        corrupted_comparisons={
            kind: compare(run.corrupted[kind], found, baseline_run=theirs.run_id)
            for kind, found in theirs.corrupted.items()
        },
    )
    return replace(compared, verdicts=tuple(_judged(compared, verdict, manifest) for verdict in compared.verdicts))


def _judged(run: RunResults, verdict: Verdict, manifest: Manifest) -> Verdict:
    if verdict.criterion.question != "regression":
        return verdict
    day = datetime.fromisoformat(run.started_at).date()
    return ask(verdict.criterion, RecordedMeasurements(run, manifest), today=day)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_example_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def baseline(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("baseline")
    return written(looked_at(run_of("before"), manifest, reports / "looks.jsonl"), manifest, reports)


def worse(name: str, found: Predictions) -> Predictions:
    if name == "test":
        return barely_sure(found)
    return called_otherwise(found, list(range(20))) if name in ("noise", "second-laboratory") else found


@pytest.fixture(scope="module")
def candidate(manifest: Manifest, baseline: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResults, Path]:
    reports = tmp_path_factory.mktemp("candidate")
    looked = looked_at(run_of("after", change=worse), manifest, reports / "looks.jsonl")
    run = against(looked, baseline, manifest)
    return run, written(run, manifest, reports)


def outcomes(verdicts: tuple[Verdict, ...]) -> dict[str, str]:
    return {v.criterion.id: str(v.outcome) for v in verdicts if v.criterion.question == "regression"}


def test_each_loss_fails_its_own_criterion_and_no_other(candidate, baseline):
    run, pack = candidate
    expected = {"G3": "failed", "G4-noise": "failed", "G4-defocus": "passed", "G5": "failed"}
    assert outcomes(run.verdicts) == expected
    found = compare_packs(baseline, pack)
    assert outcomes(found.verdicts) == expected
    assert not found.holds
    assert set(found.corrupted) == set(KINDS)


def test_the_pack_holds_what_was_compared_and_compares_it_again(candidate):
    _, pack = candidate
    held = {path.relative_to(pack / "predictions").as_posix() for path in (pack / "predictions").rglob("*.csv")}
    of_baseline = {"baseline/test.csv", "baseline/second-laboratory.csv"}
    assert held >= of_baseline | {
        f"{place}{kind}.csv" for kind in KINDS for place in ("corrupted/", "baseline/corrupted/")
    }
    assert verify_pack(pack).discrepancies == ()


def test_what_got_worse_is_named_with_class_and_cells(candidate):
    run, pack = candidate
    told = regressions_told(run)
    assert [line.partition(":")[0] for line in told] == ["second-laboratory", "test with noise", "test"]
    assert "Brier score 0.7" in told[2] and "; most: '" in told[2]
    short = summary(run)
    assert "test, corrupted: worse with noise (" in short
    assert "test: Brier score 0.7" in short
    page = (pack / "index.html").read_text()
    assert "Candidate against baseline on corrupted cells" in page
    assert 'data-path="page &gt; comparison &gt; sets &gt; test &gt; brier &gt; difference"' in with_whole_paths(page)


def drop_baseline(pack: Path) -> None:
    (pack / "predictions/baseline/test.csv").unlink()
    edit_json(pack, "evidence.json", lambda content: content["comparisons"]["test"].update(predictions=None))


def first_row(pack: Path, name: str) -> None:
    """Another class for the first cell, and numbers that say so."""

    def edit(content: str) -> str:
        header, row, *rest = content.splitlines(keepends=True)
        sha256, path, label, predicted, *_ = row.rstrip("\n").split(",")
        classes = [column.removeprefix("p_") for column in header.rstrip("\n").split(",")[4:]]
        now = classes[(classes.index(predicted) + 1) % len(classes)]
        said = ["1.0" if each == now else "0.0" for each in classes]
        return "".join([header, ",".join([sha256, path, label, now, *said]) + "\n", *rest])

    edit_text(pack, name, edit)


@pytest.mark.parametrize(
    ("edit", "file"),
    [
        (lambda pack: first_row(pack, "predictions/baseline/test.csv"), "predictions/baseline/test.csv"),
        (lambda pack: first_row(pack, "predictions/corrupted/noise.csv"), "predictions/corrupted/noise.csv"),
        (drop_baseline, "evidence.json"),
    ],
    ids=["the baseline's answers", "answers to corrupted cells", "no baseline's answers"],
)
def test_what_was_edited_is_found(candidate, tmp_path, edit, file):
    pack = Path(shutil.copytree(candidate[1], tmp_path / "pack"))
    edit(pack)
    mend_sums(pack)
    assert file in {each.file for each in verify_pack(pack).discrepancies}


def test_a_baseline_that_corrupts_otherwise_is_not_compared_there(candidate):
    theirs = candidate[0].baseline
    assert theirs.not_corrupted_alike("noise", PLAN) is None
    stronger = PLAN.model_copy(update={"agreed": {"noise": 1, "defocus": 1}})
    assert "has noise at severity 2 (seed 7), this protocol at severity 1 (seed 7)" in str(
        theirs.not_corrupted_alike("noise", stronger)
    )
    assert "has no predictions of cells with jpeg" in str(theirs.not_corrupted_alike("jpeg", PLAN))
