"""Two packs, compared without model or images: the same verdicts as the gate in a run, and refusals that say why."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example_run import A_FIGURE, CLASSES, example_picture, example_run, write_example_dataset
from test_verify import exchanged, looked_at, mend_sums

from harness.cli import main
from harness.core.errors import EvidenceError, IncomparableSets
from harness.data.records import Manifest
from harness.judge.criteria import complete
from harness.judge.ledger import record_look
from harness.judge.verdicts import Outcome
from harness.pack.compare import compare_packs
from harness.pack.keys import read_signing_key, write_key_pair
from harness.pack.read import open_pack
from harness.pack.recorded_protocol import read_protocol_of
from harness.pack.sign import sign_pack
from harness.pack.write import write_pack
from harness.protocol.criteria import Criterion
from harness.protocol.records import Protocol
from harness.run.results import RunResults

GATE = {
    "id": "B1",
    "question": "regression",
    "set": "test",
    "metric": "accuracy_difference",
    "level": 0.95,
    "required": True,
    "rationale": "For this test.",
}


def run_named(run_id: str, *, n_wrong: int, margin: float | None = 0.5, **options: Any) -> RunResults:
    run = example_run(n_wrong=n_wrong, content=example_picture, **options)
    protocol = run.protocol
    if margin is not None:
        gate = Criterion.model_validate({**GATE, "floor": -margin})
        each = [
            Criterion.model_validate(
                {**GATE, "id": f"B2-{name}", "metric": "recall_difference", "cell_class": name, "floor": -margin}
            )
            for name in CLASSES
        ]
        protocol = Protocol.model_validate({**dict(protocol), "criteria": (*protocol.criteria, gate, *each)})
    verdicts = complete(protocol, run.verdicts, otherwise="not compared in its run")
    return replace(run, run_id=run_id, protocol=protocol, verdicts=verdicts, baseline=None, comparisons={})


def pack_of(run: RunResults, manifest: Manifest, reports: Path) -> Path:
    """A pack that holds, without the seconds that drawing takes; every run begins a ledger of its own."""
    looked = looked_at(run, manifest, reports / f"{run.run_id}.jsonl")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(looked, reports=reports, manifest=manifest, models={}, formats=("PNG",))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_example_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def packs(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    reports = tmp_path_factory.mktemp("reports")
    return {
        "baseline": pack_of(run_named("baseline", n_wrong=3), manifest, reports),
        "equal": pack_of(run_named("equal", n_wrong=3), manifest, reports),
        "worse": pack_of(run_named("worse", n_wrong=25), manifest, reports),
        "strict": pack_of(run_named("strict", n_wrong=3, margin=0.02), manifest, reports),
        "no gate": pack_of(run_named("no-gate", n_wrong=3, margin=None), manifest, reports),
    }


@pytest.mark.parametrize(("candidate", "expected", "code"), [("equal", "passed", 0), ("worse", "failed", 1)])
def test_the_criteria_of_the_candidate_decide(packs, capsys, candidate, expected, code):
    result = compare_packs(packs["baseline"], packs[candidate])
    assert {v.criterion.id: str(v.outcome) for v in result.verdicts}["B1"] == expected
    assert main(["compare", str(packs["baseline"]), str(packs[candidate])]) == code
    said = capsys.readouterr().out
    assert f"B1 accuracy_difference on test: {expected.upper()}" in said
    assert said.count("\nlost: test: ") == (0 if candidate == "equal" else 22)
    assert said.count("\nworse: test: ") == (0 if candidate == "equal" else 1)
    assert said.startswith("baseline: baseline, which DID NOT PASS by ")
    assert "\nbaseline's pack: judged again, it holds; unsigned: nobody vouches for it\n" in said
    assert "note: baseline: not made again: models/" in said


def test_a_margin_that_so_few_cells_cannot_show_is_inconclusive(packs, capsys):
    result = compare_packs(packs["baseline"], packs["strict"])
    assert result.verdicts[0].outcome is Outcome.INCONCLUSIVE
    assert "even equal predictions prove no margin below" in result.verdicts[0].reason
    assert not result.holds


def test_machines_are_told_the_same(packs, capsys):
    assert main(["compare", "--json", str(packs["baseline"]), str(packs["worse"])]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["holds"] is False
    assert said["baseline"]["check"]["signed_by"] == []
    assert said["verdicts"][0]["outcome"] == "failed"
    assert len(said["comparisons"]["test"]["discordant"]) == 22


def test_a_protocol_without_a_margin_is_no_gate(packs):
    with pytest.raises(EvidenceError, match="has no regression criterion, so no margin was fixed before the run"):
        compare_packs(packs["baseline"], packs["no gate"])


def test_other_cells_are_refused(packs, manifest, tmp_path):
    # Drawn by another version, or it would be found that nobody drew it.
    other = run_named("other", n_wrong=3, forged=exchanged, environment={"harness": "0.0.7"})
    with pytest.raises(IncomparableSets, match="1 of this run's 30 cells are not among its 30, 1 of its cells"):
        compare_packs(packs["baseline"], pack_of(other, manifest, tmp_path))


@pytest.mark.parametrize("role", ["baseline", "candidate"])
@pytest.mark.parametrize("mended", [False, True])
def test_a_pack_that_was_edited_is_a_wrong_call_and_no_verdict(packs, tmp_path, capsys, role, mended):
    altered = tmp_path / "altered"
    shutil.copytree(packs["equal"], altered)
    (altered / "predictions" / "test.csv").write_text("sha256,path\n")
    if mended:
        mend_sums(altered)
    pair = [altered, packs["equal"]] if role == "baseline" else [packs["baseline"], altered]
    assert main(["compare", *map(str, pair)]) == 2
    said = capsys.readouterr().err
    assert f"altered cannot {'be the baseline' if role == 'baseline' else 'be compared'}: judged again" in said
    assert "predictions/test.csv" in said


@pytest.mark.parametrize(("signed", "code"), [("ours", 0), ("theirs", 2), (None, 2)])
def test_a_key_can_be_insisted_on(packs, tmp_path, capsys, signed, code):
    baseline = shutil.copytree(packs["baseline"], tmp_path / "baseline")
    for name in ("ours", "theirs"):
        write_key_pair(tmp_path / name)
    if signed is not None:
        sign_pack(baseline, read_signing_key(tmp_path / signed))
    asked = ["compare", str(baseline), str(packs["equal"]), "--baseline-key", str(tmp_path / "ours.pub")]
    assert main(asked) == code
    said = capsys.readouterr()
    assert ("(ours.pub): the signature verifies\n" in said.out) is (code == 0)
    assert ("baseline cannot be the baseline: " in said.err) is (code == 2)


def test_the_protocol_of_a_pack_reads_back_as_it_was(packs):
    run = run_named("baseline", n_wrong=3)
    assert read_protocol_of(open_pack(packs["baseline"])).digest == run.protocol.digest


# --- the ledger job ---


def looks(path: Path, count: int) -> None:
    sha = "ab" * 32
    for number in range(count):
        record_look(
            path,
            run="run",
            set="test",
            source=sha,
            cells=sha,
            n=30,
            model=sha,
            predictions=f"{number:064x}",
            protocol=sha,
            role="judged",
        )


def test_a_whole_ledger_is_listed_and_a_broken_one_named(tmp_path, capsys):
    ledger = tmp_path / "ledger.jsonl"
    looks(ledger, 2)
    assert main(["ledger", str(ledger)]) == 0
    *listed, head = capsys.readouterr().out.splitlines()
    assert (len(listed), head.partition(": ")[0]) == (2, "head")
    ledger.write_bytes(ledger.read_bytes().replace(b'"n":30', b'"n":31', 1))
    assert main(["ledger", str(ledger)]) == 1
    assert "line 1" in capsys.readouterr().out
    assert main(["ledger", str(tmp_path / "none.jsonl")]) == 2


@pytest.mark.slow
def test_a_ledger_from_which_looks_were_taken_does_not_continue_the_pack_s(tmp_path, capsys):
    ledger = tmp_path / "ledger.jsonl"
    looks(ledger, 2)
    from harness.judge.ledger import ledger_bytes, read_ledger

    whole = read_ledger(ledger)
    held = replace(run_named("held", n_wrong=3), ledger=whole)
    pack = write_pack(held, reports=tmp_path / "reports", manifest=None, models={}, formats=("PNG",))
    assert main(["ledger", str(ledger), "--pack", str(pack)]) == 0
    ledger.write_bytes(ledger_bytes(whole[:1]))
    assert main(["ledger", str(ledger), "--pack", str(pack)]) == 1
    assert "looks were taken out or replaced" in capsys.readouterr().out
