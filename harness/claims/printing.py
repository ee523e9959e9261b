"""How is an audit written, for a person and for a machine? Both say the same."""

from __future__ import annotations

from typing import Any

from harness.claims.audit import Audit, AuditFinding, Verdict
from harness.claims.records import Place, Statement, lines_of

SCHEMA = 1


def as_text(audit: Audit, *, verbose: bool = False) -> str:
    """What was read, one line per finding, the notes, the verdict.

    verbose: also the text of every line that a statement was read from.
    """
    report = audit.report
    n, n_sets = len(audit.statements), len(report.sets)
    read = f"{n} statement{'s' * (n != 1)} about {n_sets} set{'s' * (n_sets != 1)} {'were' if n != 1 else 'was'} read"
    out = [f"{_seen(report.name)}: {read}"]
    verdicts = {entry.id: verdict for entry, verdict in zip(audit.statements, audit.verdicts, strict=True)}
    for name in report.sets:
        out.append(f"  {_seen(name)}")
        for entry in audit.statements:
            if entry.statement.set == name:
                verdict, reason = verdicts[entry.id]
                said = {Verdict.CONTEXT: "", Verdict.HOLDS: ""}.get(verdict, f": {verdict.value}")
                why = f", {reason}" if reason else ""
                out.append(f"    {entry.id:4} {_seen(str(entry.statement))} ({entry.statement.lines}){said}{why}")
                out += _quoted(entry.statement) if verbose else []
    if report.unbound:
        out.append("  of no clear set (never combined with others)")
        for statement in report.unbound:
            out.append(f"         {_seen(str(statement))} ({statement.lines})")
            out += _quoted(statement) if verbose else []
    if report.pins and verbose:
        out.append(
            "  versions: " + ", ".join(f"{pin.name} {pin.version} (line {pin.place.line})" for pin in report.pins)
        )
    out.append("")
    out += [_finding(finding) for finding in audit.findings]
    out += [f"note{_of(note.set)}: {_seen(note.message)}" for note in audit.notes]
    out += _last_lines(audit)
    return "\n".join(out)


def _last_lines(audit: Audit) -> list[str]:
    n = len(audit.findings)
    said = ["no findings."]
    if n:
        plural = "" if n == 1 else "s"
        said = [f"{n} finding{plural}. A finding says that the report is wrong, never which statement is right."]
    holds, cannot_hold, not_checked = audit.counts
    return [*said, f"{holds} hold, {cannot_hold} cannot hold, {not_checked} not checked."]


def as_json(audit: Audit) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "schema": SCHEMA,
        "report": audit.report.name,
        "holds": audit.holds,
        "complete": audit.complete,
        "classes": list(audit.report.classes),
        "statements": [
            {
                "id": entry.id,
                "set": entry.statement.set,
                "kind": type(entry.statement.content).__name__,
                "text": str(entry.statement),
                "places": _places(entry.statement.places),
            }
            for entry in audit.statements
        ],
        "unbound": [{"text": str(s), "places": _places(s.places)} for s in audit.report.unbound],
        "findings": [
            {
                "kind": finding.kind,
                "set": finding.set,
                "message": finding.message,
                "statements": list(finding.statements),
                "places": _places(finding.places),
            }
            for finding in audit.findings
        ],
        "consistent": {
            name: [[_ids(audit, name)[i] for i in sorted(group)] for group in conflicts.maximal]
            for name, conflicts in audit.conflicts
        },
        "notes": [{"set": note.set, "message": note.message} for note in audit.notes],
    }


def _ids(audit: Audit, name: str) -> list[str]:
    return [entry.id for entry in audit.statements if entry.statement.set == name]


def _finding(finding: AuditFinding) -> str:
    where = "" if finding.kind == "conflict" else f" ({lines_of(finding.places)})"
    return f"{finding.kind}{_of(finding.set)}: {_seen(finding.message)}{where}"


def _of(name: str | None) -> str:
    return f" {_seen(name)}" if name else ""


def _quoted(statement: Statement) -> list[str]:
    return [f"           {place.line}: {_seen(place.text)[:160]}" for place in statement.places]


def _places(places: tuple[Place, ...]) -> list[dict[str, Any]]:
    return [{"file": place.file, "line": place.line, "text": place.text} for place in places]


def _seen(text: str) -> str:
    """Text from outside, on one line, with nothing in it that a terminal would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)
