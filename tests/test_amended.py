"""What moved in a protocol after a look: found key by key, whichever way it moved, and declared or not."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
from example_run import example_run
from test_ledger import looked, sha
from test_looks import pictures

from harness.core.errors import ProtocolError
from harness.judge.amended import Change, changes_in, differences, unfixed_looks
from harness.judge.ledger import ledger_bytes, read_ledger
from harness.judge.look import Look
from harness.judge.terms import InvalidTerms, pack_terms, unpack_terms
from harness.pack.tables import junit_of
from harness.protocol.amendments import Amendment
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.terms import LONGEST, at, canonical, says, terms_of
from harness.report.amended import changes_told, to_write
from harness.report.sentences import conclusion
from harness.report.summary import summary
from harness.session import Exit, RunState, exit_code

BASE = """
extends = "embedded"
[identity]
id = "own"
"""


@pytest.fixture
def protocol(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A protocol of these lines on top of the embedded one."""

    def read(text: str = "") -> Protocol:
        file = tmp_path / "own.toml"
        file.write_text(BASE + text)
        return read_protocol(file)

    return read


def first(path: Path, by: Protocol, **changed: object) -> Look:
    return looked(path, run="first", terms=pack_terms(by), **changed)


def keys(path: Path, now: Protocol, *, run: str = "later", **changed: object) -> list[str]:
    """What is other when this protocol looks, too."""
    looked(path, run=run, terms=pack_terms(now), **changed)
    return sorted(change.key for change in changes_in(now, read_ledger(path), run=run))


def undeclared(protocol: Protocol, path: Path, *, run: str = "later") -> list[str]:
    return [c.key for c in changes_in(protocol, read_ledger(path), run=run) if c.amendment is None]


# --- what a protocol fixes ------------------------------------------------------------------------


def test_every_key_is_fixed_but_texts_and_the_candidates_making(protocol):
    by = protocol()
    tree = terms_of(by).tree
    assert not {"identity", "training", "model", "source", "amendments"} & tree.keys()
    assert at(tree, "criteria.A1.floor") == 0.85
    assert at(tree, "external.nine_monocytes.independence") == "not shown"
    said = canonical(tree)
    texts = [by.dataset.description, *(c.rationale for c in by.criteria), *(e.description for e in by.external)]
    assert not [text for text in texts if text in said]
    content = by.model_dump(mode="json", exclude={"identity", "training", "model", "waivers", "external", "criteria"})
    assert set(tree) == {name for name, value in content.items() if value is not None} | {"criteria", "external"}


def test_texts_and_training_may_be_other(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    other = """title = "another title"
version = "2"
[training]
seed = 7
batch_size = 8
[dataset]
description = "in other words"
[[criteria]]
id = "A1"
rationale = "for another reason"
"""
    assert keys(path, protocol(other)) == []


def test_whole_numbers_and_the_digest_of_what_is_long_are_the_same_values():
    assert says(1, 1.0)
    assert not says(1, True)
    assert says(["x" * LONGEST], f"sha256:{'0' * 64}") is False
    long = "x" * (LONGEST + 1)
    assert says(long, long)
    assert not says(long, f"{long}y")
    assert says(date(2026, 1, 2), "2026-01-02")


# --- what moved -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ('[[criteria]]\nid = "A1"\nfloor = 0.8\nrationale = "another"\n', ["criteria.A1.floor"]),
        (
            '[[criteria]]\nid = "A1"\nfloor = 0.9\nrationale = "another"\n',
            ["criteria.A1.floor"],
        ),  # stricter is other, too
        ('[[criteria]]\nid = "A1"\nrequired = false\n', ["criteria.A1.required"]),
        ('[[criteria]]\nid = "A1"\nlevel = 0.9\nrationale = "another"\n', ["criteria.A1.level"]),
        ('[[criteria]]\nid = "G1"\nfloor = -0.2\nrationale = "another"\n', ["criteria.G1.floor"]),
        ("[split]\nseed = 7\n", ["split.seed"]),
        ("[clusters]\nintracluster_correlation = 0.0\n", ["clusters.intracluster_correlation"]),
        ('[dataset.labels]\nmono = "monocyte"\n', ["dataset.labels"]),
        ("[slices]\nminimum_support = 5\n", ["slices"]),
        ('[looks]\ncorrection = "budget"\nbudget = 100\n', ["looks.budget", "looks.correction"]),
        ("[calibration]\nn_bins = 5\n", ["calibration.n_bins"]),
        (
            '[[criteria]]\nid = "A8"\nquestion = "accuracy"\nset = "test"\nmetric = "accuracy"\nfloor = 0.5\n'
            'level = 0.9\nrequired = true\nrationale = "x"\n',
            ["criteria.A8"],
        ),
        (
            '[[waivers]]\ncriterion = "A1"\nreason = "not at hand now"\nowner = "us"\nexpires = 2099-01-01\n',
            ["waivers.A1"],
        ),
    ],
)
def test_whatever_is_other_is_named(protocol, tmp_path, text, moved):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    assert keys(path, protocol(text), predictions=sha("a retrained candidate")) == moved


def test_a_removed_criterion_is_named(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    (tmp_path / "less.toml").write_text('extends = "own.toml"\nremove = ["criteria.A1"]\n')
    less = read_protocol(tmp_path / "less.toml")
    assert keys(path, less) == ["criteria.A1"]
    (change,) = changes_in(less, read_ledger(path), run="later")
    assert json.loads(change.old)["floor"] == 0.85
    assert change.new == ""


def test_what_is_asked_of_a_set_is_fixed_by_the_first_look_at_it(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    moved = protocol('[[criteria]]\nid = "E1"\nfloor = 0.1\nrationale = "another"\n')
    assert moved.criteria[[c.id for c in moved.criteria].index("E1")].set == "second_laboratory"
    assert keys(path, moved) == []  # nobody has looked at it
    elsewhere = {"set": "second_laboratory", "source": sha("there"), "cells": sha("cells there")}
    first(path, protocol(), **elsewhere)
    assert keys(path, moved, run="latest", **elsewhere) == ["criteria.E1.floor"]


@pytest.mark.parametrize(
    "text",
    [
        '[[criteria]]\nid = "E1"\nfloor = 0.1\nrationale = "another"\n',
        '[[criteria]]\nid = "E1"\nlevel = 0.9\nrationale = "another"\n',
    ],
)
def test_a_set_that_is_left_away_after_its_look_keeps_what_was_asked_of_it(protocol, tmp_path, text):
    path = tmp_path / "ledger.jsonl"
    by = protocol()
    first(path, by)
    first(path, by, set="second_laboratory", source=sha("there"), cells=sha("cells there"))
    moved = protocol(text)
    (found,) = keys(path, moved)  # a run that looks at the test part alone
    assert found.startswith("criteria.E1.")
    # New cells under the same name have a first look of their own.
    new = {"set": "second_laboratory", "source": sha("new"), "cells": sha("new cells")}
    looked(path, run="on new cells", terms=pack_terms(moved), **new)
    assert keys(path, moved, run="on new cells") == []


def test_a_source_that_is_found_for_the_correlation_after_the_look_is_a_change(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol("[clusters]\nintracluster_correlation = 0.1\n"))
    sourced = protocol('[clusters]\nintracluster_correlation = 0.1\nsource = "somebody was asked about it"\n')
    assert keys(path, sourced) == ["clusters.source"]


def test_hopes_may_be_stated_at_any_time(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    assert keys(path, protocol("[plan]\naccuracy = 0.99\n")) == []


@pytest.mark.parametrize("value", ["[nan]", "{ a = inf }", f"0x{'f' * 5000}", "[" * 400 + "]" * 400])
def test_a_value_that_no_key_can_have_is_refused_in_one_sentence(protocol, value):
    text = f'[[amendments]]\nkey = "criteria.A1.floor"\nold = {value}\nnew = 0.85\n'
    with pytest.raises(ProtocolError):
        protocol(f'{text}reason = "a reason long enough"\nowner = "me"\nday = 2026-01-20\n')


def test_the_first_look_at_a_source_its_cells_or_a_picture_counts_whatever_came_between(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    lower = protocol('[[criteria]]\nid = "A1"\nfloor = 0.8\nrationale = "another"\n')
    first(path, protocol(), source=sha("s"), cells=sha("c"), pictures=pictures("a", "b"), n=2)
    shown = {"source": sha("other"), "cells": sha("fewer"), "pictures": pictures("b"), "n": 1}
    assert keys(path, lower, **shown) == ["criteria.A1.floor"]
    assert keys(path, lower, run="again", **shown) == ["criteria.A1.floor"]  # it is no first look of its own
    assert keys(path, protocol(), run="restored", **shown) == []
    assert keys(path, lower, run="by source", source=sha("s"), cells=sha("redrawn")) == ["criteria.A1.floor"]
    assert keys(path, lower, run="new", source=sha("new"), cells=sha("new"), pictures=pictures("z"), n=1) == []


def test_sets_that_are_joined_keep_the_first_look_at_each(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    lower = protocol('[[criteria]]\nid = "A1"\nfloor = 0.8\nrationale = "another"\n')
    looked(path, run="easy", terms=pack_terms(lower), cells=sha("3"), source=sha("3"), pictures=pictures("z"), n=1)
    first(path, protocol(), cells=sha("c"), source=sha("c"), pictures=pictures("a"), n=1)
    joined = {"cells": sha("both"), "source": sha("both"), "pictures": pictures("a", "z"), "n": 2}
    assert keys(path, lower, **joined) == ["criteria.A1.floor"]


def test_keys_that_an_older_harness_did_not_know_are_not_fixed_at_their_usual_value(protocol, tmp_path):
    held = unpack_terms(pack_terms(protocol()))
    del held["calibration"]
    assert list(differences(held, terms_of(protocol()))) == []
    ((steps, old, new),) = differences(held, terms_of(protocol("[calibration]\nn_bins = 5\n")))
    assert (steps, old, new["n_bins"]) == (("calibration",), None, 5)


def test_an_older_ledger_fixes_nothing_and_is_told(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    looked(path, run="old")
    looked(path, run="older", predictions=sha("p2"))
    assert keys(path, protocol('[[criteria]]\nid = "A1"\nfloor = 0.8\nrationale = "another"\n')) == []
    assert unfixed_looks(read_ledger(path), run="later") == {"test": 2}
    assert keys(path, protocol(), run="next") == ["criteria.A1.floor"]  # the first look that says what it fixed
    assert unfixed_looks(read_ledger(path), run="next") == {}


def test_entries_that_keep_the_rule_of_looks_alone_fix_that(protocol, tmp_path):
    # As one version wrote them: the field is read, and nothing writes it.
    from test_ledger import as_line, hashed

    path = tmp_path / "ledger.jsonl"
    looked(path, run="ruled")
    entry = json.loads(path.read_bytes())
    path.write_bytes(as_line(hashed(entry | {"rule": "first-look of 30"})))
    assert (
        keys(
            path,
            protocol(
                '[looks]\ncorrection = "first-look"\n[[criteria]]\nid = "A1"\nfloor = 0.8\nrationale = "another"\n'
            ),
        )
        == []
    )
    # Of keys that nothing had fixed, the first look that keeps them is the first.
    assert keys(path, protocol(), run="next") == ["criteria.A1.floor", "looks.budget", "looks.correction"]


def test_terms_are_kept_once_for_each_set_of_cells_and_read_back(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    again = first(path, protocol())
    assert again.terms == ""
    entry = read_ledger(path)[0]
    assert unpack_terms(entry.terms) == terms_of(protocol()).tree
    assert ledger_bytes(read_ledger(path)) == path.read_bytes()
    for packed in ("[]", '{"a": 1}', "{", '{"a":1,"a":1}'):
        with pytest.raises(InvalidTerms):
            unpack_terms(packed)


# --- what is declared -----------------------------------------------------------------------------

DECLARED = """
[[amendments]]
key = "criteria.A1.floor"
old = 0.85
new = 0.8
reason = "the floor was copied from another protocol"
owner = "the laboratory"
day = 2026-01-20
"""
LOWER = '[[criteria]]\nid = "A1"\nfloor = 0.8\nrationale = "another"\n'


def test_a_change_is_declared_by_both_its_values(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    assert keys(path, protocol(LOWER)) == ["criteria.A1.floor"]
    assert undeclared(protocol(LOWER), path) == ["criteria.A1.floor"]
    assert undeclared(protocol(LOWER + DECLARED), path) == []
    assert undeclared(protocol(LOWER + DECLARED.replace("0.85", "0.81")), path) == ["criteria.A1.floor"]


def test_what_is_written_out_declares_every_change(protocol, tmp_path):
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    text = LOWER + '[looks]\ncorrection = "budget"\nbudget = 9\n[slices]\nminimum_support = 5\n'
    text += '[dataset.labels]\n"a.b" = "monocyte"\n'
    (tmp_path / "less.toml").write_text('extends = "own.toml"\nremove = ["criteria.A2", "prevalence"]\n')
    protocol(text)
    moved = read_protocol(tmp_path / "less.toml")
    assert {"criteria.A2", "prevalence", "looks.budget", "slices"} <= set(keys(path, moved))
    written = "\n".join(to_write(changes_in(moved, read_ledger(path), run="later")))
    written = written.replace('""', '"a reason long enough"').replace("day =", "day = 2026-01-20")
    assert tomllib.loads(written)
    with (tmp_path / "less.toml").open("a") as stream:
        stream.write(written)
    assert undeclared(read_protocol(tmp_path / "less.toml"), path) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (DECLARED, r"`new` is 0.8, and this protocol has 0.85"),
        (LOWER + DECLARED.replace("A1.floor", "A1.flor"), r"fixes no such key"),
        (LOWER + DECLARED.replace("criteria.A1.floor", "training.seed"), r"fixes no such key"),
        (LOWER + DECLARED.replace("0.85", "0.8"), r"`old` and `new` are the same"),
        (LOWER + DECLARED.replace("new = 0.8\n", ""), r"`new` is null, and this protocol has 0.8"),
    ],
)
def test_an_amendment_says_what_the_protocol_says(protocol, text, why):
    with pytest.raises(ProtocolError, match=why):
        protocol(text)


# --- what is told ---------------------------------------------------------------------------------

MADE = Amendment(
    key="criteria.A1.floor",
    old=0.98,
    new=0.95,
    reason="copied from another protocol",
    owner="the laboratory",
    day=date(2026, 1, 14),
)
MOVED = Change("test", "criteria.A1.floor", "0.98", "0.95", "before", "2026-01-10T08:00:00+00:00", None)


def passing(*changes: Change, protocol: Protocol | None = None):  # type: ignore[no-untyped-def]
    run = example_run(n_wrong=0)
    verdicts = tuple(v for v in run.verdicts if v.passed)
    kept = tuple(v.criterion for v in verdicts)
    own = (protocol or run.protocol).model_copy(update={"criteria": kept, "waivers": ()})
    return replace(run, verdicts=verdicts, protocol=own, changes=changes)


def test_an_undeclared_change_keeps_a_run_from_passing_and_a_declared_one_is_told_beside_the_verdict():
    assert passing().passed
    assert conclusion(passing()) == "RUN PASSED: every required criterion passed"
    assert not passing(MOVED).passed
    assert conclusion(passing(MOVED)) == (
        "RUN NOT PASSED: the protocol changed after a look, and no amendment declares it: "
        "criteria.A1.floor 0.98 -> 0.95"
    )
    declared = passing(replace(MOVED, amendment=MADE))
    assert declared.passed
    assert conclusion(declared) == (
        "RUN PASSED: every required criterion passed; amended after a look: criteria.A1.floor 0.98 -> 0.95"
    )


def test_a_run_whose_every_criterion_passed_ends_with_7_where_nothing_declares_the_change():
    def code(*changes: Change) -> Exit:
        results = passing(*changes)
        return exit_code(RunState(results.protocol, results=results))

    assert code() is Exit.PASSED
    assert code(MOVED) is Exit.INCOMPLETE
    assert code(replace(MOVED, amendment=MADE)) is Exit.PASSED


def test_summary_and_lines_name_old_new_and_who_answers():
    told = "criteria.A1.floor was 0.98 when test was first looked at (run before, 2026-01-10), and is 0.95 now: "
    assert changes_told(passing(MOVED)) == [told + "not declared"]
    declared = passing(replace(MOVED, amendment=MADE))
    (line,) = changes_told(declared)
    assert line == told + "copied from another protocol (the laboratory, 2026-01-14)"
    assert "criteria.A1.floor was 0.98 when test" in summary(declared)
    assert "criteria.A1.floor 0.98 -\\> 0.95" in summary(declared)


def test_an_amendment_of_no_look_is_told():
    run = passing()
    run = replace(run, protocol=run.protocol.model_copy(update={"amendments": (MADE,)}))
    assert changes_told(run) == [
        "the amendment of criteria.A1.floor is of no look that this ledger knows: no set was first looked at with 0.98"
    ]
    assert run.passed


def test_junit_has_a_case_of_its_own_that_is_red_where_nothing_declares_the_change():
    def case(change: Change) -> ElementTree.Element:
        root = ElementTree.fromstring(junit_of(passing(change)))
        found = root.find(".//testcase[@classname='protocol']")
        assert found is not None
        assert int(root.find("testsuite").get("tests")) == len(root.findall(".//testcase"))  # type: ignore[union-attr, arg-type]
        assert int(root.find("testsuite").get("errors")) == len(root.findall(".//error"))  # type: ignore[union-attr, arg-type]
        return found

    red = case(MOVED)
    assert "0.98" in red.find("error").text  # type: ignore[union-attr, operator]
    assert [p.get("name") for p in red.iter("property")] == ["moved"]
    quiet = case(replace(MOVED, amendment=MADE))
    assert quiet.find("error") is None
    assert [p.get("name") for p in quiet.iter("property")] == ["amended"]
    assert ElementTree.fromstring(junit_of(passing())).find(".//testcase[@classname='protocol']") is None


def test_a_protocol_that_requires_nothing_about_accuracy_says_so_in_the_last_line():
    run = passing()
    other = tuple(c for c in run.protocol.criteria if c.question not in ("accuracy", "external"))
    assert any(c.required for c in other)
    bare = replace(
        run,
        protocol=run.protocol.model_copy(update={"criteria": other}),
        verdicts=tuple(v for v in run.verdicts if v.criterion in other),
    )
    assert bare.passed
    assert conclusion(bare).endswith("; the protocol requires nothing about accuracy")
    assert "requires nothing about accuracy" in summary(bare)
