"""What became of a run, in the sentences that its terminal and its summary share."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.text import first_few
from harness.judge.constant_answers import constant_answers
from harness.judge.criteria import behind_closed_gates, observed, what_closes
from harness.judge.looks_left import MOST_LOOKS, LooksLeft, looks_left
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.comparison import Comparison
from harness.metrics.paired_scores import NAME as BRIER
from harness.protocol.names import PARTS
from harness.protocol.questions import GATES, QUESTIONS
from harness.protocol.records import Protocol
from harness.report.amended import verdict_words
from harness.report.custody import rescored_words
from harness.report.readings import reading_told
from harness.report.scores import MOST_CELLS, MOST_CLASSES, scores_told
from harness.run.results import Baseline, BaselineCheck, RunResults

CLASSIFYING = ("accuracy", "external")  # their notes hold for every proportion of cells, and are told once
MOST_IDS = 12  # of criteria named in one sentence
MOST_UNJUDGED = 3  # criteria that nobody judged, for one and the same reason, with a line each
MOST_ENDED = 3  # of those that a budget of looks ends, which is usually all of them


def conclusion(results: RunResults, *, formerly: bool = False) -> str:
    """Such as "RUN PASSED: every required criterion passed; G1 not asked".

    formerly: as it was before it told what the protocol requires nothing about.
    """
    if results.passed:
        word, said = "RUN PASSED", [_passing_words(results.verdicts)]
    else:
        word, said = "RUN NOT PASSED", _blocking_words(results)
    said += [*verdict_words(results), *rescored_words(results)]
    if not formerly and not requires_accuracy(results.protocol):
        said.append("the protocol requires nothing about accuracy")
    elif results.rules.constant_told and (always := enough_to_say(results)) is not None:
        said.append(f"whoever answers every cell with {always} meets all that the protocol requires of accuracy")
    return f"{word}: {'; '.join(said)}"


def requires_accuracy(protocol: Protocol) -> bool:
    """Whether any right answer is required, rather than sound data, speed, or no loss against a baseline."""
    return any(criterion.required and criterion.question in CLASSIFYING for criterion in protocol.criteria)


def enough_to_say(results: RunResults) -> str | None:
    """A class that, said of every cell, would meet all that is required of right answers; None where none would."""
    found = constant_answers(results.protocol, results.counted_predictions, CLASSIFYING, rules=results.rules)
    return next(found, None)


def gates_told(verdicts: Sequence[Verdict]) -> str | None:
    """Every gate that stayed closed in one line, with what closed them; None where none did."""
    behind = behind_closed_gates(verdicts)
    if not behind:
        return None
    gates = [gate for gate in GATES if any(verdict.criterion.gate == gate for verdict in behind)]
    word = "gate" if len(gates) == 1 else "gates"
    why = what_closes(behind[-1].criterion, verdicts)
    return f"{word} {', '.join(gates)} stayed closed, {len(behind)} criteria not judged: {why}"


def _passing_words(verdicts: Sequence[Verdict]) -> str:
    """Such as "every required criterion passed; T1 is waived; G1 was not asked"."""
    required = [verdict for verdict in verdicts if verdict.criterion.required]
    waived = [v.criterion.id for v in required if v.outcome is Outcome.NOT_ASSESSED and v.waiver is not None]
    unasked = [v.criterion.id for v in required if v.not_asked]
    said = ["every required criterion passed"]
    said += [f"{', '.join(waived)} waived"] if waived else []
    said += [f"{', '.join(unasked)} not asked"] if unasked else []
    return "; ".join(said)


def baseline_told(baseline: Baseline, protocol: Protocol) -> list[str]:
    """Which run was compared with, whether it passed itself, and who vouches for its pack.

    protocol: the candidate's.
    """
    passed = "passed" if baseline.passed else "DID NOT PASS"
    same = "by this protocol" if baseline.protocol_digest == protocol.digest else "by another protocol"
    told = [f"baseline: {baseline.run_id}, which {passed} {same}"]
    if baseline.check is not None:
        told.append(f"baseline's pack: judged again, it holds; {signature_told(baseline.check)}")
    return told


def signature_told(check: BaselineCheck) -> str:
    """By whom a baseline's pack is signed, such as "unsigned: nobody vouches for it"."""
    if check.vouched_by:
        return f"signed by key {' and '.join(check.vouched_by)}: the signature verifies"
    if check.signed_by:
        return f"signed by key id {' and '.join(check.signed_by)}, not checked: no --baseline-key"
    return "unsigned: nobody vouches for it"


def regressions_told(results: RunResults) -> list[str]:
    """What got worse, by class and cell, on every set on which a regression criterion did not pass."""
    worse = [v.criterion for v in results.verdicts if v.criterion.question == "regression" and not v.passed]
    sure = [criterion for criterion in worse if criterion.metric == BRIER]
    sets = {criterion.set for criterion in worse if criterion.kind is None and criterion not in sure}
    kinds = {criterion.kind for criterion in worse}
    told = [_regression_told(found, name) for name, found in results.comparisons.items() if name in sets]
    told += [
        _regression_told(found, f"{found.set} with {kind}")
        for kind, found in results.corrupted_comparisons.items()
        if kind in kinds
    ]
    unsure = {criterion.set for criterion in sure}
    scored = [(name, found.scores) for name, found in results.comparisons.items() if name in unsure]
    return told + [scores_told(scores, name) for name, scores in scored if scores is not None]


def _regression_told(comparison: Comparison, name: str) -> str:
    said = [f"{name}: {counted_against(comparison)}"]
    if classes := first_few(worse_classes(comparison), MOST_CLASSES, more="and {n} more"):
        said.append(f"worse: {', '.join(classes)}")
    if named := lost_told(comparison):
        said.append(f"lost: {named}")
    return "; ".join(said)


def counted_against(comparison: Comparison, cell_class: str | None = None) -> str:
    """Such as "5 cells lost, 1 gained of 375", of one class or of all."""
    lost, gained, n = comparison.counts(cell_class)
    return f"{lost} cells lost, {gained} gained of {n:,}"


def lost_told(comparison: Comparison, cell_class: str | None = None) -> str:
    """The cells that the baseline had right and the candidate has not, of one class or of all; empty without one."""
    cells = [c for c in comparison.discordant if not c.candidate_right and cell_class in (None, c.reference)]
    named = [f"{each.path!r} of {each.reference}, now {each.candidate}" for each in cells]
    return ", ".join(first_few(named, MOST_CELLS, more="and {n} more, in the report"))


def worse_classes(comparison: Comparison) -> list[str]:
    """The classes that lost more cells than they gained, worst first, such as "monocyte (3 lost, 1 gained of 30)"."""
    counts = {name: comparison.counts(name) for name in classes_lost(comparison)}
    return [f"{name} ({lost} lost, {gained} gained of {n})" for name, (lost, gained, n) in counts.items()]


def classes_lost(comparison: Comparison) -> list[str]:
    """The classes that lost more cells than they gained, worst first."""
    counts = {name: comparison.counts(name) for name in comparison.classes}
    worse = [name for name, (lost, gained, _) in counts.items() if lost > gained]
    return sorted(worse, key=lambda name: counts[name][1] - counts[name][0])


def readings_told(results: RunResults) -> list[str]:
    """What was read as what in each set, and what was left unread, where anything was."""
    return [
        f"{each.name}: {sentence}"
        for each in results.sets
        if each.reading is not None
        for sentence in reading_told(each.reading)
    ]


def sets_told(results: RunResults) -> list[str]:
    """What became of the external sets on which no criterion acts, and which no verdict mentions therefore."""
    judged = {verdict.criterion.set for verdict in results.verdicts}
    told = []
    for each in results.sets:
        if each.role != "external" or each.name in judged:
            continue
        if each.absent_because is not None:
            told.append(f"{each.name}: not evaluated: {each.absent_because}")
        elif (seen := results.evaluations.get(each.name)) is not None:
            told.append(f"{each.name}: {seen.n_correct} of {seen.n} right; no criterion acts on this set")
    return told


def doubts_told(results: RunResults) -> list[str]:
    """Why criteria on external sets came to no decision: of those that are not required nothing else says it."""
    return [
        f"{verdict.criterion.id} (not required): {verdict.outcome}: {verdict.reason}"
        for verdict in results.verdicts
        if verdict.outcome is Outcome.INCONCLUSIVE and not verdict.blocks and verdict.criterion.set not in PARTS
        if QUESTIONS[verdict.criterion.question].needs_independence
    ]


def looks_told(results: RunResults) -> list[str]:
    """How often each set was looked at, such as "look 3 at test", where looks are counted."""
    first = [name for name, look in results.looks.items() if look == 1]
    again = [f"look {look} at {name}" for name, look in results.looks.items() if look > 1]
    shared = results.protocol.looks.correction != "none"
    told = [f"first recorded look at {', '.join(first)}"] if first else []
    if again:
        told.append(", ".join(again) + (": criteria on it are judged at a higher level" if shared else ""))
    return told


def looks_left_told(results: RunResults) -> list[str]:
    """For each set at how many further looks anything can pass, and what helps then."""
    left = looks_left(results.protocol, results.counted_predictions, results.looks, rules=results.rules)
    return [_left_told(name, results.looks[name], each) for name, each in left.items()]


def _left_told(name: str, look: int, found: LooksLeft) -> str:
    if found.last is None:
        return f"more than {MOST_LOOKS:,} looks at {name} are left at which a classifier without an error passes"
    ended = ", ".join(first_few(found.ended_by, MOST_ENDED, more="and {n} more"))
    if look > found.last:
        return (
            f"at look {look} at {name} nothing can pass, not even a classifier without an error (the last look for "
            f"{ended} was {found.last}): judge on cells that have not been looked at"
        )
    many = f"{found.left} more looks at {name} are" if found.left != 1 else f"1 more look at {name} is"
    return (
        f"{many if found.left else f'no more look at {name} is'} left at which a classifier without an error passes "
        f"(the last for {ended} is look {found.last}); then only cells that have not been looked at help"
    )


def given_told(results: RunResults) -> list[str]:
    """Which predictions were judged, what was done to them, and what of them was not used."""
    if (given := results.given) is None:
        return []
    told = []
    for file in given.files:
        told.append(f"judged: predictions {file.file!r} of {file.set}, {file.n_rows} rows, SHA-256 {file.sha256}")
        if file.n_renormalised:
            told.append(
                f"  {file.n_renormalised} rows miss a sum of 1 by at most {file.largest_miss:.2g} and were divided by "
                f"it; printed to {file.printed}, rounding explains {file.tolerance:.2g}"
            )
        if file.n_tied:
            told.append(f"  {file.n_tied} rows have two largest probabilities; the protocol's first class counts")
        if file.unread:
            told.append(f"  columns not used: {', '.join(name or '(without a name)' for name in file.unread)}")
        if file.n_other_labels:
            every = "; are its labels in other words?" if file.n_other_labels == file.n_rows else ""
            told.append(
                f"  its {file.label_column!r} differs from the data's label in {file.n_other_labels} rows{every}"
            )
    if given.undivided:
        told.append("no split was given: every cell is judged as test; separation from training is not shown")
    return told


def _blocking_words(results: RunResults) -> list[str]:
    """Such as "A1, E1 failed", "R1-monocyte inconclusive", "12 not judged"."""
    blocking, said = [verdict for verdict in results.verdicts if verdict.blocks], []
    for outcome in Outcome:
        ids = [verdict.criterion.id for verdict in blocking if verdict.outcome is outcome]
        if ids:
            few = ", ".join(first_few(ids, MOST_IDS, more="and {n} more"))
            said.append(f"{len(ids) if outcome is Outcome.NOT_JUDGED else few} {outcome}")
    return said or ([] if results.undeclared else ["the run stopped early"])


def verdict_table(verdicts: Sequence[Verdict]) -> list[str]:
    """The verdicts as aligned lines of text, those that nobody judged for one and the same reason as one line.

    Those behind closed gates have theirs from `gates_told`.
    """
    behind = [*behind_closed_gates(verdicts)]
    unjudged: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.outcome is Outcome.NOT_JUDGED and verdict not in behind:
            unjudged.setdefault(verdict.reason, []).append(verdict)
    many = {reason: each for reason, each in unjudged.items() if len(each) > MOST_UNJUDGED}
    behind += [verdict for each in many.values() for verdict in each]
    rows = [
        (
            verdict.criterion.id,
            f"{verdict.criterion.metric} on {verdict.criterion.set}",
            verdict.outcome.upper() + _aside(verdict),
            observed(verdict.estimate, note=False, beside=verdict.criterion.bound)
            if verdict.estimate
            else verdict.reason.partition("\n")[0],
        )
        for verdict in verdicts
        if verdict not in behind
    ]
    notes = dict.fromkeys(v.estimate.note for v in verdicts if v.estimate and v.criterion.question in CLASSIFYING)
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]) for row in rows]
    lines += [
        f"{', '.join(first_few([v.criterion.id for v in each], MOST_IDS, more='and {n} more'))}: NOT JUDGED: {reason}"
        for reason, each in many.items()
    ]
    return [*lines, *(f"note: {note}" for note in notes if note)]


def _aside(verdict: Verdict) -> str:
    if verdict.not_asked:
        return " (not asked)"
    return "" if verdict.criterion.required else " (not required)"
