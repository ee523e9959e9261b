"""Does the same seed give the same model?"""

from __future__ import annotations

from collections.abc import Mapping

from harness.metrics.reproducibility import ProcessDigests, reproducibility
from harness.run.graph import Asking, stage
from harness.run.recipes.reproducibility import Reproduction, read_processes
from harness.run.stages.data import manifest, split


@stage(manifest, split, keeps=Reproduction)
def processes(run: Asking) -> tuple[ProcessDigests, ...]:
    """What fresh processes got from a small training under different conditions."""
    setting = run.setting
    recipe = Reproduction(
        protocol=setting.protocol,
        manifest=run(manifest).digest,
        split=run(split).digest,
        device=setting.device,
        precision=setting.precision,
        data=setting.options.data,
        split_file=setting.options.split_file,
    )
    return read_processes(run.keep("reproducibility", recipe))


@stage(processes)
def reproducibility_checks(run: Asking) -> Mapping[str, tuple[str, ...]]:
    """Reproducibility metric -> what differs between the processes, one line each."""
    return reproducibility(run(processes))
