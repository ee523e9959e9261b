"""The job that reads, checks and merges ledgers of looks."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.jobs.common import DOES_NOT_HOLD, HOLDS, print_line

if TYPE_CHECKING:
    from harness.jobs.common import Parsers
    from harness.judge.look import Look


def register_ledger(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "ledger",
        help="is the chain of looks whole, and does it have every look of a pack?",
        description="Checks every hash of a ledger. With --pack also that nothing was taken out of it since that pack. "
        "With --merge, adds the looks of runs that went on beside it, such as another branch's.",
    )
    parser.add_argument("ledger", type=Path, metavar="FILE", help="such as reports/ledger.jsonl")
    parser.add_argument(
        "--merge",
        type=Path,
        action="append",
        default=[],
        metavar="OTHER",
        help="add to FILE every look of this ledger, or of this evidence pack, that FILE does not have (repeatable)",
    )
    parser.add_argument("--pack", type=Path, metavar="PACK", help="an evidence pack whose ledger.jsonl it continues")
    parser.add_argument("--json", action="store_true", help="print the looks as JSON")
    parser.set_defaults(run=_run_ledger)


def _run_ledger(asked: argparse.Namespace) -> int:
    from harness.judge.ledger import contains, head_of, merge_looks, read_ledger
    from harness.judge.look import LedgerError
    from harness.report.custody import backwards_told

    if not asked.ledger.exists() and not asked.merge:
        raise LedgerError(
            f"no ledger at {asked.ledger}. Name the file, such as reports/ledger.jsonl; if it was lost, add "
            "the looks that packs hold with --merge PACK, once for each pack."
        )
    try:
        others = {str(other): _looks_of(other) for other in asked.merge}
        added = merge_looks(asked.ledger, others) if others else ()
        looks = read_ledger(asked.ledger)
        held: tuple[Look, ...] = _looks_of(asked.pack) if asked.pack is not None else ()
    except LedgerError as error:
        print_line(json.dumps({"holds": False, "because": str(error)}) if asked.json else f"broken: {error}")
        return DOES_NOT_HOLD
    holds = contains(held, looks)
    if asked.json:
        said = {"holds": holds, "added": len(added), "looks": [_look_told(look) for look in looks]}
        print_line(json.dumps(said))
        return HOLDS if holds else DOES_NOT_HOLD
    for look in looks:
        print_line(f"{look.index}  {look.time}  {look.set} (n = {look.n}, {look.role})  {look.run}  {look.hash[:12]}")
    for told in backwards_told(looks):
        print_line(told)
    print_line(f"head: {head_of(looks)}")
    if asked.merge:
        print_line(f"added {len(added)} of {sum(map(len, others.values()))} looks; {asked.ledger} has {len(looks)}")
    if not holds:
        print_line(
            f"broken: {asked.ledger} does not have every look of {asked.pack} in its order: looks were taken out or "
            "replaced. Restore the ledger of before, or add what is missing with --merge."
        )
    return HOLDS if holds else DOES_NOT_HOLD


def _look_told(look: Look) -> dict[str, object]:
    """A look without its thousands of probabilities, pictures and keys."""
    return {
        name: value
        for name, value in asdict(look).items()
        if name not in ("answers", "likenesses", "pictures", "terms")
    }


def _looks_of(place: Path) -> tuple[Look, ...]:
    """The looks in a ledger, or in an evidence pack whose every digest verifies."""
    from harness.judge.ledger import parse_ledger, read_ledger
    from harness.judge.look import LedgerError
    from harness.pack.read import open_pack, require_verified

    if not place.exists():
        raise LedgerError(f"there is neither a ledger nor a pack at {place}. Name one of them.")
    if place.is_file() and place.suffix != ".zip":
        return read_ledger(place)
    pack = open_pack(place)
    require_verified(pack)
    if "ledger.jsonl" not in pack.files:
        return ()
    return parse_ledger(pack.read("ledger.jsonl"), where=f"{pack.name}/ledger.jsonl")
