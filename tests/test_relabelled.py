"""A label that is corrected after a look: found whatever became of the file's name, declared or not, and named."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from example_run import example_run
from test_ledger import looked, sha
from test_looks import pictures
from test_page_check import Printed

from harness.core.errors import IncomparableSets
from harness.judge.amended import changes_in
from harness.judge.labels import InvalidLabels, pack_labels, picture_of, unpack_labels
from harness.judge.ledger import read_ledger
from harness.judge.look import LedgerError
from harness.judge.relabelled import Corrected, Relabelled, beside_baseline, corrected_pictures, unlike_ledger
from harness.metrics.comparison import compare
from harness.metrics.predictions import Predictions
from harness.protocol.amendments import Amendment
from harness.report.amended import changes_told, to_write
from harness.report.sentences import conclusion

BEFORE = {"a": "monocyte", "b": "monocyte", "c": "basophil"}


def labels(**of: str) -> str:
    return pack_labels((sha(name), label) for name, label in of.items())


def look_at(path: Path, run: str, **of: str) -> None:
    looked(
        path,
        run=run,
        cells=sha(repr(sorted(of.items()))),
        pictures=pictures(*of),
        labels=labels(**of),
        predictions=sha(run),
        n=len(of),
    )


def corrected(path: Path, run: str = "later") -> list[tuple[str, str, str]]:
    return [(each.picture, each.old, each.new) for each in corrected_pictures(read_ledger(path), run=run)]


def named(name: str) -> str:
    return f"{picture_of(sha(name)):016x}"


def test_a_picture_that_was_shown_under_two_labels_is_fixed_by_the_first_look_that_gives_it_one(tmp_path):
    path = tmp_path / "ledger.jsonl"
    twice = pack_labels([(sha("a"), "monocyte"), (sha("a"), "basophil"), (sha("b"), "basophil")])
    looked(
        path, run="first", cells=sha("twice"), pictures=pictures("a", "b"), labels=twice, predictions=sha("first"), n=3
    )
    look_at(path, "second", a="monocyte", b="basophil")
    assert corrected(path, "second") == []
    look_at(path, "later", a="basophil", b="basophil")
    assert corrected(path) == [(named("a"), "monocyte", "basophil")]


# --- what a ledger keeps --------------------------------------------------------------------------


def test_labels_are_read_back_beside_their_pictures():
    found = unpack_labels(labels(**BEFORE))
    order = sorted(BEFORE, key=lambda name: picture_of(sha(name)))
    assert [found.named(row) for row in range(3)] == [BEFORE[name] for name in order]


def test_a_picture_with_two_labels_has_none_that_could_be_corrected():
    packed = pack_labels([(sha("a"), "monocyte"), (sha("a"), "basophil"), (sha("b"), "basophil")])
    assert {unpack_labels(packed).named(row) for row in range(2)} == {None, "basophil"}


@pytest.mark.parametrize("packed", ["{}", '{"classes":[],"of":"AAA="}', '{"classes":["x"],"of":"AAE="}', "x"])
def test_what_the_harness_did_not_write_is_refused(packed, tmp_path):
    with pytest.raises(InvalidLabels):
        unpack_labels(packed)
    with pytest.raises(LedgerError, match="label"):
        looked(tmp_path / "ledger.jsonl", labels=packed)


def test_labels_of_other_pictures_than_an_entry_has_are_refused(tmp_path):
    with pytest.raises(LedgerError, match="labels of 3 pictures, of which it has 1"):
        looked(tmp_path / "ledger.jsonl", pictures=pictures("a"), labels=labels(**BEFORE), n=3)


# --- what was corrected ---------------------------------------------------------------------------


def test_a_corrected_label_is_found_under_another_set_with_other_cells_around_it(tmp_path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", **BEFORE)
    look_at(path, "later", **(BEFORE | {"a": "basophil", "d": "monocyte"}))
    assert corrected(path) == [(named("a"), "monocyte", "basophil")]


def test_the_same_labels_and_new_cells_are_no_correction_and_old_entries_fix_none(tmp_path):
    path = tmp_path / "ledger.jsonl"
    looked(path, run="old", cells=sha("old"), pictures=pictures(*BEFORE), n=3)
    look_at(path, "first", **BEFORE)
    look_at(path, "later", **BEFORE, d="monocyte")
    assert corrected(path) == []


def test_what_counts_is_the_first_look_at_each_picture(tmp_path):
    path = tmp_path / "ledger.jsonl"
    look_at(path, "first", **BEFORE)
    look_at(path, "second", **(BEFORE | {"a": "basophil"}))
    look_at(path, "later", **(BEFORE | {"a": "basophil", "c": "monocyte"}))
    assert sorted(corrected(path)) == sorted(
        [(named("a"), "monocyte", "basophil"), (named("c"), "basophil", "monocyte")]
    )
    look_at(path, "back", **BEFORE)
    assert corrected(path, run="back") == []


# --- what becomes of it ---------------------------------------------------------------------------

CELLS = (Relabelled("test", "x/a.png", named("a"), "monocyte", "basophil", "first", "2026-01-02T00:00:00+00:00"),)


def amendment(old: dict[str, str], new: dict[str, str]) -> Amendment:
    stated = {"key": "labels.test", "old": old, "new": new, "reason": "two experts looked again", "owner": "us"}
    return Amendment.model_validate({**stated, "day": date(2026, 1, 3)})


@pytest.mark.parametrize(
    ("declared", "undeclared"),
    [
        ([], 1),
        ([amendment({"x/a.png": "monocyte"}, {"x/a.png": "basophil"})], 0),
        ([amendment({"x/a.png": "lymphocyte"}, {"x/a.png": "basophil"})], 1),  # that was not its label
    ],
)
def test_an_undeclared_correction_keeps_a_run_from_passing(declared, undeclared):
    run = example_run()
    protocol = run.protocol.model_copy(update={"amendments": tuple(declared)})
    changes = changes_in(protocol, (), run="later", relabelled=CELLS)
    found = replace(run, protocol=protocol, changes=changes, relabelled=CELLS)
    assert [change.key for change in found.changes] == ["labels.test"]
    assert len(found.undeclared) == undeclared
    assert "corrected label: test: 'x/a.png' was monocyte, and is basophil now" in changes_told(found)
    assert ("1 label was corrected after a look at test" in conclusion(found)) is bool(undeclared)
    assert ('old = { "x/a.png" = "monocyte" }' in list(to_write(found.undeclared))) is bool(undeclared)


def test_recorded_cells_are_those_of_the_ledgers_pictures():
    cell, test = CELLS[0], example_run().predictions["test"]
    path, label = test.paths[0], test.classes[test.labels[0]]
    honest = replace(cell, path=path, old="other", new=label)
    picture = Corrected("test", honest.picture, "other", label, honest.run, honest.time)
    known = {"test": {path: label}}
    assert list(unlike_ledger([honest], [picture], known)) == []
    assert len(list(unlike_ledger([], [picture], known))) == 1
    assert len(list(unlike_ledger([honest], [], known))) == 1
    assert len(list(unlike_ledger([replace(honest, path="gone.png")], [picture], known))) == 1


# --- beside a baseline ----------------------------------------------------------------------------


def said(found: Predictions, rows: list[int]) -> Predictions:
    """The same cells with another label for these."""
    now = found.labels.copy()
    now[rows] = (now[rows] + 1) % len(found.classes)
    return replace(found, labels=now)


def test_a_baseline_is_compared_on_the_cells_whose_labels_stand():
    test = example_run().predictions["test"]
    whole = compare(test, test, baseline_run="before")
    found = compare(said(test, [0, 4]), test, baseline_run="before")
    assert found.counts() == (0, 0, whole.counts()[2] - 2)
    assert found.scores is not None and len(found.scores.paths) == found.counts()[2]
    assert [cell.path for cell in found.relabelled] == [test.paths[0], test.paths[4]]
    cells = beside_baseline([("test", found)])
    assert next((cell.run, cell.time, cell.old) for cell in cells) == ("before", "", test.classes[test.labels[0]])
    (change,) = changes_in(example_run().protocol, (), run="later", relabelled=cells)
    assert change.undeclared and change.baseline and change.key == "labels.test"


def test_without_a_label_that_stands_and_with_other_images_there_is_nothing_to_compare():
    test = example_run().predictions["test"]
    with pytest.raises(IncomparableSets, match="30 images have another reference label"):
        compare(said(test, list(range(30))), test, baseline_run="before")
    other = replace(said(test, [0]), digests=(*test.digests[:-1], sha("another image")))
    with pytest.raises(IncomparableSets, match="judged on other cells"):
        compare(other, test, baseline_run="before")
    assert np.array_equal(test.labels, example_run().predictions["test"].labels)


def test_the_page_lists_each_cell_with_both_labels_and_the_evidence_says_the_same():
    run = example_run()
    test = run.predictions["test"]
    cells = (replace(CELLS[0], path=test.paths[0], new=test.classes[test.labels[0]]),)
    shown = replace(run, relabelled=cells, changes=changes_in(run.protocol, (), run="later", relabelled=cells))
    page = Printed(shown)
    assert page.wrong() == []
    assert 'data-path="relabelled &gt; 0 &gt; old">monocyte<' in page.html
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*relabelled &gt; 0 &gt; old.*?</tr>", page.html, re.S)
    assert page.wrong(page.html.replace(row, "")) != []
