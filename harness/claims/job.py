"""`claims REPORT ...`: which reports are audited, and how is it said?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness import __version__
from harness.claims.audit import CANNOT_HOLD, HOLDS, NOT_CHECKED, UNREADABLE, Audit, audit
from harness.claims.listing import Read, as_annotations, as_csv, as_sarif
from harness.claims.printing import as_json, as_text
from harness.claims.reading import PACK_FILES, NothingToCheck, beside, read_report
from harness.claims.records import UnreadableReport

REPORTS = (".md", ".markdown", ".html", ".htm", ".txt", ".rst", ".adoc", ".org", ".tex", ".ipynb")
_SKIPPED = {".git", "node_modules", ".venv", "venv", "site-packages", "__pycache__"}


def run(asked: argparse.Namespace, *, print_text: Callable[[str], None], print_data: Callable[[str], None]) -> int:
    """
    Args:
        print_text: for people; print_data: for machines, as it is.
    Raises:
        UnreadableReport: a report cannot be read, or none states anything that can be checked.
    """
    read, refused = _audited(asked)
    for error in refused:
        print(error, file=sys.stderr)
    several = len(read) > 1 or _is_folder_of_reports(asked.report[0])
    if asked.csv:
        print_data(as_csv(read).rstrip("\n"))
    elif asked.sarif:
        print_data(as_sarif(read, version=__version__))
    elif asked.github:
        print_data(as_annotations(read))
    elif asked.json:
        made = [as_json(each.audit) for each in read]
        print_data(json.dumps(made if several else made[0], indent=2, ensure_ascii=True))
    else:
        for each in read:
            print_text(as_text(each.audit, verbose=asked.verbose))
        if several:
            print_text(_together(read))
    unreadable = any(not isinstance(error, NothingToCheck) for error in refused)
    return exit_code([each.audit for each in read], lenient=asked.lenient, unreadable=unreadable)


def exit_code(audits: Sequence[Audit], *, lenient: bool, unreadable: bool) -> int:
    """unreadable: whether one of several reports could not be read; only a conflict outweighs that."""
    codes = {each.exit_code for each in audits}
    if CANNOT_HOLD in codes:
        return CANNOT_HOLD
    if unreadable:
        return UNREADABLE
    return NOT_CHECKED if NOT_CHECKED in codes and not lenient else HOLDS


def _audited(asked: argparse.Namespace) -> tuple[list[Read], list[UnreadableReport]]:
    """(the reports that were audited, why each of the others was not); one that is unreadable stops none beside it."""
    found: list[Read] = []
    refused: list[UnreadableReport] = []
    for path in _reports(asked.report):
        try:
            report = read_report(path)
        except UnreadableReport as error:
            refused.append(error)
            continue
        found.append(Read(path.as_posix(), audit(report, rounding=asked.rounding, exists=beside(path))))
    if not found and not refused:
        raise UnreadableReport(f"{asked.report[0]}: a folder without a report in it. Name a report file.")
    if not found and not (asked.lenient and all(isinstance(error, NothingToCheck) for error in refused)):
        raise refused[-1]
    return found, refused


def _reports(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if _is_folder_of_reports(path):
            files = (file for file in path.rglob("*") if file.suffix.lower() in REPORTS and file.is_file())
            yield from sorted(file for file in files if not _SKIPPED & set(file.relative_to(path).parts))
        else:
            yield path


def _is_folder_of_reports(path: Path) -> bool:
    try:
        return path.is_dir() and not any((path / name).is_file() for name in PACK_FILES) and _has_reports(path)
    except OSError:
        return False


def _has_reports(path: Path) -> bool:
    return any(file.suffix.lower() in REPORTS for file in path.rglob("*"))


def _together(read: Sequence[Read]) -> str:
    totals = [sum(counts) for counts in zip(*(each.audit.counts for each in read), strict=True)]
    return f"{len(read)} reports: {totals[0]} hold, {totals[1]} cannot hold, {totals[2]} not checked."
