"""What could have had a hand in the run, in sentences: it blocks nothing, and whoever reads a verdict should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.core.text import first_few
from harness.judge.clock import MOST_TOLD, backwards, dated_after
from harness.judge.ledger import head_of
from harness.judge.look import Look
from harness.report.wording import duration
from harness.run.custody import Custody
from harness.run.results import RunResults

MOST_MODULES = 6
OPENLY = ("default", "the command line")


def custody_told(results: RunResults) -> list[str]:
    """One line for each thing that is not as in a run that nobody touched."""
    told = [*_clock_told(results)]
    if results.rescored is not None and results.rescored.not_done:
        told.append(f"no judged cell was scored again by another path: {results.rescored.not_done}")
    return told if results.custody is None else [*told, *_outside_told(results.custody), *_named_told(results.custody)]


def rescored_words(results: RunResults) -> list[str]:
    """What the last line says where judged answers are not those that the classifier gives again."""
    found = results.contradictions
    if not found or results.rescored is None:
        return []
    named = "; ".join(first_few(found, MOST_TOLD, more="and {n} more"))
    return [
        f"{len(found)} of {len(results.rescored.cells)} cells got another answer when a fresh process scored them "
        f"again by the classifier's file: {named}"
    ]


def ledger_told(results: RunResults) -> list[str]:
    """What whoever wants to find a lost ledger must keep."""
    if not results.ledger:
        return []
    head, n = head_of(results.ledger), len(results.ledger)
    own = all(look.run == results.run_id for look in results.ledger)
    begun = " It begins with this run: nothing here can tell whether there was one before." if own else ""
    looks = "1 look" if n == 1 else f"{n:,} looks"
    return [f"ledger: {looks}; keep it, or its head for the next run: --ledger-head={head}.{begun}"]


def backwards_told(looks: Sequence[Look]) -> list[str]:
    """One line for each look that is dated before the one ahead of it."""
    return [
        f"time goes backwards in the ledger: look {after.index} is of {after.time}, look {before.index} before it of "
        f"{before.time}; a clock was set back, or another ledger was merged"
        for before, after in backwards(looks)
    ]


def _clock_told(results: RunResults) -> Iterator[str]:
    yield from first_few(backwards_told(results.ledger), MOST_TOLD, more="and {n} more looks")
    late = dated_after(results.ledger, run=results.run_id, started_at=results.started_at)
    if late:
        yield (
            f"the run began at {results.started_at}, before look {late[-1].index} of {late[-1].time} that was on "
            "record: a clock was set back, and the last days of waivers and keys are measured by it"
        )
    future = () if results.custody is None else results.custody.future
    for each in future[:MOST_TOLD]:
        yield (
            f"{each.what} is dated {duration(each.newer_by_s)} after the clock of this machine: one of the two is "
            "wrong, and the last days of waivers and keys are measured by the clock"
        )
    if len(future) > MOST_TOLD:
        yield f"and {len(future) - MOST_TOLD} more files are dated after the clock"


def _outside_told(custody: Custody) -> Iterator[str]:
    if custody.outside:
        named = [f"{each.module} ({each.file}, by {each.by})" for each in custody.outside]
        more = custody.n_outside - len(custody.outside)
        rest = [f"and {more} more"] if more else []
        yield (
            "code from outside checkout and environment was loaded, and can change any number: "
            f"{', '.join([*first_few(named, MOST_MODULES, more='and {n} more'), *rest])}"
        )
    if custody.python_path:
        yield f"PYTHONPATH names folders outside checkout and environment: {', '.join(custody.python_path)}"


def _named_told(custody: Custody) -> Iterator[str]:
    if custody.ledger_named_by not in OPENLY:
        yield f"the ledger was named by {custody.ledger_named_by}, not on the command line"
