"""Which of these statements cannot hold together? All smallest conflicting sets, and all largest consistent ones.

Knows nothing of matrices: it asks an oracle. Dualize and advance: the complement of every smallest set that hits all
known conflicts is either consistent, then it is a largest consistent set, or it holds a new conflict, which is shrunk.
When every such complement is known to be consistent, both lists are complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Group: TypeAlias = frozenset[int]


@dataclass(frozen=True, slots=True)
class Conflicts:
    """minimal: every smallest conflicting set; maximal: every largest consistent one; by size, then members.

    complete: False where the search stopped at its limit; what is listed is right all the same.
    """

    minimal: tuple[Group, ...]
    maximal: tuple[Group, ...]
    complete: bool


def find_conflicts(
    n: int, contradicts: Callable[[Group], bool], *, most: int = 60, most_questions: int = 3000
) -> Conflicts:
    """
    Args:
        n: how many statements there are.
        contradicts: whether a group of them cannot hold together. Must be monotone: more statements, more conflict.
        most: conflicts after which the search stops.
        most_questions: questions to the oracle after which it stops.
    >>> found = find_conflicts(3, lambda group: {0, 1} <= group)
    >>> [sorted(group) for group in found.minimal], [sorted(group) for group in found.maximal]
    ([[0, 1]], [[0, 2], [1, 2]])
    """
    everything = frozenset(range(n))
    answers: dict[Group, bool] = {}

    def ask(group: Group) -> bool:
        if group not in answers:
            answers[group] = contradicts(group)
        return answers[group]

    minimal: list[Group] = []
    maximal: set[Group] = set()
    hitting: list[Group] = [frozenset()]  # every smallest set that hits all known conflicts
    complete = True
    while True:
        rest = next((everything - hit for hit in hitting if everything - hit not in maximal), None)
        if rest is None:
            break
        if len(minimal) >= most or len(answers) >= most_questions or len(hitting) > 2000:
            complete = False
            break
        if not ask(rest):
            maximal.add(rest)
            continue
        conflict = _shrunk(rest, ask)
        minimal.append(conflict)
        hitting = _hitting(hitting, conflict)
        # A complement that a later conflict enlarges was no largest set.
        maximal = {group for group in maximal if everything - group in hitting}

    def order(group: Group) -> tuple[int, list[int]]:
        return len(group), sorted(group)

    by_size = tuple(sorted(maximal, key=lambda group: (-len(group), sorted(group))))
    return Conflicts(tuple(sorted(minimal, key=order)), by_size, complete)


def _shrunk(group: Group, contradicts: Callable[[Group], bool]) -> Group:
    for member in sorted(group, reverse=True):
        if contradicts(group - {member}):
            group = group - {member}
    return group


def _hitting(known: list[Group], conflict: Group) -> list[Group]:
    """Smallest sets that hit the known conflicts and one more (Berge)."""
    grown = {hit if hit & conflict else hit | {member} for hit in known for member in conflict}
    return [hit for hit in sorted(grown, key=lambda h: (len(h), sorted(h))) if not any(other < hit for other in grown)]
