"""Every job that README and docs show is run as it is shown, in a folder that has what the pages name.

A run is not: tests/test_tutorials.py and CI make some, and tests/test_docs.py holds the options of all to the code. Nor
is `prove`, of which CI runs the quick part.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from documents import DOCS, Shown, commands, name_of, pages
from example_run import write_example_dataset
from test_comparing import pack_of, run_named

from harness.cli import main
from harness.core.places import PROJECT
from harness.jobs.common import RUN
from harness.pack.keys import PASSPHRASE

WALKED = "docs/tutorials/"  # by tests/test_tutorials.py
NOT_RUN = (RUN, "prove", "JOB")
# Each takes seconds; tests/test_reader.py does it.
ELSEWHERE = tuple(("verify", f"reports/leukocyte-{name}") for name in ("reference", "efficientnet-128"))
NAMED = {"$BASELINE": "BASELINE", "$LONGER": "CANDIDATE"}
REPORT = "## Test\n\n| metric | value |\n|---|---|\n| accuracy | 98.0 % (49/50) |\n"


def shown_jobs() -> list[tuple[str, ...]]:
    """The words behind `python -m harness`, each call once, in the order of the pages."""
    calls = [_job(shown) for page in pages() if not name_of(page).startswith(WALKED) for shown in commands(page)]
    return list(dict.fromkeys(call for call in calls if call and call[0] not in NOT_RUN and call not in ELSEWHERE))


def _job(shown: Shown) -> tuple[str, ...]:
    match shown.words:
        case ["python", "-m", "harness", *call] | ["leukocyte-harness", *call] if not (shown.inline and len(call) < 2):
            return tuple(NAMED.get(word, word) for word in call if word != "...")
        case _:
            return ()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which what the pages call so is there."""
    here = tmp_path_factory.mktemp("reader")
    manifest = write_example_dataset(here / "DIR")
    packs = {name: pack_of(run_named(name, n_wrong=3), manifest, here) for name in ("first", "second")}
    (here / "reports").mkdir()
    shutil.copytree(packs["first"], here / "reports" / "latest")
    shutil.make_archive(str(here / "pack-2"), "zip", packs["second"])
    links = {
        **dict.fromkeys(("PACK", "pack-1", "reports/20261124T001216Z-embedded-2187"), here / "reports" / "latest"),
        "BASELINE": packs["first"],
        **dict.fromkeys(("CANDIDATE", "pack-3"), packs["second"]),
        "reports/reference": PROJECT / "reports" / "reference",
    }
    for name, target in links.items():
        (here / name).symlink_to(target)
    for name, run in (("ledger.jsonl", "first"), ("other-ledger.jsonl", "second")):
        shutil.copyfile(here / f"{run}.jsonl", here / name)
    shutil.copytree(here / "DIR", here / "four")
    (here / "REPORT").write_text(REPORT)
    (here / "PROTOCOL").write_text('extends = "embedded.toml"\n')
    [trust] = re.findall(r"```toml\n(.*?)```", (DOCS / "signing.md").read_text("utf-8"), re.DOTALL)
    (here / "trust.toml").write_text(trust)
    return here


@pytest.mark.slow
def test_every_job_runs_as_it_is_shown(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """In the order of the pages: what one makes, such as a key or a draft, the next may take."""
    monkeypatch.chdir(place)
    monkeypatch.delenv(PASSPHRASE, raising=False)
    wrong = []
    for call in shown_jobs():
        try:
            code = main(call)
        except SystemExit as ended:  # of --help
            code = ended.code
        said = capsys.readouterr()
        if code != 0:
            wrong.append(f"{shlex.join(call)} ended with {code}:\n{said.out[-1000:]}{said.err}")
    assert not wrong, "\n".join(wrong)


def test_jobs_are_found_on_the_pages():
    jobs = {call[0] for call in shown_jobs()}
    assert jobs >= {"init", "claims", "verify", "plan", "schema", "compare", "keygen", "sign", "ledger", "--help"}
