"""What a run prints on the terminal: progress while it lasts, then what it came to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.progress import Report, TerminalProgress
from harness.core.spent import spent_told
from harness.core.text import visible
from harness.judge.criteria import explain
from harness.judge.verdicts import Outcome
from harness.report.amended import changes_told, to_write
from harness.report.custody import custody_told, ledger_told
from harness.report.sentences import (
    baseline_told,
    conclusion,
    doubts_told,
    gates_told,
    given_told,
    looks_left_told,
    looks_told,
    readings_told,
    regressions_told,
    sets_told,
    verdict_table,
)
from harness.session import OTHERWISE, Exit, RunState, exit_code

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.model.records import JudgedModel

SECONDS_BETWEEN_UPDATES = 0.1


def tell_run(terminal: TerminalReporter, state: RunState, *, interrupted: bool) -> None:
    """What the run came to, in the order in which somebody before a red job reads it."""
    if state.results is None:
        if state.stopped_because is not None:
            _line(terminal, f"stopped: {state.stopped_because}", red=True)
        if interrupted:
            why = "interrupted; the same command goes on from what was finished"
        else:
            why = state.pack_error or "no criterion was judged"
        _line(terminal, f"RUN NOT PASSED: {why}", red=True, bold=True)
        return
    results = state.results
    terminal.section(f"verdicts ({results.protocol.identity.id})")
    for line in (*verdict_table(results.verdicts), ""):
        _line(terminal, line)
    if results.stopped_because is not None:
        _line(terminal, f"stopped: {results.stopped_because}", red=True)
    for verdict in results.verdicts:
        if verdict.blocks and verdict.outcome is Outcome.INCONCLUSIVE:
            _line(terminal, explain(verdict), yellow=True)
    for line in doubts_told(results):
        _line(terminal, line, yellow=True)
    for line in (*readings_told(results), *sets_told(results), *looks_told(results), *looks_left_told(results)):
        _line(terminal, line)
    if (model := results.model) is not None:
        _line(terminal, f"judged: {judged_told(model)}; its training cells: {model.cells}")
    for line in given_told(results):
        _line(terminal, line)
    if results.baseline is not None:
        for line in (*baseline_told(results.baseline, results.protocol), *regressions_told(results)):
            _line(terminal, line)
    if (closed := gates_told(results.verdicts)) is not None:
        _line(terminal, closed, yellow=True)
        _line(terminal, "--every-gate also judges what lies behind a closed gate; the run does not pass by it")
    for line in _time_told(state):
        _line(terminal, line)
    if where := spread_told(state):
        _line(terminal, f"spread by {where}")
    for line in ledger_told(results):
        _line(terminal, line)
    for line in custody_told(results):
        _line(terminal, line, yellow=True)
    for line in (*changes_told(results), *to_write(results.undeclared)):
        _line(terminal, line, yellow=True)
    if results.passed and exit_code(state) is not Exit.PASSED:
        _line(terminal, f"every required criterion passed, yet {OTHERWISE}", red=True, bold=True)
    else:
        _line(terminal, conclusion(results), green=results.passed, red=not results.passed, bold=True)
    if state.pack_error is not None:
        missing = "no evidence pack" if state.pack is None else "not indexed in MLflow"
        _line(terminal, f"{missing}: {state.pack_error}", red=True, bold=True)
    if state.job_page_error is not None:
        _line(terminal, state.job_page_error, red=True)
    if state.pack is not None:
        signed = f"signed with key id {results.signed_with}" if results.signed_with is not None else "unsigned draft"
        _line(terminal, f"evidence: {signed}")
        _line(terminal, f"report: {state.pack}/index.html")
    if state.history is not None:
        _line(terminal, state.history)


def _time_told(state: RunState) -> list[str]:
    return [] if state.run is None else spent_told(state.run.spent, total_s=time.monotonic() - state.started)


def spread_told(state: RunState) -> str:
    """What workers of `--engine dask` did, and what they did not; "" without them."""
    spread = state.run.setting.options.spread if state.run is not None else None
    return "" if spread is None else spread.told


def _line(terminal: TerminalReporter, text: str, **style: bool) -> None:
    """A line without what would drive the terminal: names and words from outside may hold escape codes."""
    terminal.line(visible(text), **style)


def judged_told(model: JudgedModel) -> str:
    """What was judged: a file by its digest; a command by what is known of it, which is not what is inside."""
    if (command := model.command) is None:
        return f"{model.file!r}, SHA-256 {model.sha256}"
    files = ", ".join(f"{each.name} SHA-256 {each.sha256}" for each in command.files) or "no file"
    return f"the command {command.line!r}, which calls itself {command.name!r} {command.version} and names {files}"


def terminal_report(config: pytest.Config) -> Report:
    """Progress that reaches the terminal although pytest captures output."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if reporter is None or config.option.verbose < 0:
        return lambda label, done, total, detail: None
    progress = TerminalProgress(_Terminal(reporter), live=reporter.isatty)
    last = [0.0]

    def report(label: str, done: int, total: int, detail: str) -> None:
        now = time.monotonic()
        if done < total and now - last[0] < SECONDS_BETWEEN_UPDATES:
            return
        last[0] = now
        with capture.global_and_fixture_disabled():
            if reporter.isatty and not progress.active:
                reporter.ensure_newline()  # the bar would wipe out the name of the test file
            progress(label, done, total, detail)

    return report


def tell(config: pytest.Config, lines: Sequence[str]) -> None:
    """Lines that reach the terminal at once, although pytest captures output."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if reporter is None or not lines:
        return
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        for line in lines:
            _line(reporter, line, yellow=True)


class _Terminal:
    """The little of a text stream that progress needs, over pytest's reporter."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter

    def write(self, text: str) -> int:
        if not self._reporter.isatty:
            self._reporter.ensure_newline()
        self._reporter.write(text, flush=True)
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return bool(self._reporter.isatty)
