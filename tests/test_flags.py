"""Whatever pytest is told on its command line: a required criterion that was not judged never passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.places import PROJECT
from harness.pack import write as pack
from harness.run import environment, evidence
from harness.session import Exit

# Every criterion of the embedded protocol, each with an estimate that proves it: what the stages make of cells is not
# asked here. WRONG names one whose bound disproves it, INTERRUPTED one at which somebody presses Ctrl-C.
SUITE = """
import os
from types import SimpleNamespace

import pytest

from harness.core.spent import Spent
from harness.judge.criteria import explain, judge
from harness.metrics.estimates import Estimate
from harness.plugin import run_state
from harness.session import VERDICT
from harness.protocol.questions import QUESTIONS

@pytest.fixture(scope="session")
def run(pytestconfig):
    state = run_state(pytestconfig)
    ledger = pytestconfig.rootpath / "ledger.jsonl"
    options = SimpleNamespace(ledger=ledger, model=None, predictions=("a table",), spread=None)
    setting = SimpleNamespace(device="cpu", options=options, protocol=state.protocol)
    state.run = SimpleNamespace(setting=setting, result=lambda stage: None, results=lambda stage: {}, spent=Spent())
    return state.run

@pytest.fixture
def verdict(request, run, criterion):
    bound = criterion.floor if criterion.floor is not None else criterion.ceiling
    if criterion.id == os.environ.get("WRONG"):
        bound += -0.5 if criterion.floor is not None else 0.5
    subject = (criterion.metric, criterion.set, criterion.cell_class)
    given = Estimate(*subject, bound, bound, bound, 1.0, "given", n=100)
    state = run_state(request.config)
    found = judge(criterion, given, protocol=state.protocol, today=state.started_at.date())
    request.node.stash[VERDICT] = found
    if not request.config.option.setuponly:
        state.record(found)
    return found

def asking(question):
    @pytest.mark.criteria(question)
    def test(criterion, verdict):
        if criterion.id == os.environ.get("INTERRUPTED"):
            raise KeyboardInterrupt
        if criterion.id == os.environ.get("ENDED"):
            pytest.exit("enough", returncode=0)
        assert verdict.passed, explain(verdict)
    return test

for question in QUESTIONS:
    globals()[f"test_{question}"] = asking(question)
"""
NOT_REQUIRED, REQUIRED = "A2", "A1"

Session = Callable[..., int]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A pytest session over the suite in this process, which has torch already; returns its exit code."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = criteria\n")
    monkeypatch.setattr(pack, "write_pack", lambda results, *, reports, **_: reports / results.run_id)
    monkeypatch.setattr(environment, "environment", lambda **_: {})
    monkeypatch.setattr(evidence, "reached", lambda run: {})
    monkeypatch.setattr(evidence, "rescored", lambda run, **_: None)
    monkeypatch.setattr(evidence, "model_files", lambda run: {})
    monkeypatch.syspath_prepend(str(PROJECT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("TOX_ENV_DIR", raising=False)  # pytest would keep one cache there for the sessions of all tests

    def run(*arguments: str, **environment: str) -> int:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            plugins = ("-p", "harness.plugin", "-p", "fixtures.pipeline", "-p", "no:xdist")
            places = (f"--rootdir={tmp_path}", f"--reports={tmp_path}", str(tmp_path / "test_suite.py"))
            return int(pytest.main([*plugins, *places, "-s", "--import-mode=importlib", *arguments]))

    return run


def test_a_session_that_judges_everything_passes(session, capfd):
    assert session() == Exit.PASSED
    assert "RUN PASSED" in capfd.readouterr().out


def test_a_criterion_that_is_not_required_does_not_decide(session, capfd):
    assert session(WRONG=NOT_REQUIRED) == Exit.PASSED
    assert "RUN PASSED" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "code"),
    [
        (["-k", "not A1"], {}, Exit.INCOMPLETE),
        (["-k", "A1 or A2"], {}, Exit.INCOMPLETE),
        (["--deselect", "test_suite.py::test_accuracy"], {}, Exit.INCOMPLETE),
        (["-m", "not criteria"], {}, pytest.ExitCode.NO_TESTS_COLLECTED),
        (["-x"], {"WRONG": REQUIRED}, Exit.FAILED),
        (["--maxfail=1"], {"WRONG": REQUIRED}, Exit.FAILED),
        (["--stepwise"], {"WRONG": REQUIRED}, pytest.ExitCode.INTERRUPTED),
        (["--setup-plan"], {}, Exit.INCOMPLETE),
        (["--setup-only"], {}, Exit.INCOMPLETE),
        (["-p", "no:runner"], {}, pytest.ExitCode.USAGE_ERROR),
        (["-p", "no:skipping"], {"WRONG": REQUIRED}, Exit.FAILED),
        (["--runxfail"], {"WRONG": REQUIRED}, Exit.FAILED),
        (["-q", "-q", "--no-summary", "--tb=no"], {"WRONG": REQUIRED}, Exit.FAILED),
        ([], {"INTERRUPTED": REQUIRED}, pytest.ExitCode.INTERRUPTED),
        ([], {"ENDED": REQUIRED}, Exit.INCOMPLETE),
        (["-p", "no:terminal"], {"WRONG": REQUIRED}, Exit.FAILED),
        (["-p", "no:terminal", "-k", "not A1"], {}, Exit.INCOMPLETE),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_no_flag_lets_a_run_pass_whose_required_criteria_were_not_all_judged(
    session, capfd, arguments, environment, code
):
    assert session(*arguments, **environment) == code
    assert "RUN PASSED" not in capfd.readouterr().out


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("flag", ["-x", "--maxfail=1", "--stepwise"])
def test_a_criterion_that_is_not_required_stops_nothing(session, capfd, flag):
    assert session(flag, WRONG=NOT_REQUIRED) == Exit.PASSED
    assert "RUN PASSED" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--lf", "--stepwise"])
def test_what_passed_in_an_earlier_session_is_not_taken_over(session, capfd, flag):
    session(*([] if flag == "--lf" else [flag]), WRONG=REQUIRED)
    capfd.readouterr()
    assert session(flag) == Exit.INCOMPLETE
    said = capfd.readouterr().out
    assert "deselected" in said
    assert "RUN PASSED" not in said


def test_collecting_judges_nothing_and_says_nothing(session, capfd):
    assert session("--co", "-q") == 0
    assert "RUN" not in capfd.readouterr().out


def test_an_interrupted_session_says_that_it_was(session, capfd):
    session(INTERRUPTED=REQUIRED)
    assert "RUN NOT PASSED: interrupted" in capfd.readouterr().out
