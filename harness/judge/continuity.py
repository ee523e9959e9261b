"""Does the ledger go on from where it was last seen? A chain that was begun anew counts its first look as the first.

A chain cannot show by itself that it once was longer. Whoever has seen it before can: the packs of earlier runs hold
copies, a baseline's pack does, and a CI system may keep the hash of its last entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.judge.ledger import contains, head_of
from harness.judge.look import START, Look
from harness.metrics.estimates import Unavailable
from harness.protocol.criteria import Criterion
from harness.protocol.questions import QUESTIONS

OPTION = "--ledger-head"
# Asked of every judged cell, so that answering it is a look, too.
SHOWS_JUDGED_CELLS = ("export",)
KEEP = (
    "A CI job keeps the ledger from job to job, whatever the verdict was, and names it with --ledger; where it was "
    "lost, `leukocyte-harness ledger FILE --merge PACK` adds the looks of a pack that was kept. A run that is meant to "
    "begin anew, on cells that nobody has looked at, has a --reports folder and a ledger of its own"
)


@dataclass(frozen=True, slots=True)
class KnownChain:
    """A chain of looks that the ledger of a run must continue, as it was known before the run.

    source:    who knows it: "the pack of run R", "the baseline R" or "--ledger-head".
    head:      the hash of its last entry.
    entries:   how many it has; None where its head alone is known.
    continued: whether the ledger had every look of it, in its order, when the run began.
    """

    source: str
    head: str
    entries: int | None
    continued: bool


def known_chain(source: str, older: Sequence[Look], ledger: Sequence[Look]) -> KnownChain:
    """A chain of which a copy is at hand: a ledger that other looks were merged into continues it, too."""
    head = head_of(older)
    continued = not older or any(look.hash == head for look in ledger) or contains(older, ledger)
    return KnownChain(source, head, len(older), continued)


def known_head(head: str, ledger: Sequence[Look]) -> KnownChain:
    """A chain of which the hash of its last entry is known, which stands for all before it."""
    return KnownChain(OPTION, head, None, head == START or any(look.hash == head for look in ledger))


def lost_ledger(chains: Iterable[KnownChain]) -> Unavailable | None:
    """Why nothing can be judged whose looks are counted; None where every known chain goes on."""
    lost = [each for each in chains if not each.continued]
    if not lost:
        return None
    known = "; ".join(f"{each.source} ends with {each.head[:12]}{_of(each)}" for each in lost)
    return Unavailable(
        f"the ledger does not have every look that is known of ({known}): looks were taken out, or it was begun anew, "
        f"so that nobody can tell which look this is. {KEEP}",
        waivable=False,
    )


def without_ledger(criterion: Criterion, chains: Iterable[KnownChain]) -> Unavailable | None:
    """The same for one criterion; None for one whose answer is no look at cells that training must not know."""
    question = QUESTIONS[criterion.question]
    if criterion.set in ("train", "validation") or not (question.counts_looks or question.name in SHOWS_JUDGED_CELLS):
        return None
    return lost_ledger(chains)


def _of(chain: KnownChain) -> str:
    return "" if chain.entries is None else f", its look {chain.entries}"
