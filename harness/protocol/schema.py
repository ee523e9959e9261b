"""Which keys may a protocol file have, and what does each mean? A JSON Schema for editors, a page for people.

Both are made from the records and their descriptions, so that neither can say of a key what the reader does not hold.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from harness.protocol.criteria import metric_table
from harness.protocol.extending import NAMES, REMOVE, REPLACE
from harness.protocol.records import Protocol

Node = dict[str, Any]

EXTENDING: dict[str, Node] = {
    "extends": {"type": "string", "description": "The protocol file that this one changes, beside it or by its path."},
    REMOVE: {
        "type": "array",
        "items": {"type": "string"},
        "description": 'What of the extended protocol is gone, by dotted names: "prevalence", "criteria.P1", '
        '"robustness.kinds.stain". An entry of an array of tables goes by its id, name or criterion.',
    },
    REPLACE: {
        "type": "array",
        "items": {"type": "string"},
        "description": "Tables, or entries of arrays of tables, that this file states whole: nothing of the extended "
        "protocol is merged into them.",
    },
}
EACH = {
    "cell_class": 'A class, or "each": one criterion per class, called <id>-<class>.',
    "kind": 'A kind, "any" for all together where the metric has that, or "each": one criterion per kind, called '
    "<id>-<kind>.",
}
FIELD_LINE = re.compile(r"^\s*(\w+(?:, \w+)*):\s+(\S.*)$")


def descriptions(record: type[BaseModel]) -> dict[str, str]:
    """Key -> what it means: the record's docstring says `key: meaning`, or the field has a description of its own.

    What a record inherits is described where it is defined.
    """
    found = {
        name: summary(inner) for name, field in record.model_fields.items() for inner in _models_in(field.annotation)
    }
    found |= {name: field.description for name, field in record.model_fields.items() if field.description}
    keys: list[str] = []
    own = [each.__doc__ for each in reversed(record.__mro__) if issubclass(each, BaseModel) and each is not BaseModel]
    for line in "\n\n".join(inspect.cleandoc(doc or "") for doc in own).splitlines():
        named = FIELD_LINE.match(line)
        if named is not None and set(names := named[1].split(", ")) <= set(record.model_fields):
            keys = names
            found |= dict.fromkeys(keys, named[2])
        elif line.strip() and keys:
            found |= {key: f"{found[key]} {line.strip()}" for key in keys}
        else:
            keys = []
    return found


def summary(record: type[BaseModel]) -> str:
    """The first paragraph of the record's docstring."""
    return " ".join(inspect.cleandoc(record.__doc__ or "").partition("\n\n")[0].split())


def protocol_schema() -> Node:
    """JSON Schema of a protocol file. Nothing but names is required: what a file leaves out, it extends."""
    records = {record.__name__: record for record in _records(Protocol)}
    whole = Protocol.model_json_schema()
    definitions: dict[str, Node] = whole.pop("$defs")
    # In the file, a suite of expectations is the name of its JSON file.
    definitions["DatasetPlan"]["properties"]["expectations"] = {"type": "string"}
    criterion = definitions["Criterion"]["properties"]
    criterion["metric"] = {"type": "string", "enum": sorted(metric_table())}
    del whole["properties"]["source"]
    whole["properties"] = EXTENDING | whole["properties"]
    for name, node in {**definitions, "Protocol": whole}.items():
        record = records.get(name)
        if record is not None:
            _describe(node, record)
    for key, meaning in EACH.items():
        criterion[key] = {"type": "string", "description": meaning}
    used = _reachable(whole, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **whole,
        "title": "Protocol of a validation run",
        "description": "Everything that is fixed before a run. Written by `python -m harness schema`.",
        "$defs": {name: definitions[name] for name in sorted(used)},
    }


def _describe(node: Node, record: type[BaseModel]) -> None:
    meanings = descriptions(record)
    node["description"] = summary(record)
    # Strict while a file is read, and yet a part of a protocol: the base may have the rest.
    node["required"] = [key for key in node.get("required", ()) if key in NAMES]
    for key, described in node["properties"].items():
        described.pop("title", None)
        if key in meanings:
            described["description"] = meanings[key]
    if not node["required"]:
        del node["required"]


def _records(record: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The record and every record inside it, each once, in the order of the fields."""
    seen: dict[type[BaseModel], None] = {}

    def visit(each: type[BaseModel]) -> None:
        if each not in seen:
            seen[each] = None
            for field in each.model_fields.values():
                for inner in _models_in(field.annotation):
                    visit(inner)

    visit(record)
    return iter(seen)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _reachable(node: Any, definitions: Mapping[str, Node]) -> set[str]:
    found: set[str] = set()

    def visit(each: Any) -> None:
        if isinstance(each, dict):
            name = str(each.get("$ref", "")).rpartition("/")[2]
            if name in definitions and name not in found:
                found.add(name)
                visit(definitions[name])
            for inner in each.values():
                visit(inner)
        elif isinstance(each, list):
            for inner in each:
                visit(inner)

    visit(node)
    return found


# --- the page -------------------------------------------------------------------------------------

PAGE_HEADER = """# The keys of a protocol

Made from the records of `harness/protocol` by `python -m harness schema --page`; a test holds this page current.
`python -m harness schema` prints the same as a JSON Schema, which editors take for a TOML file:

```toml
#:schema protocol.schema.json
```

[metrics.md](metrics.md) has the metrics that a criterion can be on. "Required" is what the whole protocol must have
when all that it extends has been merged; a file that extends another states only what it changes.
"""


def keys_page() -> str:
    """Markdown: every table of a protocol file with its keys, their types, defaults and meanings."""
    schema = protocol_schema()
    required = {record.__name__: _required(record) for record in _records(Protocol)}
    parts = [PAGE_HEADER, "## At the top of the file\n", _table(EXTENDING, frozenset())]
    top = {key: node for key, node in schema["properties"].items() if key not in EXTENDING}
    parts += [section for key, node in top.items() for section in _sections(key, node, schema["$defs"], required)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _required(record: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in record.model_fields.items() if field.is_required())


def _sections(
    path: str, node: Node, definitions: Mapping[str, Node], required: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    name, many = _record_of(node, definitions)
    if name is None:
        return
    table = definitions[name]
    heading = f"`[[{path}]]`" if many else f"`[{path}]`"
    yield f"\n## {heading}\n\n{table['description']}\n"
    yield _table(table["properties"], required[name])
    for key, inner in table["properties"].items():
        yield from _sections(f"{path}.{key}", inner, definitions, required)


def _record_of(node: Node, definitions: Mapping[str, Node]) -> tuple[str | None, bool]:
    """The record that a key holds, and whether it holds several."""
    for each in (node, *node.get("anyOf", ())):
        inner, many = (each["items"], True) if isinstance(each.get("items"), dict) else (each, False)
        name = str(inner.get("$ref", "")).rpartition("/")[2]
        if name in definitions:
            return name, many
    return None, False


def _table(properties: Mapping[str, Node], required: frozenset[str]) -> str:
    rows = ["| key | what it is | type | without it |", "|---|---|---|---|"]
    for key, node in properties.items():
        if key in required:
            without = "required"
        elif node.get("default") in (None, [], {}) or isinstance(node.get("default"), dict):
            without = ""
        else:
            without = f"`{_toml(node['default'])}`"
        cells = (f"`{key}`", node.get("description", ""), kind_of(node), without)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def kind_of(node: Node) -> str:
    """The type of a key's value in a few words, such as "whole number of at least 1"."""
    options = [kind_of(each) for each in node.get("anyOf", ()) if each.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(options))
    if "$ref" in node:
        return "table"
    if "enum" in node or "const" in node:
        values = node.get("enum", [node.get("const")])
        return ", ".join(f"`{_toml(value)}`" for value in values) if len(values) <= 12 else "one of many: metrics.md"
    match node.get("type"):
        case "array":
            items = node.get("items") or node.get("prefixItems", [{}])[0]
            return "tables" if "$ref" in items else f"list of {kind_of(items)}"
        case "object":
            inner = node.get("additionalProperties")
            return f"table of {kind_of(inner)}" if isinstance(inner, dict) else "table"
        case "integer":
            return "whole number" + _limits(node)
        case "number":
            return "number" + _limits(node)
        case "boolean":
            return "`true`, `false`"
        case _:
            return "date" if node.get("format") == "date" else "text"


def _limits(node: Node) -> str:
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
    }
    said = [text.format(f"{node[key]:g}") for key, text in words.items() if key in node]
    return f", {', '.join(said)}" if said else ""


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
