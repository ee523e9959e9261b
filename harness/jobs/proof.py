"""The job that plants faults: prove."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.jobs.common import DOES_NOT_HOLD, HOLDS, print_line

if TYPE_CHECKING:
    from harness.jobs.common import Parsers


def register_prove(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "prove",
        help="is every check seen to close: is each planted fault caught, and does no clean control raise an alarm?",
        description="Plants every fault of fixtures/faults.py into a scratch copy of the embedded run and runs what "
        "must catch it. Leaves proof.json in --reports; later runs there put it into their pack.",
    )
    parser.add_argument("--quick", action="store_true", help="a chosen few of each kind, in minutes, as CI does")
    parser.add_argument(
        "--controls", type=int, default=0, metavar="N", help="also draw N other datasets, on which nothing may fail"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="faults whose id begins so (repeatable)"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many are tried at once (default: 2)")
    parser.add_argument(
        "--reports", type=Path, default=Path("reports"), metavar="DIR", help="default: reports; kept stages are reused"
    )
    parser.add_argument("--json", action="store_true", help="print the proof as JSON")
    parser.set_defaults(run=_run_prove)


def _run_prove(asked: argparse.Namespace) -> int:
    from harness.proof import PROOF, as_json, catalogue, lines, proof_of_this_code, prove, write_proof

    faults, controls = catalogue(quick=asked.quick, only=asked.only, seeds=asked.controls)

    def progress(label: str, done: int, total: int, detail: str) -> None:
        if not asked.json:
            print(f"{label}: {done} of {total} {detail}".rstrip(), file=sys.stderr, flush=True)

    proof = prove(faults, controls, reports=asked.reports, jobs=asked.jobs, quick=asked.quick, progress=progress)
    kept = proof_of_this_code(asked.reports)
    if not asked.only and not (asked.quick and kept is not None and not kept.quick):
        write_proof(proof, asked.reports / PROOF)  # a part of a proof is none, and a few do not stand for all
    if asked.json:
        print_line(as_json(proof).rstrip())
    else:
        for line in lines(proof):
            print_line(line)
    return HOLDS if proof.holds else DOES_NOT_HOLD
