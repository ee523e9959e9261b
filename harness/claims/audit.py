"""Can everything that a report states hold together, and what do its numbers not support?

One finding per thing that is wrong. A note is not a finding: it says what was searched and what the numbers leave open.
Every statement holds, cannot hold or is not checked; what is not checked is never called consistent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.claims.beside import FileExists, files, overclaims
from harness.claims.choice import Meter
from harness.claims.conflicts import Conflicts
from harness.claims.deciding import Terms
from harness.claims.findings import CONTRADICTIONS, AuditFinding
from harness.claims.notes import Note, notes_on
from harness.claims.pins import clashing_pins
from harness.claims.records import Accuracy, Averages, Matrix, Place, ReportClaims, Rounding, Size, names_of
from harness.claims.weighing import WORK, Labelled, Verdict, Weighed, weigh

__all__ = ["CONTRADICTIONS", "Audit", "AuditFinding", "Labelled", "Note", "Verdict", "audit"]

HOLDS, CANNOT_HOLD, UNREADABLE, NOT_CHECKED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Audit:
    """
    verdicts: of each statement, in order, with the reason where it was not checked.
    complete: False where a search stopped at its limit (the notes say where).
    """

    report: ReportClaims
    statements: tuple[Labelled, ...]
    verdicts: tuple[tuple[Verdict, str], ...]
    findings: tuple[AuditFinding, ...]
    notes: tuple[Note, ...]
    conflicts: tuple[tuple[str, Conflicts], ...]
    complete: bool

    @property
    def holds(self) -> bool:
        """Whether there is nothing to say against the report; what was not checked is said apart."""
        return not self.findings

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many statements hold, cannot hold and are not checked."""
        given = [verdict for verdict, _ in self.verdicts]
        wrong = sum(1 for each in self.findings if each.is_contradiction and not each.statements)
        left = sum(1 for each in self.report.unread if each.is_result)
        left += sum(1 for each in self.report.unbound if each.is_result)
        return (
            given.count(Verdict.HOLDS),
            given.count(Verdict.CANNOT_HOLD) + wrong,
            given.count(Verdict.NOT_CHECKED) + left,
        )

    @property
    def exit_code(self) -> int:
        """1: something cannot hold. 0: something was checked, and nothing is left unchecked. 3: anything else."""
        holds, cannot_hold, not_checked = self.counts
        if cannot_hold:
            return CANNOT_HOLD
        return HOLDS if holds and not not_checked else NOT_CHECKED


def audit(report: ReportClaims, *, rounding: Rounding, exists: FileExists) -> Audit:
    """
    Args:
        rounding: how the report is taken to have made its decimals.
        exists: whether a file lies beside the report, by the path that the report gives.
    """
    labelled = tuple(Labelled(f"S{i}", statement) for i, statement in enumerate(report.statements, start=1))
    findings = [AuditFinding("impossible", None, problem.message, problem.places) for problem in report.problems]
    notes = [Note(None, f"not read: {each.message}") for each in report.unread]
    conflicts, complete, budget = [], True, Meter(WORK)
    verdicts: dict[str, tuple[Verdict, str]] = {}
    for name in report.sets:
        own = tuple(entry for entry in labelled if entry.statement.set == name)
        terms = Terms(_classes_of(own, report.classes), rounding, name in report.open_sets)
        weighed = weigh(name, own, terms, budget=budget)
        verdicts.update({entry.id: weighed.verdict(index) for index, entry in enumerate(own)})
        conflicts.append((name, weighed.conflicts))
        findings += _findings(weighed)
        notes += notes_on(weighed)
        complete = complete and weighed.conflicts.complete and not weighed.undecided
    findings += overclaims(report)
    findings += [AuditFinding("versions", None, message, places) for message, places in clashing_pins(report.pins)]
    file_findings, file_notes = files(report, exists)
    findings += file_findings
    notes += file_notes
    in_order = tuple(verdicts[entry.id] for entry in labelled)
    return Audit(report, labelled, in_order, tuple(findings), tuple(notes), tuple(conflicts), complete)


def _classes_of(own: Sequence[Labelled], classes: tuple[str, ...]) -> tuple[str, ...]:
    """The report's classes, or those of a set that has its own. Without any, two classes stand for all: sums and
    accuracies need no more."""
    named = tuple(dict.fromkeys(name for entry in own for name in names_of(entry.statement.content)))
    tables = [entry.statement.content for entry in own if entry.statement.from_table]
    # A table that sums up, or a matrix, has all its classes in it; another may list some of the report's.
    is_whole = any(isinstance(content, Accuracy | Averages | Matrix | Size) for content in tables)
    if not {name.lower() for name in named} <= {name.lower() for name in classes} or (named and is_whole):
        extra = tuple(name for name in classes if name.endswith("(not named)"))
        classes = (*named, *extra) if set(named) <= set(classes) and not is_whole else named
    return classes if len(classes) >= 2 else (*classes, "one class", "another")[:2]


def _findings(weighed: Weighed) -> Iterator[AuditFinding]:
    """One per smallest conflict; of a table alone, one for all that one of its statements would explain."""
    why = {clash.members: clash for clash in weighed.clashes}
    told: set[int] = set()
    for group in weighed.conflicts.minimal:
        entries = [weighed.own[i] for i in sorted(group)]
        from_table = all(entry.statement.from_table for entry in entries)
        if from_table and len(group) > 1 and group & told:
            continue
        if from_table:
            told |= group
        said = " and ".join(f'{entry.id} "{entry.statement}" ({entry.statement.lines})' for entry in entries[:6])
        more = f" and {len(entries) - 6} more" if len(entries) > 6 else ""
        verb = "cannot be true" if len(entries) == 1 else "cannot hold together"
        clash = why.get(group)
        reason = weighed.reasons.why([entry.statement.content for entry in entries])
        if clash is not None and (len(group) == 1 or not reason):
            reason = clash.why
        places: tuple[Place, ...] = tuple(sorted({place for entry in entries for place in entry.statement.places}))
        message = f"{said}{more} {verb}{f': {reason}' if reason else ''}"
        ids = tuple(entry.id for entry in entries)
        yield AuditFinding("conflict", weighed.name, message, places, ids, clash.value if clash else "")
