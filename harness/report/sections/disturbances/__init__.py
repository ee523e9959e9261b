"""What corruptions of the test cells change, and what inputs without a cell, or with an unknown one, are taken for."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from harness.data.corruptions import AMOUNTS
from harness.metrics.estimates import DISPLAY_LEVEL, Estimate
from harness.metrics.robustness import SeverityCurve
from harness.metrics.unknown import Confusion, confidently_known, confused_with
from harness.report.section import Material, Section
from harness.run.results import RunResults


@dataclass(frozen=True, slots=True)
class CurveRow:
    """agreed: place of the point at the severity that the protocol agreed on."""

    place: tuple[object, ...]
    meaning: str
    n_points: int
    agreed: int


def view(page: Material) -> list[CurveRow]:
    rows = []
    for index, curve in enumerate(_curves(page.run)):
        amount = AMOUNTS[curve.kind]
        rows.append(
            CurveRow(
                ("robustness", "curves", index),
                f"{amount.meaning} ({amount.unit})" if amount.unit else amount.meaning,
                len(curve.points),
                _agreed(page.run, curve),
            )
        )
    return rows


def facts(run: RunResults) -> dict[str, object]:
    """worst: of each curve, the class of lowest recall at the agreed severity; all: every kind of input together."""
    points = [curve.points[_agreed(run, curve)] for curve in _curves(run)]
    return {
        "worst": [{"cell_class": p.worst.cell_class, "k": p.worst.k, "n": p.worst.n} for p in points],
        "without_a_cell": _without_a_cell(run),
        **({"unknown": {name: _unknown(run, name) for name in run.unknown}} if run.unknown else {}),
    }


def _unknown(run: RunResults, name: str) -> dict[str, object]:
    """What cells of classes that the classifier does not know are taken for, in all and kind by kind."""
    found, at = run.counted(run.unknown[name]), run.protocol.confident_at(name)
    correlation = run.protocol.clusters.intracluster_correlation
    share = confidently_known(found, at=at, intracluster_correlation=correlation, level=DISPLAY_LEVEL)
    assert isinstance(share, Estimate)  # a set without an image is refused
    rows = confused_with(found, run.protocol.dataset.classes, at=at)
    return {"at": at, "share": asdict(share), "rows": [_unknown_row(each) for each in rows]}


def _unknown_row(found: Confusion) -> dict[str, object]:
    called = max(found.called, key=lambda name: found.called[name])
    return {
        "name": found.kind,
        "confident": {"k": found.n_confident, "n": found.n},
        "called": called,
        "of_these": {"k": found.called[called], "n": found.n},
    }


def _without_a_cell(run: RunResults) -> list[dict[str, object]]:
    found = run.robustness.detection if run.robustness is not None else None
    if found is None:
        return []
    every = [*((each.kind, each.auroc, each.taken_for_cells) for each in found.kinds)]
    every.append(("all together", found.auroc, found.taken_for_cells))
    return [{"name": kind, "auroc": asdict(area), "taken_for_cells": asdict(taken)} for kind, area, taken in every]


def _curves(run: RunResults) -> tuple[SeverityCurve, ...]:
    return run.robustness.curves if run.robustness is not None and run.protocol.robustness is not None else ()


def _agreed(run: RunResults, curve: SeverityCurve) -> int:
    assert run.protocol.robustness is not None  # `_curves` has seen to it
    judged = curve.at(run.protocol.robustness.agreed[curve.kind])
    assert judged is not None  # the protocol draws every agreed severity
    return curve.points.index(judged)


SECTION = Section("disturbances", "Disturbed cells, and inputs without one", view, facts=facts)
