"""A search for copies that could compare too few pictures proves nothing, unless the protocol says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.places import SUITES
from harness.data.leakage import ListedImage
from harness.data.records import CellImage, Split
from harness.judge.amended import differences
from harness.judge.asking import ask
from harness.judge.criteria import explain
from harness.judge.rules import KNOWN, RULES
from harness.judge.verdicts import Outcome
from harness.metrics.leakage import (
    SEARCHES,
    WITHIN,
    Compared,
    compared_in,
    count_of,
    dependent_sets,
    incomparable_sets,
    n_looked_at,
)
from harness.metrics.measurements import NothingRecorded
from harness.protocol.file import read_protocol
from harness.protocol.names import PARTS
from harness.protocol.terms import terms_of

WHY = "digits of 8 px: a copy is the file again"
PROTOCOL = read_protocol(SUITES / "protocols" / "embedded.toml")


def split_of(**n: int) -> Split:
    def cell(part: str, number: int) -> CellImage:
        return CellImage(f"{part}/{number:04}.png", "x", f"{part}{number}".ljust(64, "0"), 1)

    cells = {part: tuple(cell(part, i) for i in range(n.get(part, 20))) for part in PARTS}
    return Split(**cells, origin="drawn", source="drawn")


def small(set_name: str, *paths: str) -> list[ListedImage]:
    return [ListedImage(set_name, path, "x") for path in paths]


def of_part(part: str, n: int) -> list[ListedImage]:
    return small("dataset", *(f"{part}/{i:04}.png" for i in range(n)))


def compared(uncompared: list[ListedImage], *, suffices: str | None = None, **beside: int) -> Compared:
    return compared_in(uncompared, split_of(), beside, suffices=suffices)


@pytest.mark.parametrize("metric", SEARCHES)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_could_not_be_compared_is_a_doubt_however_large_the_others_are(metric, part):
    """A test part of tiny copies of the training cells is a tenth of the dataset or less, and all that is judged."""
    split = split_of(train=2_000, **({part: 40} if part != "train" else {}))
    few = of_part(part, max(3, len(split.part(part)) // 10))
    found = count_of(metric, (), 2_000, few, compared_in(few, split, {}, suffices=None))
    assert found.doubt is not None and f"{len(few)} of {len(split.part(part)):,} images of {part}" in found.doubt
    assert found.note == f"and {len(few)} compared by their pixels alone"


@pytest.mark.parametrize("metric", SEARCHES)
def test_a_stray_image_is_no_doubt_and_is_told(metric):
    one = of_part("test", 1)
    assert count_of(metric, (), 59, one, compared(one)).doubt is None
    assert count_of(metric, (), 59, one, compared(one)).note == "and 1 compared by their pixels alone"
    assert count_of(metric, (), 60, [], compared([])) == count_of(metric, (), 60, [], compared([], elsewhere=3))


@pytest.mark.parametrize("metric", SEARCHES)
def test_a_set_beside_the_dataset_is_a_doubt_for_what_is_asked_across_sets(metric):
    tiny = small("elsewhere", "a", "b", "c")
    doubt = count_of(metric, (), 60, tiny, compared(tiny, elsewhere=3)).doubt
    assert (doubt is None) == (metric in WITHIN)


@pytest.mark.parametrize("metric", SEARCHES)
def test_the_protocols_word_takes_the_doubt_and_is_told(metric):
    all_of_test = of_part("test", 20)
    found = count_of(metric, (), 40, all_of_test, compared(all_of_test, suffices=WHY))
    assert found.doubt is None
    assert found.note == "and 20 compared by their pixels alone, which is enough by the protocol"


def test_a_count_of_headers_knows_of_no_search():
    everything = of_part("test", 20)
    found = count_of("class_linked_headers", (), 60, everything, compared(everything))
    assert (found.doubt, found.note) == (None, "")


@pytest.mark.parametrize(
    ("home", "away", "word", "shown"),
    [
        (False, False, False, True),
        (False, True, False, False),  # cells of the dataset at 31 px
        (False, True, True, False),  # that pixels suffice is not believed of small copies of large ones
        (True, False, False, False),
        (True, False, True, False),  # nor of enlarged ones
        (True, True, False, False),
        (True, True, True, True),
    ],
)
def test_independence_is_shown_only_where_pictures_can_be_laid_beside_each_other(home, away, word, shown):
    cells = (of_part("train", 20) if home else []) + (small("elsewhere", "a", "b") if away else [])
    found = compared(cells, suffices=WHY if word else None, elsewhere=9)
    assert ("elsewhere" in incomparable_sets(found)) != shown
    assert ("elsewhere" in dependent_sets([], {}, {}, found)) != shown
    assert "elsewhere" not in dependent_sets([], {}, {}, None)  # an older judge did not ask


@given(st.lists(st.integers(0, 20), min_size=3, max_size=3), st.integers(0, 40))
def test_no_more_than_one_in_twenty_of_anything_passes_unsaid(n_small, n_away):
    cells = [each for part, n in zip(PARTS, n_small, strict=True) for each in of_part(part, n)]
    cells += small("elsewhere", *map(str, range(n_away)))
    found = compared(cells, elsewhere=40)
    assert (count_of("label_conflicts", (), 0, cells, found).doubt is None) == (max(n_small) <= 1)
    across = count_of("duplicates_across_sets", (), 0, cells, found).doubt
    assert (across is None) == (max(n_small) <= 1 and n_away <= 2)


# --- what is decided on it -----------------------------------------------------------------------


class Counted(NothingRecorded):
    """Nothing but what a search came to."""

    rules = RULES

    def __init__(self, uncompared: list[ListedImage], *, found: tuple[str, ...] = (), suffices: str | None = None):
        super().__init__(PROTOCOL, what="a search")
        self._found, self._uncompared, self._suffices = found, uncompared, suffices

    def count(self, question, metric):
        n = 60 - len(self._uncompared)
        return count_of(metric, self._found, n, self._uncompared, compared(self._uncompared, suffices=self._suffices))

    def look(self, criterion):
        return None

    def dependent_sets(self):
        return {}


def verdict_on(criterion_id: str, evidence: Counted):
    [criterion] = [each for each in evidence.protocol.criteria if each.id == criterion_id]
    return ask(criterion, evidence, today=date(2026, 11, 27))


TINY = [each for part in PARTS for each in of_part(part, 20)]


@pytest.mark.parametrize("asked", ["L1", "L2", "L3", "L5"])
def test_none_of_none_compared_is_no_pass(asked):
    verdict = verdict_on(asked, Counted(TINY))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    said = explain(verdict)
    assert "0 of 0 checked, and 60 compared by their pixels alone" in said
    assert "20 of 20 images of test are too small or too smooth" in said and "dataset.pixels_suffice" in said


@pytest.mark.parametrize("asked", ["L1", "L2", "L3", "L5"])
def test_it_passes_by_the_protocols_word_and_fails_in_spite_of_it(asked):
    assert verdict_on(asked, Counted(TINY, suffices=WHY)).outcome is Outcome.PASSED
    assert verdict_on(asked, Counted(TINY, suffices=WHY, found=("a and b",))).outcome is Outcome.FAILED
    assert verdict_on(asked, Counted(TINY, found=("a and b",))).outcome is Outcome.FAILED


# --- what a pack says of it: test_verify.py edits one --------------------------------------------


def test_a_pack_of_before_is_judged_as_it_was():
    later = ("searched", "few_apart", "alike_unsourced", "cells_kept", "constant_told")
    later += ("parts_kept", "detected_by_group", "firsts_kept")
    assert replace(RULES, **dict.fromkeys(later)) in KNOWN
    tiny = of_part("test", 20)
    assert n_looked_at("repeated_pictures", 60, tiny, searched=False) == 60
    assert n_looked_at("repeated_pictures", 60, tiny) == 40


def test_why_pixels_suffice_is_fixed_before_the_first_look():
    held = terms_of(PROTOCOL).tree
    assert "pixels_suffice" not in held["dataset"]
    stated = PROTOCOL.model_copy(update={"dataset": PROTOCOL.dataset.model_copy(update={"pixels_suffice": WHY})})
    [moved] = differences(held, terms_of(stated))
    assert (moved.steps, moved.old, moved.new) == (("dataset", "pixels_suffice"), None, WHY)
    assert stated.digest != PROTOCOL.digest
