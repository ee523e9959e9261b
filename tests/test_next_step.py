"""Every refusal of the command line says what to do next, in one clear error and without a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.core.places import PROJECT
from harness.suite_run import run_suites

PACK = str(PROJECT / "reports" / "reference")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        code = main(arguments)
    except SystemExit as error:  # argparse
        code = int(error.code or 0)
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "See `python -m harness --help`."),
        (["frobnicate"], 2, "choose from 'run', 'verify'"),
        (["verfy", PACK], 2, "Perhaps meant: verify. See `python -m harness --help`."),
        (["verify", PACK, "--strct"], 2, "unrecognized arguments: --strct. Perhaps meant: --strict. See"),
        (["verify"], 2, "required: PACK. See `python -m harness verify --help`."),
        (["verify", "gone"], 2, "Name a folder under reports/, or a zip."),
        (["verify", PACK, "--key", "gone"], 2, "Name a key file."),
        (["sign", PACK], 2, "required: --key. See `python -m harness sign --help`."),
        (["sign", PACK, "--key", "gone"], 2, "Name a key file."),
        (["keygen", "there"], 2, "Name a new file: a key is never overwritten."),
        (["compare", PACK, "gone"], 2, "Name a folder under reports/, or a zip."),
        (["compare", PACK, PACK, "--baseline-key", "gone"], 2, "Name a key file."),
        (["log", "gone"], 2, "Name a folder under reports/, or a zip."),
        (["ledger", "gone"], 2, "Name the file, such as reports/ledger.jsonl; if it was lost, add"),
        (["ledger", "there"], 1, "Restore the ledger from the newest evidence pack"),
        (["ledger", "there", "--merge", "gone"], 1, "Name one of them."),
        (["claims", "gone.md"], 2, "Check the path."),
        (["prove", "--only", "no-such-fault"], 2, "Leave --only away, or take an id of fixtures/faults.py."),
    ],
    ids=lambda value: " ".join(value).replace(str(PROJECT), "") if isinstance(value, list) else "",
)
def test_a_refused_job_names_the_next_step(arguments, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("something else\n")
    found, said = refused(arguments, capsys)
    assert words in said
    assert found == code
    assert "Traceback" not in said
    assert [each.name for each in tmp_path.iterdir() if each.suffix != ".lock"] == ["there"]  # and nothing half made


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocl=x"], "unrecognized arguments: --protocl=x"),
        (["--protocl=x"], "Perhaps meant: --protocol. `leukocyte-harness run --help`"),
        (["--predicitons", "p.csv", "--modle=m.pth"], "Perhaps meant: --predictions, --model."),
        (["--workers=0"], "leave it away for all cores"),
        (["--trust-model=x"], "`sha256sum FILE` prints it"),
        (["--device=tpu"], "choose from 'auto'"),
        (["-n", "2"], "run them without -n"),
        (["--protocol=gone"], "Name an existing TOML file with --protocol, or a shipped protocol: base, embedded"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_refused_run_names_the_next_step(arguments, words, capsys, tmp_path):
    assert run_suites([*arguments, f"--reports={tmp_path}"]) == pytest.ExitCode.USAGE_ERROR
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert "`leukocyte-harness run --help` lists every option" in said
    assert not [*Path(tmp_path).iterdir()]


def test_the_help_of_a_run_has_its_own_options_before_most_of_pytest(capsys):
    assert run_suites(["--help"]) == 0
    said = capsys.readouterr().out
    assert said.index("\nvalidation run") < said.index("--predictions=") < said.index("\ncollection:")


def test_a_reader_that_has_read_enough_gets_no_traceback():
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "metrics"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT
    ) as job:
        assert job.stdout is not None and job.stderr is not None
        job.stdout.close()  # as `head` does
        assert job.stderr.read() == b""
    assert job.returncode == 141
