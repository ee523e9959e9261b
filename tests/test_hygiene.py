"""Fits: which cells were used for what, and that none of them is judged."""

from __future__ import annotations

from harness.data.records import CellImage
from harness.metrics.fits import fit_of, fits_on_judged_cells


def cells(*numbers: int, folder: str = "a") -> tuple[CellImage, ...]:
    return tuple(CellImage(f"{folder}/{n}.png", "a", f"{n:064x}", 10) for n in numbers)


def test_a_fit_on_cells_that_nobody_judges_is_clean():
    fit = fit_of("temperature", "validation", cells(1, 2, 3), judged={"test": cells(4, 5), "elsewhere": cells(6)})
    assert (fit.n, fit.shared) == (3, {})
    assert fits_on_judged_cells([fit]) == ()


def test_a_judged_cell_is_found_by_its_content_under_another_name():
    fit = fit_of("temperature", "validation", cells(1, 2, 3), judged={"test": cells(3, 4, folder="b")})
    assert fits_on_judged_cells([fit]) == ("temperature was fitted on validation, which holds 1 of the images of test",)


def test_a_fit_on_a_judged_set_is_named_even_if_it_shares_nothing_by_content():
    fit = fit_of("normalisation", "elsewhere", cells(1), judged={"elsewhere": cells(1), "test": cells(2)})
    assert fits_on_judged_cells([fit]) == (
        "normalisation was fitted on elsewhere, which is judged; fit on train or validation",
    )


def test_the_digest_of_the_cells_does_not_depend_on_their_order():
    assert fit_of("x", "train", cells(1, 2), judged={}) == fit_of("x", "train", cells(2, 1), judged={})
    assert fit_of("x", "train", cells(1, 2), judged={}) != fit_of("x", "train", cells(1, 3), judged={})
