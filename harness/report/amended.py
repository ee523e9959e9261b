"""What has changed in the protocol since a set was first looked at, in sentences and as the TOML that declares it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from harness.core.text import first_few, shortened
from harness.data.suggestions import toml_key, toml_text
from harness.judge.amended import Change, unfixed_looks
from harness.judge.relabelled import Relabelled
from harness.protocol.amendments import Amendment
from harness.run.results import RunResults

MOST_CHANGES = 3  # in the sentence that tells whether the run passed
MOST_MORE = 12  # criteria that are not required, in a sentence
MOST_LABELS = 8  # corrected ones
MOST_TO_WRITE = 12  # of the amendments that are written out; evidence.json has every change
LONGEST_VALUE = 80  # of one in a sentence
ABSENT = "nothing"


def verdict_words(results: RunResults) -> list[str]:
    """What the last line says beside the verdict: old and new of what moved."""
    declared = [change for change in results.changes if change.amendment is not None]
    said = []
    if results.undeclared:
        labels = [change for change in results.undeclared if change.of_labels]
        moved = [change for change in results.undeclared if not (change.baseline or change.of_data)]
        looser = [change for change in results.undeclared if change.baseline and not change.of_data]
        if labels:
            n, sets = len(_cells(results.relabelled)), ", ".join(dict.fromkeys(each.set for each in labels))
            word = "label was" if n == 1 else "labels were"
            said.append(f"{n} {word} corrected after a look at {sets}, and no amendment declares it")
        if groups := [change for change in results.undeclared if change.of_groups]:
            said.append(f"cells are in other groups than at a look, and no amendment declares it: {_moves(groups)}")
        if gone := [change for change in results.undeclared if change.of_cells]:
            what = "dropped or have other pixels"
            said.append(f"pictures were {what} after a look, and no amendment declares it: {_moves(gone)}")
        if moved:
            said.append(f"the protocol changed after a look, and no amendment declares it: {_moves(moved)}")
        if looser:
            said.append(f"less is asked than of the baseline, and no amendment declares it: {_moves(looser)}")
    if declared:
        said.append(f"amended after a look: {_moves(declared)}")
    return said


def changes_told(results: RunResults) -> list[str]:
    """One line for each key that moved, and what could not be held against a first look."""
    told = [change_told(change) for change in results.changes if not change.told]
    told += more_told(results.changes)
    told += first_few(
        relabelled_told(results.relabelled), MOST_LABELS, more="and {n} more corrected labels, in the report"
    )
    told += [
        f"the amendment of {each.key} is of no look that this ledger knows: no set was first looked at with "
        f"{_stated(each.old)}"
        for each in idle_amendments(results)
    ]
    return told + [unfixed_told(name, n) for name, n in unfixed_of(results).items()]


def relabelled_told(cells: Sequence[Relabelled]) -> list[str]:
    """Each cell with both labels, such as "corrected label: test: 'a.png' was monocyte, and is lymphocyte now"."""
    return [f"corrected label: {name}: {path!r} was {old}, and is {new} now" for name, path, old, new in _cells(cells)]


def _cells(cells: Sequence[Relabelled]) -> list[tuple[str, str, str, str]]:
    return list(dict.fromkeys((each.set, each.path, each.old, each.new) for each in cells))


def more_told(changes: Sequence[Change]) -> list[str]:
    """The criteria more that are not required, set by set: whoever takes a newer harness has them without a choice."""
    more: dict[tuple[str, str, str], list[str]] = {}
    for change in changes:
        if change.told:
            more.setdefault((change.set, change.run, change.time), []).append(change.key.removeprefix("criteria."))
    return [
        f"not required, and not there when {name} was first looked at (run {run}, {time[:10]}): "
        f"{', '.join(first_few(ids, MOST_MORE, more='and {n} more'))}; whether the run passes does not rest on them, "
        "and nothing need be declared"
        for (name, run, time), ids in more.items()
    ]


def change_told(change: Change) -> str:
    """Such as "criteria.A1.floor was 0.98 when test was first looked at (run R, 2026-01-15), and is 0.95 now: why"."""
    when = f"when {change.set} was first looked at (run {change.run}, {change.time[:10]})"
    if change.baseline:
        when = f"in the {'pack' if change.of_data else 'protocol'} of the baseline {change.run}"
    told = f"{change.key} was {_shown(change.old)} {when}, and is {_shown(change.new)} now"
    if change.told:
        return f"{told}: not required, so that nothing need be declared"
    made = change.amendment
    return f"{told}: not declared" if made is None else f"{told}: {made.reason} ({made.owner}, {made.day.isoformat()})"


def move_told(change: Change) -> str:
    """Such as "criteria.A1.floor 0.98 -> 0.95"."""
    return f"{change.key} {_shown(change.old)} -> {_shown(change.new)}"


def idle_amendments(results: RunResults) -> list[Amendment]:
    """What the protocol declares, and no first look at a set of this run was by the old value."""
    used = [change.amendment for change in results.changes]
    return [each for each in results.protocol.amendments if each not in used]


def unfixed_of(results: RunResults) -> dict[str, int]:
    """Set -> how many looks at it of an older harness fix nothing."""
    return unfixed_looks(results.ledger, run=results.run_id)


def unfixed_told(name: str, n: int) -> str:
    looks = "1 look at" if n == 1 else f"{n} looks at"
    return f"{looks} {name} before this run were recorded by an older harness, and fix nothing of the protocol"


def to_write(changes: Sequence[Change]) -> Iterator[str]:
    """The lines of TOML that would declare these changes, but for who answers for them, and why."""
    for change in changes[:MOST_TO_WRITE]:
        yield "[[amendments]]"
        yield f"key = {toml_text(change.key)}"
        yield from (f"{name} = {_toml(json.loads(v))}" for name, v in (("old", change.old), ("new", change.new)) if v)
        yield from ('reason = ""', 'owner = ""', "day =", "")
    if len(changes) > MOST_TO_WRITE:
        yield f"# and {len(changes) - MOST_TO_WRITE} more: `changes` in evidence.json"


def _moves(changes: Sequence[Change]) -> str:
    return ", ".join(first_few([move_told(change) for change in changes], MOST_CHANGES, more="and {n} more"))


def _shown(value: str) -> str:
    return shortened(value, LONGEST_VALUE) if value else ABSENT


def _stated(value: object) -> str:
    return ABSENT if value is None else shortened(str(value), LONGEST_VALUE)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return toml_text(value)
        case dict():
            return f"{{ {', '.join(f'{toml_key(key)} = {_toml(inner)}' for key, inner in value.items())} }}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
    return str(value)
