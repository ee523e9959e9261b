"""Which device computes, and what waiting for it means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.core.errors import DeviceUnavailable
from harness.protocol.questions import DEVICES


def available_devices() -> tuple[str, ...]:
    """The devices of this machine, preferred first; "cpu" is always last."""
    present = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available(), "cpu": True}
    return tuple(name for name in DEVICES if present[name])


def choose_device(wanted: str) -> torch.device:
    """The device asked for, or with "auto" the preferred one of this machine. Never a silent substitute.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    present = available_devices()
    if wanted == "auto":
        return torch.device(present[0])
    if wanted not in present:
        raise DeviceUnavailable(
            f"--device {wanted}: this machine has {', '.join(present)}. Use --device auto, or a machine with {wanted}."
        )
    return torch.device(wanted)


def n_threads() -> int:
    """The threads that torch computes with on the CPU. The order of summation, and so the last bit, follows them."""
    return torch.get_num_threads()


def instructions(device: str) -> str:
    """What the last bit of an answer depends on beside versions and threads: the GPU, or the CPU's vector instructions.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """
    chosen = choose_device(device)
    return torch.backends.cpu.get_cpu_capability() if chosen.type == "cpu" else device_name(chosen)


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished what it was given, so that a clock read now is honest."""
    if device.type == "mps":
        torch.mps.synchronize()
    elif device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """What a person calls the device: its marketing name where the driver tells it."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "mps (Apple GPU)"
    return f"cpu ({n_threads()} threads)"


@contextmanager
def inference() -> Iterator[None]:
    """Where networks answer: without gradients, and in float32 on every device.

    Some NVIDIA GPUs would round the inputs of every convolution to ten bits (TF32) unless told not to. What is timed
    must be what is judged, so whatever shows cells to a network does it in here.
    """
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
