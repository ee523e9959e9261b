"""Which device, and what is seeded."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import DeviceUnavailable
from harness.model import devices
from harness.model.devices import available_devices, choose_device
from harness.model.seeding import derived_seed, seed_everything


def test_mps_comes_before_cuda_before_cpu(monkeypatch: pytest.MonkeyPatch):
    for mps, cuda, expected in ((True, True, "mps"), (False, True, "cuda"), (False, False, "cpu")):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda answer=mps: answer)
        monkeypatch.setattr(torch.cuda, "is_available", lambda answer=cuda: answer)
        assert choose_device("auto").type == expected


def test_a_device_that_is_not_there_is_refused_and_never_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "available_devices", lambda: ("cpu",))
    with pytest.raises(DeviceUnavailable, match="--device mps: this machine has cpu"):
        choose_device("mps")


def test_the_cpu_is_always_there():
    assert available_devices()[-1] == "cpu"


def test_one_call_repeats_every_source_of_chance():
    def draws() -> tuple[object, ...]:
        return random.random(), float(np.random.rand()), torch.rand(3).tolist()

    seed_everything(42)
    first = draws()
    assert draws() != first
    seed_everything(42)
    assert draws() == first
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert torch.are_deterministic_algorithms_enabled()


@given(st.integers(0, 2**31), st.text(max_size=5), st.integers(0, 50))
def test_each_purpose_has_a_seed_of_its_own(seed: int, purpose: str, epoch: int):
    assert derived_seed(seed, purpose, epoch) == derived_seed(seed, purpose, epoch)
    assert derived_seed(seed, purpose, epoch) != derived_seed(seed, purpose, epoch + 1)
    assert 0 <= derived_seed(seed, purpose, epoch) < 2**32
