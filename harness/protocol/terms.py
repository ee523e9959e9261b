"""What does a protocol fix before the first look? Its keys and their values, without texts and without the candidate.

One walk over its records, so that a key which a record gains is fixed from then on; what is not is marked where it is
defined (`record.NOT_FIXED`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter

from harness.core.digests import digest_of
from harness.protocol.extending import NAMES
from harness.protocol.record import NotFixed

Tree = dict[str, Any]  # key -> tree or plain value, as JSON has them
Steps = tuple[str, ...]
ANY_VALUE = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))
LONGEST = 200  # characters of a value that is kept as it is; of a longer one its digest


class Terms(NamedTuple):
    """What a protocol fixes.

    tree:  key -> value or tree; entries of an array of tables go by their names. What is not stated is not there.
    usual: the paths to values that nobody needed to state: those that a record has without it.
    """

    tree: Tree
    usual: frozenset[Steps]


class _Leaf(NamedTuple):
    path: Steps
    value: object
    usual: bool


def terms_of(protocol: BaseModel) -> Terms:
    """Everything that this protocol fixes."""
    tree: Tree = {}
    leaves = list(_leaves(protocol, (), False))
    for path, value, _ in leaves:
        here = tree
        for step in path[:-1]:
            here = here.setdefault(step, {})
        here[path[-1]] = value
    return Terms(tree, frozenset(leaf.path for leaf in leaves if leaf.usual))


def plain(value: object) -> Any:
    """A value as the ledger keeps it: as JSON has it, 1 for 1.0, the digest of what is long."""
    found = _counted(ANY_VALUE.dump_python(value, mode="json"))
    return f"sha256:{digest_of(found)}" if len(canonical(found)) > LONGEST else found


def says(stated: object, held: object) -> bool:
    """Whether a value that somebody stated is the one that a tree holds; the digest of a long one says it, too."""
    return canonical(plain(stated)) == canonical(plain(held))


def canonical(value: object) -> str:
    """The one way to write a value of a tree."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def at(tree: Mapping[str, Any], key: str) -> Any:
    """What a tree holds under a dotted key, whose names may have dots of their own; None where it has no such key."""
    for name, inner in tree.items():
        if key == name:
            return inner
        if key.startswith(f"{name}.") and isinstance(inner, Mapping):
            found = at(inner, key[len(name) + 1 :])
            if found is not None:
                return found
    return None


def _leaves(record: BaseModel, path: Steps, usual: bool) -> Iterator[_Leaf]:
    for name, field in type(record).model_fields.items():
        if field.exclude or any(isinstance(mark, NotFixed) for mark in field.metadata):
            continue
        value = getattr(record, name)
        as_usual = usual or value == field.get_default(call_default_factory=True)
        yield from _inside(value, (*path, name), as_usual)


def _inside(value: object, path: Steps, usual: bool) -> Iterator[_Leaf]:
    match value:
        case None | ():  # what is not stated, and an array without an entry
            return
        case BaseModel():
            yield from _leaves(value, path, usual)
        case dict():
            for key, inner in value.items():
                yield from _inside(inner, (*path, str(key)), usual)
        case tuple() if all(_name_of(each) for each in value):
            for each in value:
                yield from _inside(each, (*path, _name_of(each)), usual)
        case _:
            yield _Leaf(path, plain(value), usual)


def _name_of(entry: object) -> str:
    """What an entry of an array of tables is known by; empty for what is not one."""
    if not isinstance(entry, BaseModel):
        return ""
    return next((name for key in NAMES if isinstance(name := getattr(entry, key, None), str)), "")


def _counted(value: Any) -> Any:
    """The same with whole numbers for fractions without a rest: TOML's 1 and 1.0 are one value."""
    match value:
        case dict():
            return {str(key): _counted(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_counted(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
