"""Disturbances: severity 0 changes no bit, worse is worse, nothing gives the disturbance itself away."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.laboratories import HOME
from fixtures.smears import CELL_CLASSES, draw_cell
from harness.core.errors import DataError
from harness.data import backgrounds, image_arrays
from harness.data import corruptions as disturbances
from harness.data.backgrounds import RED_CELL, Background, background_of
from harness.data.corruptions import AMOUNTS, INVARIANCES, KINDS, SEVERITIES, corrupt_set, disturb, turned
from harness.data.image_arrays import UnknownDisturbance
from harness.data.no_cells import NO_CELLS, no_cell

EACH_KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """Four cells of every class at 64 px."""
    return np.stack(
        [
            draw_cell(CELL_CLASSES[n % 5], laboratory=HOME, size_px=64, rng=np.random.default_rng([7, n]))
            for n in range(20)
        ]
    )


@pytest.fixture(scope="module")
def digests(cells) -> list[str]:
    return [hashlib.sha256(bytes(cell)).hexdigest() for cell in cells]


@pytest.fixture(scope="module")
def background(cells) -> Background:
    return background_of(cells)


def a_cell(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """A dark disc on a bright slide: any shape, drawn in no time."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - height / 2, x - width / 2) > 0.3 * min(height, width)
    slide = np.where(far[:, :, None], (240, 225, 205), (110, 70, 150)) + np.random.default_rng(seed).normal(0, 2, 3)
    return np.rint(slide).astype(np.uint8)


# --- severities -----------------------------------------------------------------------------------


@EACH_KIND
def test_severity_0_is_the_same_image_to_the_bit_and_a_copy(cells, digests, kind):
    same = corrupt_set(cells, digests, kind, 0, seed=1)
    assert np.array_equal(same, cells)
    assert not np.shares_memory(disturb(cells[0], kind, 0, np.random.default_rng(0), other=cells[1]), cells[0])


@EACH_KIND
def test_a_higher_severity_changes_more_of_the_pixels(cells, digests, kind):
    changes = [
        float(np.abs(corrupt_set(cells, digests, kind, severity, seed=1).astype(int) - cells).mean())
        for severity in SEVERITIES
    ]
    assert changes == sorted(changes)
    assert all(later > 1.05 * earlier for earlier, later in pairwise(changes[1:]))
    assert changes[1] > 0.1


@EACH_KIND
def test_every_amount_is_documented_and_grows_or_shrinks_steadily(kind):
    amount = AMOUNTS[kind]
    steps = np.diff(amount.by_severity)
    assert (steps > 0).all() or (steps < 0).all()
    assert amount.unit in ("x", "% of side", "levels", "quality", "degrees")
    assert len(amount.meaning) > 10
    assert [amount.written(0), *(amount.written(s) for s in SEVERITIES[1:])].count("none") == 1


def test_the_amount_of_a_severity_is_written_with_its_unit():
    assert [AMOUNTS[kind].written(3) for kind in ("stain", "defocus", "rotation", "jpeg", "noise")] == [
        "x 1.4", "1.4 %", "20°", "45", "14",
    ]  # fmt: skip


# --- determinism ----------------------------------------------------------------------------------


@EACH_KIND
def test_the_same_generator_gives_the_same_pixels_and_another_seed_others(cells, digests, kind):
    first, again = (corrupt_set(cells[:5], digests[:5], kind, 3, seed=1) for _ in range(2))
    assert np.array_equal(first, again)
    if kind not in ("defocus", "jpeg", "resolution"):  # in which chance has no part
        assert not np.array_equal(first, corrupt_set(cells[:5], digests[:5], kind, 3, seed=2))


@EACH_KIND
def test_order_and_batch_never_change_what_happens_to_an_image(cells, digests, kind):
    together = corrupt_set(cells, digests, kind, 4, seed=1)
    backwards = corrupt_set(cells[::-1], digests[::-1], kind, 4, seed=1)
    assert np.array_equal(together, backwards[::-1])
    if kind != "second_cell":  # its neighbour is drawn from the set
        alone = corrupt_set(cells[3:4], digests[3:4], kind, 4, seed=1)
        assert np.array_equal(together[3:4], alone)


def test_an_image_is_left_as_it_was(cells, digests):
    before = cells.copy()
    for kind in KINDS:
        corrupt_set(cells[:3], digests[:3], kind, 5, seed=1)
    assert np.array_equal(cells, before)


def test_one_image_goes_the_same_way_at_every_severity(cells):
    # Brighter stays brighter and darker darker: the points of a curve are the same mishap, only worse.
    for seed in range(6):
        ways = {
            float(disturb(cells[0], "brightness", severity, np.random.default_rng(seed)).mean()) > cells[0].mean()
            for severity in (2, 5)
        }
        assert len(ways) == 1


def test_images_go_either_way(cells, digests):
    brighter = corrupt_set(cells, digests, "brightness", 3, seed=1).mean(axis=(1, 2, 3)) > cells.mean(axis=(1, 2, 3))
    assert 3 < brighter.sum() < 17


def test_a_second_cell_never_is_the_cell_itself_and_duplicates_share_a_fate(cells, digests):
    doubled = np.concatenate([cells, cells[:2]])
    found = corrupt_set(doubled, [*digests, *digests[:2]], "second_cell", 5, seed=3)
    assert np.array_equal(found[:2], found[-2:])
    partners = disturbances.second_cells_of(digests, seed=3)
    assert (partners != np.arange(len(cells))).all()
    assert len(set(partners.tolist())) > 5


# --- shapes, ranges, borders ----------------------------------------------------------------------


@EACH_KIND
@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(16, 90), width=st.integers(16, 90), severity=st.sampled_from(SEVERITIES), seed=st.integers(0, 99)
)
def test_any_size_keeps_its_shape_and_type(kind, height, width, severity, seed):
    cell, other = a_cell(height, width), a_cell(height, width, seed=1)
    found = disturb(cell, kind, severity, np.random.default_rng(seed), other=other)
    assert found.shape == cell.shape
    assert found.dtype == np.uint8


@EACH_KIND
@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_images_survive(kind, level):
    flat = np.full((32, 32, 3), level, np.uint8)
    found = disturb(flat, kind, 5, np.random.default_rng(0), other=flat)
    assert found.dtype == np.uint8  # and no warning was raised
    # A weaker stain makes black lighter; the others have nothing to work on.
    if kind not in ("noise", "bubble", "brightness", "contrast") and (kind, level) != ("stain", 0):
        assert np.abs(found.astype(int) - level).max() <= 3


@pytest.mark.parametrize("kind", ["rotation", "scale"])
@pytest.mark.parametrize("size_px", [32, 64, 96])
def test_turning_and_shrinking_leaves_no_dark_corner_and_no_frame(kind, size_px):
    cell = draw_cell("lymphocyte", laboratory=HOME, size_px=size_px, rng=np.random.default_rng(2))
    darkest = int(cell.min())
    for seed in range(6):
        for severity in (3, 4, 5):
            found = disturb(cell, kind, severity, np.random.default_rng(seed))
            corners = found[[0, 0, -1, -1], [0, -1, 0, -1]]
            # A red cell may lie in a corner; black, or anything darker than the picture's own border, may not.
            border = np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])
            assert (corners >= border.min(axis=0).astype(int) - 12).all()
            assert int(found.min()) >= darkest - 25  # what cubic interpolation overshoots


def test_planted_fault_black_corners_would_be_found():
    cell = a_cell(64, 64)
    black = np.array(disturbances.Image.fromarray(cell).rotate(40))
    assert (black[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
    ours = disturb(cell, "rotation", 4, np.random.default_rng(0))
    assert (ours[[0, 0, -1, -1], [0, -1, 0, -1]] > 150).all()


@pytest.mark.parametrize(("height", "width", "margin"), [(64, 64, 40), (16, 23, 9), (50, 31, 3), (20, 64, 0)])
def test_a_picture_fades_beyond_its_edge_as_it_would_if_all_of_the_canvas_were_computed(height, width, margin):
    pixels = np.random.default_rng(margin).integers(0, 256, (height, width, 3), dtype=np.uint8)
    canvas = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric").astype(np.float32)
    plane = backgrounds.background_plane(pixels, margin)(slice(None), slice(None))
    down, across = (np.maximum(0, np.abs(np.arange(-margin, n + margin) * 2 - (n - 1)) - (n - 1)) / 2
                    for n in (height, width))  # fmt: skip
    outside = np.maximum(down[:, None], across[None]) / min(height, width)
    share = ((outside - disturbances.MIRRORED) / (disturbances.FADED - disturbances.MIRRORED)).clip(0, 1)
    canvas += share.astype(np.float32)[:, :, None] * (plane - canvas)
    assert np.array_equal(disturbances._continued(pixels, margin), canvas.clip(0, 255).round().astype(np.uint8))


def test_contrast_is_looked_up_level_by_level_as_if_it_were_computed_pixel_by_pixel(cells):
    for severity in SEVERITIES[1:]:
        image, factor = cells[severity], AMOUNTS["contrast"].at(severity)
        changed, middle = disturb(image, "contrast", severity, np.random.default_rng(severity)), image.mean()
        either_way = [
            (middle + (image - middle) * each).clip(0, 255).round().astype(np.uint8) for each in (factor, 1 / factor)
        ]
        assert any(np.array_equal(changed, each) for each in either_way)


def test_a_shrunken_cell_is_not_mirrored_into_view():
    cell = a_cell(96, 96)
    for seed in range(4):
        found = disturb(cell, "scale", 5, np.random.default_rng(seed))
        dark = found[:, :, 1] < 120
        assert not dark[[0, -1]].any()
        assert not dark[:, [0, -1]].any()


def test_the_amount_of_blur_is_a_share_of_the_side_whatever_the_size():
    def edge_width(size_px):
        step = np.zeros((size_px, size_px, 3), np.uint8)
        step[:, size_px // 2 :] = 200
        row = disturb(step, "defocus", 5, np.random.default_rng(0))[size_px // 2, :, 0] / 200
        return float(np.sum((row > 0.1) & (row < 0.9))) / size_px

    # A Gaussian edge of sd 3.2 % rises from a tenth to nine tenths within 2.56 sd: 8.2 % of the side.
    assert edge_width(512) == pytest.approx(0.082, abs=0.004)
    assert edge_width(64) == pytest.approx(0.082, abs=0.03)


def test_a_blur_narrower_than_a_pixel_still_blurs():
    # 0.4 % of 32 px is 0.13 px: a sampled Gaussian kernel would do nothing at all.
    spot = np.full((32, 32, 3), 40, np.uint8)
    spot[16, 16] = 240
    found = disturb(spot, "defocus", 1, np.random.default_rng(0))
    assert 240 > found[16, 16, 0] > 225
    assert found[16, 17, 0] > 40


def test_a_blur_keeps_the_light(cells):
    blurred = image_arrays.blurred(cells[0].astype(np.float64), 2.5)
    assert blurred.mean() == pytest.approx(cells[0].mean(), rel=1e-9)


def test_a_stain_shift_scales_optical_density_and_leaves_white_white():
    white = np.full((16, 16, 3), 255, np.uint8)
    assert np.array_equal(disturb(white, "stain", 5, np.random.default_rng(0)), white)
    # Pure eosin: its density is scaled by the eosin factor alone, so all channels by the same.
    eosin = disturbances._stain_vectors()[1]
    pixels = np.broadcast_to(np.rint(256 * np.exp(-0.7 * eosin) - 1).astype(np.uint8), (16, 16, 3)).copy()
    for seed in range(5):
        found = disturb(pixels, "stain", 3, np.random.default_rng(seed))[0, 0].astype(float)
        ratio = np.log((found + 1) / 256) / np.log((pixels[0, 0] + 1.0) / 256)
        assert ratio[1] == pytest.approx(ratio[2], abs=0.05)
        assert 1 / 1.4 - 0.02 <= ratio[1] <= 1.4 + 0.02


def test_a_second_cell_comes_to_the_border_and_spares_the_middle(cells):
    cell, other = a_cell(96, 96), a_cell(96, 96, seed=1)
    for seed in range(8):
        changed = np.abs(disturb(cell, "second_cell", 5, np.random.default_rng(seed), other=other).astype(int) - cell)
        assert changed.sum(axis=2)[44:52, 44:52].max() == 0
        assert changed.max() > 40


def test_a_second_cell_is_brought_to_the_slides_own_colour():
    cell = a_cell(96, 96)
    yellow = (a_cell(96, 96) * np.array([1.0, 1.0, 0.6])).astype(np.uint8)
    found = disturb(cell, "second_cell", 5, np.random.default_rng(0), other=yellow)
    bright = found[(found[:, :, 0] > 230)]
    assert bright[:, 2].min() > 190  # no patch of the other slide's yellow


# --- invariances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("invariance", INVARIANCES)
def test_turning_moves_pixels_and_computes_none(cells, invariance):
    found = turned(cells, invariance)
    assert found.shape == cells.shape
    assert not np.array_equal(found, cells)
    assert np.array_equal(np.sort(found.reshape(20, -1, 3), axis=1), np.sort(cells.reshape(20, -1, 3), axis=1))
    assert np.array_equal(turned(cells[0], invariance), found[0])


def test_turning_back_gives_the_same_image(cells):
    assert np.array_equal(turned(turned(cells, "rotation_90"), "rotation_270"), cells)
    for twice in ("rotation_180", "flip_horizontal", "flip_vertical"):
        assert np.array_equal(turned(turned(cells, twice), twice), cells)


def test_the_directions_are_as_named():
    corner = np.zeros((4, 4, 3), np.uint8)
    corner[0, 0] = 1
    where = {kind: tuple(np.argwhere(turned(corner, kind)[:, :, 0])[0].tolist()) for kind in INVARIANCES}
    assert where == {
        "rotation_90": (3, 0),  # counter-clockwise
        "rotation_180": (3, 3),
        "rotation_270": (0, 3),
        "flip_horizontal": (0, 3),
        "flip_vertical": (3, 0),
    }


# --- no cell --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NO_CELLS)
@pytest.mark.parametrize("size_px", [16, 32, 100])
def test_inputs_without_a_cell_have_the_asked_size_and_repeat(background, kind, size_px):
    first, again = (no_cell(kind, size_px=size_px, like=background, rng=np.random.default_rng(1)) for _ in range(2))
    assert first.shape == (size_px, size_px, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, no_cell(kind, size_px=size_px, like=background, rng=np.random.default_rng(2)))


def test_blank_and_red_cells_hold_nothing_as_dark_as_a_nucleus(background, cells):
    nucleus = np.percentile(cells[:, 24:40, 24:40].sum(axis=3), 10)
    for kind in ("blank", "red_cells"):
        for seed in range(10):
            pixels = no_cell(kind, size_px=64, like=background, rng=np.random.default_rng(seed))
            assert pixels.sum(axis=2).min() > nucleus


def test_a_blank_field_has_the_colour_of_the_sets_own_slide(background):
    found = np.stack([no_cell("blank", size_px=64, like=background, rng=np.random.default_rng(s)) for s in range(40)])
    assert np.abs(found.mean(axis=(0, 1, 2)) - background.colours.mean(axis=0)).max() < 6


def test_noise_has_the_sets_mean_and_spread(background):
    found = no_cell("noise", size_px=200, like=background, rng=np.random.default_rng(0))
    assert np.abs(found.mean(axis=(0, 1)) - background.mean).max() < 8  # clipping at white costs some


def test_the_background_is_read_from_the_border_not_from_the_cell():
    pixels = np.stack([a_cell(64, 64, seed=seed) for seed in range(5)])
    found = background_of(pixels)
    assert np.abs(found.colours.mean(axis=0) - (240, 225, 205)).max() < 4
    assert found.red_cell == RED_CELL  # no red cell was seen
    assert found.noise == 0.0


def test_the_light_of_a_red_cell_is_measured_where_there_are_some(background):
    assert np.abs(np.subtract(background.red_cell, HOME.red_cell)).max() < 0.08
    assert 1.0 < background.noise < 6.0


# --- refusals -------------------------------------------------------------------------------------


def test_unknown_names_are_refused_with_those_that_exist(background):
    cell = a_cell(32, 32)
    with pytest.raises(UnknownDisturbance, match=r"no disturbance is called 'blur'. Use one of stain, brightness"):
        disturb(cell, "blur", 1, np.random.default_rng(0))
    with pytest.raises(UnknownDisturbance, match="no invariance is called 'rotation_45'"):
        turned(cell, "rotation_45")
    with pytest.raises(UnknownDisturbance, match=r"'cat'. Use one of blank, red_cells, noise, text, grey"):
        no_cell("cat", size_px=32, like=background, rng=np.random.default_rng(0))


@pytest.mark.parametrize("severity", [-1, 6, 2.5])
def test_a_severity_that_is_not_defined_is_refused(severity):
    with pytest.raises(DataError, match=r"is not defined. Give a whole number from 0 to 5"):
        disturb(a_cell(32, 32), "stain", severity, np.random.default_rng(0))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((32, 32, 3)),
        np.zeros((8, 32, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_refused(pixels):
    with pytest.raises(DataError, match="is not an RGB image"):
        disturb(pixels, "stain", 1, np.random.default_rng(0))


def test_what_does_not_fit_is_refused(cells, digests, background):
    with pytest.raises(DataError, match="does not fit an image"):
        disturb(a_cell(32, 32), "second_cell", 1, np.random.default_rng(0))
    with pytest.raises(DataError, match="does not fit an image"):
        disturb(a_cell(32, 32), "second_cell", 1, np.random.default_rng(0), other=a_cell(32, 40))
    with pytest.raises(DataError, match="A second cell needs a second content"):
        corrupt_set(cells[:1], digests[:1], "second_cell", 1, seed=0)
    with pytest.raises(DataError, match="20 images have 3 digests"):
        corrupt_set(cells, digests[:3], "stain", 1, seed=0)
    with pytest.raises(DataError, match="'cell-1' is not a digest"):
        corrupt_set(cells[:1], ["cell-1"], "stain", 1, seed=0)
    with pytest.raises(DataError, match="do not keep their shape"):
        turned(a_cell(32, 40)[None], "rotation_90")
    with pytest.raises(DataError, match="shows nothing"):
        no_cell("blank", size_px=8, like=background, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="are not a set of images"):
        background_of(cells[0])
