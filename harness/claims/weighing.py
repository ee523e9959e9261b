"""Which statements about one set hold, which cannot, and which does nothing printed decide?

Closed forms first. Where prose says several things of the set, every smallest conflict is listed; a table alone has one
finding for what one changed number would explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from harness.claims.against_all import size_clashes
from harness.claims.checked import meets_another
from harness.claims.choice import Meter
from harness.claims.closed import Clash, Table, clashes
from harness.claims.conflicts import Conflicts, Group, find_conflicts
from harness.claims.deciding import Terms, answer_of
from harness.claims.matrix_rules import Answer
from harness.claims.of_scores import score_clashes
from harness.claims.reasons import Reasons
from harness.claims.records import Accuracy, Averages, Content, Rows, Size, Statement

WORK = 1_000_000  # steps for a whole report: a second or two
_PER_QUESTION = 200_000
_MOST_STATEMENTS = 400  # about one set; more are a log, and each would be weighed against all others
_MOST_LISTED = 24  # with more, or without prose, not every smallest conflict is looked for
_TRIES = 3  # conflicts of one table that only the search finds


class Verdict(Enum):
    HOLDS = "holds"
    CANNOT_HOLD = "cannot hold"
    NOT_CHECKED = "not checked"
    CONTEXT = "context"  # says how large something is, and nothing printed speaks of it: no result is left unchecked


@dataclass(frozen=True, slots=True)
class Labelled:
    """A statement and its number in the audit."""

    id: str
    statement: Statement


@dataclass
class Weighed:
    """One set, its statements and what came of them. reason: why what was not checked was not."""

    name: str
    own: tuple[Labelled, ...]
    terms: Terms
    budget: Meter
    conflicts: Conflicts = field(default_factory=lambda: Conflicts((), (), complete=True))
    clashes: list[Clash] = field(default_factory=list)
    undecided: int = 0
    left_open: bool = False

    @cached_property
    def contents(self) -> tuple[Content, ...]:
        return tuple(entry.statement.content for entry in self.own)

    @property
    def reasons(self) -> Reasons:
        return Reasons(self.terms.classes, self.terms.rounding)

    @property
    def work(self) -> int:
        return self.budget.left

    def ask(self, contents: Sequence[Content]) -> Answer:
        meter = Meter(min(_PER_QUESTION, self.budget.left))
        before = meter.left
        answer = answer_of(contents, self.terms, meter)
        self.budget.left -= before - meter.left
        return answer

    def verdict(self, index: int) -> tuple[Verdict, str]:
        """What came of one statement, and why where it was not checked."""
        if any(index in group for group in self.conflicts.minimal):
            return Verdict.CANNOT_HOLD, ""
        contents = self.contents
        if len(contents) > _MOST_STATEMENTS:
            return Verdict.NOT_CHECKED, "too much to search"
        if not meets_another(index, contents, self.terms):
            if not self.own[index].statement.is_result:
                return Verdict.CONTEXT, ""
            return Verdict.NOT_CHECKED, "nothing else that is printed speaks of it"
        if self.left_open:
            return Verdict.NOT_CHECKED, "too much to search"
        return Verdict.HOLDS, ""


def weigh(name: str, own: tuple[Labelled, ...], terms: Terms, *, budget: Meter) -> Weighed:
    found = Weighed(name, own, terms, budget)
    if len(own) > _MOST_STATEMENTS:
        found.conflicts, found.left_open = Conflicts((), (), complete=False), True
        return found
    found.clashes = clashes(found.contents, terms.classes, terms.rounding, is_open=terms.is_open)
    found.clashes += score_clashes(found.contents, terms.classes, terms.rounding, is_open=terms.is_open)
    found.clashes += size_clashes(Table(found.contents, terms.classes, terms.rounding, terms.is_open))
    n_of_prose = sum(1 for entry in own if not entry.statement.from_table)
    if n_of_prose > 1 and len(own) <= _MOST_LISTED:
        _list_all(found)
    else:
        _explain(found)
    return found


def _list_all(found: Weighed) -> None:
    """Every smallest conflict and every largest set of statements that holds."""
    contents, undecided = found.contents, set[Group]()

    def contradicts(group: Group) -> bool:
        if any(clash.members <= group for clash in found.clashes):
            return True
        answer = found.ask([contents[i] for i in sorted(group)])
        if answer is Answer.UNDECIDED:
            undecided.add(group)
        return answer is Answer.INFEASIBLE

    found.conflicts = find_conflicts(len(found.own), contradicts)
    found.undecided = len(undecided)
    found.left_open = bool(undecided) or not found.conflicts.complete


def _explain(found: Weighed) -> None:
    """The clashes of closed form; then whether what is left without them holds."""
    groups = [clash.members for clash in found.clashes]
    rest = frozenset(range(len(found.own))) - {_blamed(group, groups, found.contents) for group in groups}
    answer = Answer.UNDECIDED
    for _ in range(_TRIES):
        answer = found.ask([found.contents[i] for i in sorted(rest)])
        if answer is not Answer.INFEASIBLE:
            break
        group = _shrunk(found, rest)
        groups.append(group)
        rest -= {_blamed(group, groups, found.contents)}
    found.left_open = answer is not Answer.FEASIBLE
    found.undecided = 1 if answer is Answer.UNDECIDED else 0
    maximal = (rest,) if answer is Answer.FEASIBLE else ()
    found.conflicts = Conflicts(tuple(groups), maximal, complete=answer is not Answer.UNDECIDED)


def _blamed(group: Group, groups: Sequence[Group], contents: Sequence[Content]) -> int:
    """The one statement of a conflict that is left out to see whether the rest holds: what most conflicts share; else
    what sums up, and a row before the supports."""
    order = (Averages, Accuracy, Size, Rows)

    def rank(index: int) -> tuple[int, int, int]:
        shared = sum(1 for other in groups if index in other)
        kind = next((k for k, kind in enumerate(order) if isinstance(contents[index], kind)), len(order))
        return -shared, kind, index

    return min(group, key=rank)


def _shrunk(found: Weighed, group: Group) -> Group:
    """A smaller conflict within one: what sums up is left out one by one, then rows."""
    contents = found.contents
    rows = [i for i in sorted(group) if isinstance(contents[i], Rows)]
    others = [i for i in sorted(group) if i not in rows]
    for index in (*others, *(rows if len(rows) <= 12 else ())):
        if found.ask([contents[i] for i in sorted(group - {index})]) is Answer.INFEASIBLE:
            group = group - {index}
    return group
