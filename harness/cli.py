"""Which job does a command line ask for? `leukocyte-harness JOB ...`, which is `python -m harness JOB ...`.

Every job prints one line per finding and ends with 0 (all holds), 1 (something does not) or 2 (a wrong call); `--json`
prints the same for machines. To add a job, write a function in harness/jobs that registers its parser, and put it in
JOBS.
"""

from __future__ import annotations

import harness.core.threads  # noqa: F401  # isort: skip  (before anything that computes is imported)

import argparse
import gc
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from harness import __version__
from harness.core.errors import HarnessError
from harness.core.text import perhaps_meant
from harness.jobs.common import PROGRAM, RUN, WRONG_CALL, print_line, program
from harness.jobs.history import register_compare, register_index, register_log, register_promote
from harness.jobs.ledger import register_ledger
from harness.jobs.packs import register_card, register_claims, register_keygen, register_sign, register_verify
from harness.jobs.proof import register_prove
from harness.jobs.protocols import register_init, register_metrics, register_pin, register_plan, register_schema

if TYPE_CHECKING:
    from harness.jobs.common import Parsers

UNCOLLECTED = 100_000  # objects between two collections of garbage; Python's own 700 are for a process that stays
CUT_OFF = 141  # as a shell has it of a program that a closed pipe ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [RUN]:  # everything behind it is for pytest, whose options argparse would take for its own
        from harness.suite_run import run_suites

        return run_suites(given[1:])
    asked = parser_of_jobs().parse_args(given)
    # A job makes a million records and hardly a circle of them; to look for circles takes a tenth of its time.
    often = gc.get_threshold()
    gc.set_threshold(UNCOLLECTED, *often[1:])
    run: Callable[[argparse.Namespace], int] = asked.run
    try:
        code = run(asked)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads has read enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        return CUT_OFF
    except HarnessError as error:
        print_line(f"{type(error).__name__}: {error}", sys.stderr)
        return WRONG_CALL
    finally:
        gc.set_threshold(*often)


def parser_of_jobs() -> argparse.ArgumentParser:
    """What takes the command line of every job but `run`, which is pytest's."""
    parser: argparse.ArgumentParser = _Parser(prog=program(), description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    jobs = parser.add_subparsers(dest="job", metavar="JOB", required=True)
    for register in JOBS:
        register(jobs)
    return parser


class _Parser(argparse.ArgumentParser):
    """One whose every error names the next step; argparse makes those of the jobs of the same class."""

    def error(self, message: str) -> NoReturn:
        words = [each.partition("=")[0] for each in re.findall(r"(?:--|choice: ')[\w=-]+", message)]
        meant = perhaps_meant([each.removeprefix("choice: '") for each in words], self._known())
        super().error(f"{message}. {meant}{' ' * bool(meant)}See `{self.prog} --help`.")

    def _known(self) -> list[str]:
        """Its jobs, and the options of each: what is asked too much is told by the parser above."""
        jobs = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        options = [name for each in jobs for job in each.values() for name in job._option_string_actions]
        return [*self._option_string_actions, *(name for each in jobs for name in each), *options]


def register_run(jobs: Parsers) -> None:
    # Never parsed: `main` hands it on whole. Here for the list of jobs.
    jobs.add_parser(RUN, help="judge a classifier: the suites, with every option of `pytest` (see `run --help`)")


JOBS: tuple[Callable[[Parsers], None], ...] = (
    register_run,
    register_verify,
    register_sign,
    register_keygen,
    register_claims,
    register_compare,
    register_index,
    register_card,
    register_log,
    register_promote,
    register_ledger,
    register_metrics,
    register_schema,
    register_init,
    register_plan,
    register_pin,
    register_prove,
)
