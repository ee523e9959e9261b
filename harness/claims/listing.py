"""How are many audits written for a machine? A line per statement, SARIF, or annotations of a pull request."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.claims.audit import Audit, Verdict
from harness.claims.findings import AuditFinding
from harness.claims.records import Place, lines_of

COLUMNS = ("file", "line", "question", "id", "statement", "verdict", "recomputed", "why")
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Read:
    """One report and its audit. path: as it was given, with forward slashes."""

    path: str
    audit: Audit


def as_csv(reports: Sequence[Read]) -> str:
    """One line per statement; then what cannot hold by itself, what is of no clear set and what was left alone."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for read in reports:
        for row in _rows(read.audit):
            writer.writerow([_cell(read.path), *map(_cell, row)])
    return out.getvalue()


def _rows(audit: Audit) -> Iterator[tuple[str, ...]]:
    blamed: dict[str, AuditFinding] = {}
    for finding in audit.findings:
        for each in finding.statements:
            blamed.setdefault(each, finding)
    for entry, (verdict, why) in zip(audit.statements, audit.verdicts, strict=True):
        told = blamed.get(entry.id) if verdict is Verdict.CANNOT_HOLD else None
        statement = entry.statement
        yield (
            _numbers(statement.places),
            statement.set,
            entry.id,
            str(statement),
            verdict.value,
            told.value if told else "",
            told.message if told else why,
        )
    for finding in audit.findings:
        if finding.is_contradiction and not finding.statements:
            yield _numbers(finding.places), finding.set or "", "", finding.message, "cannot hold", "", finding.kind
    for statement in audit.report.unbound:
        yield _numbers(statement.places), "", "", str(statement), "not checked", "", "what it is about is not said"
    for left in audit.report.unread:
        yield str(left.line or ""), "", "", left.message, "not checked", "", "recognised and not understood"


def _numbers(places: Sequence[Place]) -> str:
    return " ".join(str(number) for number in sorted({place.line for place in places}))


def _cell(text: str) -> str:
    """No cell that a spreadsheet would compute."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_sarif(reports: Sequence[Read], *, version: str) -> str:
    """SARIF 2.1.0: what cannot hold is an error, what was recognised and not checked a note."""
    results = [result for read in reports for result in _results(read)]
    rules = [
        {"id": rule, "shortDescription": {"text": text}}
        for rule, text in (
            ("cannot-hold", "Printed numbers that cannot all be true"),
            ("remark", "A word that claims more than the counts carry"),
            ("not-checked", "A printed result that nothing printed decides"),
        )
    ]
    driver = {"name": "leukocyte-harness claims", "version": version, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results}
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def _results(read: Read) -> Iterator[dict[str, Any]]:
    for level, rule, message, line in _remarks(read.audit):
        region = {"startLine": max(1, line)}
        place = {"physicalLocation": {"artifactLocation": {"uri": read.path}, "region": region}}
        yield {"ruleId": rule, "level": level, "message": {"text": message}, "locations": [place]}


def as_annotations(reports: Sequence[Read]) -> str:
    """Workflow commands of GitHub Actions, a line each."""
    words = {"error": "error", "warning": "warning", "note": "notice"}
    out = []
    for read in reports:
        for level, rule, message, line in _remarks(read.audit):
            place = f"file={_property(read.path)},line={max(1, line)},title={_property(rule)}"
            out.append(f"::{words[level]} {place}::{_escaped(message)}")
    return "\n".join(out)


def _remarks(audit: Audit) -> Iterator[tuple[str, str, str, int]]:
    """(level, rule, message, line) of everything that is to be looked at."""
    for finding in audit.findings:
        level, rule = ("error", "cannot-hold") if finding.is_contradiction else ("warning", "remark")
        lines = sorted({place.line for place in finding.places}) or [1]
        yield level, rule, finding.message, lines[-1]
    for entry, (verdict, why) in zip(audit.statements, audit.verdicts, strict=True):
        if verdict is Verdict.NOT_CHECKED:
            yield "note", "not-checked", f"{entry.statement}: {why}", entry.statement.places[0].line
    for statement in audit.report.unbound:
        if statement.is_result:
            said = f"{statement.content} ({lines_of(statement.places)}): what it is about is not said"
            yield "note", "not-checked", said, statement.places[0].line
    for each in audit.report.unread:
        if each.is_result:
            yield "note", "not-checked", each.message, each.line


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
