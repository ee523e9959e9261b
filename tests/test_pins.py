"""A pinned set: what is exchanged, relabelled, added or taken away fails by name, and what is only renamed passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from example_run import example_run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from harness.cli import main
from harness.core.places import SUITES
from harness.data.integrity import inspect
from harness.data.manifest import read_manifest
from harness.data.pins import Change, differences
from harness.data.records import CellImage, IntegrityReport, Manifest, pin_of
from harness.judge.asking import ask
from harness.judge.criteria import complete
from harness.judge.ledger import cells_digest
from harness.judge.verdicts import Outcome
from harness.metrics.predictions import predictions_of
from harness.pack.measurements import RecordedMeasurements
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.protocol.datasets import ImageRules
from harness.protocol.file import read_protocol
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol
from harness.run.results import RunResults

GATE = read_protocol(SUITES / "protocols" / "leukocyte-gate.toml")
D12 = next(criterion for criterion in GATE.criteria if criterion.id == "D12")
RULES = ImageRules(formats=("PNG",), min_side_px=8, max_side_px=8)
CLASSES = ("basophil", "monocyte")


def picture(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(6):
        picture(tmp_path / "cells" / CLASSES[seed % 2] / f"{seed}.png", seed)
    return tmp_path / "cells"


def read(folder: Path) -> Manifest:
    return read_manifest(folder, name="dataset", classes=CLASSES, workers=1)


def report(folder: Path, pin: str | None) -> IntegrityReport:
    return inspect(read(folder), images=RULES, counts=None, workers=1, pin=pin)


def exchanged(folder: Path) -> None:
    picture(folder / "monocyte" / "1.png", 99)


def relabelled(folder: Path) -> None:
    (folder / "monocyte" / "1.png").rename(folder / "basophil" / "1.png")


def added(folder: Path) -> None:
    picture(folder / "monocyte" / "7.png", 99)


def doubled(folder: Path) -> None:
    picture(folder / "monocyte" / "again.png", 1)


def missing(folder: Path) -> None:
    (folder / "monocyte" / "1.png").unlink()


CHANGES = {
    exchanged: (Change.EXCHANGED, "monocyte/1.png"),
    relabelled: (Change.RELABELLED, "basophil/1.png"),
    added: (Change.ADDED, "monocyte/7.png"),
    doubled: (Change.ADDED, "monocyte/again.png"),
    missing: (Change.MISSING, "monocyte/1.png"),
}
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@each_change
def test_one_changed_image_is_a_finding_with_both_digests(folder: Path, change: Callable[[Path], None]):
    pinned = read(folder).pin
    change(folder)
    (finding,) = report(folder, pinned).of("digest_mismatches")
    assert pinned in finding.detail
    assert read(folder).pin in finding.detail


def test_names_and_places_are_no_part_of_it(folder: Path):
    pinned = read(folder).pin
    (folder / "monocyte" / "1.png").rename(folder / "monocyte" / "0.png")
    moved = folder.rename(folder.parent / "elsewhere")
    assert report(moved, pinned).findings == ()
    assert report(moved, pinned).checked["digest_mismatches"] == 6


def test_without_a_pin_nothing_is_checked(folder: Path):
    assert "digest_mismatches" not in report(folder, None).checked


def test_a_pin_is_the_digest_that_a_ledger_has_of_the_same_cells(folder: Path):
    images = read(folder).images
    cells = predictions_of(images, np.full((6, 2), 0.5), set_name="test", classes=CLASSES)
    assert read(folder).pin == f"sha256:{cells_digest(cells)}"


@each_change
def test_what_differs_is_named(folder: Path, change: Callable[[Path], None]):
    before = read(folder).images
    change(folder)
    assert [(each.change, each.path) for each in differences(read(folder).images, before)] == [CHANGES[change]]


listings = st.dictionaries(
    st.sampled_from("abcde"), st.tuples(st.sampled_from("xyz"), st.sampled_from(CLASSES)), max_size=5
)


@given(now=listings, before=listings)
def test_nothing_differs_where_the_pins_are_equal_and_only_there(now, before):
    ours, theirs = (
        [CellImage(path, label, content, 1) for path, (content, label) in listing.items()] for listing in (now, before)
    )
    found = differences(ours, theirs)
    pins = [pin_of((image.sha256, image.label) for image in images) for images in (ours, theirs)]
    assert (not found) == (pins[0] == pins[1])
    gone, came = (sum(each.change is kind for each in found) for kind in (Change.MISSING, Change.ADDED))
    assert len(ours) - len(theirs) == came - gone


# --- the criterion --------------------------------------------------------------------------------


def pinned_at(digest: str | None, protocol: Protocol = GATE) -> Protocol:
    dataset = protocol.dataset.model_copy(update={"digest": digest})
    return Protocol.model_validate({**dict(protocol), "dataset": dataset})


def outcome(folder: Path, pin: str | None) -> tuple[Outcome, bool]:
    protocol = pinned_at(pin)
    run = RunResults(
        **{"run_id": "r", "started_at": "", "seconds": 0.0, "command": "", "environment": {}, "verdicts": ()},
        protocol=protocol,
        integrity=report(folder, pin),
    )
    verdict = ask(D12, RecordedMeasurements(run, read(folder)), today=date(2026, 1, 15))
    return verdict.outcome, verdict.blocks


def test_the_criterion_passes_fails_or_is_not_asked(folder: Path):
    pin = read(folder).pin
    assert outcome(folder, pin) == (Outcome.PASSED, False)
    assert outcome(folder, None) == (Outcome.NOT_ASSESSED, False)
    exchanged(folder)
    assert outcome(folder, pin) == (Outcome.FAILED, True)


def test_a_pin_that_nobody_judges_is_refused():
    without = [criterion for criterion in GATE.criteria if criterion.id != "D12"]
    dataset = GATE.dataset.model_copy(update={"digest": f"sha256:{'0' * 64}"})
    with pytest.raises(ValidationError, match="no criterion on digest_mismatches"):
        Protocol.model_validate({**dict(GATE), "dataset": dataset, "criteria": tuple(without)})


def test_a_protocol_without_a_pin_has_no_place_for_one():
    assert "digest" not in GATE.model_dump(mode="json")["dataset"]


# --- the job --------------------------------------------------------------------------------------

MINIMAL = """
extends = "generic.toml"
[identity]
id = "pinned"
title = "Two classes"
version = "1"
intended_use = "A test of pins."
[dataset]
description = "Drawn."
classes = ["basophil", "monocyte"]
images = { formats = ["PNG"], min_side_px = 8, max_side_px = 8 }
"""


def test_the_job_prints_what_init_writes_and_fails_on_other_data(folder: Path, tmp_path: Path, capsys):
    drafted = tmp_path / "drafted.toml"
    assert main(["init", str(folder), "--out", str(drafted)]) == 0
    assert read_protocol(drafted).dataset.digest == read(folder).pin
    assert main(["pin", str(drafted), "--data", str(folder)]) == 0
    assert f'digest = "{read(folder).pin}"' in capsys.readouterr().out
    exchanged(folder)
    assert main(["pin", str(drafted), "--data", str(folder)]) == 1
    assert "the protocol pins sha256:" in capsys.readouterr().out


def test_the_job_names_what_differs_from_a_pack(tmp_path: Path, folder: Path, capsys):
    protocol = tmp_path / "minimal.toml"
    protocol.write_text(MINIMAL)
    run = RunResults(
        **{"run_id": "r", "started_at": "2026-01-15T09:30:00+00:00", "seconds": 0.0, "command": "pytest"},
        protocol=read_protocol(protocol),
        environment={"commit": "0" * 40},
        verdicts=complete(read_protocol(protocol), (), otherwise="not asked"),
    )
    pack = write_pack(run, reports=tmp_path / "reports", manifest=read(folder), models={}, formats=())
    assert main(["pin", str(protocol), "--data", str(folder), "--against", str(pack)]) == 0
    assert "no image differs" in capsys.readouterr().out
    exchanged(folder)
    added(folder)
    assert main(["pin", str(protocol), "--data", str(folder), "--against", str(pack)]) == 1
    said = capsys.readouterr().out
    assert "2 images differ from the pack's: 1 exchanged, 1 added" in said
    assert "monocyte/1.png" in said
    assert main(["pin", str(protocol), "--data", str(folder), "--against", str(pack), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["dataset"]["differences"]) == 2


# --- verify ---------------------------------------------------------------------------------------


def pack_of(reports: Path, *, dataset: str | None, external: str | None, checked: bool = True) -> Path:
    """The example run's pack under a protocol that pins these; `dataset`: what was found is what it has."""
    run = example_run()
    plans = [run.protocol.dataset.model_copy(update={"digest": dataset})]
    plans += [run.protocol.external[0].model_copy(update={"digest": external}), *run.protocol.external[1:]]
    criteria = (*run.protocol.criteria, D12)
    protocol = run.protocol.model_copy(update={"dataset": plans[0], "external": tuple(plans[1:]), "criteria": criteria})
    assert run.integrity is not None and run.split is not None
    images = sorted((i for part in PARTS for i in run.split.part(part)), key=lambda image: image.path)
    manifest = Manifest("dataset", Path(), protocol.dataset.classes, tuple(images), ignored=("notes.txt",))
    looked = {"digest_mismatches": len(images)} if checked else {}
    integrity = replace(run.integrity, checked=run.integrity.checked | looked)
    verdicts = complete(protocol, run.verdicts, otherwise="not asked")
    run = replace(run, protocol=protocol, integrity=integrity, verdicts=verdicts)
    return write_pack(run, reports=reports, manifest=manifest, models={}, formats=())


def refuted(pack: Path) -> set[str]:
    return {each.field for each in verify_pack(pack).discrepancies if "pin" in each.message or "digest" in each.message}


@pytest.mark.slow
def test_verify_compares_the_pins_with_the_images_that_the_pack_lists(tmp_path: Path):
    run = example_run()
    pins = {name: found_pin(run, name) for name in ("dataset", "second-laboratory")}
    other = f"sha256:{'0' * 64}"
    held = refuted(pack_of(tmp_path / "1", dataset=pins["dataset"], external=pins["second-laboratory"]))
    exchanged = refuted(pack_of(tmp_path / "2", dataset=other, external=other))
    assert exchanged - held == {"integrity > findings > digest_mismatches", "sha256, label"}
    unseen = refuted(pack_of(tmp_path / "3", dataset=pins["dataset"], external=None, checked=False))
    assert unseen - held == {"integrity > checked > digest_mismatches"}


def found_pin(run: RunResults, name: str) -> str:
    assert run.split is not None
    if name == "dataset":
        return pin_of((image.sha256, image.label) for part in PARTS for image in run.split.part(part))
    found = run.predictions[name]
    return pin_of(zip(found.digests, [found.classes[label] for label in found.labels], strict=True))
