"""What is timed, and what the raw samples mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import MeanColour, classifier_of
from pydantic import ValidationError
from torch import nn

from harness.data.records import Manifest
from harness.model import devices, torch_network
from harness.model.images import Images, files_of
from harness.model.scenarios import Scenario, scenarios
from harness.protocol.records import ThroughputPlan
from harness.run.pacing import Pacer

CPU = torch.device("cpu")
SINGLE, SINGLE_MODEL = ("SingleStream", "decode-to-label"), ("SingleStream", "model-only")
OFFLINE, OFFLINE_MODEL = ("Offline", "decode-to-label"), ("Offline", "model-only")
PLAN = ThroughputPlan(warmup_queries=2, queries=30, offline_rounds=5, offline_images=70, batch_size=16)


class Counting(nn.Module):
    """Remembers the batches that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch))
        return torch.zeros(len(batch), 5)


def pictures(manifest: Manifest) -> Images:
    return files_of([manifest.root / image.path for image in manifest.images], formats=("PNG",))


def prepared(manifest: Manifest) -> tuple[Counting, dict[str, Scenario]]:
    model = Counting()
    return model, scenarios(classifier_of(model), pictures(manifest), plan=PLAN, device="cpu")


@pytest.mark.parametrize("timed", [OFFLINE, OFFLINE_MODEL])
def test_offline_scores_every_image_in_batches(manifest: Manifest, timed: tuple[str, str]):
    model, found = prepared(manifest)
    found[timed].query()
    assert model.batches == [16, 16, 16, 16, 6]  # 70 images, though the set holds 60
    assert found[timed].images_per_query == 70


@pytest.mark.parametrize("timed", [SINGLE, SINGLE_MODEL])
def test_single_stream_scores_one_image_a_query(manifest: Manifest, timed: tuple[str, str]):
    model, found = prepared(manifest)
    found[timed].query()
    found[timed].query()
    assert model.batches == [1, 1]
    assert (found[timed].rounds, found[timed].warmup) == (30, 2)


def test_only_decode_to_label_decodes(manifest: Manifest):
    images, decoded = pictures(manifest), list[int]()

    def noted(index: int) -> np.ndarray:
        decoded.append(index)
        return images.frame(index)

    found = scenarios(classifier_of(Counting()), Images(images.names, noted), plan=PLAN, device="cpu")
    decoded.clear()
    for timed, count in ((SINGLE_MODEL, 0), (OFFLINE_MODEL, 0), (SINGLE, 1), (OFFLINE, 71)):
        found[timed].query()
        assert len(decoded) == count, timed
    found[SINGLE].query()
    assert (decoded[0], decoded[-1]) == (0, 1)  # in turn: no query repeats the one before it


def test_a_classifier_that_takes_no_prepared_arrays_is_timed_from_file_to_label_alone(manifest: Manifest):
    door = MeanColour()
    found = scenarios(door, pictures(manifest), plan=PLAN, device="cpu")
    assert sorted(found) == [OFFLINE, SINGLE]
    found[OFFLINE].query()
    assert len(door.shapes) == 70


def test_each_query_waits_for_the_device(manifest: Manifest, monkeypatch: pytest.MonkeyPatch):
    _, found = prepared(manifest)
    waited: list[torch.device] = []
    monkeypatch.setattr(torch_network, "synchronise", waited.append)
    found[SINGLE_MODEL].query()
    assert waited == [CPU]


def test_throughput_is_images_over_seconds(manifest: Manifest):
    timing = prepared(manifest)[1][OFFLINE].timing([0.5, 1.0, 2.0], others_share=0.25)
    assert timing.images_per_s == pytest.approx(210 / 3.5)  # three rounds of 70 images in 3.5 s


def block_scenario(queried: list[str], *, blocks: int, pause_s: float, rounds: int = 20) -> Scenario:
    return Scenario(*SINGLE, "cpu", 1, 1, rounds, 2, lambda: queried.append("query"), tuple, blocks, pause_s)


def asked_as_pytest_benchmark_asks(scenario: Scenario, pacer: Pacer) -> None:
    for _ in range(scenario.warmup + scenario.rounds):
        pacer()
        scenario.query()


def test_blocks_are_apart_and_the_first_query_after_a_pause_is_not_timed():
    happened: list[str] = []
    scenario = block_scenario(happened, blocks=3, pause_s=0.5, rounds=10)
    pacer = Pacer(scenario, sleep=lambda seconds: happened.append(f"pause {seconds}"))
    asked_as_pytest_benchmark_asks(scenario, pacer)
    pause = ["pause 0.5", "query"]
    assert happened == ["query"] * (2 + 3) + pause + ["query"] * 3 + pause + ["query"] * 4
    assert len(pacer.shares()) == 3
    assert all(0 <= share <= 1 for share in pacer.shares())


def test_queries_in_a_row_are_not_paused_and_have_no_blocks():
    happened: list[str] = []
    scenario = block_scenario(happened, blocks=1, pause_s=0.0)
    pacer = Pacer(scenario, sleep=lambda _: pytest.fail("paused"))
    asked_as_pytest_benchmark_asks(scenario, pacer)
    assert (len(happened), pacer.shares()) == (22, ())


def test_only_single_queries_come_in_blocks(manifest: Manifest):
    plan = PLAN.model_copy(update={"blocks": 50, "pause_s": 0.5})  # of thirty queries
    found = scenarios(classifier_of(Counting()), pictures(manifest), plan=plan, device="cpu")
    assert {name for name, _ in found} == {"SingleStream", "Offline"}
    blocks = {(name, each.blocks, each.pause_s) for (name, _), each in found.items()}
    assert blocks == {("SingleStream", 30, 0.5), ("Offline", 1, 0.0)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": 29, "pause_s": 0.5}, "from 30 blocks on"),
        ({"blocks": 30}, "give both or neither"),
        ({"pause_s": 0.5}, "give both or neither"),
    ],
)
def test_blocks_too_small_or_without_a_pause_are_refused(change: dict[str, float], words: str):
    with pytest.raises(ValidationError, match=words):
        ThroughputPlan(**{**PLAN.model_dump(), **change})


def test_mps_and_cuda_are_synchronised_by_their_own_calls(monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: calls.append("mps"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("cuda"))
    for name in ("mps", "cuda", "cpu"):
        devices.synchronise(torch.device(name))
    assert calls == ["mps", "cuda"]
