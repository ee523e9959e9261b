"""Jobs on several packs: compare, index, and the registry of promoted ones."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.jobs.common import DOES_NOT_HOLD, HOLDS, print_line

if TYPE_CHECKING:
    from harness.jobs.common import Parsers


def register_compare(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "compare",
        help="is a candidate's run no worse than a baseline's, cell by cell?",
        description="Verifies both evidence packs, then judges the regression criteria of the candidate's own "
        "protocol on them. 0: every required one passed; 1: one did not; 2: a pack does not hold, or is not signed as "
        "asked.",
    )
    parser.add_argument("baseline", type=Path, metavar="BASELINE", help="evidence pack: folder or zip")
    parser.add_argument("candidate", type=Path, metavar="CANDIDATE", help="evidence pack: folder or zip")
    parser.add_argument(
        "--baseline-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="refuse the baseline unless this public key (PEM), or one of this trust file (TOML), signed it "
        "(repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    parser.add_argument(
        "--html", type=Path, metavar="OUT", help="write the comparison, and what changed between the two, as one page"
    )
    parser.set_defaults(run=_run_compare)


def _run_compare(asked: argparse.Namespace) -> int:
    from harness.core.errors import EvidenceError
    from harness.judge.criteria import explain
    from harness.metrics.comparison import remarks
    from harness.metrics.estimates import DISPLAY_LEVEL
    from harness.pack.compare import compare_packs
    from harness.pack.sign import trust_in
    from harness.pack.tables import as_json, baseline_record, change_record, comparison_record, verdict_record
    from harness.report.amended import change_told
    from harness.report.scores import scores_told, worse_corruptions
    from harness.report.sentences import baseline_told, worse_classes

    result = compare_packs(asked.baseline, asked.candidate, trust=trust_in(asked.baseline_key))
    if asked.html is not None:
        from harness.core.files import write_atomically
        from harness.pack.history import comparison_page

        told = [*baseline_told(result.baseline, result.protocol), *map(change_told, result.moved)]
        page = comparison_page(asked.baseline, asked.candidate, result, told=told)
        try:
            write_atomically(asked.html, page.encode())
        except OSError as error:
            raise EvidenceError(f"{asked.html} could not be written ({error.strerror}).") from None
    if asked.json:
        said = {
            "holds": result.holds,
            "baseline": baseline_record(result.baseline),
            "moved": [change_record(change) for change in result.moved],
            "verdicts": [verdict_record(verdict) for verdict in result.verdicts],
            "comparisons": {each.set: comparison_record(each) for each in result.comparisons},
            "corrupted_comparisons": {kind: comparison_record(each) for kind, each in result.corrupted.items()},
        }
        print_line(as_json(said).decode().rstrip())
        return HOLDS if result.holds else DOES_NOT_HOLD
    for line in baseline_told(result.baseline, result.protocol):
        print_line(line)
    for each in result.baseline.check.not_recomputed if result.baseline.check is not None else ():
        print_line(f"note: baseline: not made again: {each}")
    for change in result.moved:
        print_line(f"moved: {change_told(change)}")
    for verdict in result.verdicts:
        print_line(explain(verdict))
    for comparison in result.comparisons:
        if worse := worse_classes(comparison):
            print_line(f"worse: {comparison.set}: {', '.join(worse)}")
        if comparison.scores is not None:
            print_line(f"scores: {scores_told(comparison.scores, comparison.set)}")
        for remark in remarks(comparison, level=DISPLAY_LEVEL):
            print_line(f"note: {comparison.set}: {remark}")
        for cell in comparison.discordant:
            word = "gained" if cell.candidate_right else "lost"
            print_line(
                f"{word}: {comparison.set}: {cell.path!r} is {cell.reference}, baseline {cell.baseline}, candidate "
                f"{cell.candidate}"
            )
    if kinds := worse_corruptions(result.corrupted):
        print_line(f"worse: test, corrupted: {', '.join(kinds)}")
    return HOLDS if result.holds else DOES_NOT_HOLD


def register_index(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "index",
        help="what did the runs of a folder come to, one after another, and what changed between them?",
        description="Writes DIR/index.html, one file without scripts: the runs of DIR newest first, their verdicts, "
        "looks, trends of their estimates, and what changed between runs. Entries that are not packs, or do not "
        "verify, are listed as such. 1: there is such an entry.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the packs lie, such as reports")
    parser.add_argument(
        "--verify", action="store_true", help="make every number of every pack again first; seconds for each"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=_run_index)


def _run_index(asked: argparse.Namespace) -> int:
    from harness.pack.history import write_index

    place, runs, others = write_index(asked.folder, verify=asked.verify)
    if asked.json:
        said = {"index": str(place), "runs": [run.run_id for run in runs], "others": [asdict(each) for each in others]}
        print_line(json.dumps(said, indent=2))
    else:
        for run in runs:
            print_line(
                f"{run.started_at}  {'passed    ' if run.passed else 'NOT PASSED'}  {run.run_id}  {run.protocol}"
            )
        for each in others:
            print_line(f"no run: {each.folder!r}: {each.why}")
        print_line(f"history: {place}")
    return DOES_NOT_HOLD if others else HOLDS


def register_log(jobs: Parsers) -> None:
    parser = jobs.add_parser("log", help="index an evidence pack in MLflow (extra [mlflow])")
    parser.add_argument("pack", type=Path, metavar="PACK", help="folder or zip; passed or not")
    _takes_registry(parser)
    parser.set_defaults(run=_run_log)


def _run_log(asked: argparse.Namespace) -> int:
    from harness.pack.registry import log_run, registry_at

    run = log_run(asked.pack, registry=registry_at(asked.reports))
    print_line(json.dumps({"run": run}) if asked.json else f"indexed as MLflow run {run}")
    return HOLDS


def register_promote(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "promote",
        help="let an alias of the registry name a run that passed; later runs take it as their baseline",
        description="Refuses a pack that does not verify and a run that did not pass. Then "
        "`pytest suites/ --baseline=models:/NAME@ALIAS` compares with it.",
    )
    parser.add_argument("pack", type=Path, metavar="PACK", help="evidence pack: folder or zip")
    parser.add_argument("--name", default="leukocytes", help="registered model (default: leukocytes)")
    parser.add_argument("--alias", default="champion", help="default: champion")
    _takes_registry(parser)
    parser.set_defaults(run=_run_promote)


def _run_promote(asked: argparse.Namespace) -> int:
    from harness.pack.registry import NotPassed, promote, registry_at

    try:
        version = promote(asked.pack, name=asked.name, alias=asked.alias, registry=registry_at(asked.reports))
    except NotPassed as error:
        print_line(json.dumps({"refused": str(error)}) if asked.json else f"refused: {error}")
        return DOES_NOT_HOLD
    reference = f"models:/{asked.name}@{asked.alias}"
    said = {"reference": reference, "version": version}
    print_line(json.dumps(said) if asked.json else f"{reference} is version {version}, the run in {asked.pack}")
    return HOLDS


def _takes_registry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path("reports"),
        metavar="DIR",
        help="holds the registry mlflow.db, unless MLFLOW_TRACKING_URI names another (default: reports)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
