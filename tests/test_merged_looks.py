"""Ledgers that were merged: whichever chain comes first, what the first look by date fixed stays fixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_ledger import looked, sha
from test_looks import pictures

from harness.core.places import PROTOCOLS
from harness.judge.amended import changes_in
from harness.judge.labels import pack_labels
from harness.judge.ledger import contains, ledger_bytes, merge_looks, read_ledger
from harness.judge.look import START, Look, sealed, written
from harness.judge.partitions import pack_groups
from harness.judge.relabelled import corrected_pictures
from harness.judge.rules import KNOWN, RULES
from harness.judge.terms import pack_terms
from harness.protocol.file import read_protocol

PROTOCOL = read_protocol(PROTOCOLS / "leukocyte.toml")
BEFORE = replace(RULES, firsts_kept=None)
NAMES = "abcd"


def loose():
    """The protocol with a floor that is chosen with the numbers in sight."""
    criteria = tuple(c.model_copy(update={"floor": 0.5}) if c.id == "A1" else c for c in PROTOCOL.criteria)
    return PROTOCOL.model_copy(update={"criteria": criteria})


def look_at(path: Path, run: str, protocol, *, label: str = "monocyte", patient: str = "ada") -> None:
    looked(
        path,
        run=run,
        cells=sha(f"{label} {patient}"),
        pictures=pictures(*NAMES),
        labels=pack_labels((sha(name), label if name == "a" else "basophil") for name in NAMES),
        groups=pack_groups((sha(name), {"patient": patient if name == "a" else "ada"}) for name in NAMES),
        terms=pack_terms(protocol),
        predictions=sha(run),
        n=len(NAMES),
    )


def dated(path: Path, time: str) -> None:
    """The same chain, each look of it made at this time."""
    chain: list[Look] = []
    for look in read_ledger(path):
        entry = {name: value for name, value in written(look).items() if name != "hash"}
        chain.append(sealed(entry | {"time": time, "previous": chain[-1].hash if chain else START}))
    path.write_bytes(ledger_bytes(chain))


@pytest.fixture(params=["others first", "own first"])
def merged(request: pytest.FixtureRequest, tmp_path: Path):
    """A look by the protocol; later one that chose otherwise, in a ledger of its own; both merged; and one more."""

    def make(**chosen) -> Path:
        main, other = tmp_path / "main.jsonl", tmp_path / "other.jsonl"
        look_at(main, "first", PROTOCOL)
        dated(main, "2026-01-15T09:30:00+00:00")
        look_at(other, "chosen", loose(), **chosen)
        dated(other, "2026-01-16T09:30:00+00:00")
        into, of = (other, main) if request.param == "others first" else (main, other)
        merge_looks(into, {"the other": read_ledger(of)})
        assert contains(read_ledger(of), read_ledger(into))
        look_at(into, "later", loose(), **chosen)
        return into

    return make


def test_a_floor_that_was_lowered_in_another_ledger_is_lowered(merged):
    ledger = read_ledger(merged())
    lowered = [(change.run, change.old) for change in changes_in(loose(), ledger, run="later") if change.undeclared]
    assert lowered == [("first", "0.98")]


def test_labels_and_groups_that_were_moved_in_another_ledger_are_moved(merged):
    ledger = read_ledger(merged(label="neutrophil", patient="bea"))
    found = {change.key for change in changes_in(loose(), ledger, run="later") if change.undeclared}
    assert {"criteria.A1.floor", "groups.test"} <= found
    assert [(each.old, each.new, each.run) for each in corrected_pictures(ledger, run="later")] == [
        ("monocyte", "neutrophil", "first")
    ]


def test_a_clock_that_was_set_back_makes_no_look_the_first(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", PROTOCOL)
    dated(path, "2099-01-15T09:30:00+00:00")  # so that all that follow are dated before it
    look_at(path, "second", loose())
    look_at(path, "later", loose())
    assert [c.run for c in changes_in(loose(), read_ledger(path), run="later") if c.undeclared] == ["first"]


def test_a_run_of_a_judge_that_went_by_places_alone_is_as_it_was(tmp_path: Path):
    path, main = tmp_path / "other.jsonl", tmp_path / "main.jsonl"
    look_at(main, "first", PROTOCOL)
    dated(main, "2026-01-15T09:30:00+00:00")
    look_at(path, "chosen", loose())
    merge_looks(path, {"main": read_ledger(main)})
    look_at(path, "later", loose())
    assert changes_in(loose(), read_ledger(path), run="later", rules=BEFORE) == ()
    assert BEFORE in KNOWN
