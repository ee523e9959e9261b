"""A pack that nobody touched verifies, wherever it lies; each single change is found, by file and field."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_run import TODAY, example_picture, example_run, stopped_run, write_example_dataset

from harness import __version__
from harness.cli import main
from harness.core.digests import digest_of
from harness.core.errors import EvidenceError
from harness.data.leakage import DuplicatePair, ListedImage
from harness.data.records import Manifest, Split, sorted_by_path
from harness.judge.amended import changes_in
from harness.judge.criteria import judge, level_at
from harness.judge.groups import too_few_groups
from harness.judge.ledger import cells_digest, read_ledger, record_look
from harness.judge.looks import look_number
from harness.judge.rules import Rules
from harness.judge.sample_size import cells_at_that_rate
from harness.judge.terms import pack_terms
from harness.judge.verdicts import Verdict
from harness.metrics import classification as metrics
from harness.metrics.classification import estimate, evaluate
from harness.metrics.comparison import compare
from harness.metrics.estimates import Estimate
from harness.metrics.gaps import accuracy_gap
from harness.metrics.predictions import predictions_of
from harness.pack.decode import recorded
from harness.pack.files import UNLISTED
from harness.pack.junit import junit
from harness.pack.measurements import RecordedMeasurements, calibration_of
from harness.pack.read import open_pack
from harness.pack.recorded_protocol import read_protocol_of
from harness.pack.tables import junit_of
from harness.pack.verify import Verification, verify_pack
from harness.pack.write import write_pack
from harness.protocol.criteria import Criterion
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol
from harness.report.rooted import with_whole_paths
from harness.report.summary import summary
from harness.run.results import RunResults


def looked_at(run: RunResults, manifest: Manifest, ledger: Path, *, by: Protocol | None = None) -> RunResults:
    """The run with its looks on a ledger, and every verdict on cells judged at the level that its look leaves.

    by: the protocol whose terms the ledger keeps, where it is not the run's.
    """
    seeds = {seed: each for seed, each in run.seed_predictions.items() if seed != run.protocol.training.seed}
    judged = {name: each for name, each in run.predictions.items() if name not in ("train", "validation")}
    looks: dict[str, int] = {}
    for role, predictions in [("judged", each) for each in judged.values()] + [("seed", p) for p in seeds.values()]:
        images = manifest.images if predictions.set == "test" else ()
        contents = [image.sha256 for image in images] or list(predictions.digests)
        look = record_look(
            ledger,
            run=run.run_id,
            set=predictions.set,
            source=digest_of(sorted(contents)),
            cells=cells_digest(predictions),
            n=len(predictions.digests),
            model=run.training.weights_digest,
            predictions=predictions.digest,
            protocol=run.protocol.digest,
            role=role,
            terms=pack_terms(by or run.protocol),
        )
        if role == "judged":
            number = look_number(
                read_ledger(ledger), run=run.run_id, source=look.source, cells=look.cells, predictions=look.predictions
            )
            looks[look.set] = number
    chain = read_ledger(ledger)
    looked = replace(run, looks=looks, ledger=chain, changes=changes_in(run.protocol, chain, run=run.run_id))
    return replace(looked, verdicts=tuple(at_its_look(looked, verdict) for verdict in run.verdicts))


def at_its_look(run: RunResults, verdict: Verdict) -> Verdict:
    criterion, look = verdict.criterion, run.looks.get(verdict.criterion.set)
    level = level_at(run.protocol, criterion, look) or criterion.level
    if verdict.estimate is None or criterion.question not in ("accuracy", "external", "training"):
        return verdict
    if criterion.question == "training":
        gap = accuracy_gap(run.evaluations["train"], run.evaluations["validation"], level=level)
        return judge(criterion, gap, protocol=run.protocol, today=TODAY, few_groups=few(run, criterion, gap))
    evaluation = run.evaluations[criterion.set]
    alike = [each for each in run.protocol.criteria if criterion.cell_class and each.family == criterion.family]
    again = estimate(evaluation, criterion.metric, cell_class=criterion.cell_class, level=level)
    family = [(c, estimate(evaluation, c.metric, cell_class=c.cell_class, level=level)) for c in alike]
    why = few(run, criterion, again)
    return judge(criterion, again, protocol=run.protocol, today=TODAY, look=look, family=family, few_groups=why)


def few(run: RunResults, criterion: Criterion, found: Estimate) -> str | None:
    return too_few_groups(criterion, found, RecordedMeasurements(run, None), rules=run.rules)


def with_patients(run: RunResults, manifest: Manifest) -> tuple[RunResults, Manifest]:
    """The same cells, four of each part to a patient, and six of each external set."""
    assert run.split is not None
    images = {}
    for part in PARTS:
        for number, image in enumerate(run.split.part(part)):
            images[image.path] = replace(image, patient=f"{part}-{number // 4}")
    parts = {part: sorted_by_path(images[image.path] for image in run.split.part(part)) for part in PARTS}
    split = Split(**parts, origin="read from patients.csv", source="file")
    predictions = {
        name: predictions_of(split.part(name), each.probabilities, set_name=name, classes=each.classes)
        if name in PARTS
        else replace(each, groups=tuple(f"patient:{number // 6}" for number in range(len(each.digests))))
        for name, each in run.predictions.items()
    }
    grouped = replace(
        run,
        split=split,
        predictions=predictions,
        seed_predictions={
            seed: replace(each, groups=predictions["test"].groups) for seed, each in run.seed_predictions.items()
        },
    )
    return measured_anew(grouped), replace(manifest, images=tuple(images[image.path] for image in manifest.images))


def with_a_copy(run: RunResults) -> RunResults:
    """The same run, whose search found that two test cells of one class show one picture."""
    test = run.predictions["test"]
    first, second = np.flatnonzero(test.labels == 0)[:2].tolist()
    pair = [ListedImage("dataset", test.paths[row], test.classes[0]) for row in (first, second)]
    found = DuplicatePair(min(pair), max(pair), "near", "mirrored", 0.99, 0.99)
    return measured_anew(replace(run, duplicates=(found,)))


def measured_anew(run: RunResults) -> RunResults:
    """What is made of predictions, made of those that the run now has."""
    counted, baseline = run.counted_predictions, run.baseline
    correlation = run.protocol.clusters.intracluster_correlation
    assert baseline is not None
    compared = compare(
        run.predictions["test"],
        baseline.predictions["test"],
        baseline_run=baseline.run_id,
        copies=run.copies,
        intracluster_correlation=correlation,
    )
    return replace(
        run,
        evaluations={name: evaluate(each, intracluster_correlation=correlation) for name, each in counted.items()},
        comparisons={"test": compared},
        calibrations={
            name: calibration_of(run.protocol, counted, name, judged=None, rules=run.rules) for name in run.calibrations
        },
    )


def pack_of(run: RunResults, manifest: Manifest, reports: Path) -> Path:
    return write_pack(run, reports=reports, manifest=manifest, models={}, formats=("PNG",))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_example_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run():
    return example_run(content=example_picture)


@pytest.fixture(scope="module")
def undrawn():
    """The same run without figures, for what no figure shows."""
    return example_run(content=example_picture, figures=False)


@pytest.fixture(scope="module")
def written(run, manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    earlier = replace(example_run(content=example_picture, n_wrong=5), run_id="earlier")
    looked_at(earlier, manifest, folder / "ledger.jsonl")
    return pack_of(looked_at(run, manifest, folder / "ledger.jsonl"), manifest, folder)


@pytest.fixture
def copy(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "copy"))


# --- whoever alters a pack and mends its sums -----------------------------------------------------


def mend_sums(folder: Path) -> None:
    """What a careful attacker does."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in UNLISTED)
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(folder).as_posix()}\n" for f in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def edit_json(folder: Path, name: str, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / name).read_text())
    edit(content)
    (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def edit_text(folder: Path, name: str, edit: Callable[[str], str]) -> None:
    before = (folder / name).read_text()
    after = edit(before)
    assert after != before
    (folder / name).write_text(after)


def verdict_of(content: Mapping[str, Any], criterion: str) -> dict[str, Any]:
    return next(each for each in content["verdicts"] if each["criterion"] == criterion)


def evidence(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder, "evidence.json", edit)


def of_verdict(criterion: str, **values: object) -> Callable[[Path], None]:
    return evidence(lambda content: verdict_of(content, criterion).update(values))


def of_estimate(criterion: str, **values: object) -> Callable[[Path], None]:
    return evidence(lambda content: verdict_of(content, criterion)["estimate"].update(values))


def text(name: str, edit: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda folder: edit_text(folder, name, edit)


def replaced(name: str, before: str, after: str) -> Callable[[Path], None]:
    return text(name, lambda content: content.replace(before, after, 1))


def in_turn(*edits: Callable[[Path], object]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        for edit in edits:
            edit(folder)

    return alter


def drop_line(name: str, number: int) -> Callable[[Path], None]:
    def without(content: str) -> str:
        lines = content.splitlines(keepends=True)
        del lines[number]
        return "".join(lines)

    return text(name, without)


def swap_probabilities(folder: Path) -> None:
    """The first cell is called another class."""
    name = "predictions/test.csv"
    lines = (folder / name).read_text().splitlines(keepends=True)
    sha256, path, label, predicted, *numbers = lines[1].rstrip("\n").split(",")
    header = lines[0].rstrip("\n").split(",")[4:]
    at = header.index(f"p_{predicted}")
    other = (at + 1) % len(numbers)
    numbers[at], numbers[other] = numbers[other], numbers[at]
    lines[1] = ",".join([sha256, path, label, header[other].removeprefix("p_"), *numbers]) + "\n"
    (folder / name).write_text("".join(lines))


def mend_digest(folder: Path) -> None:
    """evidence.json and the ledger's last word on the test part follow the altered predictions."""
    from harness.pack.read import open_pack
    from harness.pack.read_predictions import read_predictions

    mend_sums(folder)
    n = len((folder / "predictions/test.csv").read_text().splitlines()) - 1
    edit_json(folder, "evidence.json", lambda content: content["predictions"]["test"].update(n=n))
    mend_sums(folder)
    with pytest.raises(EvidenceError, match="have the digest") as refused:
        read_predictions(open_pack(folder), "test")
    digest = re.findall("digest ([0-9a-f]{64})", str(refused.value))[0]
    edit_json(folder, "evidence.json", lambda content: content["predictions"]["test"].update(digest=digest))


def then(*edits: Callable[[Path], None]) -> Callable[[Path], None]:
    def all_of_them(folder: Path) -> None:
        for edit in edits:
            edit(folder)

    return all_of_them


def swap_figures(folder: Path) -> None:
    one, other = (folder / f"figures/confusion_matrix_{name}.png" for name in ("test", "validation"))
    one_bytes, other_bytes = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_bytes)
    other.write_bytes(one_bytes)


def lower_threshold(content: dict[str, Any]) -> None:
    next(each for each in content["protocol"]["content"]["criteria"] if each["id"] == "A1").update(floor=0.5)


def lower_threshold_and_mend(content: dict[str, Any]) -> None:
    lower_threshold(content)
    content["protocol"]["digest"] = digest_of(content["protocol"]["content"])


def move_row(folder: Path) -> None:
    edit_text(folder, "data_split.csv", lambda content: content.replace(",test\n", ",train\n", 1))


def ninety_eight_to_ninety_nine(page: str) -> str:
    found = re.search(r"\((9\d)\.?\d* %\)", page)
    assert found is not None
    start, number = found.start(1), int(found[1])
    return page[:start] + str(number + (1 if number < 99 else -1)) + page[start + 2 :]


def claim_that_the_run_passed(content: dict[str, Any]) -> None:
    content["run"]["passed"] = not content["run"]["passed"]


def forget_the_look(content: dict[str, Any]) -> None:
    content["looks"] = {}
    for each in content["verdicts"]:
        each["look"] = None


def excuse(content: dict[str, Any]) -> None:
    verdict_of(content, "E1").update(outcome="not assessed", estimate=None, reason="the set was not there", look=None)


def lose_a_discordant_cell(content: dict[str, Any]) -> None:
    del content["comparisons"]["test"]["discordant"][0]


# name -> (what is done to the pack, file and beginning of the field that must be named)
FAULTS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "accuracy in the metrics": (
        lambda folder: edit_json(folder, "metrics/metrics_test.json", lambda c: c["accuracy"].update(k=30)),
        "metrics/metrics_test.json",
        "accuracy > k",
    ),
    "a bound in the metrics": (
        lambda folder: edit_json(folder, "metrics/metrics_test.json", lambda c: c["accuracy"].update(lower=0.9876)),
        "metrics/metrics_test.json",
        "accuracy > lower",
    ),
    "the matrix in the metrics": (
        lambda folder: edit_json(folder, "metrics/metrics_test.json", lambda c: c["confusion"][0].reverse()),
        "metrics/metrics_test.json",
        "confusion > 0 > 0",
    ),
    "a confusion matrix": (
        text("metrics/confusion_matrix_test.csv", lambda c: re.sub(r"\b6\b", "5", c, count=1)),
        "metrics/confusion_matrix_test.csv",
        "row ",
    ),
    "a classification report": (
        replaced("metrics/classification_report_test.txt", "0.9", "0.8"),
        "metrics/classification_report_test.txt",
        "line ",
    ),
    "an outcome": (of_verdict("E1", outcome="passed"), "evidence.json", "verdicts > E1 > outcome"),
    "an excuse": (evidence(excuse), "evidence.json", "verdicts > E1 > outcome"),
    "a level": (of_estimate("A1", level=0.9), "evidence.json", "verdicts > A1 > estimate > level"),
    "a k": (of_estimate("A1", k=30), "evidence.json", "verdicts > A1 > estimate > k"),
    "an n": (of_estimate("A1", n=31), "evidence.json", "verdicts > A1 > estimate > n"),
    "a bound": (of_estimate("R1-monocyte", lower=0.7), "evidence.json", "verdicts > R1-monocyte > estimate > lower"),
    "a missing verdict": (evidence(lambda c: c["verdicts"].pop()), "evidence.json", "verdicts > P3"),
    "two verdicts on one": (
        evidence(lambda c: c["verdicts"].append(c["verdicts"][0])),
        "evidence.json",
        "verdicts",
    ),
    "an exact count": (of_estimate("D1", value=1.0), "evidence.json", "verdicts > D1 > estimate > value"),
    "a detail": (of_estimate("S1", details=["P1 is in two parts"]), "evidence.json", "verdicts > S1 > estimate"),
    "an unlisted difference": (of_estimate("G1", details=["x"]), "evidence.json", "verdicts > G1 > estimate"),
    "the run's outcome": (evidence(claim_that_the_run_passed), "evidence.json", "run > passed"),
    "a forgotten look": (evidence(forget_the_look), "evidence.json", "looks > test"),
    "another look": (of_verdict("A1", look=1), "evidence.json", "verdicts > A1 > look"),
    "a probability": (swap_probabilities, "predictions/test.csv", ""),
    "a probability, digest mended": (
        then(swap_probabilities, mend_digest),
        "metrics/metrics_test.json",
        "confusion",
    ),
    "a probability, digest mended, in the ledger": (
        then(swap_probabilities, mend_digest),
        "ledger.jsonl",
        "entry 5, predictions",
    ),
    "a dropped row": (drop_line("predictions/test.csv", 3), "predictions/test.csv", ""),
    "a dropped row, digest mended": (
        then(drop_line("predictions/test.csv", 3), mend_digest),
        "predictions/test.csv",
        "path, sha256, label",
    ),
    "a picture that is smaller than what a search compares": (
        in_turn(evidence(lambda c: c.update(duplicates=[])), replaced("manifest.csv", ",96,96,", ",96,31,")),
        "evidence.json",
        "uncompared",
    ),
    "a seed's hits": (evidence(lambda c: c["seeds"]["7"].update(correct=30)), "evidence.json", "seeds > 7 > correct"),
    "a timing": (
        evidence(lambda c: c["timings"][0].update(samples_s=[0.001] * 100)),
        "evidence.json",
        "verdicts > P1 > estimate > value",
    ),
    "a threshold": (evidence(lower_threshold), "evidence.json", "protocol > digest"),
    "a threshold, digest mended": (evidence(lower_threshold_and_mend), "ledger.jsonl", "entry 5, protocol"),
    "an evaluation": (
        evidence(lambda c: c["evaluations"]["test"].update(n=31)),
        "evidence.json",
        "evaluations > test > n",
    ),
    "a calibration error": (
        evidence(lambda c: c["calibrations"]["test"]["before"].update(ece=0.0)),
        "evidence.json",
        "calibrations > test > before > ece",
    ),
    "a comparison's table": (
        evidence(lambda c: c["comparisons"]["test"]["table"]["monocyte"][1].reverse()),
        "evidence.json",
        "comparisons > test > table",
    ),
    "a lost cell that is not listed": (
        evidence(lose_a_discordant_cell),
        "evidence.json",
        "comparisons > test > discordant",
    ),
    "a training that did not stop": (
        evidence(lambda c: c["training"].update(weights_digest="0" * 64)),
        "ledger.jsonl",
        "entry 5, model",
    ),
    "a set's size": (evidence(lambda c: c["sets"][1].update(n_images=141)), "evidence.json", "sets > 1 > n_images"),
    "the split's digest": (evidence(lambda c: c["split"].update(digest="0" * 64)), "evidence.json", "split > digest"),
    "a row of the split moved": (move_row, "predictions/test.csv", "path, sha256, label"),
    "a row of the split dropped": (drop_line("data_split.csv", 5), "data_split.csv", "filepath"),
    "a label in the manifest": (
        replaced("manifest.csv", ".jpg,basophil,", ".jpg,monocyte,"),
        "data_split.csv",
        "row 2, label",
    ),
    "a number on the page": (text("index.html", ninety_eight_to_ninety_nine), "index.html", "line "),
    "a word on the page": (replaced("index.html", "Not passed", "Passed"), "index.html", "line "),
    "a script on the page": (replaced("index.html", "</main>", "<script>1</script></main>"), "index.html", "line "),
    "a removed look": (drop_line("ledger.jsonl", 2), "ledger.jsonl", ""),
    "the last look removed": (drop_line("ledger.jsonl", -1), "ledger.jsonl", "seed 7"),
    "no ledger": (lambda folder: (folder / "ledger.jsonl").unlink(), "ledger.jsonl", "set test"),
    "the ledger's head": (evidence(lambda c: c["ledger"].update(head="0" * 64)), "evidence.json", "ledger > head"),
    "swapped figures": (swap_figures, "figures/confusion_matrix_test.png", ""),
    "a lost figure": (
        lambda folder: (folder / "figures/per_class_metrics.png").unlink(),
        "figures/per_class_metrics.png",
        "",
    ),
    "an outcome in JUnit": (
        replaced("junit.xml", 'name="outcome" value="failed"', 'name="outcome" value="passed"'),
        "junit.xml",
        "line ",
    ),
    "the claims": (replaced("claims.json", "true", "false"), "claims.json", ""),
    "a lost file": (
        lambda folder: (folder / "metrics/metrics_test.json").unlink(),
        "metrics/metrics_test.json",
        "",
    ),
    "a file too many": (lambda folder: (folder / "notes.txt").write_text("n"), "notes.txt", ""),
    "another spelling": (text("metrics/metrics_test.json", lambda c: c + "\n"), "metrics/metrics_test.json", ""),
}


@pytest.mark.slow(but_one_in=4)
@pytest.mark.parametrize("name", FAULTS)
def test_an_alteration_is_found_although_the_sums_were_mended(copy, name):
    alter, file, field = FAULTS[name]
    alter(copy)
    mend_sums(copy)
    found = verify_pack(copy).discrepancies
    assert [each for each in found if each.file == file and each.field.startswith(field)], [*map(str, found)]


@pytest.mark.parametrize(
    "name", ["predictions/test.csv", "index.html", "figures/per_class_metrics.png", "junit.xml", "summary.md"]
)
def test_without_mended_sums_the_file_is_named(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert [each.file for each in verify_pack(copy).discrepancies] == [name]


def test_a_summary_that_says_something_else_or_is_gone_is_found(copy):
    text = (copy / "summary.md").read_text()
    assert "RUN NOT PASSED" in text
    (copy / "summary.md").write_text(text.replace("RUN NOT PASSED", "RUN PASSED"))
    mend_sums(copy)
    assert [each.file for each in verify_pack(copy).discrepancies][:1] == ["summary.md"]
    (copy / "summary.md").unlink()
    mend_sums(copy)
    assert "summary.md: the run has this file to write, and it is not there" in map(
        str, verify_pack(copy).discrepancies
    )


def without_documents(folder: Path, run: RunResults) -> None:
    """The pack as it was written before a run had a summary, and before an optional outcome was told apart in JUnit."""
    for name in ("summary.md", "label_suspects.csv"):
        (folder / name).unlink()
    edit_json(folder, "evidence.json", lambda content: content.pop("documents"))
    (folder / "junit.xml").write_bytes(
        junit(run.verdicts, name=run.protocol.identity.id, seconds=run.seconds, version=1)
    )
    # Nothing of the page is made of either; its list of files is, and printed another version.
    other = {"digest": "0" * 64, "version": "0.0"}
    edit_json(folder, "evidence.json", lambda content: content.update(renderer=other))
    mend_sums(folder)


def test_a_pack_from_before_there_were_summaries_holds(written, run, manifest, copy, tmp_path):
    looked = looked_at(run, manifest, Path(shutil.copy(written.parent / "ledger.jsonl", tmp_path)))
    without_documents(copy, looked)
    found = [str(each) for each in verify_pack(copy).discrepancies]
    assert not [each for each in found if not each.startswith("index.html")], found
    # The new way of writing JUnit in it would be found.
    new = junit(looked.verdicts, name=run.protocol.identity.id, seconds=run.seconds)
    assert new != (copy / "junit.xml").read_bytes()
    (copy / "junit.xml").write_bytes(new)
    mend_sums(copy)
    assert "junit.xml" in {each.file for each in verify_pack(copy).discrepancies}


def test_a_pack_from_before_looks_that_are_left_were_told_holds(written, run, manifest, copy, tmp_path):
    looked = looked_at(run, manifest, Path(shutil.copy(written.parent / "ledger.jsonl", tmp_path)))
    before, today = summary(looked, version=1).encode(), (copy / "summary.md").read_bytes()
    assert before != today
    (copy / "summary.md").write_bytes(before)
    mend_sums(copy)
    assert "summary.md" in {each.file for each in verify_pack(copy).discrepancies}
    edit_json(copy, "evidence.json", lambda content: content["documents"].update({"summary.md": 1}))
    mend_sums(copy)
    assert {each.file for each in verify_pack(copy).discrepancies} <= {"index.html"}  # which lists another digest


def test_a_pack_whose_junit_names_no_lost_cell_holds_where_it_says_so(written, run, manifest, copy, tmp_path):
    looked = looked_at(run, manifest, Path(shutil.copy(written.parent / "ledger.jsonl", tmp_path)))
    before, today = junit_of(looked, version=2), (copy / "junit.xml").read_bytes()
    assert before != today
    (copy / "junit.xml").write_bytes(before)
    mend_sums(copy)
    assert "junit.xml" in {each.file for each in verify_pack(copy).discrepancies}
    edit_json(copy, "evidence.json", lambda content: content["documents"].update({"junit.xml": 2}))
    mend_sums(copy)
    assert {each.file for each in verify_pack(copy).discrepancies} <= {"index.html"}  # which lists another digest


def stricter(protocol: Protocol) -> Protocol:
    criteria = (c.model_copy(update={"floor": 0.99}) if c.id == "A1" else c for c in protocol.criteria)
    return protocol.model_copy(update={"criteria": tuple(criteria)})


def test_what_moved_after_a_look_is_made_again_of_the_ledger_in_the_pack(undrawn, manifest, tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    earlier = replace(example_run(content=example_picture, n_wrong=5, figures=False), run_id="earlier")
    looked_at(replace(earlier, protocol=stricter(earlier.protocol)), manifest, ledger)
    looked = looked_at(undrawn, manifest, ledger)
    assert [(change.key, change.old) for change in looked.changes] == [("criteria.A1.floor", "0.99")]
    pack = pack_of(looked, manifest, tmp_path)
    assert shown(verify_pack(pack)) == []
    for number, hide in enumerate(
        (
            lambda content: content.update(changes=[]),
            lambda content: content["changes"][0].update(old=content["changes"][0]["new"]),
            lambda content: content["changes"][0].update(
                amendment={"key": "criteria.A1.floor", "reason": "invented later", "owner": "me", "day": "2026-01-01"}
            ),
        )
    ):
        forged = Path(shutil.copytree(pack, tmp_path / f"forged-{number}"))
        edit_json(forged, "evidence.json", hide)
        mend_sums(forged)
        assert [each for each in verify_pack(forged).discrepancies if each.field.startswith("changes")], number


def test_terms_in_the_ledger_that_are_not_the_protocols_are_found(undrawn, manifest, tmp_path):
    looked = looked_at(undrawn, manifest, tmp_path / "ledger.jsonl", by=stricter(undrawn.protocol))
    found = verify_pack(pack_of(looked, manifest, tmp_path)).discrepancies
    assert "they are not the protocol's at criteria.A1.floor" in {each.message for each in found}


@pytest.mark.parametrize("name", ["evidence.json", "SHA256SUMS"])
def test_an_altered_index_of_the_pack_is_a_finding_and_no_wrong_call(copy, capsys, name):
    edit_text(copy, name, lambda content: content.replace("a", "b", 1))
    assert main(["verify", str(copy)]) == 1
    assert capsys.readouterr().out.count("\n") >= 2


def test_sums_in_another_order_are_not_the_harness_s(copy):
    lines = (copy / "SHA256SUMS").read_text().splitlines(keepends=True)
    (copy / "SHA256SUMS").write_text("".join(reversed(lines)))
    assert [each.file for each in verify_pack(copy).discrepancies] == ["SHA256SUMS"]


def exchanged(split: Split) -> Split:
    """The first test cell, which the classifier may have got wrong, for a train cell of its class: all sizes stay."""
    out = split.test[0]
    back = next(image for image in split.train if image.label == out.label)
    return replace(
        split,
        train=sorted_by_path(out if image is back else image for image in split.train),
        test=sorted_by_path(back if image is out else image for image in split.test),
    )


def forged_pack(manifest: Manifest, reports: Path, *, harness: str) -> Path:
    """A pack in which everything follows from a split that nobody drew, under the origin of the one that was."""
    run = example_run(content=example_picture, forged=exchanged, environment={"harness": harness}, figures=False)
    return pack_of(looked_at(run, manifest, reports / "ledger.jsonl"), manifest, reports)


def test_a_cell_moved_from_test_to_train_under_the_origin_of_a_draw_is_found(manifest, tmp_path):
    (found,) = verify_pack(forged_pack(manifest, tmp_path, harness=__version__)).discrepancies
    assert (found.file, found.field) == ("data_split.csv", "split")
    assert "is in test, 'stratified, seed 42' puts it into train; 1 more" in found.message


def test_another_version_may_have_drawn_otherwise_and_that_is_said(manifest, tmp_path):
    result = verify_pack(forged_pack(manifest, tmp_path, harness="0.0.7"))
    assert shown(result) == []
    assert [each for each in result.not_recomputed if "that harness 0.0.7 drew" in each]


# --- what is whole holds --------------------------------------------------------------------------


def shown(result: Verification) -> list[str]:
    return [str(each) for each in result.discrepancies]


def test_an_untouched_pack_holds_wherever_it_lies_and_however_it_is_packed(written, copy, tmp_path, capsys):
    assert shown(verify_pack(written)) == []
    assert shown(verify_pack(copy)) == []
    zipped = shutil.make_archive(str(tmp_path / "zipped"), "zip", root_dir=copy.parent, base_dir="copy")
    assert main(["verify", zipped]) == 0
    said = capsys.readouterr().out
    digest = hashlib.sha256((copy / "SHA256SUMS").read_bytes()).hexdigest()
    assert "unsigned draft: there is no signature" in said
    assert f"SHA-256 of its SHA256SUMS: {digest}" in said
    assert "holds" in said
    assert "note: not made again: models/" in said


def test_a_pack_without_its_models_holds(undrawn, manifest, tmp_path):
    model = tmp_path / "export.pkl"
    model.write_bytes(b"weights" * 100)
    looked = looked_at(undrawn, manifest, tmp_path / "ledger.jsonl")
    pack = write_pack(looked, reports=tmp_path, manifest=manifest, models={"export.pkl": model}, formats=("PNG",))
    assert shown(verify_pack(pack)) == []
    shutil.rmtree(pack / "models")
    assert shown(verify_pack(pack)) == []
    edit_text(pack, "SHA256SUMS", lambda content: content.replace("export.pkl", "import.pkl"))
    assert {each.file for each in verify_pack(pack).discrepancies} == {"index.html"}


def test_a_run_without_a_baseline_holds(undrawn, manifest, tmp_path):
    alone = replace(undrawn, baseline=None, comparisons={})
    assert shown(verify_pack(pack_of(looked_at(alone, manifest, tmp_path / "ledger.jsonl"), manifest, tmp_path))) == []


def test_a_run_that_stopped_early_holds(run, manifest, tmp_path):
    stopped = replace(stopped_run(), sets=run.sets[:1], integrity=run.integrity)
    assert shown(verify_pack(pack_of(stopped, manifest, tmp_path))) == []
    nothing_read = replace(stopped, run_id="nothing-read", sets=(), integrity=None, verdicts=no_estimate(stopped))
    pack = write_pack(nothing_read, reports=tmp_path, manifest=None, models={}, formats=())
    assert shown(verify_pack(pack)) == []


def no_estimate(run: RunResults) -> tuple[Verdict, ...]:
    from harness.judge.criteria import complete

    return complete(run.protocol, (), otherwise="not reached: the run stopped before it")


@pytest.mark.slow
def test_bounds_that_know_of_patients_are_made_again_too(undrawn, manifest, tmp_path):
    grouped, listed = with_patients(undrawn, manifest)
    looked = looked_at(grouped, listed, tmp_path / "ledger.jsonl")
    assert any(verdict.estimate and verdict.estimate.effective_n for verdict in looked.verdicts)
    pack = pack_of(looked, listed, tmp_path)
    assert shown(verify_pack(pack)) == []
    edit_text(pack, "manifest.csv", lambda content: content.replace("test-0", "test-1"))
    mend_sums(pack)
    found = verify_pack(pack).discrepancies
    assert [each for each in found if each.field.startswith("evaluations > test > accuracy > effective_n")]


def test_copies_inside_a_part_are_counted_once_again_and_not_by_the_judge_of_an_older_pack(undrawn, manifest, tmp_path):
    copied = looked_at(with_a_copy(undrawn), manifest, tmp_path / "ledger.jsonl")
    pack = pack_of(copied, manifest, tmp_path)
    assert shown(verify_pack(pack)) == []
    content = json.loads((pack / "evidence.json").read_text())
    n = content["predictions"]["test"]["n"]
    assert content["evaluations"]["test"]["n"] == content["calibrations"]["test"]["n"] == n - 1
    assert content["evaluations"]["test"]["independence"].endswith(
        f"not counted is 1 of {n} cells, whose pictures are there already"
    )
    assert content["page"]["split"]["repeated"][0].startswith("test: 2 cells show one picture and count as one")
    assert "count there as one cell in every bound" in (pack / "index.html").read_text().replace("counts", "count")
    for change, found in (
        (lambda content: content.update(duplicates=[]), "evaluations > test"),
        (lambda content: content.update(rules=asdict(Rules())), "its page tells of repeated pictures"),
    ):
        edited = Path(shutil.copytree(pack, tmp_path / found.split()[0]))
        edit_json(edited, "evidence.json", change)
        mend_sums(edited)
        assert any(found in each for each in shown(verify_pack(edited)))


@pytest.mark.slow
@pytest.mark.parametrize("by", ["patient", "site"])
def test_too_few_patients_or_sites_are_found_again_and_not_asked_of_older_packs(undrawn, manifest, tmp_path, by):
    def two(part):
        return tuple(replace(i, **{by: f"{part}-{place % 2}"}) for place, i in enumerate(undrawn.split.part(part)))

    split = Split(*map(two, PARTS), origin="read from groups.csv", source="file")
    by_path = {image.path: image for part in PARTS for image in split.part(part)}
    listed = replace(manifest, images=tuple(by_path[image.path] for image in manifest.images))
    shown_of = undrawn.predictions
    predictions = shown_of | {
        name: predictions_of(split.part(name), each.probabilities, set_name=name, classes=each.classes)
        for name, each in shown_of.items()
        if name in PARTS
    }
    seeds = {s: replace(each, groups=predictions["test"].groups) for s, each in undrawn.seed_predictions.items()}
    grouped = measured_anew(replace(undrawn, split=split, predictions=predictions, seed_predictions=seeds))
    pack = pack_of(looked_at(grouped, listed, tmp_path / "ledger.jsonl"), listed, tmp_path)
    assert shown(verify_pack(pack)) == []
    reasons = [verdict["reason"] for verdict in json.loads((pack / "evidence.json").read_text())["verdicts"]]
    assert any("test has 2 " in reason and "fewer than 20" in reason for reason in reasons)
    # By fewer questions more would pass: rules that no judge had are not believed, nor is that there are none.
    for rules, found in (({"fewest_groups": 1, "holm_over": ["class"]}, "no version"), (None, "they are missing")):
        edit_json(pack, "evidence.json", lambda content: content.update(rules=rules))  # noqa: B023
        mend_sums(pack)
        assert any(found in each for each in shown(verify_pack(pack)))
    edit_json(pack, "evidence.json", lambda content: [content.pop(key) for key in ("rules", "changes")])
    mend_sums(pack)
    verified = verify_pack(pack)
    told = "\n".join(shown(verified))  # the first places of each file
    assert "fewer than 20" in told or "'E1 failed; A1 inconclusive.' is written, 'E1 failed.' follows" in told
    assert any("what only a later judge asks" in each for each in verified.not_recomputed)


@pytest.mark.slow
def test_another_machine_s_last_bits_are_no_finding(written, monkeypatch):
    original = metrics.clopper_pearson_bounds
    monkeypatch.setattr(
        metrics,
        "clopper_pearson_bounds",
        lambda k, n, *, level: tuple(bound * (1 - 1e-13) for bound in original(k, n, level=level)),
    )
    assert shown(verify_pack(written)) == []
    monkeypatch.setattr(
        metrics,
        "clopper_pearson_bounds",
        lambda k, n, *, level: tuple(bound * (1 - 1e-7) for bound in original(k, n, level=level)),
    )
    assert not verify_pack(written).holds


def test_a_newer_harness_may_give_the_protocol_more_fields(copy):
    def older(content: dict[str, Any]) -> None:
        del content["protocol"]["content"]["looks"]["reason"]
        content["protocol"]["digest"] = digest_of(content["protocol"]["content"])

    edit_json(copy, "evidence.json", older)
    mend_sums(copy)
    found = verify_pack(copy).discrepancies
    fields = {each.field for each in found if each.file == "evidence.json"}
    assert all(field.startswith("page > verdict > other_protocols") for field in fields)
    # The ledger and the page have the digest from before, so that its looks read as those of another protocol.
    assert {each.file for each in found} == {"ledger.jsonl", "index.html", "summary.md", "evidence.json"}


# --- the call -------------------------------------------------------------------------------------


def test_machines_are_told_the_same(copy, capsys):
    assert main(["verify", "--json", str(copy)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["holds"] is True
    assert said["signed_and_verified"] is False
    assert said["signature"]["standing"] == "unsigned draft"
    assert said["discrepancies"] == []
    swap_figures(copy)
    mend_sums(copy)
    assert main(["verify", "--json", str(copy)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["discrepancies"][0]["file"].startswith("figures/")


def test_what_is_no_pack_is_a_wrong_call(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    assert main(["verify", str(tmp_path)]) == 2
    assert "not an evidence pack" in capsys.readouterr().err


def test_neither_torch_nor_fastai_is_needed(written):
    code = (
        "import sys; from harness.cli import main; code = main(['verify', sys.argv[1]]); "
        "assert not {'torch', 'fastai', 'pandas', 'great_expectations'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(written)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- packs of before decision 0039 ----------------------------------------------------------------


def as_before_new_cells(folder: Path) -> list[str]:
    """Make of a pack what the version before wrote: the cells of the observed share itself, in that version's words."""
    protocol = read_protocol_of(open_pack(folder))
    criteria = {criterion.id: criterion for criterion in protocol.criteria}
    content = json.loads((folder / "evidence.json").read_text())
    content["renderer"]["digest"] = "0" * 64  # another version printed the page
    named = []
    for verdict in content["verdicts"]:
        if verdict.pop("assumed") is not None:
            name, was = verdict["criterion"], verdict["n_to_decide"]
            flawless = verdict["power"] is None
            found = recorded(Estimate, verdict["estimate"], where="")
            n = was if flawless else cells_at_that_rate(criteria[name], found)
            verdict["n_to_decide"] = n
            now = rf"about {was:,} new ([a-z ]+?) would decide in [^;]+;\n +only new cells .*"
            then = rf"about {n:,} \1 {'without an error' if flawless else 'at the observed rate'} would decide"
            edit_text(folder, "junit.xml", partial(re.sub, now, then, count=1))
            shown = f'data-path="verdicts &gt; {name} &gt; n_to_decide">'
            page = with_whole_paths((folder / "index.html").read_text())
            (folder / "index.html").write_text(page.replace(f"{shown}{was:,}<", f"{shown}{n:,}<"))
            named.append(name)
    (folder / "evidence.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    mend_sums(folder)
    return named


def test_a_pack_whose_numbers_of_cells_promise_no_power_holds(copy):
    assert as_before_new_cells(copy)
    # The page lists the digests of the files, which were edited here and were never so written.
    unlike = [each for each in verify_pack(copy).discrepancies if "SHA256SUMS > " not in each.message]
    assert unlike == []


def test_a_number_of_such_a_pack_that_does_not_follow_is_found(copy):
    first = as_before_new_cells(copy)[0]
    edit_json(copy, "evidence.json", lambda content: verdict_of(content, first).update(n_to_decide=1_000))
    mend_sums(copy)
    assert f"verdicts > {first} > n_to_decide" in {each.field for each in verify_pack(copy).discrepancies}
