"""What does a protocol become that extends another? Plain tables in, a plain table out; nothing is checked here.

Tables merge key by key; an array of tables merges by `id`, `name` or `criterion`, so that one criterion can be restated
without repeating the rest; every other array is replaced. `remove` takes away what the base says, `replace` keeps what
the base says of a table out of the one that is stated instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.text import shortened

REMOVE, REPLACE = "remove", "replace"
NAMES = ("id", "name", "criterion")  # what an entry of an array of tables is known by
RATIONALE = "rationale"
LONGEST_SAID = 120
JUSTIFIED = ("floor", "ceiling", "level", "set", "cell_class", "kind")  # what the rationale of a criterion is of


class Unextendable(ValueError):
    """What `remove` or `replace` names cannot be taken out of the base: which, and what to write instead."""


def extended(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The base with this file's own tables over it, after what `remove` and `replace` name has been taken out.

    Raises:
        Unextendable: a path that is not in the base, or that the file itself contradicts.
    """
    stated = {key: value for key, value in own.items() if key not in (REMOVE, REPLACE)}
    result = dict(base)
    for path in _paths(own, REMOVE):
        steps = _steps(result, path, why=REMOVE)
        if _holds(stated, path):
            raise Unextendable(f"`remove` names {path!r}, which this file states again. Name it in `replace` instead.")
        result = _without(result, steps)
    for path in _paths(own, REPLACE):
        steps = _steps(result, path, why=REPLACE)
        if not _holds(stated, path):
            raise Unextendable(
                f"`replace` names {path!r}, which this file does not state. State it, or name it in `remove`."
            )
        result = _emptied(result, steps, path)
    return overlaid(result, stated)


def overlaid(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables as one; where they differ, `own` counts."""
    result = dict(base)
    for key, value in own.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = overlaid(old, value)
        elif is_array_of_tables(old) and is_array_of_tables(value):
            result[key] = _overlaid_tables(old or [], value)
        else:
            result[key] = value
    return result


def _overlaid_tables(base: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result = list(base)
    places = {name_of(table): place for place, table in enumerate(base)}
    for table in own:
        name = name_of(table)
        if name is None or name not in places:
            result.append(table)
        else:
            _refuse_another_metric(result[places[name]], table)
            _refuse_an_inherited_rationale(result[places[name]], table)
            result[places[name]] = overlaid(result[places[name]], table)
    return result


def _refuse_another_metric(base: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """A criterion that asks for something else is another one: the one of the base would vanish without a word."""
    before, now = base.get("metric"), own.get("metric")
    if before is not None and now is not None and before != now:
        raise Unextendable(
            f"criterion {name_of(own)!r} asks for {now!r}, and that of the base for {before!r}. Give yours an id of "
            f"its own, or name criteria.{name_of(own)} in `replace`."
        )


def _refuse_an_inherited_rationale(base: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Whoever changes a bound says why it is this one: the words of the base are about another."""
    said = base.get(RATIONALE)
    changed = [key for key in JUSTIFIED if key in own and own[key] != base.get(key)]
    if not changed or not isinstance(said, str) or not _same_words(own.get(RATIONALE, said), said):
        return
    key = changed[0]
    before = f"`{key}` {base[key]!r}" if key in base else f"a criterion without `{key}`"
    raise Unextendable(
        f"criterion {name_of(own)!r} has `{key}` {own[key]!r}, with the rationale of the base, which is why it had "
        f"{before}: {shortened(said, LONGEST_SAID)!r}. Write `rationale` beside `{key}` in this file: why it is "
        f"{own[key]!r}."
    )


def _same_words(text: object, other: str) -> bool:
    return isinstance(text, str) and re.findall(r"\w+", text.casefold()) == re.findall(r"\w+", other.casefold())


def name_of(table: Mapping[str, Any]) -> str | None:
    """What an entry of an array of tables is known by."""
    return next((table[key] for key in NAMES if isinstance(table.get(key), str)), None)


def is_array_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


# --- what is taken out: a path is a list of keys of tables and places in arrays -------------------


def _paths(own: Mapping[str, Any], key: str) -> Sequence[str]:
    paths = own.get(key, [])
    if not isinstance(paths, list) or not all(isinstance(path, str) and path for path in paths):
        raise Unextendable(
            f"`{key}` must be a list of names at the top of the file, such as "
            f'{key} = ["prevalence", "criteria.P1"], before the first [table].'
        )
    return paths


def _steps(base: Mapping[str, Any], path: str, *, why: str) -> list[str | int]:
    steps = _found(base, path)
    if steps is None:
        known = [name for name in _known(base) if name.count(".") >= path.count(".")]  # never the whole that holds it
        close = difflib.get_close_matches(path, known, n=1, cutoff=0.6)
        # The criteria of one class are made from the one that is written for each.
        close += [name for name in known if path.startswith(f"{name}-")]
        beside = [name for name in known if name.rpartition(".")[0] == path.rpartition(".")[0]]
        hint = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(beside or base) or 'nothing'}."
        raise Unextendable(f"`{why}` names {path!r}, which the extended protocol does not have. {hint}")
    return steps


def _found(value: Any, path: str) -> list[str | int] | None:
    """The steps to what a dotted path names; a name in it may have dots of its own."""
    if not path:
        return []
    for step, name, inner in _inside(value):
        if path == name or path.startswith(f"{name}."):
            further = _found(inner, path[len(name) + 1 :])
            if further is not None:
                return [step, *further]
    return None


def _inside(value: Any) -> Iterator[tuple[str | int, str, Any]]:
    """(step, name, value) of everything directly inside."""
    if isinstance(value, dict):
        yield from ((key, key, inner) for key, inner in value.items())
    elif isinstance(value, list):
        for place, item in enumerate(value):
            name = item if isinstance(item, str) else name_of(item) if isinstance(item, dict) else None
            if name is not None:
                yield place, name, item


def _known(value: Any, before: str = "") -> Iterator[str]:
    for _, name, inner in _inside(value):
        yield f"{before}{name}"
        yield from _known(inner, f"{before}{name}.")


def _holds(stated: Mapping[str, Any], path: str) -> bool:
    return _found(stated, path) is not None


def _without(value: Any, steps: Sequence[str | int]) -> Any:
    """A copy without what the steps lead to."""
    return _changed(value, steps, lambda _: None)


def _emptied(value: Any, steps: Sequence[str | int], path: str) -> Any:
    """A copy in which the table at the end of the steps holds nothing but its name: its place among others stays."""

    def bare(table: Any) -> Any:
        if is_array_of_tables(table):
            return []
        if not isinstance(table, dict):
            raise Unextendable(
                f"`replace` names {path!r}, which is not a table. What this file says of it counts without `replace`."
            )
        return {key: table[key] for key in NAMES if isinstance(steps[-1], int) and key in table}

    return _changed(value, steps, bare)


def _changed(value: Any, steps: Sequence[str | int], change: Any) -> Any:
    step, *further = steps
    result = value.copy()
    changed = _changed(value[step], further, change) if further else change(value[step])
    if changed is None:
        del result[step]
    else:
        result[step] = changed
    return result
