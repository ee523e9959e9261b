"""Did training do what the protocol says, on cells that are not judged, and does its export say the same?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.data.records import Manifest
from harness.metrics.adaptation import drawn_from
from harness.metrics.deviations import training_deviations
from harness.metrics.fits import FITTING_PARTS, Fit, fit_of, fits_on_judged_cells
from harness.model.exports import EXPORT
from harness.model.onnx_writing import ONNX
from harness.run.export_check import exported_differences
from harness.run.graph import Asking, stage
from harness.run.recipes.export import RUNS, Export, read_differences, some_cells
from harness.run.recipes.onnx import OnnxExport
from harness.run.stages.data import manifest, split
from harness.run.stages.external import drawn, external
from harness.run.stages.given import given, judged
from harness.run.stages.model import kept_model, models, training
from harness.run.stages.predictions import predictions


@stage(split, external)
def fit(run: Asking, what: str, on: str) -> Fit:
    """One thing that is fitted on a part, with its cells and those of them that are judged."""
    judged = {"test": run(split).test} | {
        name: found.images for name, found in run(external).items() if isinstance(found, Manifest)
    }
    return fit_of(what, on, run(split).part(on), judged=judged)


@stage(split, external, drawn)
def adaptation_fits(run: Asking) -> tuple[Fit, ...]:
    """What is fitted on the cells that are drawn of external sets."""
    judged = {"test": run(split).test} | {n: m.images for n, m in run(external).items() if isinstance(m, Manifest)}
    return tuple(
        fit_of(f"classifier adapted to {name}", drawn_from(name), cells, judged=judged)
        for name, cells in run(drawn).items()
        if cells
    )


@stage(fit, judged, given, adaptation_fits)
def fits(run: Asking) -> tuple[Fit, ...]:
    """Everything that takes a value from cells, with the cells; the sets that are judged must be none of them."""
    fitted = [
        ("weights of the network", "train"),
        ("learning rate that the finder suggests (reported; the protocol's is used)", "train"),
        ("kept epoch of each phase, and when it stops early", "validation"),
    ]
    if (found := run(judged)) is not None:  # what it was fitted on is somebody's word, or not known
        stated = f"{found.cells}, not seen by this run"
        fitted = [(f"weights of the network ({stated})", "train"), (f"kept epoch ({stated})", "validation")]
        fitted = fitted if found.knows_its_cells else []
    afterwards = [
        ("temperature (reported; predictions are judged without it)", "validation"),
        ("threshold of the conformal sets", "validation"),
    ]
    answers = run(given)
    if answers is not None and "validation" not in answers.parts:
        afterwards = []
    return (*(run(fit, what, on) for what, on in (*fitted, *afterwards)), *run(adaptation_fits))


@stage(fit, manifest, predictions, models, keeps=Export, runs=RUNS)
def export(run: Asking) -> Path:
    """The file `export.pkl` with, beside it, what opening it in a fresh process showed, and the safe format."""
    recipe = Export(
        protocol=run.setting.protocol.identity.id,
        fitted={part: run(fit, "", part).cells for part in FITTING_PARTS},
        validation=run(predictions, "validation"),
        trained=run(models),
        root=run(manifest).root,
    )
    return run.keep("export", recipe) / EXPORT


@stage(fit, models, keeps=OnnxExport)
def onnx_file(run: Asking) -> Path:
    """The file `classifier.onnx`."""
    recipe = OnnxExport(
        protocol=run.setting.protocol.identity.id,
        fitted={part: run(fit, "", part).cells for part in FITTING_PARTS},
        trained=run(models),
    )
    return run.keep("onnx", recipe) / ONNX


@stage(fits, export, onnx_file, training, kept_model, predictions, manifest)
def training_checks(run: Asking) -> Mapping[str, tuple[str, ...]]:
    """Training metric -> what is wrong, one line each; of a judged classifier those that are asked of it."""
    if run.setting.options.predictions:
        return {"judged_cells_in_fits": fits_on_judged_cells(run(fits))}
    if (existing := run.setting.options.model) is not None:
        found = {"judged_cells_in_fits": fits_on_judged_cells(run(fits))}
        if existing.record.format == "fastai pickle":
            some = some_cells(run(predictions, "validation"))
            (name,) = existing.kept_as
            found["exported_model_differences"] = exported_differences(run(kept_model) / name, some, run(manifest).root)
        return found
    run(onnx_file)  # every training leaves one, whatever is asked of it
    return {
        **training_deviations(run(training), run.setting.protocol.training),
        "judged_cells_in_fits": fits_on_judged_cells(run(fits)),
        "exported_model_differences": read_differences(run(export).parent),
    }
