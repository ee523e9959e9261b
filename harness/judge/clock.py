"""Do the times on record follow one another? A clock that was set back makes waivers and keys count longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from harness.judge.look import Look

MOST_TOLD = 3


def backwards(looks: Sequence[Look]) -> list[tuple[Look, Look]]:
    """Each look that is dated before the one ahead of it, with that one."""
    dated = [(look, time) for look in looks if (time := _time(look.time)) is not None]
    return [(before, after) for (before, one), (after, next_one) in pairwise(dated) if next_one < one]


def dated_after(looks: Sequence[Look], *, run: str, started_at: str) -> list[Look]:
    """The looks of other runs ahead of this run's first that are dated after it began."""
    own = next((place for place, look in enumerate(looks) if look.run == run), len(looks))
    began = _time(started_at)
    return [
        look for look in looks[:own] if began is not None and (time := _time(look.time)) is not None and time > began
    ]


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:  # of a pack that somebody else wrote; what reads it says so
        return None
    return found if found.tzinfo is not None else found.astimezone()
