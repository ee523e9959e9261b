"""One run without pytest: what its stages refuse."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from drawn import CLASSES, MeanColour
from PIL import Image, ImageOps

from fixtures.laboratories import HOME, SECOND
from fixtures.smears import write_smears
from harness.core.errors import DataError, DeviceUnavailable, InvalidPredictions
from harness.core.progress import silent
from harness.data.prediction_files import PredictionsTable, parse_predictions
from harness.data.records import Manifest
from harness.metrics.estimates import Unavailable
from harness.model import devices
from harness.model.classifier import predict
from harness.model.exports import Claims
from harness.model.formats import Found
from harness.model.model_file import ModelFile
from harness.model.records import JudgedModel, Preprocessing
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.datasets import FORMATS
from harness.protocol.file import read_protocol
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol
from harness.run.graph import Graph
from harness.run.setting import RunOptions, Setting, sibling_dir
from harness.run.stages.corruptions import robustness
from harness.run.stages.data import split
from harness.run.stages.external import external
from harness.run.stages.independence import dependent_sets, leakage_checks, provenance
from harness.run.stages.model import card, pictures
from harness.run.stages.predictions import evaluation, predictions
from harness.run.stages.prospects import Prospects, prospects
from harness.run.stages.timing import timing
from harness.run.store import Store


@pytest.fixture(scope="module")
def protocol(place: Path) -> Protocol:
    return read_protocol(place / "tiny.toml")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Four cells of the second laboratory."""
    folder = tmp_path / "elsewhere"
    write_smears(folder, images_per_class={"monocyte": 4}, laboratory=SECOND, size_px=48, seed=9)
    return folder


def run_over(
    protocol: Protocol,
    data: Path,
    tmp_path: Path,
    *,
    device: str = "cpu",
    model: ModelFile | None = None,
    predictions: tuple[PredictionsTable, ...] = (),
    split_file: Path | None = None,
    **sets: Path,
) -> Graph:
    options = RunOptions(
        run_id="test",
        data=data,
        external=sets,
        synthetic=frozenset(),
        split_file=split_file,
        device=device,
        workers=2,
        ledger=tmp_path / "ledger.jsonl",
        model=model,
        predictions=predictions,
    )
    return Graph(Setting.of(protocol, options), store=Store(tmp_path / "stages", fresh=False), progress=silent)


def test_a_set_from_elsewhere_is_used(protocol: Protocol, smears: Path, tmp_path: Path, elsewhere: Path):
    found = run_over(protocol, smears, tmp_path, second_laboratory=elsewhere)(external)
    assert isinstance(found["second_laboratory"], Manifest)
    assert isinstance(found["nine_monocytes"], Unavailable)
    assert "no --external nine_monocytes=DIR" in found["nine_monocytes"].reason


@pytest.mark.parametrize("format", FORMATS)
def test_a_set_that_the_protocol_does_not_name_may_have_every_format(
    protocol: Protocol, smears: Path, tmp_path: Path, elsewhere: Path, format: str
):
    for file in list((elsewhere / "monocyte").iterdir()):
        with Image.open(file) as image:
            image.load()
            file.unlink()
            image.save(file.with_suffix(f".{format.lower()}"))
    found = run_over(protocol, smears, tmp_path, unnamed=elsewhere)(external)["unnamed"]
    assert isinstance(found, Manifest), found
    assert len(found.images) == 4


def test_cells_of_the_dataset_are_no_external_set(protocol: Protocol, smears: Path, tmp_path: Path, elsewhere: Path):
    shutil.copy(next((smears / "monocyte").iterdir()), elsewhere / "monocyte" / "renamed.png")
    found = run_over(protocol, smears, tmp_path, second_laboratory=elsewhere)(evaluation, "second_laboratory")
    assert isinstance(found, Unavailable)
    assert "is not external: 1 of its 5 images are also in the dataset" in found.reason
    assert "renamed.png" in found.reason


def test_a_set_of_the_dataset_s_pictures_in_other_files_is_no_external_set(
    protocol: Protocol, smears: Path, tmp_path: Path, elsewhere: Path
):
    own = [file for folder in sorted(smears.iterdir()) for file in sorted(folder.iterdir())[:1]]
    for file, cell in zip(sorted((elsewhere / "monocyte").iterdir()), own, strict=False):
        with Image.open(cell) as picture:
            ImageOps.mirror(picture).save(file)
    found = run_over(protocol, smears, tmp_path, second_laboratory=elsewhere)(evaluation, "second_laboratory")
    assert isinstance(found, Unavailable)
    assert "is not external: 4 of its 4 images show pictures of the dataset, first 'basophil/" in found.reason


def test_a_copy_byte_for_byte_is_a_duplicate_across_sets_though_its_set_is_not_scored(
    protocol: Protocol, smears: Path, tmp_path: Path, elsewhere: Path
):
    cell = next((smears / "monocyte").iterdir())
    shutil.copy(cell, elsewhere / "monocyte" / "renamed.png")
    (elsewhere / "basophil").mkdir()
    shutil.copy(cell, elsewhere / "basophil" / "relabelled.png")
    run = run_over(protocol, smears, tmp_path, second_laboratory=elsewhere)
    assert isinstance(run(external)["second_laboratory"], Unavailable)
    [first, second] = run(leakage_checks)["duplicates_across_sets"]
    assert "basophil/relabelled.png" in first
    assert "monocyte/renamed.png" in second
    [conflict] = run(leakage_checks)["label_conflicts"]
    assert "basophil/relabelled.png" in conflict
    assert "pictures with the dataset" in run(dependent_sets)["second_laboratory"]
    assert run(provenance)["second_laboratory"].facts[0].n_unusual == 2


def test_an_external_set_that_breaks_its_rules_is_not_assessed_and_stops_nothing(
    protocol: Protocol, smears: Path, tmp_path: Path, elsewhere: Path
):
    Image.effect_noise((48, 48), 40).save(elsewhere / "monocyte" / "grey.png")
    found = run_over(protocol, smears, tmp_path, second_laboratory=elsewhere)(evaluation, "second_laboratory")
    assert isinstance(found, Unavailable)
    assert "1 integrity finding(s), first unexpected_modes" in found.reason
    assert "grey.png" in found.reason


def test_an_image_that_changes_while_the_run_goes_on_is_refused(protocol: Protocol, tmp_path: Path):
    data = tmp_path / "cells"
    write_smears(
        data, images_per_class=dict.fromkeys(protocol.dataset.classes, 12), laboratory=HOME, size_px=48, seed=3
    )
    run = run_over(protocol, data, tmp_path)
    victim = data / run(split).test[0].path
    other = data / run(split).test[1].path
    victim.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match=rf"{victim.name}'? changed while the run was going on"):
        predict(MeanColour(), run(pictures, "test").images())


def test_a_device_that_is_not_there_ends_the_run_before_it_begins(
    protocol: Protocol, smears: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(devices, "available_devices", lambda: ("cpu",))
    with pytest.raises(DeviceUnavailable, match="--device cuda: this machine has cpu"):
        run_over(protocol, smears, tmp_path, device="cuda")


def test_what_lies_beside_a_csv_lies_beside_its_folder(tmp_path: Path):
    (tmp_path / "cells").mkdir()
    table = tmp_path / "cells" / "split.csv"
    table.touch()
    assert sibling_dir(tmp_path / "cells") == sibling_dir(table) == tmp_path.resolve()


def test_a_door_that_offers_probabilities_alone_is_judged_as_far_as_it_goes(
    protocol: Protocol, smears: Path, tmp_path: Path
):
    said = MeanColour.card
    record = JudgedModel("m.bin", "1" * 64, 9, "test", "", "mean colour", said.digest, ("classes",), card=said)
    shown = Preprocessing(size_px=48, resize="squish")
    found = Found(
        Claims(classes=CLASSES), "", "mean colour", said.digest, said.abilities, lambda *_: MeanColour(), shown
    )
    run = run_over(protocol, smears, tmp_path, model=ModelFile(record, said, found.claims, b"anything", found))
    assert len(run(predictions, "test").digests) == len(run(split).test)
    stable = run(robustness, 0.95)
    assert len(stable.curves) == len(protocol.robustness.kinds)
    assert stable.detection is not None
    assert (protocol.detection.score, stable.detection.score) == ("mahalanobis", "confidence")
    timed = timing(run, "SingleStream", "model-only", lambda scenario: [1.0])
    assert isinstance(timed, Unavailable)
    assert timed.not_asked
    assert "not applicable: mean colour (test) cannot answer for arrays that were prepared" in timed.reason
    assert not isinstance(timing(run, "SingleStream", "decode-to-label", lambda scenario: [1.0]), Unavailable)
    assert run(card).corruptions_act_on == "RGB frames"


def test_what_predictions_cover_is_known_before_anything_is_decoded(protocol: Protocol, smears: Path, tmp_path: Path):
    parts = run_over(protocol, smears, tmp_path)(split)
    file = tmp_path / "split.csv"
    cells = [f"{image.path},{image.label},{part}\n" for part in PARTS for image in parts.part(part)]
    file.write_text("".join(["path,label,split\n", *cells]))
    rows = [f"{image.path},1,0,0,0,0\n" for image in parts.test]

    def prospects_of(rows: list[str]) -> Prospects:
        text = "".join([f"path,{','.join(CLASSES)}\n", *rows])
        table = parse_predictions(text.encode(), name="p.csv", set_name="dataset", classes=CLASSES)
        return run_over(asking, smears, tmp_path, predictions=(table,), split_file=file)(prospects, date(2026, 1, 1))

    gap = next(c for c in read_protocol(DEFAULT_PROTOCOL).criteria if c.metric == "accuracy_gap")
    asking = protocol.model_copy(update={"criteria": (*protocol.criteria, gap.model_copy(update={"id": "F6-again"}))})
    assert "F6-again" in run_over(asking, smears, tmp_path)(prospects, date(2026, 1, 1)).hopeless
    assert "F6-again" not in prospects_of(rows).hopeless  # nobody answers for the training part: it is not asked
    with pytest.raises(InvalidPredictions, match=r"1 of the \d+ images of test have no row"):
        prospects_of(rows[1:])
    with pytest.raises(InvalidPredictions, match="1 foreign rows"):
        prospects_of([*rows, "elsewhere.png,1,0,0,0,0\n"])
