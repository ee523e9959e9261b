"""What a fresh process got from a small training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessDigests:
    """What one fresh process got from a small training; equal records mean reproducible."""

    conditions: str
    split: str
    losses: str
    weights: str
    predictions: str
