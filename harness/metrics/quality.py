"""Pictures that somebody should look at: out of focus, too dark or light, without greys, or cut unlike the others."""

from __future__ import annotations

from dataclasses import replace

from harness.metrics.counts import counted
from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject


def _compared(name: str, meaning: str) -> Metric:
    """The entry of a rule that holds a picture against its set, and so says nothing of a few."""
    plain = counted(name, "integrity", meaning)

    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        found = measurements.count("integrity", name)
        if not isinstance(found, Unavailable) and found.of is None:
            return Unavailable(TOO_FEW, not_asked=True)
        return plain.measure(measurements, subject, level)

    return replace(plain, measure=measure)


TOO_FEW = "there are too few pictures to say what is usual among them"

METRICS = (
    counted("dark_images", "integrity", "Pictures of which 99 % of the pixels are below grey level 96 of 255."),
    counted("light_images", "integrity", "Pictures of which 95 % of the pixels are above grey level 230 of 255."),
    counted("low_information_images", "integrity", "Pictures whose grey levels hold fewer than 2 bits."),
    _compared("blurred_images", "Pictures far less sharp than is usual in their set."),
    _compared("odd_sizes", "Pictures of less than half or more than twice the side that is usual in their set."),
    _compared("odd_aspect_ratios", "Pictures that are twice as wide or as high as is usual in their set."),
)
