"""One call that seeds everything that draws."""

from __future__ import annotations

import hashlib

import harness.model.torchvision_compat  # noqa: F401  # isort: skip  (before anything imports torchvision)
import torch
from fastai.torch_core import set_seed


def seed_everything(seed: int) -> None:
    """Seed random, NumPy and torch (CPU, CUDA, MPS), fastai's sources among them, and ask for determinism.

    fastai's `set_seed` covers random, NumPy, torch, CUDA and cuDNN; MPS is added here. PYTHONHASHSEED is read by
    Python before any of our code runs, so it cannot be set here; nothing in the harness depends on it, and the
    reproducibility suite proves that by varying it.
    """
    set_seed(seed, reproducible=True)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
    # Some CUDA and MPS kernels (adaptive max pooling's backward pass among them) have no deterministic form and would
    # raise; what those devices cannot guarantee is measured by the reproducibility suite instead.
    torch.use_deterministic_algorithms(not (torch.cuda.is_available() or torch.backends.mps.is_available()))


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A seed of its own for each purpose, so that one stage's draws never shift another's. In [0, 2**32)."""
    text = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
