"""The ledger of a pack, and what the run found by it: looks, chains, labels that are other than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from harness.core.digests import digest_of
from harness.judge.amended import differences
from harness.judge.answers import answers_of, unpack_answers
from harness.judge.continuity import KnownChain
from harness.judge.dropped import Dropped, not_in_ledger
from harness.judge.labels import NO_CLASS
from harness.judge.ledger import cells_digest, parse_ledger
from harness.judge.look import START, LedgerError, Look
from harness.judge.looks import look_number
from harness.judge.regrouped import unlike_columns
from harness.judge.relabelled import Relabelled, beside_baseline, corrected_pictures, unlike_ledger
from harness.judge.rescored import Rescored, chosen
from harness.judge.terms import unpack_terms
from harness.metrics.adaptation import adapted_to
from harness.metrics.comparison import Comparison
from harness.metrics.predictions import Predictions
from harness.pack.adapted import cells_of
from harness.pack.files import EVIDENCE
from harness.pack.rebuilding.dataset import Dataset
from harness.pack.rebuilding.frame import Frame
from harness.pack.rebuilding.judged import Judged
from harness.pack.rebuilding.said import Said
from harness.protocol.names import PARTS
from harness.protocol.terms import terms_of

LEDGER = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The looks on record, and set -> which look at it the run took."""

    looks: tuple[Look, ...] = ()
    numbers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the run's looks were at: what was said of which cells of which dataset, by which classifier."""

    dataset: Dataset
    judged: Judged
    said: Said

    def at(self, look: Look) -> Predictions | None:
        """What was said at a look of the run; None where the pack does not hold it."""
        if look.role == "seed":
            return next((each for each in self.said.seeds.values() if each.digest == look.predictions), None)
        if look.role in ("fit", "adapted"):
            adapted = self.said.adaptations.get(look.set)
            return None if adapted is None else adapted.drawn if look.role == "fit" else adapted.predictions
        return {**self.said.predictions, **self.said.unknown}.get(look.set)


def read_looks(frame: Frame, shown: Shown) -> Ledger:
    """The chain, and that the looks of this run in it are those at the predictions that the pack holds."""
    looks: tuple[Look, ...] = ()
    if LEDGER in frame.pack.files:
        try:
            looks = parse_ledger(frame.pack.read(LEDGER), where=LEDGER)
        except LedgerError as error:
            frame.note(LEDGER, "", str(error))
            return Ledger()
    own = [look for look in looks if look.run == frame.run_id]
    if any(look.pictures for look in own):
        frame.take("which pictures a look showed: recorded, and the images are not in the pack")
    numbers = {}
    for look in own:
        _check_look(frame, shown, look)
        if look.role in ("judged", "adapted"):
            name = look.set if look.role == "judged" else adapted_to(look.set)
            numbers[name] = look_number(
                looks,
                run=look.run,
                source=look.source,
                cells=look.cells,
                predictions=look.predictions,
                answers=look.answers,
                role=look.role,
            )
    _require_looks(frame, shown.said, own)
    return Ledger(looks, numbers)


def _require_looks(frame: Frame, said: Said, own: Sequence[Look]) -> None:
    """Nothing was judged, and nobody was shown anything, without an entry of the run."""
    on_record = {(look.set, look.role, look.predictions) for look in own}
    judged = {name for name, role, _ in on_record if role == "judged"}
    for name in {**said.judged, **said.unknown}:
        if name not in judged:
            frame.note(LEDGER, f"set {name}", f"no look of run {frame.run_id} at this set is on record")
    for name, adapted in said.adaptations.items():
        for role, found in (("adapted", adapted.predictions), ("fit", adapted.drawn)):
            if (name, role, found.digest) not in on_record:
                frame.note(LEDGER, f"set {name}", f"no entry of run {frame.run_id} has these cells as {role!r}")
    for seed, found in said.seeds.items():
        if found.digest not in {digest for _, _, digest in on_record}:
            frame.note(LEDGER, f"seed {seed}", f"no look of run {frame.run_id} at these predictions is on record")


def _check_look(frame: Frame, shown: Shown, look: Look) -> None:
    found = shown.at(look)
    if found is None:
        frame.note(LEDGER, f"entry {look.index}", f"a look at {look.set} whose predictions are not in the pack")
        return
    images = cells_of(found) if look.set not in PARTS else shown.dataset.images
    wanted: dict[str, object] = {
        "predictions": found.digest,
        "n": len(found.digests),
        "cells": cells_digest(found),
        "protocol": frame.protocol.digest,
        "source": digest_of(sorted(image.sha256 for image in images)),
    }
    if shown.judged.digest is not None and look.role != "seed":
        wanted["model"] = shown.judged.digest
    if shown.judged.given is not None:
        wanted["model"] = shown.judged.given.digest(look.set)
    if look.rule:  # an older harness recorded none
        wanted["rule"] = frame.protocol.looks.rule
    if look.terms:
        for each in differences(unpack_terms(look.terms), terms_of(frame.protocol)):
            frame.note(LEDGER, f"entry {look.index}, terms", f"they are not the protocol's at {'.'.join(each.steps)}")
    for kind in unlike_columns(look.groups, found.columns, n=look.n) if look.groups else ():
        frame.note(LEDGER, f"entry {look.index}, groups", f"{kind!r} does not divide the cells as in the pack")
    if look.answers and not unpack_answers(look.answers).equals(answers_of(found)):
        frame.note(LEDGER, f"entry {look.index}, answers", "they are not those of the predictions in the pack")
    for name, value in wanted.items():
        if getattr(look, name) != value:
            frame.note(LEDGER, f"entry {look.index}, {name}", f"{getattr(look, name)} is written, the pack has {value}")
    try:
        early = datetime.fromisoformat(look.time) < datetime.fromisoformat(frame.started_at)
    except TypeError:  # one of the two has no time zone
        early = True
    if early:
        frame.note(LEDGER, f"entry {look.index}, time", f"{look.time} is before the run, {frame.started_at}")


def read_chains(frame: Frame, ledger: Sequence[Look]) -> tuple[KnownChain, ...]:
    """The chains that the ledger had to continue: a head that stands in it is one that it continues."""
    known_chains: tuple[KnownChain, ...] = frame.of(tuple[KnownChain, ...] | None, "known_chains") or ()
    hashes = {START, *(look.hash for look in ledger)}
    for place, chain in enumerate(known_chains):
        where = f"known_chains > {place} > continued"
        if ledger and chain.head in hashes and not chain.continued:
            frame.note(EVIDENCE, where, f"the ledger has the head of {chain.source}")
        if ledger and chain.entries is None and chain.continued and chain.head not in hashes:
            frame.note(EVIDENCE, where, f"the ledger does not have the head that {chain.source} names")
        if not chain.continued and any(look.run == frame.run_id for look in ledger):
            frame.note(LEDGER, "", f"a look by run {frame.run_id}, which could not continue {chain.source}")
    if any(chain.continued and chain.head not in hashes for chain in known_chains):
        frame.take("that the ledger had the looks of a chain that was merged into it: recorded")
    return known_chains


def read_relabelled(
    frame: Frame, said: Said, ledger: Sequence[Look], comparisons: Mapping[str, Comparison]
) -> tuple[Relabelled, ...]:
    """Which cells have another label than before: by the ledger, their paths as recorded, and by the baseline."""
    held: tuple[Relabelled, ...] = frame.of(tuple[Relabelled, ...] | None, "relabelled") or ()
    seen = tuple(cell for cell in held if cell.picture)
    labels = {
        name: {path: each.classes[label] for path, label in zip(each.paths, each.labels.tolist(), strict=True)}
        for name, each in said.predictions.items()
    }
    labels |= {name: dict.fromkeys(each.paths, NO_CLASS) for name, each in said.unknown.items()}
    for problem in unlike_ledger(seen, corrected_pictures(ledger, run=frame.run_id, rules=frame.rules), labels):
        frame.note(EVIDENCE, "relabelled", problem)
    if seen:
        frame.take("which of the cells of a label show the picture that had another one: recorded")
    return (*seen, *beside_baseline(comparisons.items()))


def read_dropped(frame: Frame, ledger: Sequence[Look]) -> tuple[Dropped, ...]:
    """Which pictures of looks at drawn parts are gone from the dataset: as recorded, and as the ledger lets it be."""
    held: tuple[Dropped, ...] = frame.of(tuple[Dropped, ...] | None, "dropped") or ()
    for place, each in enumerate(held):
        if problem := not_in_ledger(each, ledger, run=frame.run_id):
            frame.note(EVIDENCE, f"dropped > {place}", problem)
    if held:
        frame.take("which pictures that looks at drawn parts showed are gone from the dataset: recorded")
    return held


def read_rescored(frame: Frame, said: Said) -> Rescored | None:
    """What was scored again, if these are the cells that the run's id draws."""
    found: Rescored | None = frame.of(Rescored | None, "rescored")
    if found is None or found.not_done:
        return found
    drawn = [
        (name, each.paths[row], each.digests[row])
        for name, each in said.judged.items()
        for row in chosen(each, run=frame.run_id)
    ]
    if drawn != [(cell.set, cell.path, cell.sha256) for cell in found.cells]:
        frame.note(EVIDENCE, "rescored > cells", "these are not the cells that the run's id draws")
    frame.take("what the classifier said of the cells that were scored again: recorded, and compared")
    return found
