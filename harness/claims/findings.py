"""What is wrong with a report? One record per thing."""

from __future__ import annotations

from dataclasses import dataclass

from harness.claims.records import Place, lines_of

# Kinds of findings that say that two statements cannot both be true, or that one cannot.
CONTRADICTIONS = ("conflict", "impossible", "split")


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that does not hold.

    kind: "conflict", "impossible", "split", "overclaim", "versions" or "files".
    statements: ids of the statements in conflict.
    value: what would be printed in place of what is, where one number follows from the others.
    """

    kind: str
    set: str | None
    message: str
    places: tuple[Place, ...]
    statements: tuple[str, ...] = ()
    value: str = ""

    @property
    def lines(self) -> str:
        return lines_of(self.places)

    @property
    def is_contradiction(self) -> bool:
        """Whether something cannot hold. Strong words are a remark; versions may be of two environments."""
        return self.kind in (*CONTRADICTIONS, "files")
