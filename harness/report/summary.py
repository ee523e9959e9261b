"""What must somebody read on a job page who reads no more? Records in, under sixty lines of Markdown out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.core.text import first_few, shortened, visible
from harness.judge.criteria import behind_closed_gates, bounds, measured, requirement, subject_of
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.comparison import Comparison, DiscordantCell
from harness.report.amended import changes_told
from harness.report.custody import custody_told, ledger_told
from harness.report.scores import MOST_CELLS, MOST_CLASSES, brier_told, worse_corruptions
from harness.report.sentences import (
    MOST_IDS,
    baseline_told,
    conclusion,
    gates_told,
    given_told,
    looks_left_told,
    looks_told,
    sets_told,
    worse_classes,
)
from harness.report.wording import duration
from harness.run.results import RunResults

SUMMARY = "summary.md"
# 1 did not tell which looks are left, 2 nothing of what the protocol fixes and requires, 3 nothing of custody.
VERSION = 4
MOST_CUSTODY = 5
# Together with everything that is said once, these stay under sixty lines.
MOST_ROWS = 12
MOST_SETS = 3
MOST_CHANGES = 6
MOST_GIVEN = 6  # lines on predictions that existed
LONGEST_TEXT = 300
# What Markdown reads as more than text; a job page also makes links of bare addresses.
MARKUP = re.compile(r"([\\`*_\[\]<>|#~$&@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
FENCES = re.compile("`+")


def summary(results: RunResults, *, version: int = VERSION) -> str:
    """The run in Markdown: the verdict, what did not pass, what got worse, which look it was, where the report is.

    Names and reasons from outside are escaped: nothing in them becomes a link, a heading or a column.

    version: of what it tells; packs have the one of their time.
    """
    word, _, why = conclusion(results, formerly=version < 3).partition(": ")
    said = [
        f"## {word}: {plain(results.protocol.identity.id)}",
        "",
        f"{plain(why[:1].upper() + why[1:])}.",
        "",
        *([f"The run stopped: {plain(results.stopped_because)}", ""] if results.stopped_because is not None else []),
        *_not_passed(results.verdicts),
        *_regression(results),
        *(f"- {plain(line)}" for line in _remarks(results, version=version)),
        "",
        f"Run {code(results.run_id)} took {duration(results.seconds)}.",
        f"Report: {code(results.run_id + '/index.html')} in the folder of evidence packs (`--reports`).",
    ]
    return "\n".join(said) + "\n"


def summary_without_pack(protocol: str, why: str) -> str:
    """The same for a run that left no evidence."""
    return f"## RUN NOT PASSED: {plain(protocol)}\n\nNo evidence pack was written: {plain(why)}\n"


def _not_passed(verdicts: Sequence[Verdict]) -> list[str]:
    """The table of what was found to block; what was never judged is counted above, and has nothing to show."""
    rows = [verdict for verdict in verdicts if verdict.blocks and verdict.outcome is not Outcome.NOT_JUDGED]
    if not rows:
        return []
    said = ["| criterion | outcome | value | bounds | required |", "| --- | --- | --- | --- | --- |"]
    said += [_row(verdict) for verdict in rows[:MOST_ROWS]]
    if more := rows[MOST_ROWS:]:
        said += ["", f"{_ids(more)} did not pass either."]
    return [*said, ""]


def _row(verdict: Verdict) -> str:
    criterion, found = verdict.criterion, verdict.estimate
    value = measured(found, beside=criterion.bound) if found is not None else verdict.reason.partition("\n")[0]
    interval = bounds(found, beside=criterion.bound) if found is not None else ""
    cells = (f"{criterion.id} {subject_of(criterion)}", str(verdict.outcome), value, interval, requirement(verdict))
    return f"| {' | '.join(map(plain, cells))} |"


def _regression(results: RunResults) -> list[str]:
    """What the candidate lost against its baseline, by class and cell."""
    if results.baseline is None:
        return []
    said = [f"### Against the baseline {code(results.baseline.run_id)}", ""]
    for comparison in list(results.comparisons.values())[:MOST_SETS]:
        lost, gained, n = comparison.counts()
        counts = f"{lost} cells lost, {gained} gained of {n:,}"
        said.append(f"- {plain(comparison.set)}: {counts}{_worse_classes(comparison)}")
        if comparison.scores is not None:
            said.append(f"- {plain(comparison.set)}: {plain(brier_told(comparison.scores))}")
    if kinds := worse_corruptions(results.corrupted_comparisons):
        named = first_few(kinds, MOST_CLASSES, more="and {n} more")
        said.append(f"- test, corrupted: worse with {', '.join(named)}")
    cells = [(c.set, cell) for c in results.comparisons.values() for cell in c.discordant if not cell.candidate_right]
    said += [f"- lost: {_lost(name, cell)}" for name, cell in cells[:MOST_CELLS]]
    if len(cells) > MOST_CELLS:
        said.append(f"- and {len(cells) - MOST_CELLS} more lost cells, which the report names")
    return [*said, ""]


def _worse_classes(comparison: Comparison) -> str:
    named = [plain(each) for each in worse_classes(comparison)]
    return f"; worse: {', '.join(first_few(named, MOST_CLASSES, more='and {n} more'))}" if named else ""


def _lost(set_name: str, cell: DiscordantCell) -> str:
    return f"{code(cell.path)} of {plain(set_name)} is {plain(cell.reference)}, now called {plain(cell.candidate)}"


def _remarks(results: RunResults, *, version: int) -> Iterable[str]:
    """What else decides how the verdict is to be read, one line each."""
    if (closed := gates_told(results.verdicts)) is not None:
        yield closed
    behind = behind_closed_gates(results.verdicts)
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_ASSESSED, Outcome.NOT_JUDGED):
        optional = [v for v in results.verdicts if v.outcome is outcome and not v.blocks and v not in behind]
        if optional:
            yield f"{outcome}, and not in the way: {_ids(optional)}"
    yield from looks_told(results)
    if version >= 3:
        yield from first_few(changes_told(results), MOST_CHANGES, more="and {n} more lines on it, in the report")
    if version >= 2:
        yield from first_few(looks_left_told(results), MOST_SETS, more="and {n} more sets, in the report")
    if version >= 4:
        yield from first_few(
            custody_told(results), MOST_CUSTODY, more="and {n} more lines on clocks and code, in the report"
        )
        yield from ledger_told(results)
    yield from first_few(given_told(results), MOST_GIVEN, more="and {n} more lines on predictions, in the report")
    yield from first_few(sets_told(results), MOST_SETS, more="and {n} more sets without a criterion")
    if results.baseline is not None:
        yield from baseline_told(results.baseline, results.protocol)
    yield f"signed with key id {results.signed_with}" if results.signed_with is not None else "unsigned draft"


def _ids(verdicts: Sequence[Verdict]) -> str:
    return ", ".join(first_few([verdict.criterion.id for verdict in verdicts], MOST_IDS, more="and {n} more"))


def plain(text: str) -> str:
    """Text in which nothing is Markdown, on one line."""
    return MARKUP.sub(r"\\\1", shortened(" ".join(visible(text).split()), LONGEST_TEXT))


def code(name: str) -> str:
    """A name as code, whatever backticks are in it."""
    text = shortened(" ".join(visible(name).split()), LONGEST_TEXT).replace("|", "¦")
    longest = max(map(len, FENCES.findall(text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"
