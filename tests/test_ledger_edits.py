"""Whatever becomes of a ledger's lines: it is a ledger, or it is refused in words."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ledger import as_line, hashed, looked, sha
from test_looks import pictures
from test_regrouped import groups
from test_relabelled import labels

from harness.judge.ledger import merge_looks, parse_ledger
from harness.judge.look import LedgerError, Look
from harness.judge.looks import look_number
from harness.judge.regrouped import regrouped_sets
from harness.judge.relabelled import corrected_pictures

CELLS = {"a": "monocyte", "b": "monocyte", "c": "basophil"}


@cache
def entries() -> tuple[dict[str, Any], ...]:
    """A valid ledger with everything that an entry can keep: two sets of cells that share pictures."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        for run, names in (("r1", "abc"), ("r2", "abc"), ("r3", "ab"), ("r4", "abc")):
            of = {name: CELLS[name] for name in names}
            looked(
                path,
                run=run,
                cells=sha(names),
                n=len(names),
                predictions=sha(run),
                pictures=pictures(*names),
                labels=labels(**of),
                groups=groups(**dict.fromkeys(names, run if run == "r4" else "ada")),
                terms='{"looks":{"budget":30,"correction":"first-look"}}',
            )
        return tuple(json.loads(line) for line in path.read_bytes().splitlines())


def chained(found: list[dict[str, Any]]) -> bytes:
    """Each entry sealed behind the one before it, as whoever edits a ledger would do it."""
    content, previous = b"", "0" * 64
    for number, entry in enumerate(found, start=1):
        sealed = hashed(entry | {"index": number, "previous": previous})
        content, previous = content + as_line(sealed), str(sealed["hash"])
    return content


def read(content: bytes) -> None:
    """Everything that a run and `verify` ask of a ledger's looks."""
    try:
        looks = parse_ledger(content, where="ledger.jsonl")
    except LedgerError as error:
        refused = str(error)
    else:
        _ask(looks)
        return
    assert refused.startswith("ledger.jsonl, line ")


def _ask(looks: tuple[Look, ...]) -> None:
    for look in looks:
        corrected_pictures(looks, run=look.run)
        regrouped_sets(looks, run=look.run)
        look_number(looks, run=look.run, source=look.source, cells=look.cells, predictions=look.predictions)


def test_the_ledger_that_is_edited_is_one():
    assert len(parse_ledger(chained(list(entries())), where="ledger.jsonl")) == 4


@pytest.mark.parametrize("name", ["pictures", "labels", "groups"])
def test_two_entries_of_the_same_cells_with_more_and_fewer_pictures_are_refused(name, tmp_path):
    found = [dict(entry) for entry in entries()[:2]]
    shorter = {"pictures": pictures("a"), "labels": labels(a="monocyte"), "groups": groups(a="ada")}
    found[1][name] = shorter[name]
    with pytest.raises(
        LedgerError, match=f"line 2: its {name} are those of 1 pictures, and an entry of the same cells"
    ):
        parse_ledger(chained(found), where="ledger.jsonl")


def test_ledgers_that_keep_other_numbers_of_pictures_are_not_merged(tmp_path):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    looked(one, pictures=pictures("a", "b"), run="r1", predictions=sha("1"))
    looked(two, pictures=pictures("a"), run="r2", predictions=sha("2"))
    before = one.read_bytes()
    with pytest.raises(LedgerError, match="pictures"):
        merge_looks(one, {"two": parse_ledger(two.read_bytes(), where="two")})
    assert one.read_bytes() == before


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.text(max_size=6),
    st.sampled_from(["", "{}", "[]", '{"patient":"AAA="}', '{"patient":""}', '{"classes":[],"of":""}', sha("abc")]),
    st.sampled_from([pictures("a"), pictures("a", "b", "c"), labels(a="x"), groups(a="x", b="y"), groups()]),
)


@given(data=st.data())
def test_any_edit_of_an_entry_gives_a_ledger_or_an_error_in_words(data):
    found = [dict(entry) for entry in entries()]
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.integers(0, len(found) - 1))
        match data.draw(st.sampled_from(["set", "take", "copy", "remove", "exchange"])):
            case "set":
                found[where][data.draw(st.sampled_from([*sorted(found[where]), "rule", "answers", "x"]))] = data.draw(
                    values
                )
            case "take":
                found[where].pop(data.draw(st.sampled_from(sorted(found[where]))), None)
            case "copy":
                other = data.draw(st.sampled_from(found))
                name = data.draw(st.sampled_from(["pictures", "labels", "groups", "cells", "terms"]))
                found[where][name] = other.get(name, "")
            case "remove" if len(found) > 1:
                del found[where]
            case _:
                found.append(found.pop(where))
    read(chained(found))


@given(data=st.data())
def test_any_edit_of_the_bytes_gives_a_ledger_or_an_error_in_words(data):
    content = bytearray(chained(list(entries())))
    for _ in range(data.draw(st.integers(1, 3))):
        first = data.draw(st.integers(0, len(content) - 1))
        last = data.draw(st.integers(first, min(len(content), first + 40)))
        content[first:last] = data.draw(st.binary(max_size=8))
        if not content:
            return
    read(bytes(content))
