"""Saliency maps beside a control, and nearest training pictures: what is computed, shown, left out and verified."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import CLASSES, MeanColour, classifier_of
from example_run import example_pixels, example_run, page_of, write_example_dataset
from PIL import Image
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors
from test_comparing import pack_of, run_named
from test_verify import edit_json, mend_sums
from torch import nn

from harness.core.errors import MissingData, NotApplicable
from harness.core.progress import silent
from harness.data.records import CellImage, Manifest
from harness.metrics.explanations import (
    FULL,
    N_NEAREST,
    Explained,
    Explanations,
    Lookalike,
    Method,
    agreement,
    area_of,
    covered,
    nearest,
    packed,
    places_of,
    told,
    with_mask,
    within,
)
from harness.model import saliency
from harness.model.classifier import Classifier, Machine
from harness.model.records import Preprocessing
from harness.pack.explained import explained_again
from harness.pack.page_around import pictures
from harness.pack.page_reading import read_page
from harness.pack.verify import verify_pack
from harness.protocol.reporting import ReportPlan
from harness.report.figures import draw_thumbnails, images_to_show
from harness.report.sections.failures import lookalikes, to_explain
from harness.run.recipes.basis import Pictures
from harness.run.recipes.classifier import Source
from harness.run.recipes.explanations import Explaining, read_explanations
from harness.run.results import RunResults
from harness.run.stages import explanations as stages

HOW = Preprocessing(size_px=32, resize="squish")
CPU = torch.device("cpu")


def network(seed: int = 0) -> nn.Sequential:
    """Body and head; its last convolution sees 8 by 8 places, and nothing follows that bends its outputs."""
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 6, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 4, stride=2, padding=1))
    return nn.Sequential(body, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))).eval()


def noise(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


# --- the map -------------------------------------------------------------------------------------


def test_a_map_of_averaged_outputs_is_their_sum_weighted_by_the_head_and_cut_at_zero():
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    net, targets = network(), np.array([0, 3, 4])
    layer, (rows, columns) = saliency.stage_of(net, saliency.blank(HOW))
    assert (layer, rows, columns) == ("0", 8, 8)
    found = saliency.grad_cam(net, layer, noise(), targets, HOW, CPU)
    with torch.no_grad():
        outputs = net[0](saliency.normalise(torch.from_numpy(noise()), HOW)).double().numpy()
    # The gradient of a class's logit by each output is its weight of that channel over 64 places, the same everywhere.
    weights = net[1][2].weight.detach().double().numpy()[targets] / 64
    np.testing.assert_allclose(found, np.maximum(np.einsum("nc,nchw->nhw", weights, outputs), 0), atol=1e-7)


def test_a_network_that_answers_by_what_is_red_is_bright_where_the_red_spot_is():
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    net = network()
    with torch.no_grad():
        for each in (net[0][0], net[0][2]):
            each.weight.zero_()
            each.bias.zero_()
        net[0][0].weight[0, 0] = net[0][2].weight[0, 0] = 1.0  # one channel, of red alone
        net[1][2].weight.copy_(torch.eye(5, 4))
    spot = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    spot[0, 24:30, 2:8, 0] = 255
    found = saliency.grad_cam(net, "0", spot, np.array([0]), HOW, CPU)[0]
    assert told(packed(found), rows=8, columns=8) == "brightest at the bottom left"
    nowhere = saliency.grad_cam(net, "0", spot, np.array([1]), HOW, CPU)[0]  # a class that nothing speaks for
    assert told(packed(nowhere), rows=8, columns=8) == "no place speaks for the class"


def test_where_a_map_is_bright_is_told_in_words():
    bright = np.zeros((8, 8))
    bright[6:, :2] = 1.0
    assert told(packed(bright), rows=8, columns=8) == "brightest at the bottom left"
    assert told(packed(np.zeros((8, 8))), rows=8, columns=8) == "no place speaks for the class"
    assert told(packed(np.ones((8, 8))), rows=8, columns=8) == "brightest at the centre"


def test_a_control_is_the_same_for_its_seed_and_the_network_stays_as_it_was():
    net = network()
    before = {name: each.clone() for name, each in net.state_dict().items()}
    one, again, other = (dict(saliency.randomised(net, seed=seed).named_parameters()) for seed in (0, 0, 1))
    for name, each in net.named_parameters():
        assert torch.equal(net.state_dict()[name], before[name])
        assert torch.equal(one[name], again[name])
        assert not torch.equal(one[name], each)
        assert not torch.equal(one[name], other[name])
    wide = nn.Sequential(nn.Linear(500, 200))
    own, drawn = (next(each.parameters()).detach() for each in (wide, saliency.randomised(wide, seed=0)))
    assert float(drawn.std()) == pytest.approx(float(own.std()), rel=0.02)


def test_the_stage_is_the_last_that_tells_places_apart():
    deep = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4, padding=1), nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, stride=2)
    )
    assert saliency.stage_of(deep, saliency.blank(HOW)) == ("1", (4, 4))
    with pytest.raises(NotApplicable, match="no convolutional stage"):
        saliency.stage_of(nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten()), saliency.blank(HOW))
    with pytest.raises(NotApplicable, match="4 by 4 places"):
        saliency.stage_of(nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), nn.Conv2d(4, 4, 1)), saliency.blank(HOW))


def test_agreement_is_the_correlation_of_ranks():
    rng = np.random.default_rng(2)
    one, other = (packed(rng.random((7, 7)).round(1)) for _ in range(2))  # with ties
    ranks = [rankdata(places_of(each)) for each in (one, other)]
    assert agreement(one, other) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)
    assert agreement(one, one) == pytest.approx(1.0)
    assert agreement(one, packed(np.zeros((7, 7)))) is None


def test_the_nearest_are_those_of_an_exhaustive_search():
    rng = np.random.default_rng(3)
    features, others = rng.normal(size=(6, 5)), rng.normal(size=(40, 5))
    distances, rows = NearestNeighbors(n_neighbors=N_NEAREST, metric="cosine").fit(others).kneighbors(features)
    found = nearest(features, others, [f"{i:03d}" for i in range(40)])
    assert [[row for row, _ in each] for each in found] == rows.tolist()
    np.testing.assert_allclose([[d for _, d in each] for each in found], distances, atol=1e-12)
    alike = nearest(features[:1], np.tile(others[0], (5, 1)), ["d", "b", "e", "a", "c"])
    assert [row for row, _ in alike[0]] == [3, 1, 4]


# --- the recipe ----------------------------------------------------------------------------------


class Gone:
    """A `Source` that is never opened: the recipe is handed what opens."""

    def __init__(self, classifier: Classifier) -> None:
        self.card, self.machine = classifier.card, Machine("cpu", 8, workers=1, progress=silent)


def recipe(classifier: Classifier, manifest: Manifest) -> Explaining:
    asked, train = manifest.images[:4], manifest.images[4:]
    pictures = Pictures("test", asked, ("PNG",), manifest.root)
    source: Source = Gone(classifier)  # type: ignore[assignment]
    shown = {"test": tuple((image.sha256, CLASSES[place % 5]) for place, image in enumerate(asked))}
    trained = dataclasses.replace(pictures, name="train", cells=train)
    return Explaining(shown, {"test": pictures}, trained, source, lambda: classifier)


def explained(classifier: Classifier, manifest: Manifest, folder: Path) -> Explanations:
    recipe(classifier, manifest).make(folder, silent)
    return read_explanations(folder)


def test_each_cell_has_its_own_map_and_its_own_neighbours_whatever_the_order_on_disk(manifest, tmp_path):
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    door = classifier_of(network())
    found = explained(door, manifest, tmp_path)
    assert found.no_maps is None and found.no_nearest is None and found.method is not None
    assert (found.method.rows, found.method.columns, found.n_compared) == (8, 8, len(manifest.images) - 4)
    whole = recipe(door, manifest)
    for cell, (digest, called) in zip(found.sets["test"], whole.shown["test"], strict=True):
        assert (cell.sha256, cell.predicted) == (digest, called)
        alone = dataclasses.replace(
            whole.sets["test"], cells=tuple(c for c in whole.sets["test"].cells if c.sha256 == digest)
        )
        array = door.prepare(alone.images())
        own = saliency.grad_cam(door.network, "0", array, np.array([CLASSES.index(called)]), door.how, CPU)[0]
        difference = places_of(packed(own)).astype(int) - places_of(cell.map or "").astype(int)
        assert np.abs(difference).max() <= 1  # batches of another size sum in another order
        assert cell.agreement == agreement(cell.map or "", cell.control or "")
        assert [each.distance for each in cell.nearest] == sorted(each.distance for each in cell.nearest)
    assert explained(door, manifest, tmp_path) == found


def test_what_a_door_does_not_have_is_said_and_the_rest_is_there(manifest, tmp_path, monkeypatch):
    found = explained(MeanColour(), manifest, tmp_path)
    assert found.sets == {}
    assert found.no_maps == "mean colour (test) is no torch network that is open here"
    assert found.no_nearest == "mean colour (test) cannot give the features that it sees in an image"
    monkeypatch.setattr(saliency, "captum_version", lambda: None)
    found = explained(classifier_of(network()), manifest, tmp_path)
    assert found.no_maps == 'the extra "explain" is not installed (captum)'
    assert all(len(cell.nearest) == N_NEAREST and cell.map is None for cell in found.sets["test"])


def test_predictions_that_were_given_have_neither():
    class Asked:
        class setting:  # noqa: N801
            class options:  # noqa: N801
                predictions = ("a file",)

    found = stages.explanations.make(Asked(), (("test", ()),))  # type: ignore[arg-type]
    assert found.sets == {}
    assert found.no_maps == found.no_nearest == "predictions were given, and no classifier that could be asked"


@pytest.mark.parametrize(
    "error", [MissingData("a cell has gone"), NotImplementedError("no gradient"), KeyError("logits")]
)
def test_whatever_stands_in_the_way_of_an_illustration_costs_neither_run_nor_pack(error):
    class Asked:
        class setting:  # noqa: N801
            class options:  # noqa: N801
                predictions = ()

            class protocol:  # noqa: N801
                class training:  # noqa: N801
                    seed = 1

        def __call__(self, *_):
            raise error

    found = stages.explanations.make(Asked(), (("test", ()),))  # type: ignore[arg-type]
    assert found.sets == {}
    assert found.no_maps == found.no_nearest
    assert str(error) in str(found.no_maps)


# --- the page and the pack -----------------------------------------------------------------------


def with_explanations(run: RunResults, *, crop: float = 1.0) -> RunResults:
    rng = np.random.default_rng(4)
    train = sorted(run.split.train, key=lambda image: image.sha256)[:N_NEAREST]  # type: ignore[union-attr]
    near = tuple(Lookalike(each.sha256, each.path, each.label, 0.1 * n) for n, each in enumerate(train))
    sets = {}
    for name, cells in to_explain(run):
        found, made = run.predictions[name], []
        for digest, called in cells:
            row = found.digests.index(digest)
            maps = [packed(np.maximum(rng.normal(size=(3, 4)), 0)) for _ in range(2)]
            label = found.classes[found.labels[row]]
            made.append(Explained(digest, found.paths[row], label, called, *maps, agreement(*maps), near))
        sets[name] = tuple(made)
    method = Method("captum 0.9.0", "0.5", 3, 4, "squish", crop, 0)
    return dataclasses.replace(
        run,
        explanations=Explanations(sets, method, n_compared=len(run.split.train)),  # type: ignore[union-attr]
    )


def showing(run: RunResults, **plan: object) -> RunResults:
    report = ReportPlan(**plan)  # type: ignore[arg-type]
    return dataclasses.replace(run, protocol=run.protocol.model_copy(update={"report": report}))


@pytest.mark.parametrize("plan", [{"images": "none"}, {"figures": False}])
def test_nothing_is_explained_that_is_not_pictured(plan):
    run = dataclasses.replace(showing(example_run(n_wrong=9), **plan), explanations=None)
    assert to_explain(run) == ()
    page = page_of(run)
    assert "veil" not in page.partition("</style>")[2]
    assert ("The protocol has no figure drawn" in page) is ("figures" in plan)
    assert ("The protocol lets no picture out" in page) is ("images" in plan)
    assert page.count("no saliency map was made") == 1


def test_training_pictures_are_no_errors():
    run = with_explanations(example_run(n_wrong=9))
    shown = lookalikes(run)
    assert len(shown) == N_NEAREST and shown <= set(images_to_show(run))
    assert shown <= set(draw_thumbnails(run, example_pixels(images_to_show(run))))
    narrow = showing(run, images="errors")
    assert not lookalikes(narrow)
    assert not shown & set(images_to_show(narrow))


def test_pictures_on_a_page_whose_protocol_lets_none_out_are_found():
    run = example_run(n_wrong=9)
    drawn = draw_thumbnails(run, example_pixels(images_to_show(run)))
    page = read_page(page_of(run, thumbnails=drawn))
    assert list(pictures(page, allowed="all")) == []
    assert set(pictures(page, allowed="none")) == {
        "a picture of a cell stands on the page, and the protocol lets none out"
    }
    none = dataclasses.replace(showing(run, images="none"), explanations=None)
    assert list(pictures(read_page(page_of(none)), allowed="none")) == []


def test_a_page_without_maps_or_neighbours_says_why():
    run = dataclasses.replace(
        example_run(n_wrong=9), explanations=Explanations({}, no_maps="it is a graph", no_nearest="it has no features")
    )
    page = page_of(run)
    assert "No saliency maps: <data" in page and "it is a graph</data>" in page
    assert "No nearest training pictures: <data" in page and "it has no features</data>" in page


@pytest.mark.slow
def test_a_pack_with_explanations_holds_and_every_edit_of_them_is_found(tmp_path: Path):
    manifest = write_example_dataset(tmp_path / "data")
    run = with_explanations(run_named("explained", n_wrong=9), crop=0.875)
    pack = pack_of(run, manifest, tmp_path / "reports")
    assert [str(each) for each in verify_pack(pack).discrepancies] == []
    page, evidence = (pack / "index.html").read_text(), (pack / "evidence.json").read_text()

    def follows(content: dict) -> None:
        cells = content["explanations"]["sets"]["test"]
        cells[0]["agreement"], cells[1]["predicted"], cells[2]["path"] = 0.999, "another", "another.png"

    def contradicts(content: dict) -> None:
        cells = content["explanations"]["sets"]["test"]
        cells[0]["nearest"][0]["label"], cells[1]["map"], cells[2]["control"] = "another", "ff", "no map"
        cells[3]["nearest"].pop()

    for edit, fields in (
        (follows, ("0 > agreement", "1 > predicted", "2 > path")),
        (contradicts, ("0 > nearest", "1 > map", "2 > control", "3 > nearest")),
    ):
        edit_json(pack, "evidence.json", edit)
        mend_sums(pack)
        found = " ".join(map(str, verify_pack(pack).discrepancies))
        assert all(f"explanations > sets > test > {field}" in found for field in fields), found
        (pack / "evidence.json").write_text(evidence)
    edit_json(pack, "evidence.json", lambda content: content.update(explanations=None))
    mend_sums(pack)
    assert "nothing is told of why they were called so" in " ".join(map(str, verify_pack(pack).discrepancies))
    (pack / "evidence.json").write_text(evidence)
    first, second = (part.partition("</svg>")[0] for part in page.split('<svg class="veil map"')[1:3])
    shade = first.partition('<path class="v')[2][0]
    other = "1" if shade != "1" else "2"
    edited = page.replace(first, first.replace(f'class="v{shade}"', f'class="v{other}"', 1), 1)
    (pack / "index.html").write_text(edited.replace(second, second.replace('label="', 'label="not ', 1), 1))
    mend_sums(pack)
    found = " ".join(map(str, verify_pack(pack).discrepancies))
    assert "drawn otherwise than it is recorded" in found and "is framed or told in another way" in found


def test_other_cells_than_those_that_are_pictured_are_found():
    run = with_explanations(example_run(n_wrong=9))
    whole = run.explanations
    assert whole is not None and explained_again(whole, run) == (whole, [])
    fewer = dataclasses.replace(whole, sets=whole.sets | {"test": whole.sets["test"][1:]})
    none = dataclasses.replace(whole, sets={})  # as where nothing could be explained, and then both reasons are told
    for found in (fewer, none):
        assert explained_again(found, run)[1] == [("sets", "these are not the cells that the page pictures")]
    told = dataclasses.replace(none, no_maps="none here", no_nearest="none here", method=None, n_compared=0)
    assert explained_again(told, run) == (told, [])


def _edited(whole: Explanations, **changes: object) -> Explanations:
    first, *rest = whole.sets["test"]
    return dataclasses.replace(
        whole,
        sets=whole.sets | {"test": (dataclasses.replace(first, **changes), *rest)},  # type: ignore[arg-type]
    )


def test_what_no_run_could_have_recorded_is_found():
    run = with_explanations(example_run(n_wrong=9))
    whole = run.explanations
    assert whole is not None and whole.method is not None
    cell = whole.sets["test"][0]
    assert cell.map is not None
    half = bytes(value // 2 for value in bytes.fromhex(cell.map)).hex()
    for found, field in (
        (_edited(whole, nearest=(cell.nearest[0],) * N_NEAREST), "nearest"),
        (_edited(whole, map=half), "map"),
        (_edited(whole, map=cell.map.upper().replace("0", "A")), "map"),
        (_edited(whole, control=f" {cell.control}"), "control"),
        (dataclasses.replace(whole, no_nearest=" "), "no_nearest"),
        *(
            (dataclasses.replace(whole, method=dataclasses.replace(whole.method, **change)), "method")
            for change in (
                {"by": "hand"},
                {"layer": "<b>x</b>"},
                {"rows": 0, "columns": 0},
                {"crop": -5.0},
                {"seed": 9},
            )
        ),
    ):
        assert any(field in told for told, _ in explained_again(found, run)[1]), field


def test_what_the_whole_picture_was_shown_has_no_frame():
    page = page_of(with_explanations(example_run(n_wrong=9)))
    assert 'class="veil map"' in page and 'class="unseen"' not in page


# --- masks of cells ------------------------------------------------------------------------------


def test_how_much_of_a_place_lies_in_the_cell_is_the_mean_of_its_pixels():
    view = np.zeros((6, 4))
    view[:3, :2] = 1
    whole = places_of(covered(view, rows=2, columns=2)).tolist()
    assert whole == [FULL, 0, 0, 0]
    view[3:, 2:] = 0.5
    assert places_of(covered(view, rows=2, columns=2)).tolist() == [FULL, 0, 0, 128]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (7, 7)])
def test_places_that_do_not_divide_the_picture_share_its_pixels(rows: int, columns: int):
    view = np.random.default_rng(0).random((10, 12))
    many = np.kron(view, np.ones((rows, columns)))  # each pixel in as many parts as make whole places
    parts = many.reshape(rows, 10, columns, 12).mean(axis=(1, 3))
    assert np.abs(places_of(covered(view, rows=rows, columns=columns)) - FULL * parts.ravel()).max() <= 0.5 + 1e-9


def test_a_map_inside_and_beside_its_cell_and_one_without_aim():
    mask = bytes([FULL, FULL, 0, 0]).hex()
    assert within(bytes([FULL, FULL, 0, 0]).hex(), mask) == 1
    assert within(bytes([0, 0, FULL, 0]).hex(), mask) == 0
    assert within(bytes([FULL] * 4).hex(), mask) == area_of(mask) == 0.5
    assert within(bytes(4).hex(), mask) is None


def masks_in(folder: Path, manifest: Manifest, cells: Sequence[CellImage], *, side: int | None = None) -> Path:
    """A mask of the left half of each picture."""
    for cell in cells:
        with Image.open(manifest.root / cell.path) as image:
            width, height = image.size if side is None else (side, side)
        inside = np.zeros((height, width), dtype=np.uint8)
        inside[:, : width // 2] = 1
        file = folder / Path(cell.path).with_suffix(".png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(inside).save(file)
    return folder


def test_a_cell_with_a_mask_has_the_share_of_its_map_within_and_another_has_none(manifest, tmp_path):
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    whole = recipe(classifier_of(network()), manifest)
    plain, cells = dataclasses.replace(whole), whole.sets["test"].cells
    masked = dataclasses.replace(whole, masks={"test": masks_in(tmp_path / "masks", manifest, cells[:2])})
    assert {k: v for k, v in masked.made_of().items() if k != "masks"} == plain.made_of()
    masked.make(tmp_path, silent)
    found = {cell.path: cell for cell in read_explanations(tmp_path).sets["test"]}
    for cell in cells[:2]:
        told = found[cell.path]
        assert told.mask is not None and told.map is not None and told.area == pytest.approx(0.5, abs=0.01)
        values = places_of(told.map).reshape(8, 8).astype(float)
        assert told.inside == pytest.approx(values[:, :4].sum() / values.sum(), abs=0.01)
    assert {found[cell.path].mask for cell in cells[2:]} == {None}
    before = masked.made_of()["masks"]
    masks_in(tmp_path / "masks", manifest, cells[2:3])
    assert masked.made_of()["masks"] != before  # another mask is another stage


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.array(image)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: Image.new("L", (3, 3), 1).save(file), "is 3 x 3 px and its picture"),
        (lambda file: Image.fromarray(np.zeros_like(pixels(file))).save(file), "it marks no cell"),
        (lambda file: file.write_bytes(b"no picture"), "cannot be read"),
        (lambda file: Image.fromarray(pixels(file)).save(file, format="GIF"), "cannot be read"),
        (lambda file: file.with_suffix(".bmp").write_bytes(b""), "several masks"),
    ],
)
def test_a_mask_of_no_use_is_told_and_costs_no_map(manifest, tmp_path, spoil, said):
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    whole = recipe(classifier_of(network()), manifest)
    cells = whole.sets["test"].cells
    folder = masks_in(tmp_path / "masks", manifest, cells)
    spoil(folder / Path(cells[1].path).with_suffix(".png"))
    dataclasses.replace(whole, masks={"test": folder}).make(tmp_path, silent)
    found = read_explanations(tmp_path)
    assert said in (found.no_masks or "")
    assert all(cell.map is not None and cell.mask is None for cell in found.sets["test"])


def test_a_folder_without_a_mask_of_a_shown_cell_is_told(manifest, tmp_path):
    pytest.importorskip("captum", reason="the extra [explain] is not installed")
    (tmp_path / "masks").mkdir()
    dataclasses.replace(recipe(classifier_of(network()), manifest), masks={"test": tmp_path / "masks"}).make(
        tmp_path, silent
    )
    assert "no file of the folders given for test" in (read_explanations(tmp_path).no_masks or "")


def with_masks(run: RunResults) -> RunResults:
    """The first explained cell of each set has a mask of its upper places."""
    found = run.explanations
    assert found is not None
    mask = bytes([FULL] * 4 + [100] * 4 + [0] * 4).hex()
    sets = {name: (with_mask(cells[0], mask), *cells[1:]) for name, cells in found.sets.items()}
    return dataclasses.replace(run, explanations=dataclasses.replace(found, sets=sets))


@pytest.mark.slow
def test_a_pack_with_masks_holds_and_what_follows_from_them_is_computed_again(tmp_path: Path):
    manifest = write_example_dataset(tmp_path / "data")
    run = with_masks(with_explanations(run_named("masked", n_wrong=9)))
    pack = pack_of(run, manifest, tmp_path / "reports")
    assert [str(each) for each in verify_pack(pack).discrepancies] == []
    page = (pack / "index.html").read_text()
    assert "Inside the cell" in page and "Its area" in page
    for number, edit in enumerate(({"inside": 0.99}, {"area": 0.01}, {"mask": None}, {"mask": "ff"})):
        other = Path(shutil.copytree(pack, tmp_path / f"edited-{number}"))
        edit_json(other, "evidence.json", lambda c, e=edit: c["explanations"]["sets"]["test"][0].update(e))
        mend_sums(other)
        found = " ".join(map(str, verify_pack(other).discrepancies))
        assert "explanations > sets > test > 0 > " in found, (edit, found)


def test_a_page_says_why_masks_are_of_no_use():
    run = with_explanations(example_run(n_wrong=9))
    assert "No masks of cells are given" in page_of(run)
    told = dataclasses.replace(run.explanations, no_masks="the mask a.png is empty")  # type: ignore[type-var]
    page = page_of(dataclasses.replace(run, explanations=told))
    assert "The masks that were given are of no use" in page and "the mask a.png is empty" in page
    assert explained_again(told, run) == (told, [])
