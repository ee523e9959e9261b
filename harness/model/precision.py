"""Chooses the number format of a training: what the protocol names, or with "auto" what this device computes quickly.

bfloat16 halves the memory traffic and doubles the speed where a processor multiplies it in hardware. Elsewhere it is
emulated, and slower than float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import torch

Precision: TypeAlias = Literal["float32", "bfloat16"]

CPUINFO = Path("/proc/cpuinfo")
# Linux's names of the instructions that multiply bfloat16: Intel's and AMD's (AVX-512, AMX), and ARM's (FEAT_BF16).
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def bfloat16_flags(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """The flags by which the processor says that it multiplies bfloat16; none where it does not say so.

    Only Linux lists flags in a file. Other systems count as saying nothing.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    listed = [line.partition(":") for line in lines]
    per_core = [set(flags.split()) for name, _, flags in listed if name.strip() in ("flags", "Features")]
    # A processor may have cores of two kinds, and a thread runs on either.
    everywhere = set.intersection(*per_core) if per_core else set()
    return tuple(flag for flag in BFLOAT16_FLAGS if flag in everywhere)


def precision_used(wanted: Precision | Literal["auto"], device: torch.device) -> Precision:
    """What a training on this device computes in. "auto" is bfloat16 only where the hardware has it, else float32."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if _in_hardware(device) else "float32"


def _in_hardware(device: torch.device) -> bool:
    if device.type == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(bfloat16_flags())
