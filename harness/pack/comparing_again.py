"""Candidate and baseline of one pack, compared again: of both's predictions, where the pack holds both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.core.errors import HarnessError
from harness.data.leakage import DuplicatePair
from harness.judge.rules import Rules
from harness.metrics.comparison import Comparison, DiscordantCell, compare, comparison_of
from harness.metrics.copies import counted_once
from harness.metrics.predictions import Predictions
from harness.metrics.robustness import SeverityCurve
from harness.pack.decode import decoded
from harness.pack.files import EVIDENCE
from harness.pack.further import BASELINE, CORRUPTED, read_further
from harness.pack.read import Pack, require_field
from harness.protocol.records import Protocol
from harness.run.results import Baseline

Note = Callable[[str, str, str], None]  # file, field, message

TAKEN = (
    "that the baseline said what predictions/baseline/ has: its own pack holds the same predictions, and `python -m "
    "harness compare` compares the two packs"
)
GROUPS_TAKEN = "which cells of the baseline are of one patient, slide or site: its own pack names them"
TAKEN_OF_OLD = (
    "what the baseline called each cell: its predictions are in its own pack, and `python -m harness compare` compares "
    "the two; here counts and bounds follow from the listed discordant cells"
)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What a pack holds of its own classifier, and how it was judged.

    predictions: set name -> of every cell; corrupted: kind -> of the test part with that corruption.
    baseline:    that the run names; without predictions.
    copies:      cells that show the same picture, by the rules of the pack.
    """

    pack: Pack
    protocol: Protocol
    rules: Rules
    predictions: Mapping[str, Predictions]
    corrupted: Mapping[str, Predictions]
    baseline: Baseline | None
    copies: tuple[DuplicatePair, ...]

    def grouped(self, found: Predictions) -> Predictions:
        return found if self.rules.grouped else replace(found, groups=None)

    def counted(self, found: Predictions) -> Predictions:
        return counted_once(found, self.copies) if self.copies else found


class Compared(NamedTuple):
    """What was compared again. baseline: with the predictions that the pack holds of it."""

    comparisons: dict[str, Comparison]
    corrupted: dict[str, Comparison]
    baseline: Baseline | None
    taken: tuple[str, ...]


def compared_again(held: Held, note: Note) -> Compared:
    """Every comparison that the pack lists. note: is told what does not fit; such a comparison is left out."""
    sets: dict[str, Comparison] = {}
    kinds: dict[str, Comparison] = {}
    theirs: dict[str, Predictions] = {}
    theirs_corrupted: dict[str, Predictions] = {}
    old = False
    for name, stated in require_field(held.pack, "comparisons", kind=dict).items():
        ours = held.predictions.get(name)
        if ours is None:
            said = "there are no predictions of this set that could have been compared"
            note(EVIDENCE, f"comparisons > {name}", said)
            continue
        if stated.get("predictions") is None:
            old = True
            if (found := _of_discordant(held, name, ours, note)) is not None:
                sets[name] = found
            continue
        place = _Place(f"comparisons > {name}", f"{BASELINE}/{name}", name)
        if (both := _of_both(held, place, ours, stated, note)) is not None:
            theirs[name], sets[name] = both
    for kind, stated in (held.pack.evidence.get("corrupted_comparisons") or {}).items():  # type: ignore[attr-defined]
        ours = held.corrupted.get(kind)
        if ours is None:
            note(EVIDENCE, f"corrupted_comparisons > {kind}", "there are no predictions of such cells")
            continue
        place = _Place(f"corrupted_comparisons > {kind}", f"{BASELINE}/{CORRUPTED}/{kind}", "test")
        if (both := _of_both(held, place, ours, stated, note)) is not None:
            theirs_corrupted[kind], kinds[kind] = both
    baseline = held.baseline
    if baseline is not None:
        baseline = replace(baseline, predictions=theirs, corrupted=theirs_corrupted)
    grouped = [GROUPS_TAKEN] if any(each.groups is not None for each in theirs.values()) else []
    taken = [*grouped, *([TAKEN] if theirs else []), *([TAKEN_OF_OLD] if old and sets else [])]
    return Compared(sets, kinds, baseline, tuple(taken))


class _Place(NamedTuple):
    """field: of the evidence; file: below predictions/, without suffix; set: whose cells these are."""

    field: str
    file: str
    set: str


def _of_both(
    held: Held, place: _Place, ours: Predictions, stated: Mapping[str, object], note: Note
) -> tuple[Predictions, Comparison] | None:
    run = _baseline_run(held, place.field, note)
    try:
        theirs = read_further(held.pack, place.file, stated.get("predictions"), set_name=place.set)
        groups = decoded(tuple[str, ...] | None, stated.get("groups"), f"{place.field} > groups")
        theirs = replace(theirs, groups=groups)
        found = compare(
            held.grouped(ours),
            theirs,
            baseline_run=run,
            copies=held.copies,
            intracluster_correlation=held.protocol.clusters.intracluster_correlation,
        )
    except HarnessError as error:
        note(f"predictions/{place.file}.csv", "", str(error))
        return None
    return theirs, found


def _baseline_run(held: Held, field: str, note: Note) -> str:
    """The run that a comparison names, which is the one that the whole pack names."""
    stated = require_field(held.pack, *field.split(" > "), "baseline", kind=str)
    if held.baseline is None or held.baseline.run_id != stated:
        note(EVIDENCE, f"{field} > baseline", f"{stated!r} is not the baseline that the run names")
    return stated


def _of_discordant(held: Held, name: str, ours: Predictions, note: Note) -> Comparison | None:
    """The table that the listed discordant cells and this run's predictions leave no choice about."""
    field = f"comparisons > {name}"
    found = held.counted(ours)
    cells: tuple[DiscordantCell, ...] = decoded(
        tuple[DiscordantCell, ...],
        require_field(held.pack, "comparisons", name, "discordant", kind=list),
        f"{field} > discordant",
    )
    n_changed = require_field(held.pack, "comparisons", name, "n_changed", kind=int)
    run = _baseline_run(held, field, note)
    row_of = {(path, digest): row for row, (path, digest) in enumerate(zip(found.paths, found.digests, strict=True))}
    predicted, seen, baseline_right = found.predicted, set(), found.correct.copy()
    for cell in cells:
        row = row_of.get((cell.path, cell.digest))
        fits = (
            row is not None
            and row not in seen
            and cell.reference == found.classes[found.labels[row]]
            and cell.candidate == found.classes[predicted[row]]
            and cell.baseline in found.classes
            and (cell.baseline == cell.reference) != (cell.candidate == cell.reference)
        )
        if row is None or not fits:
            note(EVIDENCE, f"{field} > discordant", f"{cell.path!r} is not as predictions/{name}.csv has it")
            continue
        seen.add(row)
        baseline_right[row] = not cell.candidate_right
    if not 0 <= n_changed - len(cells) <= int(np.sum(~found.correct & ~baseline_right)):
        note(EVIDENCE, f"{field} > n_changed", f"{n_changed} cells cannot have changed")
    return comparison_of(
        held.grouped(found),
        baseline_right,
        cells,
        baseline_run=run,
        n_changed=n_changed,
        intracluster_correlation=held.protocol.clusters.intracluster_correlation,
    )


def corrupted_again(held: Held, curves: tuple[SeverityCurve, ...], note: Note) -> dict[str, Predictions]:
    """Kind -> predictions of the test part with it, as the pack holds them; none in packs of an older harness.

    What the severity curves count at the agreed severity follows from them.
    """
    stated, test = held.pack.evidence.get("corrupted"), held.predictions.get("test")
    if not isinstance(stated, Mapping) or test is None or (plan := held.protocol.robustness) is None:
        return {}
    found: dict[str, Predictions] = {}
    for kind in plan.kinds:
        file = f"predictions/{CORRUPTED}/{kind}.csv"
        try:
            read = read_further(held.pack, f"{CORRUPTED}/{kind}", stated.get(kind), set_name="test")
        except HarnessError as error:
            note(file, "", str(error))
            continue
        if (read.paths, read.digests, read.labels.tolist()) != (test.paths, test.digests, test.labels.tolist()):
            note(file, "path, sha256, label", "these are not the cells of predictions/test.csv")
            continue
        found[kind] = replace(read, groups=test.groups, columns=test.columns)
        for said in _not_counted(held, kind, found[kind], curves):
            note(EVIDENCE, f"robustness > curves > {kind}", said)
    return found


def _not_counted(held: Held, kind: str, found: Predictions, curves: tuple[SeverityCurve, ...]) -> Iterator[str]:
    """Where the point at the agreed severity is not what the predictions of its cells come to."""
    assert held.protocol.robustness is not None  # asked by the caller
    severity = held.protocol.robustness.agreed[kind]
    point = next((each.at(severity) for each in curves if each.kind == kind), None)
    if point is None:
        yield "it has no point at the agreed severity, and the pack has predictions of such cells"
        return
    clean, disturbed = held.counted(held.predictions["test"]), held.counted(found)
    lost, gained = clean.correct & ~disturbed.correct, ~clean.correct & disturbed.correct
    made = int(disturbed.correct.sum()), len(disturbed.paths), int(lost.sum()), int(gained.sum())
    if (point.k, point.n, point.lost, point.gained) != made:
        yield (
            f"at severity {severity} {point.k} of {point.n} right, {point.lost} lost and {point.gained} gained are "
            f"written; predictions/{CORRUPTED}/{kind}.csv has {made[0]} of {made[1]}, {made[2]} and {made[3]}"
        )
