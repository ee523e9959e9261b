"""Things that were counted, not sampled: findings of integrity and split, and digests that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.metrics.estimates import Estimate, Unavailable
from harness.metrics.measurements import Measurements
from harness.metrics.metric import Metric, Subject
from harness.protocol.datasets import PINNED_BY
from harness.protocol.needs import EXPORT, SPLIT


def exact_count(
    metric: str, set_name: str, details: Sequence[str], *, of: int | None = None, note: str = ""
) -> Estimate:
    """A count that was made, not sampled: its bounds are the count itself."""
    count, told = float(len(details)), tuple(details)
    return Estimate(
        metric, set_name, None, count, count, count, 1.0, "exact count", unit="count", n=of, note=note, details=told
    )


def counted(
    name: str,
    question: str,
    meaning: str,
    *,
    needs: frozenset[str] = frozenset(),
    covers: str = "",
    doubted_by: Callable[[Measurements, Subject], str | None] | None = None,
) -> Metric:
    """The entry of a metric that counts what is wrong: its ceiling is usually 0."""
    return Metric(
        name=name,
        questions=(question,),
        meaning=meaning,
        unit="count",
        higher_is_better=False,
        needs=needs,
        measure=_measure(question, name),
        range=(0.0, float("inf")),
        counts="checked",
        covers=covers,
        doubted_by=doubted_by,
    )


def _measure(question: str, name: str) -> Callable[[Measurements, Subject, float], Estimate | Unavailable]:
    def measure(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
        found = measurements.count(question, name)
        if isinstance(found, Unavailable):
            return found
        return exact_count(name, subject.set, found.details, of=found.of, note=found.note)

    return measure


def _of_the_pin(measurements: Measurements, subject: Subject, level: float) -> Estimate | Unavailable:
    """The digest is compared where the protocol states one."""
    if measurements.protocol.pin_of(subject.set) is None:
        return Unavailable(NOT_PINNED, not_asked=True)
    return _measure("integrity", PINNED_BY)(measurements, subject, level)


NOT_PINNED = "the protocol pins no digest of the dataset: other images of these classes would not be noticed"
_PARTS = frozenset({SPLIT})

METRICS = (
    counted("contract_violations", "integrity", "Rows of the manifest that lack a path, a known class or a digest."),
    counted(
        "count_mismatches",
        "integrity",
        "Classes with more or fewer images than the protocol says.",
    ),
    counted("unreadable_images", "integrity", "Files that do not decode completely."),
    counted("unexpected_formats", "integrity", "Images of another file format than the protocol allows."),
    counted("unexpected_modes", "integrity", "Images of another colour mode than the protocol allows."),
    counted("unexpected_sizes", "integrity", "Images whose sides are outside the protocol's limits."),
    counted("uninformative_images", "integrity", "Masks, blank frames, and frames that are cut off or half empty."),
    counted("unlisted_files", "integrity", "Files in the listed folders that no row of the manifest names."),
    counted("missing_files", "integrity", "Rows of the manifest whose file is not there."),
    counted("colliding_names", "integrity", "Paths that are the same where case or Unicode form is ignored."),
    replace(
        counted(PINNED_BY, "integrity", "Sets whose images and labels are not those that their `digest` pins."),
        measure=_of_the_pin,
    ),
    counted("unmet_expectations", "integrity", "Rows that break an expectation of the user's own suite."),
    counted(
        "split_size_mismatches",
        "split",
        "Parts, of those that were drawn, whose size per class is not the plan's.",
        needs=_PARTS,
    ),
    counted("leaked_units", "split", "Patients, slides or contents that are in two parts.", needs=_PARTS),
    counted(
        "listing_order_changes",
        "split",
        "Images that change their part when the listing is shuffled.",
        needs=_PARTS,
    ),
    counted(
        "path_prefix_changes",
        "split",
        "Images that change their part when the folder is called otherwise.",
        needs=_PARTS,
    ),
    counted(
        "exported_model_differences",
        "training",
        "Cells that export.pkl, opened in a fresh process, predicts differently.",
        needs=frozenset({EXPORT}),
    ),
)
