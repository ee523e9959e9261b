"""Which look it is, whatever was done to the set in between, and how many can still pass."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from example_run import example_run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_ledger import looked, sha

from harness.core.places import SUITES
from harness.data.inspection import inspect_files, picture_digests_of
from harness.data.records import CellImage
from harness.judge.criteria import judge, level_at
from harness.judge.ledger import parse_ledger, read_ledger
from harness.judge.look import LedgerError
from harness.judge.looks import look_number
from harness.judge.looks_left import LooksLeft, looks_left
from harness.judge.packed_numbers import BYTES
from harness.judge.pictures import MOST_PICTURES, InvalidPictures, pack_pictures, unpack_pictures
from harness.metrics.predictions import Predictions
from harness.protocol.datasets import ImageRules
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.statistics import ClusterPlan, LooksPlan
from harness.report.sentences import looks_left_told

LEUKOCYTE = read_protocol(SUITES / "protocols" / "leukocyte.toml")
CLASSES = LEUKOCYTE.dataset.classes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def pictures(*names: str) -> str:
    return pack_pictures(sha(name) for name in names)


def number(path: Path, predictions: str, *, cells: str, source: str = "own", shown: str = "", run: str = "x") -> int:
    return look_number(
        read_ledger(path),
        run=run,
        source=sha(source),
        cells=sha(cells),
        predictions=sha(predictions),
        pictures=shown,
    )


# --- which pictures -------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), min_size=1, max_size=30), st.randoms())
def test_pictures_are_read_back_whatever_their_order_and_repetition(digests, shuffle):
    again = [*digests, *digests[:3]]
    shuffle.shuffle(again)
    assert pack_pictures(again) == pack_pictures(digests)
    assert unpack_pictures(pack_pictures(digests)).tolist() == sorted({int(d[: 2 * BYTES], 16) for d in digests})


def test_large_sets_that_share_most_pictures_share_most_of_those_that_are_kept():
    names = [str(n) for n in range(2 * MOST_PICTURES)]
    one, other = (unpack_pictures(pictures(*each)) for each in (names[100:], names[:-100]))
    assert len(one) == len(other) == MOST_PICTURES
    assert np.isin(one, other).mean() > 0.95


@pytest.mark.parametrize("packed", ["no base64", "AAAA", "AAAAAAAAAAIAAAAAAAAAAQ==", "AAAAAAAAAAEAAAAAAAAAAQ=="])
def test_what_was_not_written_here_is_refused(packed, path):
    with pytest.raises(InvalidPictures):
        unpack_pictures(packed)
    with pytest.raises(LedgerError, match=r"pictures"):
        looked(path, pictures=packed)


def test_more_pictures_than_cells_are_refused(path):
    with pytest.raises(LedgerError, match=r"it holds 3 pictures of cells, n is 2"):
        looked(path, pictures=pictures("a", "b", "c"), n=2)


def test_a_picture_that_was_saved_again_without_loss_is_the_same_and_a_broken_file_is_its_bytes(tmp_path):
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    for name, options in {"a.png": {}, "b.png": {"compress_level": 1}, "c.bmp": {}, "d.jpg": {"quality": 90}}.items():
        picture.save(tmp_path / name, **options)
    (tmp_path / "e.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    files = sorted(tmp_path.iterdir())
    cells = [CellImage(f.name, "x", hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_size) for f in files]
    rules = ImageRules(formats=("PNG", "BMP", "JPEG"), modes=("RGB",), min_side_px=8, max_side_px=99)
    a, b, c, d, e = picture_digests_of(cells, inspect_files(cells, tmp_path, rules=rules, workers=2))
    assert a == b == c
    assert len({cell.sha256 for cell in cells[:3]}) == 3  # as files they are three
    assert d != a  # compression with loss makes another picture
    assert e == cells[4].sha256


# --- which look -----------------------------------------------------------------------------------


def test_dropping_or_adding_an_image_does_not_begin_anew(path):
    names = [f"cell {n}" for n in range(20)]
    for left_out in range(10):
        shown = pictures(*(names[:left_out] + names[left_out + 1 :]))
        cells, source, predictions = f"without {left_out}", f"source {left_out}", f"p{left_out}"
        looked(path, source=sha(source), cells=sha(cells), predictions=sha(predictions), pictures=shown, n=19)
        # Cell 19 was in every one of them; no source and no set of cells came twice.
        assert number(path, predictions, cells=cells, source=source) == left_out + 1
    assert number(path, "p", cells="one more", shown=pictures(*names, "new")) == 11
    assert number(path, "p", cells="one of them", shown=pictures("cell 0", "new")) == 10  # one had left it out
    assert number(path, "p", cells="others", shown=pictures("new", "newer")) == 1


def test_the_count_by_source_holds_where_it_is_the_larger(path):
    for n in range(4):  # a test part drawn anew four times: no cell twice
        looked(path, cells=sha(f"part {n}"), predictions=sha(f"p{n}"), pictures=pictures(f"{n}a", f"{n}b"))
    assert number(path, "p", cells="part 4", source="dataset", shown=pictures("0a", "new")) == 5
    assert number(path, "p", cells="part 4", source="another", shown=pictures("0a", "new")) == 2


def test_one_choice_at_two_overlapping_sets_is_one_choice_for_a_picture_in_both(path):
    for cells, shown in (("one", pictures("a", "b")), ("two", pictures("b", "c"))):
        looked(path, source=sha(cells), cells=sha(cells), predictions=sha("p1"), pictures=shown)
    assert number(path, "p2", cells="three", shown=pictures("b")) == 2


def test_an_entry_of_before_gets_its_pictures_from_a_later_one_of_the_same_cells(path):
    looked(path, source=sha("s1"), cells=sha("c1"), predictions=sha("p1"))
    assert number(path, "p2", cells="c2", shown=pictures("a")) == 1  # the ledger cannot tell
    looked(path, source=sha("s1"), cells=sha("c1"), predictions=sha("p2"), pictures=pictures("a", "b"))
    assert number(path, "p3", cells="c2", shown=pictures("a")) == 3


def test_pictures_are_kept_once_for_each_set_of_cells_and_an_entry_without_is_written_as_before(path):
    first = looked(path, predictions=sha("p1"), pictures=pictures("a", "b"))
    second = looked(path, predictions=sha("p2"), pictures=pictures("a", "b"))
    third = looked(path, cells=sha("others"), predictions=sha("p3"), pictures=pictures("a"))
    assert [bool(each.pictures) for each in (first, second, third)] == [True, False, True]
    lines = path.read_bytes().splitlines()
    assert [b'"pictures"' in line for line in lines] == [True, False, True]
    assert parse_ledger(path.read_bytes(), where="") == (first, second, third)


def test_seeds_of_one_run_take_no_number_at_overlapping_cells_either(path):
    shown = pictures("a", "b")
    for predictions, role in (("p1", "judged"), ("p2", "seed"), ("p3", "seed")):
        looked(path, run="r", predictions=sha(predictions), role=role, pictures=shown)
    assert number(path, "p1", source="dataset", cells="cells", run="r") == 1
    assert number(path, "p9", cells="fewer", shown=pictures("a")) == 4  # of another run they are choices like any


def test_a_rule_says_its_numbers():
    assert [plan.rule for plan in (LooksPlan(), LooksPlan(budget=7), LooksPlan(correction="series"))] == [
        "first-look of 30",
        "first-look of 7",
        "series",
    ]


# --- how many are left ----------------------------------------------------------------------------


def cells_of(per_class: int, *, set_name: str = "test", groups: int | None = None) -> Predictions:
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    names = tuple(f"{n}" for n in range(len(labels)))
    wrong = np.roll(np.eye(len(CLASSES)), 1, axis=1)[labels]  # what was said of them has no say
    grouped = None if groups is None else tuple(f"P{n % groups}" for n in range(len(labels)))
    return Predictions(set_name, CLASSES, names, tuple(map(sha, names)), labels, wrong, grouped)


def with_looks(**plan: object) -> Protocol:
    return LEUKOCYTE.model_copy(update={"looks": LooksPlan(**plan)})  # type: ignore[arg-type]


def test_the_audits_table_of_the_series_is_met():
    # Statistics of the audit, 2.1: with 1 / (j (j + 1)) nothing passes from look 10 (A1: 0.98 of 375) on.
    found = looks_left(with_looks(correction="series"), {"test": cells_of(75)}, {"test": 4})
    assert found == {"test": LooksLeft(last=9, left=5, ended_by=("A1",))}


def test_a_budget_ends_what_all_criteria_could_still_pass():
    found = looks_left(with_looks(), {"test": cells_of(75)}, {"test": 30})["test"]
    assert (found.last, found.left) == (30, 0)
    assert {"A1", "R1-monocyte", "N1-neutrophil"} <= set(found.ended_by)
    assert looks_left(with_looks(), {"test": cells_of(75)}, {"test": 33})["test"].left == 0


def test_with_many_cells_no_look_of_the_series_is_the_last_that_anybody_takes():
    found = looks_left(with_looks(correction="series"), {"test": cells_of(500)}, {"test": 1})
    assert found == {"test": LooksLeft(None, None, ())}
    free = with_looks(correction="none", reason="fresh cells are drawn for every look")
    assert looks_left(free, {"test": cells_of(75)}, {"test": 1})["test"].last is None


def test_what_cannot_pass_at_the_first_look_ends_nothing():
    # 40 of a class show no recall of 0.9 at 97.5 %: 0.025 ** (1 / 40) = 0.912 does, of 30 0.884 does not.
    some = looks_left(with_looks(correction="series"), {"test": cells_of(30)}, {"test": 1})
    assert "R1-monocyte" not in {name for each in some.values() for name in each.ended_by}
    assert looks_left(with_looks(), {"test": cells_of(3)}, {"test": 1}) == {}
    assert looks_left(with_looks(), {}, {"test": 1}) == {}


def test_cells_of_few_patients_leave_fewer_looks():
    # 375 cells of 75 patients, five of each, at 0.1: worth 375 / 1.4 = 268, and of these 0.98 ** 268 = 0.0045 is one
    # part of 11 of the error: look 3 spends 1/12. By themselves they last to look 9.
    alike = ClusterPlan(intracluster_correlation=0.1, source="Nobody, 2026: for this test.")
    sourced = with_looks(correction="series").model_copy(update={"clusters": alike})
    found = looks_left(sourced, {"test": cells_of(75, groups=75)}, {"test": 1})
    assert found == {"test": LooksLeft(last=2, left=1, ended_by=("A1",))}
    # Without a source they have to do at 0.3: worth 170, which prove no 0.98 at any look.
    unsourced = looks_left(with_looks(correction="series"), {"test": cells_of(75, groups=75)}, {"test": 1})
    assert "A1" not in unsourced["test"].ended_by


@pytest.mark.parametrize("last", [1, 2, 8, 9])
def test_the_last_look_is_the_last_at_which_the_judge_passes_a_classifier_without_an_error(last):
    from harness.metrics.classification import estimate, evaluate

    protocol = with_looks(correction="series")
    found = cells_of(75)
    right = evaluate(replace(found, probabilities=np.eye(len(CLASSES))[found.labels]), intracluster_correlation=0.1)
    (a1,) = (criterion for criterion in protocol.criteria if criterion.id == "A1")

    def passes(look: int) -> bool:
        level = level_at(protocol, a1, look)
        assert level is not None
        bound = estimate(right, "accuracy", cell_class=None, level=level)
        return judge(a1, bound, protocol=protocol, today=date.min, look=look).passed

    assert passes(last)
    assert not passes(10)


def test_every_case_is_told_with_what_helps():
    run = example_run(n_wrong=9)

    def told(look: int, **plan: object) -> str:
        (line,) = looks_left_told(
            replace(run, protocol=with_looks(**plan), predictions={"test": cells_of(75)}, looks={"test": look})
        )
        return line

    assert told(4, correction="series") == (
        "5 more looks at test are left at which a classifier without an error passes (the last for A1 is look 9); then "
        "only cells that have not been looked at help"
    )
    assert told(8, correction="series").startswith("1 more look at test is left")
    assert told(9, correction="series").startswith("no more look at test is left")
    assert told(10, correction="series") == (
        "at look 10 at test nothing can pass, not even a classifier without an error (the last look for A1 was 9): "
        "judge on cells that have not been looked at"
    )
    assert told(1, correction="none", reason="fresh cells for every look").startswith("more than 1,000 looks at test")
