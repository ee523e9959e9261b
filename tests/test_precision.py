"""Which number format does a training use on which processor?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import harness.model.precision as module
from harness.model.precision import bfloat16_flags, precision_used
from harness.protocol.file import read_protocol

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")

# Lines as Linux writes them, cut to the flags that matter beside some that must not.
PROCESSORS = {
    "Intel with AMX": ("flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile", ("avx512_bf16", "amx_bf16")),
    "AMD with AVX-512": ("flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni", ("avx512_bf16",)),
    "AMD without AVX-512": ("flags\t\t: fpu sse4_2 avx2 fma", ()),
    "Intel with AVX-512 alone": ("flags\t\t: fpu avx2 avx512f avx512bw avx512_vnni", ()),
    "ARM with bf16": ("Features\t: fp asimd i8mm bf16 sve", ("bf16",)),
    "ARM whose SVE alone has it": ("Features\t: fp asimd sve svebf16", ()),
    "ARM without": ("Features\t: fp asimd crc32", ()),
    "a name that only mentions it": ("model name\t: bf16 avx512_bf16 Processor\nflags\t\t: avx2", ()),
    "cores of two kinds": ("flags\t\t: avx2 avx512_bf16\n\nflags\t\t: avx2", ()),
    "nothing": ("", ()),
}


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """A machine whose /proc/cpuinfo says this; gives the flags to be found."""
    lines, flags = PROCESSORS[request.param]
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{lines}\nbogomips\t: 4890.84\n")
    monkeypatch.setattr(module.bfloat16_flags, "__defaults__", (tmp_path / "cpuinfo",))
    return flags


@pytest.mark.parametrize("processor", PROCESSORS, indirect=True)
def test_auto_on_the_processor_follows_its_flags(processor: tuple[str, ...]):
    assert bfloat16_flags() == processor
    assert precision_used("auto", CPU) == ("bfloat16" if processor else "float32")


@pytest.mark.parametrize("processor", PROCESSORS, indirect=True)
@pytest.mark.parametrize("device", [CPU, CUDA, MPS])
@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_what_the_protocol_names_is_used_whatever_the_hardware(processor, device, wanted):
    assert precision_used(wanted, device) == wanted


@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("processor", ["Intel with AMX", "AMD without AVX-512"], indirect=True)
def test_auto_on_cuda_follows_the_gpu_and_not_the_processor(processor, supported, monkeypatch):
    # Emulated bfloat16 is slower than float32, and older GPUs "support" it so.
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: supported or including_emulation
    )
    assert precision_used("auto", CUDA) == ("bfloat16" if supported else "float32")


@pytest.mark.parametrize("processor", ["Intel with AMX", "ARM with bf16"], indirect=True)
def test_auto_elsewhere_is_float32(processor):
    assert precision_used("auto", MPS) == "float32"


def test_a_system_that_lists_no_flags_says_nothing(tmp_path: Path):
    assert bfloat16_flags(tmp_path / "no such file") == ()
    (tmp_path / "cpuinfo").write_bytes(b"flags\t\t: \xff\xfe avx512_bf16\n")
    assert bfloat16_flags(tmp_path / "cpuinfo") == ("avx512_bf16",)


@pytest.mark.parametrize("name", ["leukocyte-offline", "leukocyte-quick"])
def test_the_protocols_for_real_images_let_the_machine_choose(name: str):
    protocols = Path(__file__).parents[1] / "suites" / "protocols"
    assert read_protocol(protocols / f"{name}.toml").training.precision == "auto"
