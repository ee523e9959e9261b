"""--model: a classifier that exists is judged, and its file can do nothing but be judged."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from drawn import CLASSES, decoded, scored, shown
from safetensors.torch import save
from tiny_run import OF_IMAGES, Pytest, apart, evidence_of, verdicts_of

from harness.cli import main
from harness.core.digests import file_digest
from harness.core.errors import ProtocolError, TrainingError, WeightsError
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.data.split import split_stratified, write_split
from harness.judge.pretrained import lacking
from harness.metrics.estimates import Unavailable
from harness.metrics.fits import fit_of
from harness.model import tensorfiles
from harness.model.classifier import Machine, predict
from harness.model.exports import CLASSIFIER, EXPORT, Claims, claims_of, classifier_bytes, export_learner
from harness.model.model_file import ModelFile, read_model
from harness.model.networks import untrained, weights_digest
from harness.model.records import JudgedModel, Preprocessing
from harness.model.tensorfiles import metadata_of, refuse_unsafe_unpickler
from harness.protocol.criteria import Criterion
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.training import ModelPlan, TrainingPlan
from harness.run.evidence import reached
from harness.run.graph import Graph
from harness.run.setting import RunOptions, Setting
from harness.run.stages.data import split as split_stage
from harness.run.stages.model import model as model_stage
from harness.run.stages.training_checks import fits
from harness.run.store import Store
from harness.session import Exit

State = dict[str, torch.Tensor]
CPU = Machine("cpu", 6, workers=1, progress=silent)
STATED = Claims(classes=CLASSES)


@pytest.fixture(scope="module")
def protocol(place: Path) -> Protocol:
    return read_protocol(place / "tiny.toml")


@pytest.fixture(scope="module")
def stating(protocol: Protocol) -> Protocol:
    """The protocol that says which class each output stands for."""
    return protocol.model_copy(update={"model": ModelPlan(classes=CLASSES)})


@pytest.fixture(scope="module")
def model(small_plan: TrainingPlan, manifest: Manifest) -> torch.nn.Sequential:
    torch.manual_seed(11)
    cells = decoded(manifest, manifest.images[:8])
    return untrained(small_plan, n_classes=5, weights_file=None, train=cells)[0].eval()


@pytest.fixture
def state(model: torch.nn.Sequential) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def torch_bytes(value: object, **how: Any) -> bytes:
    made = io.BytesIO()
    torch.save(value, made, **how)
    return made.getvalue()


# --- what is judged ---


def test_our_own_safe_format_needs_no_further_word(tmp_path: Path, protocol: Protocol, state: State, model):
    claims = Claims(CLASSES, "resnet18", 32, "squish", "imagenet", "tiny")
    file = written(tmp_path / CLASSIFIER, classifier_bytes(state, claims))
    record = read_model(file, protocol, trusted=()).record
    assert record.weights_digest == weights_digest(model)
    assert record.sha256 == file_digest(file)
    assert (record.format, record.layout, record.trained_by) == ("safetensors", "fastai", "tiny")
    assert record.stated == ("classes", "architecture", "image_size_px", "resize", "normalisation")


def test_the_same_weights_and_words_make_the_same_bytes_in_every_process(state: State):
    claims = Claims(CLASSES, "resnet18", 32, "squish", "imagenet", "tiny", "a", "b")
    made = classifier_bytes(state, claims)
    laid_out = {n: t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for n, t in state.items()}
    assert classifier_bytes(laid_out, claims) == made
    # Two metadata keys would come in another order in the next process.
    assert list(metadata_of(made, where="it")) == ["classifier"]
    assert claims_of(metadata_of(made, where="it"), where="it") == claims


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_state_dict_is_judged_when_the_protocol_says_its_classes(
    tmp_path: Path, protocol: Protocol, stating: Protocol, state: State, model, suffix: str
):
    file = written(tmp_path / f"best{suffix}", torch_bytes(model.state_dict()))
    with pytest.raises(WeightsError, match=r"does not say which class .*\[model\] classes = \['basophil'"):
        read_model(file, protocol, trusted=())
    found = read_model(file, stating, trusted=())
    assert found.record.weights_digest == weights_digest(model)
    assert found.record.stated == ()


def test_a_plain_torchvision_network_predicts_what_torchvision_predicts(
    tmp_path: Path, stating: Protocol, manifest: Manifest
):
    torch.manual_seed(5)
    plain = torchvision.models.resnet18(weights=None, num_classes=5).eval()
    found = read_model(written(tmp_path / "plain.pth", torch_bytes(plain.state_dict())), stating, trusted=())
    assert found.record.layout == "torchvision"
    cells = decoded(manifest, manifest.images[:6])
    assert abs(predict(found.open(CPU), shown(cells)) - scored(plain, cells)).max() < 1e-6


def test_what_was_hashed_is_what_is_kept_and_loaded(
    tmp_path: Path, stating: Protocol, state: State, model: torch.nn.Sequential, manifest: Manifest
):
    file = written(tmp_path / "m.pth", torch_bytes(state))
    digest = file_digest(file)
    found = read_model(file, stating, trusted=())
    file.write_bytes(b"swapped")
    kept = tmp_path / "kept"
    kept.mkdir()
    found.keep(kept)
    assert found.record.sha256 == file_digest(kept / "judged.pth") == digest
    cells = decoded(manifest, manifest.images[:6])
    assert abs(predict(found.open(CPU), shown(cells)) - scored(copy.deepcopy(model), cells)).max() < 1e-6


def test_the_card_says_what_the_file_claims_and_the_protocol_where_it_is_silent(
    tmp_path: Path, protocol: Protocol, state: State, model
):
    file = written(tmp_path / CLASSIFIER, classifier_bytes(state, replace(STATED, image_size_px=32)))
    found = read_model(file, protocol, trusted=())
    card = found.card
    assert card == found.record.card
    assert (card.door, card.name, card.digest) == ("model file", CLASSIFIER, weights_digest(model))
    assert (card.classes, card.file_sha256) == (CLASSES, file_digest(file))
    assert card.preprocessing == Preprocessing(32, protocol.training.resize, normalisation="imagenet")
    assert card.corruptions_act_on == "prepared arrays"
    assert "cannot be trained by this run" in str(card.why_not({"probabilities", "training"}))
    assert card.why_not({"probabilities", "features", "new images", "prepared arrays"}) is None


# --- whose classes, whose preprocessing (L2) ---


def test_another_order_of_classes_stops_the_run(tmp_path: Path, protocol: Protocol, state: State):
    rotated = (*CLASSES[1:], CLASSES[0])
    file = written(tmp_path / CLASSIFIER, classifier_bytes(state, Claims(classes=rotated)))
    with pytest.raises(WeightsError, match="One class would be read as another"):
        read_model(file, protocol, trusted=())
    said = protocol.model_copy(update={"model": ModelPlan(classes=rotated)})
    file = written(tmp_path / CLASSIFIER, classifier_bytes(state, STATED))
    with pytest.raises(WeightsError, match=r"the classes of \[model\] of the protocol are \['eosinophil'"):
        read_model(file, said, trusted=())


@pytest.mark.parametrize("classes", [("Basophil", *CLASSES[1:]), CLASSES[:4], (*CLASSES, "blast")])
def test_a_vocabulary_that_is_nearly_the_same_is_another(tmp_path: Path, protocol: Protocol, state: State, classes):
    file = written(tmp_path / CLASSIFIER, classifier_bytes(state, Claims(classes=classes)))
    with pytest.raises(WeightsError, match="the classes of the file are"):
        read_model(file, protocol, trusted=())


@pytest.mark.parametrize(
    "claim", [{"image_size_px": 224}, {"resize": "crop"}, {"architecture": "resnet34"}, {"normalisation": "none"}]
)
def test_a_classifier_made_for_other_pixels_is_not_judged_on_these(
    tmp_path: Path, protocol: Protocol, state: State, claim: dict[str, Any]
):
    file = written(tmp_path / CLASSIFIER, classifier_bytes(state, replace(STATED, **claim)))
    with pytest.raises(WeightsError, match=f"was made for {next(iter(claim))} = "):
        read_model(file, protocol, trusted=())


@pytest.mark.parametrize(
    "said", ['{"classes": "basophil"}', '{"klasses": []}', "[", '{"image_size_px": "64"}', "{" * 9000]
)
def test_metadata_that_say_something_else_are_refused_in_words(
    tmp_path: Path, protocol: Protocol, state: State, said: str
):
    file = written(tmp_path / CLASSIFIER, save(state, metadata={"classifier": said}))
    with pytest.raises(WeightsError, match="metadata 'classifier' is not what it should be"):
        read_model(file, protocol, trusted=())


# --- tensors that are not the network's (P4, T1) ---


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("1.8.weight"), "'1.8.weight' is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "'extra' fits no layer"),
        (lambda s: s.update({"1.8.bias2": s.pop("1.8.weight")}), "'1.8.bias2' fits no layer; '1.8.weight' is missing"),
        (lambda s: s.update({"1.8.weight": torch.zeros(4, 512)}), r"float32\[4, 512\] instead of float32\[5, 512\]"),
        (lambda s: s.update({"1.8.weight": s["1.8.weight"].half()}), "float16"),
        (lambda s: s.update({"1.8.weight": s["1.8.weight"].double()}), "float64"),
        (lambda s: s["0.0.weight"].view(-1)[7:8].fill_(float("nan")), r"'0.0.weight' holds NaN or infinity"),
        (lambda s: s["0.1.running_var"][0:1].fill_(float("inf")), r"'0.1.running_var' holds NaN or infinity"),
        (lambda s: s.clear(), "holds no tensor"),
    ],
)
def test_weights_that_are_not_all_of_the_network_and_nothing_else_are_refused(
    tmp_path: Path, stating: Protocol, state: State, suffix: str, change: Callable[[State], object], words: str
):
    change(state)
    file = written(tmp_path / f"m{suffix}", save(state) if suffix == ".safetensors" else torch_bytes(state))
    with pytest.raises(WeightsError, match=words):
        read_model(file, stating, trusted=())


# --- files that would do something else (P1, P2, P3) ---


class Writes:
    """A pickle of this leaves a folder where it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.canary),)


def tar_of(pickled: bytes) -> bytes:
    """The layout that torch wrote long ago: a tar with pickles in it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.size = len(pickled)
            archive.addfile(entry, io.BytesIO(pickled))
    return made.getvalue()


def zip_of(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return made.getvalue()


DISGUISES: dict[str, Callable[[Writes], bytes]] = {
    "protocol 0": lambda w: pickle.dumps(w, protocol=0),
    "protocol 2": lambda w: pickle.dumps(w, protocol=2),
    "protocol 5": lambda w: pickle.dumps(w, protocol=5),
    "torch.save": lambda w: torch_bytes(w),
    "torch.save, in a state dict": lambda w: torch_bytes({"0.0.weight": torch.zeros(1), "x": w}),
    "torch.save of old": lambda w: torch_bytes(w, _use_new_zipfile_serialization=False),
    "tar of old": lambda w: tar_of(pickle.dumps(w, protocol=2)),
    "zip in a zip": lambda w: zip_of({"m/data.pkl": torch_bytes(w), "m/data/0": torch_bytes(w)}),
    "beside a harmless pickle": lambda w: zip_of(
        {"m/data.pkl": pickle.dumps({}, protocol=2), "m/constants.pkl": pickle.dumps(w, protocol=2)}
    ),
    "behind a safetensors header": lambda w: struct.pack("<Q", 2) + b"{}" + pickle.dumps(w),
}


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".pt", ".safetensors", ".PKL", ".pt2", ".onnx", ".ts", ".bin", ""])
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_file_that_would_run_code_leaves_no_trace(tmp_path: Path, stating: Protocol, disguise: str, suffix: str):
    canary = tmp_path / "canary"
    file = written(tmp_path / f"model{suffix}", DISGUISES[disguise](Writes(canary)))
    with pytest.raises(WeightsError):
        read_model(file, stating, trusted=())
    assert not canary.exists()


@pytest.mark.parametrize(
    "added", ["archive/constants.pkl", "archive/code/__torch__.py", "other/data.pkl", "archive/data/../x", "data.pkl"]
)
def test_a_whole_state_dict_with_something_beside_it_is_refused(
    tmp_path: Path, stating: Protocol, state: State, added: str
):
    file = written(tmp_path / "m.pth", torch_bytes(state))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(added, pickle.dumps(Writes(tmp_path / "canary")))
    with pytest.raises(WeightsError, match=r"torch\.save never writes|it is TorchScript"):
        read_model(file, stating, trusted=())
    assert not (tmp_path / "canary").exists()


def test_the_canary_sings_where_such_a_file_is_opened(tmp_path: Path):
    canary = tmp_path / "canary"
    torch.load(io.BytesIO(torch_bytes(Writes(canary))), weights_only=False)
    assert canary.exists()


def test_an_untrusted_pickle_is_told_its_digest_and_what_to_do(tmp_path: Path, protocol: Protocol):
    file = written(tmp_path / EXPORT, b"anything")
    digest = file_digest(file)
    other = protocol.model_copy(update={"model": ModelPlan(trusted_models=("0" * 64,))})
    for each, trusted in ((protocol, ()), (other, ("1" * 64,))):
        with pytest.raises(WeightsError, match=rf"it was not opened.*{digest}.*--trust-model {digest}"):
            read_model(file, each, trusted=trusted)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["the command line", "the protocol"])
def test_a_trusted_pickle_is_opened_elsewhere_and_its_tensors_are_judged(
    tmp_path: Path, protocol: Protocol, model, by: str
):
    export_learner(model, classes=CLASSES, how=Preprocessing(32, "squish"), path=tmp_path / EXPORT)
    digest = file_digest(tmp_path / EXPORT)
    if by == "the protocol":
        protocol = protocol.model_copy(update={"model": ModelPlan(trusted_models=(digest,))})
    record = read_model(tmp_path / EXPORT, protocol, trusted=() if by == "the protocol" else (digest,)).record
    assert record.weights_digest == weights_digest(model)
    assert record.trusted is not None
    assert by in record.trusted
    assert record.stated == ("classes",)


@pytest.mark.slow
def test_a_trusted_pickle_of_another_vocabulary_is_not_judged(tmp_path: Path, protocol: Protocol, model):
    export_learner(model, classes=CLASSES[::-1], how=Preprocessing(32, "squish"), path=tmp_path / EXPORT)
    with pytest.raises(WeightsError, match=r"the classes of the file are \['neutrophil'"):
        read_model(tmp_path / EXPORT, protocol, trusted=(file_digest(tmp_path / EXPORT),))


@pytest.mark.slow
def test_a_trusted_pickle_runs_in_a_process_of_its_own_without_the_tokens_of_the_job(
    tmp_path: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REGISTRY_TOKEN", "secret")
    file = written(tmp_path / EXPORT, torch_bytes(Tells(tmp_path / "told")))
    with pytest.raises(TrainingError, match="does not open with plain load_learner"):
        read_model(file, protocol, trusted=(file_digest(file),))
    token, process = (tmp_path / "told").read_text().split()
    assert token == "None"
    assert int(process) != os.getpid()


class Tells:
    """A pickle of this writes down where it is opened."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def __reduce__(self) -> tuple[object, tuple[str]]:
        look = "import os; said = f\"{os.environ.get('REGISTRY_TOKEN')} {os.getpid()}\""
        return exec, (f"{look}; open({str(self.told)!r}, 'w').write(said)",)


@pytest.mark.parametrize("version", ["2.5.1", "2.9.1+cpu"])
def test_a_torch_whose_unpickler_can_be_got_round_is_refused(version: str):
    with pytest.raises(WeightsError, match=rf"torch {version}".replace("+", r"\+") + ".*Install torch 2.10 or newer"):
        refuse_unsafe_unpickler(version=version, environment={})
    refuse_unsafe_unpickler(version="2.10.0", environment={})


def test_an_environment_that_asks_to_run_code_is_refused(
    tmp_path: Path, stating: Protocol, state: State, monkeypatch: pytest.MonkeyPatch
):
    file = written(tmp_path / "m.pth", torch_bytes(state))
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(WeightsError, match="TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is set"):
        read_model(file, stating, trusted=())


def test_a_process_that_widened_what_torch_loads_is_refused(tmp_path: Path, stating: Protocol, state: State):
    file = written(tmp_path / "m.pth", torch_bytes(state))
    with torch.serialization.safe_globals([Writes]), pytest.raises(WeightsError, match="lets torch load more than"):
        read_model(file, stating, trusted=())
    assert read_model(file, stating, trusted=()).record.format == "state dict"


# --- files that would eat the machine (P4, X1) ---


def header(tensors: dict[str, Any], data: bytes = b"", *, claimed: int | None = None) -> bytes:
    said = json.dumps(tensors).encode()
    return struct.pack("<Q", len(said) if claimed is None else claimed) + said + data


def tensor(shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x00",
        header({}, claimed=2**40),
        header({}, claimed=2**64 - 1),
        struct.pack("<Q", 2**21) + b" " * 2**21,
        header({"a": tensor([2**40], 0, 4)}, bytes(4)),
        header({"a": tensor([2**33, 2**33], 0, 0)}),
        header({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
        header({"a": tensor([1], 4, 8)}, bytes(8)),
        header({"a": tensor([1], 0, 4)}, bytes(99)),
        header({"a": tensor([-1], 0, 4)}, bytes(4)),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
    ids=[
        "empty",
        "two bytes",
        "2^40",
        "2^64",
        "2 MiB of header",
        "2^40 numbers",
        "2^66 numbers",
        "overlap",
        "hole",
        "rest",
        "negative",
        "deep",
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_given_to_it(tmp_path: Path, stating: Protocol, content: bytes):
    with pytest.raises(WeightsError, match=r"cannot be read as weights|is empty"):
        read_model(written(tmp_path / "m.safetensors", content), stating, trusted=())


def test_a_pth_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path, stating: Protocol):
    bomb = zip_of({"m/data.pkl": b"", "m/data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    with pytest.raises(WeightsError, match=r"unpacks to 50,000,000; torch\.save compresses nothing"):
        read_model(written(tmp_path / "m.pth", bomb), stating, trusted=())


def test_a_pth_whose_small_storage_claims_to_be_huge_is_refused(tmp_path: Path, stating: Protocol):
    huge = torch.zeros(1).expand(10**6, 10**7)  # 40 TB by its shape, 4 bytes in the file
    with pytest.raises(WeightsError, match=r"its tensors claim 40,000,000,000,000 bytes"):
        read_model(written(tmp_path / "m.pth", torch_bytes({"0.0.weight": huge})), stating, trusted=())


@pytest.mark.parametrize("odd", [torch.zeros(2, 2).to_sparse(), torch.empty(2, device="meta"), 3, [torch.zeros(1)]])
def test_a_state_dict_holds_plain_tensors_and_nothing_else(tmp_path: Path, stating: Protocol, odd: object):
    with pytest.raises(WeightsError, match=r"is not a tensor|not a plain tensor|cannot be read as weights"):
        read_model(written(tmp_path / "m.pth", torch_bytes({"0.0.weight": odd})), stating, trusted=())


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, stating: Protocol, state: State, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tensorfiles, "MOST_BYTES", 1_000_000)
    with pytest.raises(WeightsError, match="more than 1,000,000 bytes"):
        read_model(written(tmp_path / "m.safetensors", save(state)), stating, trusted=())


@pytest.mark.parametrize("kind", ["nothing", "link", "folder", "pipe", "NUL"])
def test_what_is_no_plain_file_is_no_model(tmp_path: Path, stating: Protocol, state: State, kind: str):
    file = tmp_path / ("m\0.safetensors" if kind == "NUL" else "m.safetensors")
    if kind == "link":
        file.symlink_to(written(tmp_path / "real.safetensors", save(state)))
    elif kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    with pytest.raises(WeightsError, match="is a folder. Name the file" if kind == "folder" else "Name a plain file"):
        read_model(file, stating, trusted=())


# --- what is asked of it ---


JUDGED = JudgedModel("m.safetensors", "1" * 64, 9, "safetensors", "fastai", "resnet18", "2" * 64, ("classes",))


def unasked(criterion: Criterion, model: JudgedModel | None) -> Unavailable | None:
    return next((why for need in criterion.entry.needs if (why := lacking(need, model))), None)


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({}, set()),
        ({"cells": "others than this split's"}, set()),
        ({"cells": "stated by the file"}, {"F6", "F7"}),
        ({"cells": "stated by the split file"}, {"F6", "F7"}),
        ({"format": "fastai pickle"}, {"F5"}),
    ],
)
def test_training_is_not_asked_of_it_and_whatever_it_says_is(
    protocol: Protocol, change: dict[str, Any], asked: set[str]
):
    model = replace(JUDGED, **change)
    found = {criterion.id: unasked(criterion, model) for criterion in protocol.criteria}
    trained = {c.id for c in protocol.criteria if c.question in ("training", "reproducibility", "export")}
    assert {"F1", "F5", "F6", "F7", "F8", "P1"} <= trained
    assert {name for name, why in found.items() if why is not None} == trained - asked
    # What its own file refutes is not a question that nobody asked: a protocol that wants it so waives it openly.
    refuted = {"F6", "F7"} if model.cells == "others than this split's" else set()
    assert {name for name, why in found.items() if why is not None and not why.not_asked} == refuted
    assert not any(unasked(criterion, None) for criterion in protocol.criteria)


def run_over(
    protocol: Protocol,
    data: Path,
    folder: Path,
    model: ModelFile,
    split: Path | None,
    external: dict[str, Path] | None = None,
) -> Graph:
    options = RunOptions(
        "test", data, external or {}, frozenset(), split, "cpu", 2, folder / "ledger.jsonl", model=model
    )
    return Graph(Setting.of(protocol, options), store=Store(folder / "stages", fresh=False), progress=silent)


@pytest.mark.slow
def test_whose_word_says_which_cells_it_knows(
    tmp_path: Path, protocol: Protocol, smears: Path, manifest: Manifest, state: State
):
    split = split_stratified(manifest, protocol.split)
    write_split(split, tmp_path / "split.csv")
    own = {part: fit_of("", part, split.part(part), judged={}).cells for part in ("train", "validation")}

    def told(claims: Claims, split: Path | None = None, data: Path = smears) -> str:
        file = read_model(written(tmp_path / CLASSIFIER, classifier_bytes(state, claims)), protocol, trusted=())
        run = run_over(protocol, data, tmp_path, file, split)
        known = run(model_stage)
        assert known is not None
        # For the report, nobody having asked for it, and although a set cannot be read that has no say in it.
        unread = run_over(protocol, data, tmp_path, file, split, {"elsewhere": tmp_path / "not there"})
        assert unread(split_stage) == run(split_stage)
        assert reached(unread)["model"] == known
        fitted = {fit.what.partition(" (")[0]: fit.on for fit in run(fits)}
        assert ("weights of the network" in fitted) == known.knows_its_cells
        return known.cells

    assert told(STATED) == "unknown"
    assert told(STATED, tmp_path / "split.csv") == "stated by the split file"
    assert told(replace(STATED, **own)) == "stated by the file"
    assert told(replace(STATED, **{**own, "train": "0" * 64}), tmp_path / "split.csv") == "others than this split's"


# --- whole runs ---


@pytest.fixture(scope="module")
def judged(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The classifier of the cold run, judged by its file alone, elsewhere: there are images, and no answer."""
    reports = apart(place, "judged", stages=OF_IMAGES)
    done = tiny(f"--model={cold[1] / 'models' / CLASSIFIER}", f"--reports={reports}")
    return done, (reports / "latest").resolve()


def test_judging_a_run_s_own_export_says_the_same_to_the_last_bit(judged, cold):
    (done, pack), trained = judged, cold[1]
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("train", "validation", "test", "second_laboratory", "nine_monocytes"):
        assert (pack / f"predictions/{name}.csv").read_bytes() == (trained / f"predictions/{name}.csv").read_bytes()
    assert not [stage for stage in evidence_of(pack)["stages"] if stage["name"].startswith(("training", "export"))]
    assert evidence_of(pack)["training"] is None


def test_the_pack_tells_what_was_judged_and_holds_it(judged, cold):
    (done, pack), export = judged, cold[1] / "models" / CLASSIFIER
    model = evidence_of(pack)["model"]
    assert model["sha256"] == file_digest(export) == file_digest(pack / "models" / "judged.safetensors")
    assert model["weights_digest"] == evidence_of(cold[1])["training"]["weights_digest"]
    assert model["cells"] == "stated by the file"
    assert {json.loads(line)["model"] for line in (pack / "ledger.jsonl").read_text().splitlines()} == {
        model["weights_digest"]
    }
    assert f"judged: {CLASSIFIER!r}, SHA-256 {model['sha256']}" in done.stdout
    page = (pack / "index.html").read_text()
    assert "one that already existed was judged" in page
    assert "training was not watched" in page


def test_training_criteria_are_not_asked_and_block_nothing(judged):
    found = verdicts_of(judged[1])
    for name in ("F1", "F2", "F3", "F4", "F5", "F8", "P1", "P2", "P3", "P4"):
        assert (found[name]["outcome"], found[name]["not_asked"]) == ("not assessed", True)
    assert found["F7"]["outcome"] == "passed"  # by the word of the file
    assert found["F6"]["estimate"] is not None
    assert "not asked" in judged[0].stdout


def test_the_pack_of_a_judged_model_verifies(judged, capsys):
    assert main(["verify", str(judged[1])]) == 0, capsys.readouterr().out


def resealed(pack: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change evidence.json, and let the sums agree again."""
    evidence = evidence_of(pack)
    change(evidence)
    (pack / "evidence.json").write_text(json.dumps(evidence, indent=1, ensure_ascii=False) + "\n")
    sums = [line.split("  ") for line in (pack / "SHA256SUMS").read_text().splitlines()]
    (pack / "SHA256SUMS").write_text("".join(f"{file_digest(pack / name)}  {name}\n" for _, name in sums))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e["model"].update(sha256="0" * 64), "model > sha256"),
        (lambda e: e["model"].update(weights_digest="0" * 64), "entry 1, model"),
        (lambda e: e["model"].update(cells="unknown"), "F7"),
    ],
)
def test_a_report_replayed_for_another_model_does_not_verify(tmp_path: Path, judged, change, words: str, capsys):
    pack = tmp_path / judged[1].name
    shutil.copytree(judged[1], pack)
    resealed(pack, change)
    assert main(["verify", str(pack)]) == 1
    assert words in capsys.readouterr().out


def test_a_state_dict_of_unknown_cells_is_judged_within_limits(tiny: Pytest, place: Path, cold):
    own = place / "stating.toml"
    own.write_text(f'extends = "tiny.toml"\n[model]\nclasses = {json.dumps(CLASSES)}\n')
    weights = cold[1] / "models" / "best_model_phase2.pth"
    reports = apart(place, "bare", stages=OF_IMAGES)
    done = tiny(f"--model={weights}", f"--protocol={own}", f"--reports={reports}", "-k", "A1 or F6 or F7")
    pack = (reports / "latest").resolve()
    found = verdicts_of(pack)
    assert found["F6"]["not_asked"], done.stdout
    assert found["F7"]["not_asked"]
    assert found["A1"]["estimate"]["k"] == verdicts_of(cold[1])["A1"]["estimate"]["k"]
    page = (pack / "index.html").read_text()
    assert "The cells that it was trained on are not known" in page
    assert "not known whether the classifier was trained on these cells" in page
    assert "held out</td>" not in page
    assert "held out</td>" in (cold[1] / "index.html").read_text()
    assert "Its file does not state image_size_px, resize, normalisation; it was shown" in page


def test_a_trusted_export_is_asked_whether_it_says_what_was_judged(tiny: Pytest, place: Path, cold):
    file, reports = cold[1] / "models" / EXPORT, apart(place, "pickle", stages=OF_IMAGES)
    refused = tiny(f"--model={file}", f"--reports={reports}")
    assert refused.returncode == Exit.ERROR
    assert f"--trust-model {file_digest(file)}" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert not (reports / "latest").exists()
    trust = f"--trust-model={file_digest(file)}"
    tiny(f"--model={file}", trust, f"--reports={reports}", "-k", "F5 or A1")
    found = verdicts_of(reports / "latest")
    assert found["F5"]["outcome"] == "passed"
    assert found["A1"]["estimate"]["k"] == verdicts_of(cold[1])["A1"]["estimate"]["k"]


def test_trust_without_a_model_is_a_wrong_call(tiny: Pytest, place: Path):
    done = tiny(f"--trust-model={'0' * 64}", f"--reports={place / 'none'}")
    assert "no --model names one" in done.stdout
    assert "64 hexadecimal digits" in tiny("--trust-model=abc", f"--reports={place / 'none'}").stderr


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('trusted_models = ["abc"]', r"model\.trusted_models"),
        ('classes = ["a b"]', r"model\.classes"),
        ('trust = "all"', r"model\.trust: unknown key"),
    ],
)
def test_the_protocol_s_word_on_a_model_is_checked(place: Path, tmp_path: Path, section: str, words: str):
    own = tmp_path / "own.toml"
    own.write_text(f'extends = "{(place / "tiny.toml").as_posix()}"\n[model]\n{section}\n')
    with pytest.raises(ProtocolError, match=words):
        read_protocol(own)


def test_limits_are_told_of_a_judged_model_alone(protocol: Protocol):
    from example_run import example_run, limits_in

    run = example_run()
    judged = replace(run, training=None, model=JUDGED)
    told = set(limits_in(judged)) - set(limits_in(run))
    assert any("existed before the run" in what for what in told)
    assert any("cells of the validation and test parts may be among them" in what for what in told)


def test_a_model_of_which_only_waivable_things_are_required_does_not_pass(tiny: Pytest, place: Path, cold):
    """Nothing judged is nothing passed, whoever does the training."""
    everything = read_protocol(place / "tiny.toml").criteria
    off = "".join(
        f'[[criteria]]\nid = "{c.id}"\nrequired = false\n'
        for c in everything
        if c.required and c.question not in ("training", "reproducibility", "export")
    )
    (place / "only_training.toml").write_text(f'extends = "tiny.toml"\n{off}')
    model = cold[1] / "models" / CLASSIFIER
    done = tiny(f"--protocol={place / 'only_training.toml'}", f"--model={model}", "-k", "F1 or P1")
    assert done.returncode == Exit.INCOMPLETE, done.stdout[-2000:]
    assert "RUN PASSED" not in done.stdout


def test_the_pack_of_a_judged_model_whose_gate_stayed_closed_verifies(tiny: Pytest, place: Path, cold, capsys):
    miscounted = place / "miscounted_model.toml"
    miscounted.write_text('extends = "tiny.toml"\n[dataset]\nimages_per_class = 13\n')
    reports = apart(place, "closed", stages=OF_IMAGES)
    done = tiny(f"--protocol={miscounted}", f"--model={cold[1] / 'models' / CLASSIFIER}", f"--reports={reports}")
    assert "D2 count_mismatches on dataset: FAILED" in done.stdout
    assert main(["verify", str(reports / "latest")]) == 0, capsys.readouterr().out
