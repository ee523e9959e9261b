"""What a confidence is worth: calibration, conformal sets, selective answers, predictive values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from harness.metrics.calibration_records import CalibrationReport, PrevalenceShift
from harness.report.printing import Printer, element, sentence
from harness.report.section import Limit, Material, Section
from harness.report.wording import probability


@dataclass(frozen=True, slots=True)
class SetView:
    """measures: (what, as predicted, after temperature, which is None where none was fitted)."""

    report: CalibrationReport
    place: tuple[str, ...]
    measures: tuple[tuple[object, Markup, Markup | None], ...]
    shift: Markup

    @property
    def name(self) -> str:
        return self.report.set


def view(page: Material) -> list[SetView]:
    return [_set_view(report, page.evidence) for report in page.run.calibrations.values()]


def _set_view(report: CalibrationReport, e: Printer) -> SetView:
    here = ("calibrations", report.set)
    before = _measures(e, (*here, "before"))
    after = [each for _, each in _measures(e, (*here, "after"))] if report.after is not None else [None] * len(before)
    return SetView(
        report,
        here,
        tuple((what, one, other) for (what, one), other in zip(before, after, strict=True)),
        Markup() if report.shift is None else _shift(report.shift, (*here, "shift"), e),
    )


def _measures(e: Printer, here: tuple[str, ...]) -> list[tuple[object, Markup]]:
    impossible = sentence(
        "infinite: {n} cells were given probability 0 of their class", n=e.plain_count(*here, "n_impossible")
    )
    nll = e.at(*here, "nll")
    return [
        ("Expected calibration error", e.number(*here, "ece")),
        (
            sentence("One-sided {level} bounds of it", level=e.level()),
            sentence("{low} to {high}", low=e.number(*here, "ece_lower"), high=e.number(*here, "ece_upper")),
        ),
        ("A calibrated classifier of these confidences, on average", e.number(*here, "null", "mean")),
        ("and in 95 of 100 sets at most", e.number(*here, "null", "limit")),
        ("More than chance explains?", e.word(*here, "exceeds_null", yes="yes", no="no")),
        ("Largest gap of a bin", e.number(*here, "mce")),
        ("Brier score, top label (0 to 1)", e.number(*here, "top_label_brier")),
        ("Brier score, all classes (0 to 2)", e.number(*here, "multiclass_brier")),
        ("Negative log-likelihood, nats", impossible if nll is None else e.number(*here, "nll")),
    ]


def _shift(found: PrevalenceShift, here: tuple[str, ...], e: Printer) -> Markup:
    """How far a set is from the stated prevalence, as a sentence without its full stop."""
    if found.statistic is None:
        return Markup("A class that the protocol says does not occur is in this set")
    if found.p is None:
        return Markup("The protocol says that a single class occurs, and all cells here are of it")
    p = probability(max(found.p, 1e-12))  # never 0, which only the impossible has
    coarse = sentence(
        "; coarse, as fewer than 5 cells of {few} {classes} were expected",
        few=e.plain_count(*here, "few"),
        classes="class" if found.few == 1 else "classes",
    )
    return sentence(
        "Chi-squared {statistic} with {degrees} {word} of freedom, p {p}{coarse}",
        statistic=e.number(*here, "statistic"),
        degrees=e.plain_count(*here, "degrees"),
        word="degree" if found.degrees == 1 else "degrees",
        p=element((*here, "p"), p if p[0] in "<>" else f"= {p}"),
        coarse=coarse if found.few else "",
    )


def limits(page: Material) -> Iterator[Limit]:
    if "test" not in page.run.calibrations:
        yield Limit(
            "Probabilities were not checked for calibration.",
            "Reading a confidence as the chance that the class is right.",
        )
        return
    if page.run.calibrations["test"].temperature is None:
        yield Limit(
            "No temperature and no conformal threshold: there are no predictions of cells that are not judged.",
            "How sure the classifier would be after calibration; sets of classes with a promised coverage.",
        )
        return
    yield Limit(
        "Temperature and conformal threshold come from the validation part, on which the kept epoch was chosen too.",
        "That their promises hold to the letter: the validation part flatters the classifier a little.",
    )


SECTION = Section("confidence", "Confidence", view, limits)
