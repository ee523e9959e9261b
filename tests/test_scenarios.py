"""What is timed, and what the raw samples mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import MeanColour, classifier_of
from pydantic import ValidationError
from torch import nn

from harness.core.errors import ProtocolError
from harness.data.records import Manifest
from harness.metrics.predictions import predictions_of
from harness.metrics.timing import differing_answers, latency, repetition_gain
from harness.model import devices, torch_network
from harness.model.images import Images, files_of
from harness.model.records import TimedAnswer, Timing
from harness.model.scenarios import COLD_ROUNDS, ONE_IMAGE, SERVER_SEED, Scenario, cold_start, scenarios, with_arrivals
from harness.protocol.file import read_protocol
from harness.protocol.throughput import ThroughputPlan
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
    assert sorted(found) == [("MultiStream", "decode-to-label"), OFFLINE, SINGLE, (ONE_IMAGE, "decode-to-label")]
    found[OFFLINE].query()
    assert len(door.shapes) == 70


def test_each_query_waits_for_the_device(manifest: Manifest, monkeypatch: pytest.MonkeyPatch):
    _, found = prepared(manifest)
    waited: list[torch.device] = []
    monkeypatch.setattr(torch_network, "synchronise", waited.append)
    found[SINGLE_MODEL].query()
    assert waited == [CPU]


def test_throughput_is_images_over_seconds(manifest: Manifest):
    timing = prepared(manifest)[1][OFFLINE].timing([0.5, 1.0, 2.0], digests=(), others_share=0.25)
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
    blocks = {name: (each.blocks, each.pause_s) for (name, _), each in found.items()}
    one_by_one = dict.fromkeys(("SingleStream", "MultiStream", ONE_IMAGE), (30, 0.5))
    assert blocks == {**one_by_one, "Offline": (1, 0.0)}


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


def test_a_multistream_query_is_eight_images_in_turn_and_one_image_is_always_the_same(manifest: Manifest):
    model, found = prepared(manifest)
    eight, one = found["MultiStream", "decode-to-label"], found[ONE_IMAGE, "decode-to-label"]
    for scenario in (eight, eight, one, one):
        scenario.query()
    assert model.batches == [8, 8, 1, 1]
    assert [place for place, _ in eight.answered()] == list(range(16))
    assert [place for place, _ in one.answered()] == [0, 0]
    assert (eight.images_per_query, one.images_per_query, eight.rounds) == (8, 1, 30)


class Lazy(MeanColour):
    """Answers once as it should, and from then on whatever it said first: it saves itself work while it is timed."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: np.ndarray | None = None

    def predict_proba(self, images: Images) -> np.ndarray:
        if self.kept is None:
            self.kept = super().predict_proba(images)
            return self.kept
        return np.repeat(self.kept[:1], len(images), axis=0)


@pytest.mark.parametrize("door", [MeanColour, Lazy])
def test_a_classifier_that_skips_work_while_it_is_timed_is_caught(manifest: Manifest, door: type[MeanColour]):
    images, asked = pictures(manifest), door()
    judged = predictions_of(manifest.images, asked.predict_proba(images), set_name="test", classes=asked.card.classes)
    digests = [image.sha256 for image in manifest.images]
    found = scenarios(asked, images, plan=PLAN, device="cpu")
    for timed in (SINGLE, OFFLINE):
        for _ in range(len(digests) if timed == SINGLE else 1):
            found[timed].query()
    timings = [found[timed].timing([0.1], digests=digests, others_share=None) for timed in (SINGLE, OFFLINE)]
    count = differing_answers(timings, judged)
    assert count.of == len(set(digests))
    if door is MeanColour:
        assert count.details == ()
    else:
        other = {
            digest for digest, column in zip(digests, judged.predicted, strict=True) if column != judged.predicted[0]
        }
        assert len(count.details) == 2 * len(other) > 0
        assert "SingleStream, decode-to-label" in count.details[0]
    stranger = replace(timings[0], answers=(TimedAnswer("f" * 64, 0),))
    assert "timed and not judged" in differing_answers([stranger], judged).details[0]


def test_an_image_that_comes_again_is_compared_with_the_mix():
    # Medians of 101 samples: the mix 0.02 s, the image that comes again 0.016 s, so 25 % faster: kept answers.
    mix = Timing(*SINGLE, "cpu", 1, 1, tuple(0.02 + 1e-6 * (i - 50) for i in range(101)))
    again = replace(mix, samples_s=tuple(each * 0.8 for each in mix.samples_s))
    found = repetition_gain(mix, again, metric="repeated_image_gain", level=0.95)
    assert found.value == pytest.approx(0.25, abs=1e-9)
    # 60th and 42nd of the sorted hundred and one: P(Bin(101, 1/2) <= 40) = 0.0230, the last below 0.025.
    assert found.upper == pytest.approx(mix.samples_s[60] / again.samples_s[40] - 1, abs=1e-12)
    assert found.lower == pytest.approx(mix.samples_s[40] / again.samples_s[60] - 1, abs=1e-12)
    few = replace(mix, samples_s=(0.1,) * 4)
    assert (repetition_gain(few, few, metric="repeated_image_gain", level=0.95).upper) is None


def test_a_multistream_figure_is_a_99th_percentile_and_few_samples_bound_none():
    seconds = tuple(i / 1000 for i in range(1000))
    of_eight = Timing("MultiStream", "decode-to-label", "cpu", 8, 8, seconds)
    found = latency(of_eight, metric="multistream_latency_s", level=0.975)
    assert (found.value, found.lower, found.upper) == (0.99, 0.982, 0.996)  # ranks 983 and 997 of 1,000
    assert latency(replace(of_eight, samples_s=seconds[:298]), metric="multistream_latency_s", level=0.95).upper is None
    assert (
        latency(replace(of_eight, samples_s=seconds[:299]), metric="multistream_latency_s", level=0.95).upper == 0.298
    )


class FakeTime:
    """A clock that only sleeping and answering move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("rate", [2.0, 9.0, 30.0])
def test_a_query_that_arrives_while_another_is_answered_waits_its_turn(rate: float):
    served_s, n, time_ = 0.1, 300, FakeTime()
    plain = block_scenario([], blocks=1, pause_s=0.0)
    served = with_arrivals(
        replace(plain, query=lambda: time_.pass_by(served_s)), rate=rate, clock=time_, sleep=time_.pass_by
    )
    for _ in range(n):
        served.query()
    # Lindley's recursion, by hand: what is left to wait when the next arrives.
    gaps = np.random.default_rng(SERVER_SEED).exponential(1 / rate, size=n - 1)
    waits = [0.0]
    for gap in gaps:
        waits.append(max(0.0, waits[-1] + served_s - gap))
    assert served.taken is not None
    assert served.taken() == pytest.approx([wait + served_s for wait in waits])
    assert served.samples([0.0] * 10) == tuple(served.taken()[-10:])  # warm-up is not among them
    timing = served.timing(served.samples([0.0] * 10), digests=(), others_share=None)
    assert timing.waited_s == pytest.approx(waits[-10:])
    # One that is overrun falls behind for ever; one with time to spare does not.
    assert (served.taken()[-1] > 10) == (rate > 1 / served_s)


def test_a_server_is_timed_where_the_protocol_says_how_many_arrive(manifest: Manifest):
    plan = PLAN.model_copy(update={"server_rate": 400.0})
    classifier = classifier_of(Counting())
    assert "Server" not in {name for name, _ in scenarios(classifier, pictures(manifest), plan=PLAN, device="cpu")}
    found = scenarios(classifier, pictures(manifest), plan=plan, device="cpu")["Server", "decode-to-label"]
    assert (found.rounds, found.warmup, found.images_per_query) == (PLAN.queries, PLAN.warmup_queries, 1)
    assert found.blocks == 1  # a pause would empty the queue
    for _ in range(found.warmup + found.rounds):
        found.query()
    samples = found.samples([0.0] * found.rounds)
    timing = found.timing(samples, digests=[image.sha256 for image in manifest.images], others_share=None)
    assert (timing.scenario, len(timing.samples_s)) == ("Server", PLAN.queries)
    assert all(seconds > 0 for seconds in timing.samples_s)


def test_a_criterion_on_a_server_needs_its_rate(tmp_path: Path):
    text = """
extends = "embedded"
[[criteria]]
id = "T9"
question = "throughput"
set = "any"
metric = "server_latency_s"
ceiling = 5.0
level = 0.95
required = false
rationale = "Nobody waits for longer than five seconds."
"""
    (tmp_path / "served.toml").write_text(text)
    with pytest.raises(ProtocolError, match=r"needs the table `throughput\.server_rate`"):
        read_protocol(tmp_path / "served.toml")
    (tmp_path / "served.toml").write_text(f"{text}[throughput]\nserver_rate = 5.0\n")
    assert read_protocol(tmp_path / "served.toml").throughput.server_rate == 5.0
    for rate, words in (
        ("1e-9", "longer than 3600 s to arrive"),
        ("nan", "finite"),
        ("inf", "finite"),
        ("0.0", "than 0"),
    ):
        (tmp_path / "served.toml").write_text(f"{text}[throughput]\nserver_rate = {rate}\n")
        with pytest.raises(ProtocolError, match=words):
            read_protocol(tmp_path / "served.toml")


def test_a_cold_start_opens_the_classifier_each_time_and_closes_what_it_opened(manifest: Manifest):
    time_, happened = FakeTime(), list[str]()

    class Opened(MeanColour):
        def predict_proba(self, images: Images) -> np.ndarray:
            time_.pass_by(1.0)
            return super().predict_proba(images)

        def close(self) -> None:
            time_.pass_by(50.0)  # is not timed
            happened.append("closed")

    def opened() -> Opened:
        time_.pass_by(4.0 + len(happened))
        happened.append("opened")
        return Opened()

    found = cold_start(opened, pictures(manifest), device="cpu", clock=time_)
    assert (found.rounds, found.warmup) == (COLD_ROUNDS, 0)
    for _ in range(found.rounds):
        found.query()
    assert happened == ["opened", "closed"] * COLD_ROUNDS
    assert found.samples([0.0] * COLD_ROUNDS) == (5.0, 7.0, 9.0, 11.0, 13.0)
    digests = [image.sha256 for image in manifest.images]
    timing = found.timing(found.samples([0.0] * COLD_ROUNDS), digests=digests, others_share=None)
    estimate = latency(timing, metric="cold_start_s", level=0.95)
    assert (estimate.value, estimate.lower, estimate.upper) == (9.0, 5.0, 13.0)
    assert len({place for place, _ in found.answered()}) == COLD_ROUNDS  # no image comes twice


def test_what_breaks_in_its_first_answer_is_closed_too(manifest: Manifest):
    closed = list[bool]()

    class Broken(MeanColour):
        def predict_proba(self, images: Images) -> np.ndarray:
            raise ValueError("no answer")

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(ValueError, match="no answer"):
        cold_start(Broken, pictures(manifest), device="cpu").query()
    assert closed == [True]
