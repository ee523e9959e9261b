"""Progress: a bar that leaves no trace on a terminal, few lines in a log."""

from __future__ import annotations

import io
import re

import pytest

from harness.core.progress import SECONDS_WORTH_A_LINE, TerminalProgress, silent


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("harness.core.progress.time.monotonic", clock)
    return clock


def log_of(clock: Clock, *steps: tuple[float, str, int, int, str]) -> str:
    """What a log holds after these steps: (seconds since the step before, label, done, total, detail)."""
    stream = io.StringIO()
    progress = TerminalProgress(stream, live=False)
    for seconds, *step in steps:
        clock.now += seconds
        progress(*step)
    progress.close()
    return stream.getvalue()


def screen(text: str) -> str:
    """What a terminal shows after this output: lines, carriage returns, cursor up and erased lines."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|.|\n", text):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif re.fullmatch(r"\x1b\[\d*A", token):
            row = max(0, row - int(token[2:-1] or 1))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token.startswith("\x1b"):
            assert token[-1] in "mhl", f"the terminal of this test does not know {token!r}"
        else:
            line = lines[row].ljust(column)
            lines[row], column = line[:column] + token + line[column + 1 :], column + 1
    return "\n".join(lines).rstrip()


# --- in a log -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (SECONDS_WORTH_A_LINE - 0.01, ""),
        (SECONDS_WORTH_A_LINE, "  training: 1.0 s\n"),
        (61.26, "  training: 61.3 s\n"),
    ],
)
def test_only_work_that_took_a_while_is_worth_a_line(clock, seconds, expected):
    assert log_of(clock, (0, "training", 0, 10, ""), (seconds, "training", 10, 10, "")) == expected


def test_a_line_ends_with_the_last_detail(clock):
    steps = [(0, "phase1", 0, 2, ""), (2, "phase1", 1, 2, "loss 0.9"), (2, "phase1", 2, 2, "loss 0.5")]
    assert log_of(clock, *steps) == "  phase1: 4.0 s, loss 0.5\n"


def test_nothing_is_said_before_the_work_is_done(clock):
    assert log_of(clock, (0, "training", 0, 10, ""), (500, "training", 9, 10, "nearly")) == ""


def test_each_piece_of_work_has_a_clock_of_its_own(clock):
    steps = [(0, "one", 0, 1, ""), (5, "one", 1, 1, ""), (0, "two", 0, 1, ""), (0.5, "two", 1, 1, "")]
    assert log_of(clock, *steps) == "  one: 5.0 s\n"


def test_work_of_the_same_name_begins_anew_after_it_was_done(clock):
    # The same set decoded twice, an hour of something else that reports nothing in between.
    again = [(0, "decoding", 0, 1, ""), (2, "decoding", 1, 1, "")]
    assert log_of(clock, *again, (3600, *again[0][1:]), again[1]) == "  decoding: 2.0 s\n" * 2


def test_work_that_is_reported_as_done_twice_is_one_line(clock):
    assert log_of(clock, (0, "x", 0, 1, ""), (2, "x", 1, 1, ""), (0, "x", 1, 1, "")) == "  x: 2.0 s\n"


def test_silent_says_nothing(capsys):
    silent("training", 10, 10, "done")
    assert capsys.readouterr() == ("", "")


# --- on a terminal --------------------------------------------------------------------------------


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("wide")
def test_the_bar_shows_where_the_work_is_and_goes_away_at_its_end():
    stream = io.StringIO()
    stream.write("before\n")
    progress = TerminalProgress(stream, live=True)
    progress("training", 0, 10, "")
    progress("training", 4, 10, "loss 0.31")
    during = screen(stream.getvalue())
    assert re.search(r"training .* 4/10 .* loss 0\.31", during)
    progress("training", 10, 10, "")
    assert screen(stream.getvalue()) == "before"


@pytest.mark.usefixtures("wide")
def test_the_next_piece_of_work_takes_the_place_of_the_last():
    stream = io.StringIO()
    progress = TerminalProgress(stream, live=True)
    progress("one", 1, 10, "")
    progress("two", 2, 20, "")
    during = screen(stream.getvalue())
    assert "2/20" in during
    assert "one" not in during
    progress.close()
    assert screen(stream.getvalue()) == ""


@pytest.mark.usefixtures("wide")
def test_a_bar_that_is_closed_early_goes_away_and_comes_back_for_the_next_work():
    stream = io.StringIO()
    progress = TerminalProgress(stream, live=True)
    progress("one", 1, 10, "")
    progress.close()
    progress.close()
    assert screen(stream.getvalue()) == ""
    progress("one", 2, 10, "")
    assert "2/10" in screen(stream.getvalue())
    progress("one", 10, 10, "")
    assert screen(stream.getvalue()) == ""
