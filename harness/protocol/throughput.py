"""How inference is timed."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from harness.protocol.record import Record as _Record

FEWEST_BLOCKS = 30  # 29 are the fewest samples with a 95 % upper bound of the 90th percentile
MAX_TIMED_S = 3600.0  # of one scenario; a published figure takes 600 s


class ThroughputPlan(_Record):
    """How inference is timed.

    warmup_queries: queries before the first that counts.
    queries:        single-image queries.
    blocks:         in how many blocks apart in time these come, at most one each; 1: all in a row.
    pause_s:        seconds between two blocks.
    offline_rounds: passes over many images.
    offline_images: images in one pass.
    batch_size:     images at a time where many are classified.
    server_rate:    images that arrive in a second, at random (a Poisson process), where server_latency_s is asked.
    steady_within_s: more untimed queries until their times show no trend, for at most so many seconds; 0: none.
    min_duration_s: seconds that the timed queries of a scenario must take: as many are asked as should take so long by
                    the pace of the untimed ones, and what took less all the same is not assessed. 60 make a gate's
                    figure, 600 a published one. Not of a cold start, nor of queries that arrive at random.
    """

    warmup_queries: int = Field(ge=1)
    queries: int = Field(ge=30)
    offline_rounds: int = Field(ge=5)  # fewer give no 95 % bound of a median
    offline_images: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    # Left out of the content where all come in a row, so that a protocol without them keeps its digest.
    blocks: int = Field(default=1, ge=1, exclude_if=lambda count: count == 1)
    pause_s: float = Field(default=0.0, ge=0.0, le=60.0, exclude_if=lambda seconds: seconds == 0)
    server_rate: float | None = Field(default=None, gt=0.0, exclude_if=lambda rate: rate is None)
    steady_within_s: float = Field(default=0.0, ge=0.0, le=600.0, exclude_if=lambda seconds: seconds == 0)
    min_duration_s: float = Field(default=0.0, ge=0.0, le=MAX_TIMED_S, exclude_if=lambda seconds: seconds == 0)

    @property
    def settles(self) -> bool:
        """Whether what is timed query by query is asked untimed before for longer than its warm-up."""
        return bool(self.steady_within_s or self.min_duration_s)

    @model_validator(mode="after")
    def _blocks_are_blocks(self) -> ThroughputPlan:
        if 1 < self.blocks < FEWEST_BLOCKS:
            raise ValueError(
                f"blocks = {self.blocks}: a 90th percentile has a 95 % bound from {FEWEST_BLOCKS} blocks on; 1 asks "
                "all in a row"
            )
        if (self.blocks > 1) != (self.pause_s > 0):
            raise ValueError(
                f"blocks = {self.blocks} and pause_s = {self.pause_s:g}: blocks are apart by a pause, and a pause is "
                "between blocks; give both or neither"
            )
        return self

    @model_validator(mode="after")
    def _server_ends(self) -> ThroughputPlan:
        if self.server_rate is not None and (self.warmup_queries + self.queries) / self.server_rate > MAX_TIMED_S:
            raise ValueError(
                f"server_rate = {self.server_rate:g}: {self.warmup_queries + self.queries} queries take longer than "
                f"{MAX_TIMED_S:g} s to arrive, and a run waits for them; ask for fewer, or let more arrive"
            )
        if self.server_rate is not None and self.queries / self.server_rate < self.min_duration_s:
            raise ValueError(
                f"server_rate = {self.server_rate:g}: {self.queries} queries arrive in "
                f"{self.queries / self.server_rate:g} s, and min_duration_s = {self.min_duration_s:g}; ask for "
                f"{math.ceil(self.min_duration_s * self.server_rate)} or more"
            )
        return self
