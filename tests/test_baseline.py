"""`--baseline` and several seeds, as a user of `pytest suites/` meets them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from test_verify import edit_json, mend_sums, verdict_of
from tiny_run import Pytest, apart, evidence_of, verdicts_of

from harness.judge.ledger import read_ledger
from harness.pack.keys import read_signing_key, write_key_pair
from harness.pack.sign import sign_pack
from harness.pack.verify import verify_pack
from harness.session import Exit


def test_a_run_against_itself_as_the_baseline_is_not_inferior(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    done = tiny(f"--baseline={cold[1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    pack = (place / "reports" / "latest").resolve()
    evidence = evidence_of(pack)
    assert verdicts_of(pack)["G1"]["outcome"] == "passed"
    assert evidence["comparisons"]["test"]["discordant"] == []
    assert evidence["baseline"]["run"] == cold[1].name
    assert cold[1].name in (pack / "index.html").read_text()


def test_a_baseline_whose_bytes_were_changed_is_refused_before_anything_is_trained(
    tiny: Pytest, tmp_path: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    shutil.copytree(cold[1], tmp_path / "pack")
    predictions = tmp_path / "pack" / "predictions" / "test.csv"
    predictions.write_text(predictions.read_text().replace("basophil", "monocyte", 1))
    done = tiny(f"--baseline={tmp_path / 'pack'}")
    assert done.returncode == Exit.ERROR
    assert "predictions/test.csv" in done.stdout
    assert "suites/test_split.py" not in done.stdout


def test_a_baseline_that_was_edited_and_summed_anew_is_refused_before_anything_is_trained(
    tiny: Pytest, tmp_path: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    pack = Path(shutil.copytree(cold[1], tmp_path / "pack"))
    edit_json(pack, "evidence.json", lambda content: verdict_of(content, "A1")["estimate"].update(lower=0.1))
    mend_sums(pack)
    done = tiny(f"--baseline={pack}")
    assert done.returncode == Exit.ERROR
    assert "pack cannot be the baseline: judged again" in done.stdout
    assert "verdicts > A1 > estimate > lower" in done.stdout
    assert "suites/test_split.py" not in done.stdout


def test_a_run_says_who_signed_its_baseline_and_refuses_another_key_than_the_one_insisted_on(
    tiny: Pytest, place: Path, tmp_path: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    pack = Path(shutil.copytree(cold[1], tmp_path / "pack"))
    for name in ("ours", "theirs"):
        write_key_pair(tmp_path / name)
    key_id = sign_pack(pack, read_signing_key(tmp_path / "ours")).key_id
    done = tiny(f"--baseline={pack}", f"--baseline-key={tmp_path / 'ours.pub'}")
    assert done.returncode == 0, done.stdout + done.stderr
    latest = (place / "reports" / "latest").resolve()
    signed = f"signed by key {key_id} (ours.pub): the signature verifies"
    assert f"baseline's pack: judged again, it holds; {signed}" in done.stdout
    assert evidence_of(latest)["baseline"]["check"]["vouched_by"] == [f"{key_id} (ours.pub)"]
    assert key_id in (latest / "summary.md").read_text()
    assert verify_pack(latest).discrepancies == ()

    refused = tiny(f"--baseline={pack}", f"--baseline-key={tmp_path / 'theirs.pub'}")
    assert refused.returncode == Exit.ERROR
    assert "which is none of the given keys" in refused.stdout
    unsigned = tiny(f"--baseline={cold[1]}", f"--baseline-key={tmp_path / 'ours.pub'}")
    assert unsigned.returncode == Exit.ERROR
    assert "it is unsigned, and --baseline-key asks for a signature" in unsigned.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline-key=ours.pub"], "no --baseline names one"),
        (["--baseline=gone", "--baseline-key=gone"], "Name a key file."),
    ],
)
def test_a_wrong_key_is_a_wrong_call(tiny: Pytest, arguments: list[str], words: str):
    done = tiny(*arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in done.stdout + done.stderr


def test_a_baseline_of_other_test_cells_is_refused_and_says_how(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    other = place / "resplit.toml"
    other.write_text('extends = "tiny.toml"\n[split]\nseed = 43\n')
    done = tiny(f"--protocol={other}", f"--baseline={cold[1]}")
    assert done.returncode == Exit.ERROR
    assert "was judged on other cells of set 'test'" in done.stdout
    assert "of this run's 10 cells are not among its 10" in done.stdout


def test_a_protocol_may_insist_on_a_baseline(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    insisting = place / "insisting.toml"
    insisting.write_text('extends = "tiny.toml"\n[baseline]\nneeded = "required"\n')
    done = tiny(f"--protocol={insisting}")
    assert done.returncode == Exit.INCOMPLETE
    assert "G1 not assessed" in done.stdout


# --- several seeds ---


def test_every_seed_is_trained_reported_and_gated_on_the_tolerance_bound(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    protocol = place / "seeds.toml"
    protocol.write_text(
        'extends = "tiny.toml"\n[training]\nseeds = [7, 42]\n[[criteria]]\nid = "A3"\nquestion = "accuracy"\n'
        'set = "test"\nmetric = "recipe_accuracy"\nfloor = 0.9\nlevel = 0.95\nrequired = false\nrationale = "Spread."\n'
        '[[criteria]]\nid = "A4"\nquestion = "accuracy"\nset = "test"\nmetric = "ensemble_accuracy"\nfloor = 0.9\n'
        'level = 0.95\nrequired = false\nrationale = "All seeds asked together."\n'
        '[[criteria]]\nid = "A5"\nquestion = "accuracy"\nset = "test"\nmetric = "ensemble_difference"\nfloor = 0.0\n'
        'level = 0.95\nrequired = false\nrationale = "No worse than its best member."\n'
    )
    reports = apart(place, "seeds")
    ledger = reports / "ledger.jsonl"
    done = tiny(f"--protocol={protocol}", f"--reports={reports}")
    assert done.returncode == 0, done.stdout + done.stderr
    pack = (reports / "latest").resolve()
    evidence = evidence_of(pack)
    verdict = verdicts_of(pack)["A3"]
    assert verdict["outcome"] == "inconclusive"
    assert sorted(evidence["seeds"]) == ["42", "7"]
    together = verdicts_of(pack)["A4"]["estimate"]
    assert (together["n"], verdicts_of(pack)["A5"]["estimate"]["n"]) == (10, 10)
    assert "probabilities of all seeds averaged; seed" in together["note"]
    assert [(look.role, look.set) for look in read_ledger(ledger)].count(("seed", "test")) == 1
    assert evidence["looks"]["test"] == 1
    assert (pack / "predictions" / "seeds" / "test_7.csv").is_file()
    assert (pack / "predictions" / "seeds" / "test_42.csv").read_bytes() == (
        pack / "predictions" / "test.csv"
    ).read_bytes()
