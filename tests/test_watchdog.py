"""What takes longer than its time is told to give up; what does not is left alone, by one thread for all."""

from __future__ import annotations

import threading

from harness.model.watchdog import Watchdog

LONG_S, SHORT_S, MOST_S = 600.0, 0.01, 60.0


def n_watching() -> int:
    return sum(thread.name == "watchdog" for thread in threading.enumerate())


def test_what_is_due_is_given_up_and_nothing_else():
    dog, due, other = Watchdog(), threading.Event(), threading.Event()
    with dog.within(LONG_S, other.set), dog.within(SHORT_S, due.set):
        assert due.wait(MOST_S)  # though the thread slept until the longer one was due
    assert not other.is_set()


def test_what_ended_in_time_is_not_given_up_later():
    dog, ended, due = Watchdog(), threading.Event(), threading.Event()
    before = n_watching()
    for _ in range(20):
        with dog.within(SHORT_S * 10, ended.set):
            pass
    with dog.within(SHORT_S * 20, due.set):
        assert due.wait(MOST_S)
    assert not ended.is_set()
    assert n_watching() <= before + 1


def test_it_wakes_again_after_everything_was_done():
    dog = Watchdog()
    for _ in range(2):
        due = threading.Event()
        with dog.within(SHORT_S, due.set):
            assert due.wait(MOST_S)
