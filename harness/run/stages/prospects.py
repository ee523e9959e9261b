"""What cannot pass in this run, whatever its classifier does, and how likely is the rest to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from harness.core.errors import HarnessError
from harness.core.text import first_few
from harness.data.prediction_files import answers_for
from harness.data.prediction_records import GivenPredictions
from harness.data.records import CellImage, Manifest, Split
from harness.judge.chances import Chances, chances
from harness.judge.pretrained import Judged
from harness.judge.prospects import BestCase, by_reason, cannot_pass
from harness.metrics.copies import DATASET
from harness.metrics.estimates import Unavailable
from harness.protocol.names import PARTS
from harness.run.graph import Asking, stage
from harness.run.setting import Setting
from harness.run.stages.data import divided, found_elsewhere, manifest
from harness.run.stages.given import covered, whose_word


@dataclass(frozen=True, slots=True)
class Prospects:
    """hopeless: required criterion -> why it cannot pass. chances: None where the protocol hopes for no truth."""

    hopeless: dict[str, str]
    chances: Chances | None


@stage(manifest, found_elsewhere)
def prospects(run: Asking, today: date) -> Prospects:
    """What is known before the run; nothing where the data cannot be read, which their own stage says.

    Raises:
        InvalidPredictions: rows of `--predictions` fit no image, or some cells of a part have none: said now, for the
            stages that need them come after every check of the data.
    """
    setting = run.setting
    try:
        parts = divided(run(manifest), setting)
        elsewhere = run(found_elsewhere)
    except HarnessError:
        return Prospects({}, None)
    judged = _judged(setting, parts, {DATASET: run(manifest), **elsewhere})
    cells: dict[str, Sequence[CellImage] | Unavailable] = {part: parts.part(part) for part in PARTS}
    cells |= {name: each.images if isinstance(each, Manifest) else each for name, each in elsewhere.items()}
    best = BestCase(
        setting.protocol,
        cells,
        device=setting.device,
        judged=judged,
        compares=setting.options.baseline is not None,
        chains=setting.options.known_chains,
    )
    hoped = setting.protocol.plan
    return Prospects(
        cannot_pass(best, today=today), None if hoped is None else chances(best, cells, hoped, today=today)
    )


def _judged(setting: Setting, parts: Split, sets: Mapping[str, Manifest | Unavailable]) -> Judged:
    options = setting.options
    if options.model is not None:
        return options.model.record
    if not options.predictions:
        return None
    matched = {
        name: answers_for([t for t in options.predictions if t.record.set == name], found.images, set_name=name)
        for name, found in sets.items()
        if isinstance(found, Manifest)
    }
    files = tuple(table.record for table in options.predictions)
    return GivenPredictions(files, cells=whose_word(setting, parts), parts=covered(matched[DATASET], parts))


def told(found: Prospects) -> list[str]:
    """One line for each reason why something cannot pass, and the chance of the rest, as the terminal shows them."""
    lines = [f"required, and cannot pass: {_few(names)}: {why}" for why, names in by_reason(found.hopeless).items()]
    if found.chances is not None and (together := found.chances.together) is not None:
        lines.append(
            f"at the hoped-for truth the {len(together.criteria)} required criteria that have a model pass together in "
            f"{100 * together.probability:.1f} of 100 runs: `python -m harness plan` has each"
        )
    return lines


def _few(names: Sequence[str]) -> str:
    return ", ".join(first_few(names, 5, more="and {n} more"))
