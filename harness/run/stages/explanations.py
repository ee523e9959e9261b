"""Why is a cell called what it is called? Asked when all is judged, of the cells that the page pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.core.errors import HarnessError
from harness.metrics.explanations import Explanations
from harness.protocol.names import PARTS
from harness.run.graph import Asking, stage
from harness.run.recipes.classifier import OPENS
from harness.run.recipes.explanations import Explaining, read_explanations
from harness.run.stages.model import opening, pictures, source

# (set name, (digest of a cell, the class that it was called) of each) of each; a stage remembers what it was asked.
Shown = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
GIVEN = "predictions were given, and no classifier that could be asked"


@stage(pictures, source, opening, keeps=Explaining, runs=OPENS)
def explanations(run: Asking, shown: Shown) -> Explanations:
    """Maps and nearest training pictures of these cells, or why there are none; never what ends a run."""
    if run.setting.options.predictions:
        return Explanations({}, no_maps=GIVEN, no_nearest=GIVEN)
    seed = run.setting.protocol.training.seed
    try:
        recipe = Explaining(
            shown=dict(shown),
            sets={name: run(pictures, name) for name, _ in shown},
            train=run(pictures, "train"),
            source=run(source, seed),
            open=run(opening, seed),
            masks=_masks(run.setting.options.masks, [name for name, _ in shown]),
        )
        return read_explanations(run.keep("explanations", recipe))
    except Exception as error:  # whatever a network does: an illustration must not cost the evidence
        why = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        return Explanations({}, no_maps=why, no_nearest=why)


def _masks(given: Mapping[str, Path], sets: Iterable[str]) -> dict[str, Path]:
    """Set -> its folder of masks, where there is one; a part has those of the dataset."""
    folders = {name: given.get("dataset" if name in PARTS else name) for name in sets}
    return {name: folder for name, folder in folders.items() if folder is not None}
