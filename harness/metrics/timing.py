"""How fast is the classifier? Order statistics of raw samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.intervals import percentile_bounds
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.model.records import Timing
from harness.protocol.needs import NEW_IMAGES, PREPARED_ARRAYS

# From this share of the machine's processor time on, other processes are in the way: half of a core of two.
BUSY = 0.25


def latency(timing: Timing, *, metric: str, level: float) -> Estimate:
    """The 90th percentile of seconds per single-image query, LoadGen's SingleStream figure.

    Queries in a row share what slows the machine for seconds: bounds that take them for independent are too narrow.
    Those that came in blocks apart in time count as one for each block.
    """
    return _timed(timing, timing.samples_s, metric=metric, level=level, quantile=0.9, unit="s")


def images_per_second(timing: Timing, *, metric: str, level: float) -> Estimate:
    """The median over rounds of images per second."""
    rates = [timing.images_per_query / seconds for seconds in timing.samples_s]
    return _timed(timing, rates, metric=metric, level=level, quantile=0.5, unit="images/s")


def _timed(
    timing: Timing, values: Sequence[float], *, metric: str, level: float, quantile: float, unit: str
) -> Estimate:
    """A percentile with order-statistic bounds; a bound that so few values cannot give is None."""
    blocks = timing.blocks
    value, *bounds = percentile_bounds(values, quantile=quantile, level=level, independent=blocks.n if blocks else None)
    lower, upper = (bound if math.isfinite(bound) else None for bound in bounds)
    taken = f"{blocks.n} blocks, {blocks.pause_s:g} s apart," if blocks else "samples"
    return Estimate(
        metric,
        timing.device,
        None,
        value,
        lower,
        upper,
        level,
        f"order statistics of the {quantile * 100:g}th percentile",
        unit=unit,
        n=len(values),
        note=f"{timing.scenario}, {timing.span}, batch {timing.batch_size}, on {timing.device}; "
        f"{taken} taken as independent",
    )


def _measure(
    name: str, scenario: str, span: str, summarise: Callable[..., Estimate]
) -> Callable[[Measurements, Subject, float], Estimate | Unavailable]:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        timing = measurements.timing(scenario, span, device=subject.set)
        return timing if isinstance(timing, Unavailable) else summarise(timing, metric=name, level=level)

    return measure


def _busy(scenario: str, span: str) -> Callable[[Measurements, Subject], str | None]:
    def disturbed(measurements: Measurements, subject: Subject) -> str | None:
        timing = measurements.timing(scenario, span, device=subject.set)
        if isinstance(timing, Unavailable) or timing.others_share is None or timing.others_share < BUSY:
            return None
        return (
            f"other processes took {100 * timing.others_share:.0f} % of the machine's processor time while it was "
            f"timed ({100 * BUSY:.0f} % are busy): time it again on a quiet machine"
        )

    return disturbed


def _needs(span: str) -> frozenset[str]:
    return frozenset({NEW_IMAGES, PREPARED_ARRAYS} if span == "model-only" else {NEW_IMAGES})


def _latency(name: str, span: str, what: str) -> Metric:
    return Metric(
        name=name,
        questions=("throughput",),
        meaning=f"Seconds from {what}, one image at a time: the 90th percentile (LoadGen's SingleStream).",
        unit="s",
        higher_is_better=False,
        per="device",
        needs=_needs(span),
        measure=_measure(name, "SingleStream", span, latency),
        disturbed_by=_busy("SingleStream", span),
        range=(0.0, math.inf),
        counts="samples",
    )


def _rate(name: str, span: str, what: str) -> Metric:
    return Metric(
        name=name,
        questions=("throughput",),
        meaning=f"Images per second from {what}, many at once: the median over rounds (LoadGen's Offline).",
        unit="images/s",
        per="device",
        needs=_needs(span),
        measure=_measure(name, "Offline", span, images_per_second),
        disturbed_by=_busy("Offline", span),
        range=(0.0, math.inf),
        counts="samples",
    )


METRICS = (
    _latency("latency_s", "decode-to-label", "file to label"),
    _latency("model_latency_s", "model-only", "decoded pixels to label"),
    _rate("images_per_s", "decode-to-label", "files to labels"),
    _rate("model_images_per_s", "model-only", "decoded pixels to labels"),
)
