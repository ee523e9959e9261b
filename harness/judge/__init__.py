"""Predictions to verdicts: pure arithmetic, no disk, no torch. Only `criteria` decides."""
