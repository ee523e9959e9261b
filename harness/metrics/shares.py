"""A share of a set's cells as an estimate: exact bounds, over patients, slides or sites where cells name them."""

from __future__ import annotations

from harness.metrics.clusters import Counted, share_bounds
from harness.metrics.estimates import DISPLAY_LEVEL, INDEPENDENCE_UNKNOWN, Estimate, Interval
from harness.metrics.intervals import wilson_interval


def share_of_cells(
    metric: str,
    set_name: str,
    k: int,
    n: int,
    by_group: Counted | None,
    *,
    grouped_by: str,
    intracluster_correlation: float,
    level: float,
    note: str,
    cell_class: str | None = None,
) -> Estimate:
    """k of n cells, with one-sided bounds at `level` and a two-sided interval for display.

    Args:
        n: at least 1.
        by_group: None where cells name no group, which the note then says.
        grouped_by: what the groups are, such as "patients or slides".
    """

    def bounds(level: float) -> tuple[float, float]:
        return share_bounds(k, n, by_group, assumed_correlation=intracluster_correlation, level=level)

    lower, upper = bounds(level)
    if by_group is None:
        method, note = "Clopper-Pearson", f"{note}; {INDEPENDENCE_UNKNOWN}"
        display = wilson_interval(k, n, level=DISPLAY_LEVEL)
    else:
        method = f"Clopper-Pearson, clustered by {grouped_by}"
        display = Interval(*bounds(0.5 + DISPLAY_LEVEL / 2), DISPLAY_LEVEL, "clustered")
    return Estimate(
        metric,
        set_name,
        cell_class,
        k / n,
        lower,
        upper,
        level,
        method,
        k=k,
        n=n,
        display=display,
        support=n,
        note=note,
    )
