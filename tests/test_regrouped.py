"""Patients, slides and sites that are taken away or moved after a look, or beside a baseline: seen, declared or not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import test_comparing as comparing
from example_run import example_picture, example_run, write_example_dataset
from hypothesis import given
from hypothesis import strategies as st
from test_ledger import looked, sha
from test_looks import pictures
from test_verify import edit_json, looked_at, measured_anew, mend_sums, pack_of, with_patients

from harness.cli import main
from harness.data.records import Manifest
from harness.judge.amended import changes_in
from harness.judge.ledger import merge_looks, read_ledger
from harness.judge.look import LedgerError
from harness.judge.margins import margins_of, rest_of
from harness.judge.partitions import InvalidGroups, pack_groups, unpack_groups
from harness.judge.pictures import unpack_pictures
from harness.judge.regrouped import groups_beside_baseline, regrouped_sets, unlike_columns
from harness.metrics.comparison import compare
from harness.metrics.partitions import SEVERAL, UNGROUPED, of_groups, without_names
from harness.metrics.predictions import Predictions
from harness.pack.compare import compare_packs
from harness.pack.verify import verify_pack
from harness.protocol.amendments import Amendment
from harness.report.amended import changes_told, to_write
from harness.report.sentences import conclusion

PATIENTS = {"a": "ada", "b": "ada", "c": "bea", "d": "cleo"}


def groups(kind: str = "patient", **of: str) -> str:
    return pack_groups((sha(name), {kind: group} if group else {}) for name, group in of.items())


def look_at(path: Path, run: str, *, kind: str = "patient", cells: str = "", **of: str) -> None:
    looked(
        path,
        run=run,
        cells=sha(cells or repr(sorted(of))),
        pictures=pictures(*of),
        groups=groups(kind, **of),
        predictions=sha(run),
        n=len(of),
    )


def moved(path: Path, run: str = "later") -> list[tuple[str, str, str]]:
    said = regrouped_sets(read_ledger(path), run=run)
    return [(each.kind, each.old.partition(",")[0], each.new.partition(",")[0]) for each in said]


# --- what a ledger keeps --------------------------------------------------------------------------


def test_pictures_of_one_group_have_one_number_in_the_order_of_the_pictures():
    found = unpack_groups(groups(a="x", b="y", c="x", d=""))["patient"].tolist()
    order = sorted("abcd", key=lambda name: unpack_pictures(pictures(name))[0])
    assert len(found) == 4
    numbers = dict(zip(order, found, strict=True))
    assert numbers["a"] == numbers["c"] != numbers["b"] and numbers["d"] == UNGROUPED
    assert {numbers["a"], numbers["b"]} == {0, 1}


def test_a_picture_whose_cells_are_of_several_groups_is_of_none_of_them():
    packed = pack_groups([(sha("a"), {"patient": "x"}), (sha("a"), {"patient": "y"}), (sha("b"), {"patient": "x"})])
    assert sorted(unpack_groups(packed)["patient"].tolist()) == [SEVERAL, 0]


@given(names=st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=12), salt=st.integers(0, 99))
def test_another_spelling_of_the_same_groups_is_the_same_text(names, salt):
    cells = [sha(f"{salt}{n}") for n in range(len(names))]
    as_written, otherwise = (
        pack_groups((cell, {"patient": spelling(name)}) for cell, name in zip(cells, names, strict=True))
        for spelling in (str, lambda name: f"clinic 7: {name.upper()}")
    )
    assert as_written == otherwise


@pytest.mark.parametrize(
    "packed", ["[]", "x", '{"patient":"AAE="}', '{"patient":1}', '{ "patient":"AAA="}', '{"p":"AAA=","s":"AAAAAA=="}']
)
def test_what_the_harness_did_not_write_is_refused(packed, tmp_path):
    with pytest.raises(InvalidGroups):
        unpack_groups(packed)
    with pytest.raises(LedgerError, match="groups"):
        looked(tmp_path / "ledger.jsonl", groups=packed)


def test_groups_of_other_pictures_than_an_entry_has_are_refused(tmp_path):
    with pytest.raises(LedgerError, match="groups of 4 pictures, of which it has 1"):
        looked(tmp_path / "ledger.jsonl", pictures=pictures("a"), groups=groups(**PATIENTS), n=4)


def test_they_are_kept_once_and_again_where_they_are_others(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for run, of in (("r1", PATIENTS), ("r2", PATIENTS), ("r3", dict.fromkeys("abcd", "x")), ("r4", PATIENTS)):
        look_at(path, run, **of)
    assert [bool(look.groups) for look in read_ledger(path)] == [True, False, True, False]
    assert moved(path, "r3") == [("patient", "3 groups", "1 group")]
    assert moved(path, "r4") == []


# --- what moved -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "found"),
    [
        (PATIENTS, []),
        ({name: f"clinic 7, {group}" for name, group in PATIENTS.items()}, []),
        (PATIENTS | {"e": "ada", "f": "new"}, []),  # more cells: those that were seen are divided as they were
        ({"a": "ada", "b": "ada"}, []),
        (dict.fromkeys(PATIENTS, ""), [("patient", "3 groups", "")]),
        ({name: name for name in PATIENTS}, [("patient", "3 groups", "4 groups")]),
        (PATIENTS | {"b": "bea"}, [("patient", "3 groups", "3 groups")]),
        (PATIENTS | {"a": ""}, [("patient", "3 groups", "3 groups")]),
        (PATIENTS | {"a": "dora", "e": "ada"}, [("patient", "3 groups", "4 groups")]),
    ],
)
def test_only_cells_that_share_a_patient_otherwise_than_at_the_first_look_have_moved(tmp_path, later, found):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", **PATIENTS)
    look_at(path, "later", **later)
    assert moved(path) == found


def test_a_column_that_goes_or_comes_has_moved_and_old_entries_fix_none(tmp_path):
    path = tmp_path / "ledger.jsonl"
    looked(path, run="old", cells=sha("old"), pictures=pictures(*PATIENTS), n=4)
    look_at(path, "first", **PATIENTS)
    look_at(path, "later", kind="site", **PATIENTS)
    assert moved(path, "first") == []
    assert moved(path) == [("patient", "3 groups", ""), ("site", "", "3 groups")]


def test_what_counts_is_the_first_look_also_where_ledgers_were_merged(tmp_path):
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    look_at(here, "first", **PATIENTS)
    merge_looks(there, {"here": read_ledger(here)})
    look_at(there, "second", **dict.fromkeys(PATIENTS, ""))
    merge_looks(here, {"there": read_ledger(there)})
    look_at(here, "later", **PATIENTS)
    assert moved(here) == []
    look_at(here, "last", **dict.fromkeys(PATIENTS, ""))
    assert moved(here, "last") == [("patient", "3 groups", "")]


# --- what becomes of it ---------------------------------------------------------------------------


def test_an_undeclared_move_keeps_a_run_from_passing(tmp_path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", **PATIENTS)
    look_at(path, "later", **dict.fromkeys(PATIENTS, ""))
    ledger, run = read_ledger(path), example_run()
    (each,) = regrouped_sets(ledger, run="later")
    stated = {"key": "groups.test", "old": {"patient": each.old}, "owner": "us", "day": date(2026, 1, 3)}
    declared = Amendment.model_validate({**stated, "reason": "consent for ids was withdrawn"})
    other = declared.model_copy(update={"old": {"patient": "3 groups, 0000000000000000"}})
    for amendments, undeclared in (((), 1), ((declared,), 0), ((other,), 1)):
        protocol = run.protocol.model_copy(update={"amendments": amendments})
        changes = changes_in(protocol, ledger, run="later")
        found = replace(run, protocol=protocol, changes=changes)
        assert [change.key for change in changes] == ["groups.test"]
        assert len(found.undeclared) == undeclared
        assert ("cells are in other groups than at a look" in conclusion(found)) is bool(undeclared)
        assert changes_told(found)[0].startswith('groups.test was {"patient":"3 groups, ')
        assert (f'old = {{ patient = "{each.old}" }}' in list(to_write(found.undeclared))) is bool(undeclared)


def test_groups_of_an_entry_are_as_large_as_those_of_the_cells():
    packed = groups(**PATIENTS)
    assert list(unlike_columns(packed, {"patient": tuple(PATIENTS.values())}, n=4)) == []
    assert list(unlike_columns(packed, {"patient": ("x", "x", "y", "y")}, n=4)) == ["patient"]
    assert list(unlike_columns(packed, {"patient": ("x", "x", "y", "")}, n=4)) == ["patient"]
    assert list(unlike_columns(packed, {"patient": ("x", "x", "y", "y", "y")}, n=5)) == []  # one picture twice
    assert list(unlike_columns(packed, {"site": tuple(PATIENTS.values())}, n=4)) == ["patient", "site"]


# --- beside a baseline ----------------------------------------------------------------------------


def of_patients(found: Predictions, n: int | None) -> Predictions:
    cells = range(len(found.digests))
    return replace(found, groups=None if n is None else tuple(f"patient:p{cell % n}" for cell in cells))


def reversed_rows(found: Predictions) -> Predictions:
    back = slice(None, None, -1)
    return replace(
        found,
        paths=found.paths[back],
        digests=found.digests[back],
        labels=found.labels[back],
        probabilities=found.probabilities[back],
        groups=None if found.groups is None else found.groups[back],
    )


@pytest.mark.parametrize(
    ("candidate", "baseline", "changed"),
    [(3, 3, False), (None, 3, True), (6, 3, True), (3, None, False), (None, None, False)],
)
def test_a_candidate_is_judged_on_the_groups_of_its_baseline(candidate, baseline, changed):
    test = example_run().predictions["test"]
    ours, theirs = of_patients(test, candidate), reversed_rows(of_patients(test, baseline))
    found = compare(ours, theirs, baseline_run="before")
    moved = groups_beside_baseline([("test", found)])
    changes = changes_in(example_run().protocol, (), run="later", regrouped=moved)
    assert [(each.key, each.run, each.undeclared) for each in changes] == [("groups.test", "before", True)] * changed
    assert bool(changes_told(replace(example_run(), changes=changes))) is changed


def test_what_a_pack_keeps_of_a_baselines_groups_names_nobody_and_divides_alike():
    test = of_patients(example_run().predictions["test"], 3)
    assert test.groups is not None
    held = without_names((*test.groups[:-1], "content:ab"))
    assert set(held) == {"patient:0", "patient:1", "patient:2", "content:"}
    assert of_groups(test.digests, held).told == of_groups(test.digests, (*test.groups[:-1], "content:ab")).told
    assert without_names(held) == held
    assert np.array_equal(of_groups(test.digests, None).of, np.full(len(test.digests), UNGROUPED))


# --- in packs -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_example_dataset(tmp_path_factory.mktemp("data"))


@pytest.mark.slow
def test_a_candidate_without_its_baselines_patients_is_told_and_does_not_hold(manifest, tmp_path, capsys):
    grouped, listed = with_patients(example_run(content=example_picture), manifest)
    baseline = comparing.pack_of(replace(grouped, run_id="of-patients"), listed, tmp_path)
    candidate = comparing.pack_of(comparing.run_named("without", n_wrong=3), manifest, tmp_path)
    assert main(["compare", str(baseline), str(candidate)]) == 1
    assert "groups.test was " in capsys.readouterr().out
    found = compare_packs(baseline, candidate)
    assert {each.key for each in found.moved} >= {"groups.test", "groups.second-laboratory"}
    assert all(each.undeclared for each in found.moved) and not found.holds


@pytest.mark.slow
def test_a_pack_keeps_its_baselines_groups_and_whoever_takes_them_out_is_found(manifest, tmp_path):
    run = example_run(content=example_picture)
    assert run.baseline is not None
    theirs = of_patients(run.baseline.predictions["test"], 3)
    known = replace(
        run.baseline, predictions={"test": theirs}, margins=margins_of(run.protocol), rest=rest_of(run.protocol)
    )
    run = measured_anew(replace(run, baseline=known))
    looked_ = looked_at(run, manifest, tmp_path / "ledger.jsonl")
    moved_ = groups_beside_baseline(run.comparisons.items())
    looked_ = replace(looked_, changes=changes_in(run.protocol, looked_.ledger, run=run.run_id, regrouped=moved_))
    pack = pack_of(looked_, manifest, tmp_path)
    found = verify_pack(pack)
    assert found.holds, found.discrepancies
    assert any("its own pack names them" in each for each in found.not_recomputed)
    assert json.loads((pack / "evidence.json").read_text())["baseline"]["rest"]["correction"] == "first-look"
    edit_json(pack, "evidence.json", lambda content: content["comparisons"]["test"].update(groups=None))
    mend_sums(pack)
    assert any(each.field.startswith("changes") for each in verify_pack(pack).discrepancies)
