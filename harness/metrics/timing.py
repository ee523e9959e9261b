"""How fast is the classifier? Order statistics of raw samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from harness.metrics.counts import counted
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.intervals import percentile_bounds
from harness.metrics.measurements import Count, Measurements
from harness.metrics.metric import Metric, Subject
from harness.metrics.parity import TOLERANCE
from harness.metrics.predictions import Predictions
from harness.metrics.timing_rules import independent_in, too_short
from harness.model.records import Timing
from harness.protocol.needs import NEW_IMAGES, PREPARED_ARRAYS

# From this share of the machine's processor time on, other processes are in the way: half of a core of two.
BUSY = 0.25


def latency(timing: Timing, *, metric: str, level: float) -> Estimate:
    """The 90th percentile of seconds per query, LoadGen's SingleStream figure.

    Of MultiStream and Server it is the 99th, of a cold start the median.

    Queries in a row share what slows the machine for seconds: bounds that take them for independent are too narrow.
    Those that came in blocks apart in time count as one for each block, those that stood in one line for fewer.
    """
    return _timed(timing, timing.samples_s, metric=metric, level=level, quantile=quantile_of(timing.scenario), unit="s")


# Metric -> the scenario and span that it is a percentile of.
LATENCIES = {
    "latency_s": ("SingleStream", "decode-to-label"),
    "model_latency_s": ("SingleStream", "model-only"),
    "multistream_latency_s": ("MultiStream", "decode-to-label"),
    "server_latency_s": ("Server", "decode-to-label"),
    "cold_start_s": ("ColdStart", "decode-to-label"),
}


def quantile_of(scenario: str) -> float:
    """Which percentile of its seconds is its figure, by LoadGen's rules."""
    return {"MultiStream": 0.99, "Server": 0.99, "ColdStart": 0.5}.get(scenario, 0.9)


def images_per_second(timing: Timing, *, metric: str, level: float) -> Estimate:
    """The median over rounds of images per second."""
    rates = [timing.images_per_query / seconds for seconds in timing.samples_s]
    return _timed(timing, rates, metric=metric, level=level, quantile=0.5, unit="images/s")


def _timed(
    timing: Timing, values: Sequence[float], *, metric: str, level: float, quantile: float, unit: str
) -> Estimate:
    """A percentile with order-statistic bounds; a bound that so few values cannot give is None."""
    blocks, n = timing.blocks, independent_in(timing, quantile=quantile)
    value, *bounds = percentile_bounds(values, quantile=quantile, level=level, independent=n)
    lower, upper = (bound if math.isfinite(bound) else None for bound in bounds)
    taken = f"{blocks.n} blocks, {blocks.pause_s:g} s apart," if blocks else "samples"
    if timing.waited_s is not None:
        taken = f"samples, as many as {n} because some stood in one line,"
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


def _long_enough(measurements: Measurements, scenario: str, span: str, *, device: str) -> Timing | Unavailable:
    """The timing, unless its queries took less than the protocol wants."""
    timing = measurements.timing(scenario, span, device=device)
    if isinstance(timing, Unavailable):
        return timing
    why = too_short(timing, least_s=measurements.protocol.throughput.min_duration_s)
    return timing if why is None else Unavailable(why, waivable=False)


def _measure(
    name: str, scenario: str, span: str, summarise: Callable[..., Estimate]
) -> Callable[[Measurements, Subject, float], Estimate | Unavailable]:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        timing = _long_enough(measurements, scenario, span, device=subject.set)
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


def _latency(name: str, meaning: str, *, protocol_table: str | None = None) -> Metric:
    return Metric(
        name=name,
        questions=("throughput",),
        meaning=meaning,
        unit="s",
        higher_is_better=False,
        per="device",
        needs=_needs(LATENCIES[name][1]),
        measure=_measure(name, *LATENCIES[name], latency),
        disturbed_by=_busy(*LATENCIES[name]),
        protocol_table=protocol_table,
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


ANSWERS = "timed_answer_differences"
ANSWERED = (("SingleStream", "decode-to-label"), ("Offline", "decode-to-label"))  # the timings whose answers count


def differing_answers(timings: Iterable[Timing], judged: Predictions) -> Count:
    """Cells that were called otherwise while the classifier was timed than when it was judged.

    Where the two largest probabilities that were judged are nearer than rounding, either is the same answer.
    """
    row = {digest: place for place, digest in enumerate(judged.digests)}
    top = np.sort(judged.probabilities, axis=1)
    clear = top[:, -1] - top[:, -2] > TOLERANCE
    lines, cells = [], set[str]()
    for timing in timings:
        for each in timing.answers or ():
            place = row.get(each.sha256)
            cells.add(each.sha256)
            if place is None:
                lines.append(f"{timing.scenario}, {timing.span}: {each.sha256[:12]} was timed and not judged")
            elif clear[place] and each.predicted != judged.predicted[place]:
                lines.append(
                    f"{timing.scenario}, {timing.span}: {judged.paths[place]} was judged "
                    f"{judged.classes[judged.predicted[place]]} and called {_called(judged.classes, each.predicted)}"
                )
    return Count(tuple(lines), len(cells))


def _called(classes: Sequence[str], column: int) -> str:
    return classes[column] if 0 <= column < len(classes) else f"column {column}"


def repetition_gain(mix: Timing, repeated: Timing, *, metric: str, level: float) -> Estimate:
    """How much faster an image is answered that comes over and over: the median of the mix by its median, less one.

    Each median has order-statistic bounds that miss half as often as `level` lets them, so both hold together.
    """
    halved = 1 - (1 - level) / 2
    sides = [
        percentile_bounds(
            each.samples_s, quantile=0.5, level=halved, independent=each.blocks.n if each.blocks else None
        )
        for each in (mix, repeated)
    ]
    (value, least, most), (other, other_least, other_most) = sides
    lower = least / other_most - 1 if math.isfinite(least) and math.isfinite(other_most) else None
    upper = most / other_least - 1 if math.isfinite(most) and math.isfinite(other_least) else None
    return Estimate(
        metric,
        mix.device,
        None,
        value / other - 1,
        lower,
        upper,
        level,
        "order statistics of both medians",
        n=len(mix.samples_s),
        note=f"{mix.scenario} beside one image over and over, {mix.span}, on {mix.device}",
    )


def _gain(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    found = []
    for scenario in ("SingleStream", "SingleStream, one image"):
        timing = _long_enough(measurements, scenario, "decode-to-label", device=subject.set)
        if isinstance(timing, Unavailable):
            return timing
        found.append(timing)
    return repetition_gain(*found, metric="repeated_image_gain", level=level)


METRICS = (
    _latency(
        "latency_s", "Seconds from file to label, one image at a time: the 90th percentile (LoadGen's SingleStream)."
    ),
    _latency(
        "model_latency_s",
        "Seconds from decoded pixels to label, one image at a time: the 90th percentile (LoadGen's SingleStream).",
    ),
    _latency(
        "multistream_latency_s",
        "Seconds from 8 files to their labels, a field of view at a time: the 99th percentile (LoadGen's MultiStream).",
    ),
    _latency(
        "server_latency_s",
        "Seconds from the arrival of a file to its label, where `throughput.server_rate` images a second arrive at "
        "random and wait their turn: the 99th percentile (LoadGen's Server).",
        protocol_table="throughput.server_rate",
    ),
    _latency(
        "cold_start_s",
        "Seconds from opening the classifier, in a process that has its libraries already, to its first label: the "
        "median of five.",
    ),
    Metric(
        name="repeated_image_gain",
        questions=("throughput",),
        meaning="How much faster one image is answered that comes over and over than the images in turn: more than "
        "0.10 suggests that answers are kept (MLPerf's TEST04). One that kept its answers when it was judged is as "
        "fast on both, and is not found.",
        higher_is_better=False,
        per="device",
        needs=_needs("decode-to-label"),
        measure=_gain,
        disturbed_by=_busy("SingleStream", "decode-to-label"),
        range=(-1.0, math.inf),
        counts="samples",
    ),
    replace(
        counted(
            ANSWERS,
            "throughput",
            "Cells that were called otherwise while the classifier was timed, one at a time and many at once, than "
            "when it was judged (MLPerf's TEST01).",
            needs=_needs("decode-to-label"),
        ),
        per="device",
    ),
    _rate("images_per_s", "decode-to-label", "files to labels"),
    _rate("model_images_per_s", "model-only", "decoded pixels to labels"),
)
