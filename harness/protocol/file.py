"""A protocol file: TOML, merged with what it extends, to the records of `protocol`.

A protocol may extend another (`extends = "other.toml"`); `extending` says what becomes of the two.

A bare name that is not a file where it is looked for is that of a shipped protocol, with or without its ".toml".
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from harness.core.errors import ProtocolError
from harness.core.files import read_plain
from harness.core.places import PROTOCOLS
from harness.protocol.criteria import metric_table
from harness.protocol.expectations import read_suite
from harness.protocol.extending import REMOVE, REPLACE, Unextendable, extended, is_array_of_tables, name_of
from harness.protocol.records import Protocol
from harness.protocol.terms import at, canonical, plain, says, terms_of
from harness.protocol.texts import problems_in_texts

# Far above any honest protocol: the published one has 20 kB.
MOST_BYTES = 2**20
MOST_DOTS = 1_000
MOST_EXTENDED = 20
MOST_PROBLEMS = 8  # with texts that are named at once
UNKNOWN_KEY = "unknown key. Remove it or correct its spelling."
# Metrics that promised more than they kept -> what to ask for. Packs of before are still judged on them.
REPLACED = {
    "excess_calibration_error": 'to pass on "excess_calibration_error" says that an error was not found, which is '
    'easiest on few cells. Ask for "calibration_in_the_large" with the tolerance as its ceiling, such as 0.05',
    "seed_accuracy": '"seed_accuracy" bounds what further seeds would reach on these very cells, as if these were no '
    'sample: with ten seeds a recipe at its floor passed in 24 of 100 test parts. Ask for "recipe_accuracy"',
}
TOP_KEY = "this key belongs to the top of the file, before the first [table]. Move it there."
FEWEST_LETTERS = 5  # different ones, of a text that says something
SHORTEST_NAME = 2  # letters of who answers for something


def read_protocol(path: Path) -> Protocol:
    """Read, merge and check a protocol file.

    A criterion written with `cell_class = "each"` becomes one criterion per class, `<id>-<class>`; one with
    `kind = "each"` one per kind of disturbance, transform or input without a cell.

    Raises:
        ProtocolError: with the file, the key and what to do.
    """
    path = _found(path, beside=Path())
    try:
        return _checked(path, _merged(path, seen=()))
    except RecursionError:  # met wherever the nesting is followed down
        raise ProtocolError(
            f"protocol {path}: it is nested too deeply. A protocol has tables of tables, no more."
        ) from None


def _checked(path: Path, merged: dict[str, Any]) -> Protocol:
    if "source" in merged:
        raise ProtocolError(f"protocol {path}: source: {UNKNOWN_KEY}")
    try:
        _expand_each(merged)
        # TOML has arrays, the records have tuples: strict mode takes a list for a tuple from JSON-like input only.
        protocol = Protocol.model_validate({**_tupled(merged), "source": path})
    except ValidationError as error:
        problems = "\n".join(f"  {_where(e['loc'], merged)}: {_remedy(e)}" for e in error.errors())
        raise ProtocolError(f"protocol {path}: {error.error_count()} problem(s):\n{problems}") from None
    if protocol.looks.correction == "look-number":
        raise ProtocolError(
            f'protocol {path}: looks.correction: "look-number" gives 1 / m of the error to the m-th look, which adds '
            'up to more than the whole, so that many looks pass by luck. Write "first-look", "series" or "budget"; '
            "packs that were judged by the old rule stay readable."
        )
    for criterion in protocol.criteria:
        if criterion.metric in REPLACED:
            raise ProtocolError(
                f"protocol {path}: criterion {criterion.id}: {REPLACED[criterion.metric]}; packs that were judged on "
                f"{criterion.metric} stay readable."
            )
    _refuse_empty_words(path, protocol)
    _refuse_idle_amendments(path, protocol)
    _refuse_other_words(path, protocol)
    return protocol


def _refuse_other_words(path: Path, protocol: Protocol) -> None:
    """Its texts stand beside the verdicts, and are believed before the numbers are read."""
    # A criterion that was written for each class or kind says the same of all.
    problems = list(dict.fromkeys(problems_in_texts(protocol)))
    if problems:
        more = [f"... and {n} more"] if (n := len(problems) - MOST_PROBLEMS) > 0 else []
        said = "\n".join(f"  {each}" for each in [*problems[:MOST_PROBLEMS], *more])
        raise ProtocolError(f"protocol {path}: its texts say what its criteria do not:\n{said}")


def _refuse_empty_words(path: Path, protocol: Protocol) -> None:
    """Where a reason or a source lets more pass, dots are none; and what cannot be missed is asked of nobody."""
    prevalence = protocol.prevalence
    said = {
        "looks.reason": protocol.looks.reason,
        "clusters.source": protocol.clusters.source,
        "dataset.pixels_suffice": protocol.dataset.pixels_suffice,
        "prevalence.source": None if prevalence is None else prevalence.source,
        **{f"waivers.{each.criterion}.reason": each.reason for each in protocol.waivers},
        **{f"amendments.{each.key}.reason": each.reason for each in protocol.amendments},
    }
    for key, text in said.items():
        if text is not None and len({letter for letter in text.casefold() if letter.isalpha()}) < FEWEST_LETTERS:
            raise ProtocolError(f"protocol {path}: {key}: {text!r} says nothing. Write it in words, for who reads it.")
    owners = {f"waivers.{each.criterion}.owner": each.owner for each in protocol.waivers}
    owners |= {f"amendments.{each.key}.owner": each.owner for each in protocol.amendments}
    for key, text in owners.items():
        if sum(letter.isalpha() for letter in text) < SHORTEST_NAME:
            raise ProtocolError(f"protocol {path}: {key}: {text!r} names nobody. Say who answers for it.")
    whole = [] if prevalence is None else [name for name, share in prevalence.shares.items() if share == 1.0]
    if whole:
        raise ProtocolError(
            f"protocol {path}: prevalence.shares: every cell is a {whole[0]}, so that whatever is called so is right, "
            "and no predictive value can be missed. State the shares of the classes that are met."
        )


def _refuse_idle_amendments(path: Path, protocol: Protocol) -> None:
    """An amendment says what this protocol says now; what it was, the ledger knows."""
    fixed = terms_of(protocol).tree if protocol.amendments else {}
    for each in protocol.amendments:
        if each.of_data:  # what these are now, the data say
            continue
        here, now = f"protocol {path}: amendments: {each.key!r}", at(fixed, each.key)
        if not says(each.new, now):
            has = "this protocol fixes no such key" if now is None else f"this protocol has {canonical(plain(now))}"
            raise ProtocolError(
                f"{here}: `new` is {canonical(plain(each.new))}, and {has}. Write what the protocol says now, and "
                "leave `new` out where it says nothing; texts, `training` and `model` may change without an amendment."
            )
        if says(each.old, each.new):
            raise ProtocolError(f"{here}: `old` and `new` are the same. Remove the amendment, or correct `old`.")


def _merged(path: Path, *, seen: tuple[Path, ...]) -> dict[str, Any]:
    try:
        path = path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise ProtocolError(f"protocol {path}: it cannot be reached ({error}). Name a TOML file.") from None
    if path in seen:
        chain = " -> ".join(p.name for p in (*seen, path))
        raise ProtocolError(f"protocol {path}: `extends` runs in a circle: {chain}. Remove one of these lines.")
    if len(seen) > MOST_EXTENDED:
        raise ProtocolError(f"protocol {path}: `extends` leads through more than {MOST_EXTENDED} files. Merge some.")
    try:
        text = read_plain(path, most_bytes=MOST_BYTES, follow_link=True).decode("utf-8-sig")
        if any(line.count(".") > MOST_DOTS for line in text.split("\n")):
            # tomllib's time grows with the square of a dotted key's length: 200 kB of one would take minutes.
            raise ProtocolError(f"protocol {path}: a line has more than {MOST_DOTS} dots. Break that line.")
        own = tomllib.loads(text)
    except FileNotFoundError:
        if seen:
            raise ProtocolError(
                f"protocol {seen[-1]}: `extends` names {path.name}, which is not in {path.parent}. Correct the name, "
                f"or take a shipped protocol: {', '.join(shipped_protocols())}."
            ) from None
        raise ProtocolError(
            f"protocol {path}: no such file. Name an existing TOML file with --protocol, or a shipped protocol: "
            f"{', '.join(shipped_protocols())}."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"protocol {path}: cannot be read as UTF-8 text ({error}).") from None
    except ProtocolError:
        raise  # which is a ValueError, too
    except (ValueError, RecursionError) as error:  # tomllib's own error is a ValueError, as is that of a huge number
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else error
        windows = "; in a path, write / for \\, or put it in single quotes" if "\\" in text else ""
        raise ProtocolError(f"protocol {path}: not valid TOML: {problem}. Correct that line{windows}.") from None
    _refuse_doubles(path, own)
    dataset = own.get("dataset")
    if isinstance(dataset, dict) and isinstance(suite := dataset.get("expectations"), str):
        dataset["expectations"] = read_suite(path.parent / suite)
    parent = own.pop("extends", None)
    if parent is None:
        if idle := [key for key in (REMOVE, REPLACE) if key in own]:
            raise ProtocolError(
                f"protocol {path}: `{idle[0]}` takes something out of the protocol that `extends` names, and this file "
                "extends none. Remove the line, or add `extends`."
            )
        return own
    if not isinstance(parent, str) or "\0" in parent:
        raise ProtocolError(f"protocol {path}: `extends` must be the name of one TOML file, in quotes.")
    base = _merged(_found(Path(parent), beside=path.parent), seen=(*seen, path))
    try:
        return extended(base, own)
    except Unextendable as error:
        raise ProtocolError(f"protocol {path}: {error}") from None


def shipped_protocols() -> tuple[str, ...]:
    """The names of the protocols that the harness ships."""
    return tuple(sorted(file.stem for file in PROTOCOLS.glob("*.toml")))


def _found(named: Path, *, beside: Path) -> Path:
    """The file that is meant: in this folder, or else, by its bare name, among the shipped ones.

    A folder of images may well be called as a protocol is.
    """
    own = beside / named
    name = named.name.removesuffix(".toml")
    shipped = len(named.parts) == 1 and name in shipped_protocols()
    return PROTOCOLS / f"{name}.toml" if shipped and (own.is_dir() or not os.path.lexists(own)) else own


def _refuse_doubles(path: Path, table: Mapping[str, Any], *, within: str = "") -> None:
    """What one file states twice would merge into one, the latter silently winning."""
    for key, value in table.items():
        where = f"{within}{key}"
        if isinstance(value, dict):
            _refuse_doubles(path, value, within=f"{where}.")
        elif is_array_of_tables(value):
            names = [name for entry in value if (name := name_of(entry)) is not None]
            if doubles := sorted(name for name, n in Counter(names).items() if n > 1):
                raise ProtocolError(
                    f"protocol {path}: {where}: {doubles[0]!r} is stated more than once. Keep one of them."
                )


def _expand_each(merged: dict[str, Any]) -> None:
    criteria, dataset = merged.get("criteria"), merged.get("dataset")
    classes = dataset.get("classes") if isinstance(dataset, dict) else None
    if not isinstance(criteria, list) or not isinstance(classes, list):
        return  # the records say what is missing
    expanded: list[Any] = []
    for criterion in criteria:
        if isinstance(criterion, dict) and criterion.get("cell_class") == "each":
            expanded += [{**criterion, "id": f"{criterion.get('id')}-{c}", "cell_class": c} for c in classes]
        elif isinstance(criterion, dict) and criterion.get("kind") == "each":
            kinds = _kinds(merged, criterion.get("metric"))
            expanded += [{**criterion, "id": f"{criterion.get('id')}-{k}", "kind": k} for k in kinds]
        else:
            expanded.append(criterion)
    merged["criteria"] = expanded


def _kinds(merged: Mapping[str, Any], metric: object) -> list[Any]:
    """What `kind = "each"` stands for; where the table is absent, "each" itself, which the records refuse."""
    entry = metric_table().get(str(metric))
    table, key = (entry.kinds.table, entry.kinds.key) if entry is not None and entry.kinds is not None else ("", "")
    plan = merged.get(table)
    kinds = plan.get(key) if isinstance(plan, dict) else None
    return kinds if isinstance(kinds, list) and kinds else ["each"]


def _tupled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tupled(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tupled(item) for item in value)
    return value


def _where(location: tuple[int | str, ...], document: Any) -> str:
    """The key that is meant, such as "criteria.A1.level": an entry's place in a merged array says nothing."""
    parts = []
    for part in location:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            document = None
        name = name_of(document) if isinstance(part, int) and isinstance(document, dict) else None
        parts.append(name or str(part))
    return ".".join(parts) or "the whole file"


def _unknown(location: tuple[int | str, ...]) -> str:
    """That a key is unknown, with the key that may be meant, or those that stand there."""
    known = _keys_beside(location)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"{UNKNOWN_KEY} Did you mean {close[0]!r}?"
    return f"{UNKNOWN_KEY} Known here: {', '.join(known)}." if known else UNKNOWN_KEY


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the record that an unknown key was written into; none where more than one record is possible."""
    record: type[BaseModel] = Protocol
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        field = record.model_fields.get(part)
        records = [] if field is None else list(_records_in(field.annotation))
        if len(records) != 1:
            return []
        record = records[0]
    return [name for name in record.model_fields if name != "source" or record is not Protocol]


def _records_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _records_in(argument)


def _remedy(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return TOP_KEY if error["loc"][-1] in ("extends", REMOVE, REPLACE) else _unknown(error["loc"])
        case "missing":
            return "this key is required and absent. Add it, or `extends` a protocol that has it."
        case _:
            given = "" if isinstance(error["input"], dict) else f" (given: {error['input']!r})"
            return f"{error['msg'].removeprefix('Value error, ')}{given}"
