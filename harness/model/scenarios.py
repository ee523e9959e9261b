"""The queries that are timed: LoadGen's SingleStream and Offline, decode-to-label and model-only.

pytest-benchmark does the timing and never synchronises a device, so every query here ends by doing so itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch import nn

from harness.model.classifier import inference, normalise
from harness.model.devices import synchronise
from harness.model.preprocessing import decode
from harness.model.records import Timing
from harness.protocol.records import ThroughputPlan, TrainingPlan


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One thing to time: call `query` `rounds` times after `warmup` untimed calls."""

    name: str
    span: str
    device: str
    images_per_query: int
    batch_size: int
    rounds: int
    warmup: int
    query: Callable[[], None]

    def timing(self, samples_s: Sequence[float]) -> Timing:
        return Timing(self.name, self.span, self.device, self.images_per_query, self.batch_size, tuple(samples_s))


def scenarios(
    model: nn.Module,
    files: Sequence[Path],
    *,
    training: TrainingPlan,
    formats: Sequence[str],
    plan: ThroughputPlan,
    device: torch.device,
    workers: int,
) -> dict[tuple[str, str], Scenario]:
    """(name, span) -> scenario. Files are taken in turn, so that no query repeats the one before it.

    Offline decodes with `workers` threads, each batch while the network is busy with the one before.
    """
    model.eval()

    def decoded(file: Path) -> np.ndarray:
        return decode(file, size_px=training.image_size_px, resize=training.resize, formats=formats)

    def label(pixels: np.ndarray) -> torch.Tensor:
        with inference():
            # The copy to the CPU waits for the device, but only a synchronisation says so on every backend.
            answer: torch.Tensor = model(normalise(torch.from_numpy(pixels).to(device))).argmax(dim=1).cpu()
        synchronise(device)
        return answer

    single, ready = cycle(files), cycle([decoded(file)[None] for file in files[:32]])
    offline = [files[i % len(files)] for i in range(plan.offline_images)]
    batches = [offline[i : i + plan.batch_size] for i in range(0, len(offline), plan.batch_size)]
    stacked = [np.stack([decoded(file) for file in batch]) for batch in batches]

    def offline_decode_to_label() -> None:
        with ThreadPoolExecutor(workers) as pool:
            waiting = [[pool.submit(decoded, file) for file in batch] for batch in batches]
            for batch in waiting:
                label(np.stack([future.result() for future in batch]))

    def offline_model_only() -> None:
        for batch in stacked:
            label(batch)

    def scenario(name: str, span: str, query: Callable[[], object]) -> Scenario:
        is_single = name == "SingleStream"
        return Scenario(
            name=name,
            span=span,
            device=device.type,
            images_per_query=1 if is_single else len(offline),
            batch_size=1 if is_single else plan.batch_size,
            rounds=plan.queries if is_single else plan.offline_rounds,
            warmup=plan.warmup_queries if is_single else 1,
            query=lambda: (query(), None)[1],
        )

    queries: dict[tuple[str, str], Callable[[], object]] = {
        ("SingleStream", "decode-to-label"): lambda: label(decoded(next(single))[None]),
        ("SingleStream", "model-only"): lambda: label(next(ready)),
        ("Offline", "decode-to-label"): offline_decode_to_label,
        ("Offline", "model-only"): offline_model_only,
    }
    return {(name, span): scenario(name, span, query) for (name, span), query in queries.items()}
