"""The pytest surface: options, outcomes, hooks. A thin front door; what it calls decides.

Asleep unless a collected test asks for a `criterion`: `pytest tests/` never wakes it.
"""

from __future__ import annotations

import harness.core.threads  # noqa: F401  # isort: skip  (before anything that computes is imported)

import shlex
import sys
import time
import traceback
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.core.errors import HarnessError
from harness.core.places import PROTOCOLS, SUITES
from harness.core.text import visible
from harness.job_page import append_to_job_page
from harness.judge.criteria import closed_gate, complete, explain, not_judged
from harness.judge.verdicts import Outcome
from harness.options import add_options
from harness.pack.junit import properties_of
from harness.protocol.criteria import Criterion
from harness.protocol.file import read_protocol
from harness.protocol.questions import QUESTIONS
from harness.protocol.records import Protocol
from harness.report.summary import SUMMARY, summary_without_pack
from harness.run.results import RunResults
from harness.session import OTHERWISE, STATE, VERDICT, Exit, RunState, exit_code
from harness.suite_run import as_called
from harness.terminal import spread_told, tell_run

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter
    from securesystemslib.signer import CryptoSigner

    from harness.pack.sign import Trust
    from harness.run.custody import Custody

DEFAULT_PROTOCOL = PROTOCOLS / "embedded.toml"
MOST_OUTSIDE = 200  # modules from outside that are recorded
STOPPED = "stopped"  # a stage could not go on: no verdict on the criterion whose test asked for it
LETTERS = {"failed": "F", "inconclusive": "?", "not assessed": "n", "not judged": "-", STOPPED: "E"}


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser.getgroup("validation", "validation run (pytest suites/)", after="general"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "criteria(question, per=None): the question, and whether of whole sets or of classes"
    )
    if _asks_for_suites(config):
        if getattr(config.option, "numprocesses", None) or getattr(config.option, "dist", "no") != "no":
            raise pytest.UsageError("the suites share one trained model and time it: run them without -n")
        _refuse_a_wrong_call(config)
        state = _state(config)  # a protocol that does not read ends here, in one line
        config.pluginmanager.register(_CollectionWatch(state))


def _refuse_a_wrong_call(config: pytest.Config) -> None:
    """A run judges one classifier, which it trains or one option names, and what is said of an option needs it."""
    named = [option for option in ("--model", "--model-command", "--predictions") if config.getoption(option)]
    if len(named) > 1:
        raise pytest.UsageError(f"{' and '.join(named)}: a run judges what one of them names. Leave the others away.")
    if config.getoption("--command-limit") and "--model-command" not in named:
        raise pytest.UsageError("--command-limit says what a command may take, and no --model-command names one.")
    if config.getoption("--baseline-key") and config.getoption("--baseline") is None:
        raise pytest.UsageError("--baseline-key says who must have signed a baseline, and no --baseline names one.")
    if config.getoption("--trust-model") and "--model" not in named:
        raise pytest.UsageError("--trust-model says which pickle may be opened, and no --model names one.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "criterion" in metafunc.fixturenames:
        wanted = _criteria_of(metafunc.definition, _state(metafunc.config).protocol)
        metafunc.parametrize("criterion", wanted, ids=[criterion.id for criterion in wanted])


class _CollectionWatch:
    """A file that could not be collected is a failure, whatever the tests that remain say."""

    def __init__(self, state: RunState) -> None:
        self._state = state

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._state.others_failed = self._state.others_failed or report.failed


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Data before split before model; a metric of which the protocol has no criterion has no test."""
    order = list(QUESTIONS)

    def question(item: pytest.Item) -> int:
        marker = item.get_closest_marker("criteria")
        return order.index(marker.args[0]) if marker else -1

    items.sort(key=question)
    empty = [item for item in items if _is_empty(item)]
    if empty:
        items[:] = [item for item in items if item not in empty]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A criterion behind a closed gate is not judged: its stages do not run, and nobody looks at its set."""
    state = item.config.stash.get(STATE, None)
    marker = item.get_closest_marker("criteria")
    if state is None or marker is None or item.config.getoption("--every-gate"):
        return
    callspec = getattr(item, "callspec", None)
    criterion = callspec.params.get("criterion") if callspec is not None else None
    if not isinstance(criterion, Criterion):
        # A test of the question as a whole looks at the same sets as the question's criteria do.
        criterion = next((c for c in state.protocol.criteria if c.question == marker.args[0]), None)
        if criterion is not None and (reason := closed_gate(criterion, state.verdicts.values())):
            pytest.skip(reason)
    elif reason := closed_gate(criterion, state.verdicts.values()):
        verdict = not_judged(criterion, reason)
        state.record(verdict)
        item.stash[VERDICT] = verdict
        pytest.skip(visible(explain(verdict)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    state = item.config.stash.get(STATE, None)
    if state is None:
        return report
    error = call.excinfo.value if call.excinfo else None
    verdict = item.stash.get(VERDICT, None)
    if report.failed and item.get_closest_marker("criteria") is None:
        state.others_failed = True  # somebody's own test, run beside the suites
    elif report.failed and (verdict is None or not isinstance(error, AssertionError)):
        # A failure that is not a verdict ends the run: what follows would only fail again in the same place.
        state.stopped_because = f"{type(error).__name__}: {error}"
        item.session.shouldfail = f"the run stopped: {type(error).__name__}"
        if isinstance(error, HarnessError):
            report.longrepr = visible(state.stopped_because)  # its words are for a person; a traceback would bury them
            report.user_properties += [("outcome", STOPPED), ("required", True)]
    if verdict is not None and report.when == _phase_of(verdict.outcome):
        told: list[tuple[str, object]] = [("criterion", verdict.criterion.id), ("outcome", str(verdict.outcome))]
        told += [("required", verdict.criterion.required), *properties_of(verdict)[2:]]
        report.user_properties += told
        item.user_properties += told  # of the last phase, too: pytest's own JUnit XML takes them from there
        if verdict.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
            # Even under `python -O`, where the assertion in the test is gone. What does not block is told under its own
            # word: as a failure of pytest's it would stop -x, and make --junitxml red.
            report.outcome = "failed" if verdict.blocks else "passed"
            report.longrepr = visible(explain(verdict)) if verdict.blocks else None
            report.sections.clear()  # what a library logged meanwhile is not part of a verdict
    return report


def _phase_of(outcome: str) -> str:
    """The phase in which a criterion's test ends: what is not judged or not assessed never reaches its call."""
    return "setup" if outcome in (Outcome.NOT_JUDGED, Outcome.NOT_ASSESSED) else "call"


def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    said = dict(getattr(report, "user_properties", ()))
    word = said.get("outcome")
    if word not in LETTERS or "required" not in said or report.when != _phase_of(word):
        return None
    letter = LETTERS[word]
    if said["required"] or word in (Outcome.NOT_ASSESSED, Outcome.NOT_JUDGED):
        return word, letter, word.upper()
    return f"{word} (not required)", letter.lower(), f"{word} (not required)".upper()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    state = session.config.stash.get(STATE, None)
    decided = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if state is not None and decided and not session.config.option.collectonly:
        if state.run is not None:
            try:
                _conclude(session, state)
            except Exception as error:  # whatever it is, a run without evidence must not look like a verdict
                if not isinstance(error, HarnessError):  # its words are for a person
                    traceback.print_exc()
                state.pack_error = f"{type(error).__name__}: {error}"
        session.exitstatus = exit_code(state)
        state.job_page_error = append_to_job_page(lambda: _job_summary(state))
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The reports folder is free again once the pack is written, or the session ended without one."""
    state = config.stash.get(STATE, None)
    if state is not None and state.hold is not None:
        state.hold.release()


def _job_summary(state: RunState) -> str:
    """The pack's summary.md, with what the pack cannot know."""
    if state.pack is None:
        why = state.pack_error or state.stopped_because or "no criterion was judged"
        return summary_without_pack(state.protocol.identity.id, why)
    text = (state.pack / SUMMARY).read_text(encoding="utf-8")
    if state.results is not None and state.results.passed and exit_code(state) is not Exit.PASSED:
        text += f"\nThe run passed, yet {OTHERWISE}.\n"
    return text


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    state = config.stash.get(STATE, None)
    if state is not None and not config.option.collectonly:
        tell_run(terminalreporter, state, interrupted=exitstatus == pytest.ExitCode.INTERRUPTED)


def run_state(config: pytest.Config) -> RunState:
    """The session's run; for the fixtures."""
    return _state(config)


def _state(config: pytest.Config) -> RunState:
    if STATE not in config.stash:
        try:
            protocol = read_protocol(config.getoption("--protocol") or DEFAULT_PROTOCOL)
            signer = _signer(config)  # hours before it is needed
            trust = _baseline_trust(config)
        except HarnessError as error:
            raise pytest.UsageError(visible(str(error))) from None
        config.stash[STATE] = RunState(protocol, signer=signer, baseline_trust=trust)
    return config.stash[STATE]


def _baseline_trust(config: pytest.Config) -> Trust | None:
    """The keys of which one must have signed the baseline; None where nobody insists."""
    if not (paths := config.getoption("--baseline-key")):
        return None
    from harness.pack.sign import trust_in  # half a second of cryptography

    return trust_in(paths)


def _signer(config: pytest.Config) -> CryptoSigner | None:
    """The key that --sign-key names, read whole: its passphrase is not asked for again."""
    path: Path | None = config.getoption("--sign-key")
    if path is None:
        return None
    from harness.pack.keys import read_signing_key

    return read_signing_key(path)


def _asks_for_suites(config: pytest.Config) -> bool:
    asked = [Path(str(argument).partition("::")[0]).resolve() for argument in config.args]
    return any(path.is_relative_to(SUITES) or SUITES.is_relative_to(path) for path in asked)


def _criteria_of(definition: pytest.Item, protocol: Protocol) -> list[Criterion]:
    marker = definition.get_closest_marker("criteria")
    if marker is None:
        raise pytest.UsageError(f"{definition.nodeid} takes a criterion but has no @pytest.mark.criteria(...)")
    (question,), per = marker.args, marker.kwargs.get("per")
    return [c for c in protocol.criteria if c.question == question and per in (None, c.entry.per)]


def _is_empty(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and not isinstance(callspec.params.get("criterion", ...), (Criterion, type(...)))


def _history(reports: Path) -> str:
    """Writes the index of the folder that the pack is in, and says where; no verdict depends on it."""
    from harness.pack.history import write_index

    try:
        return f"history: {write_index(reports).place}"
    except HarnessError as error:
        return f"no history: {error}"


def _custody(session: pytest.Session, state: RunState) -> Custody:
    """What else was loaded, which files are from the future, and who named the ledger."""
    from harness.run.custody import Custody, from_the_future, named_by, outside_code, python_path_folders
    from harness.run.stages.data import manifest

    config, run = session.config, state.run
    assert run is not None
    files = {"the protocol": state.protocol.source, "the ledger": run.setting.options.ledger}
    if (found := run.result(manifest)) is not None:
        files |= {f"the image {image.path!r}": found.root / image.path for image in found.images}
    outside = tuple(outside_code(dict(sys.modules), plugins=config.pluginmanager.get_plugins()))
    return Custody(
        outside=outside[:MOST_OUTSIDE],
        n_outside=len(outside),
        python_path=tuple(folder.name for folder in python_path_folders()),
        future=from_the_future(files, now=time.time()),
        ledger_named_by=named_by("--ledger", config.getoption("--ledger"), words=config.invocation_params.args),
    )


def _conclude(session: pytest.Session, state: RunState) -> None:
    """One list of verdicts, and the pack that is written from it."""
    from harness.model.devices import choose_device, device_name
    from harness.pack.write import write_pack
    from harness.proof import proof_of_this_code
    from harness.report.sections.failures import to_explain
    from harness.run.environment import environment
    from harness.run.evidence import (
        engine_asked,
        explained,
        external_pictures,
        given_files,
        model_files,
        reached,
        rescored,
    )
    from harness.run.stages.data import manifest

    assert state.run is not None
    config = session.config
    early = state.stopped_because or session.shouldfail or session.shouldstop
    otherwise = "the run stopped before it" if early else "its test was not selected"
    device = device_name(choose_device(state.run.setting.device))
    with state.run.spent.on("scoring a few cells again"):
        again = rescored(
            state.run,
            command=config.getoption("--model-command"),
            limits=dict(config.getoption("--command-limit")),
            trusted=config.getoption("--trust-model"),
        )
    state.results = RunResults(
        run_id=state.run_id,
        started_at=state.started_at.isoformat(timespec="seconds"),
        seconds=time.monotonic() - state.started,
        command=shlex.join(as_called([*map(str, config.invocation_params.args)])),
        protocol=state.protocol,
        environment=environment(
            device=device, source=state.source, engine=engine_asked(state.run.setting), spread=spread_told(state)
        ),
        packages=state.packages,
        proof=proof_of_this_code(config.getoption("--reports")),
        custody=_custody(session, state),
        rescored=again,
        signed_with=state.signer.public_key.keyid if state.signer is not None else None,
        verdicts=complete(state.protocol, state.verdicts.values(), otherwise=otherwise),
        stopped_because=state.stopped_because,
        **reached(state.run),
    )
    with state.run.spent.on("maps and nearest training pictures"):
        if shown := to_explain(state.results):
            state.results = replace(state.results, explanations=explained(state.run, shown))
    try:
        with state.run.spent.on("figures, page and pack"):
            state.pack = write_pack(
                state.results,
                reports=config.getoption("--reports"),
                manifest=state.run.result(manifest),
                models=model_files(state.run),
                given=given_files(state.run),
                elsewhere=external_pictures(state.run),
                formats=state.protocol.dataset.images.formats,
                signer=state.signer,
            )
            state.history = _history(config.getoption("--reports"))
        if config.getoption("--mlflow"):
            from harness.pack.registry import log_run, registry_at

            log_run(state.pack, registry=registry_at(config.getoption("--reports")))
    except HarnessError as error:
        state.pack_error = str(error)
