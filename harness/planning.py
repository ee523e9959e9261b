"""What are a protocol's chances, before anything is trained? The job `plan`: sizes in, lines for people out.

torch is not imported. With --data the cells are listed and divided as a run divides them, and searched for copies, of
which a run counts one; without it they are as many as the protocol states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path

from harness.core.digests import digest_of
from harness.core.errors import MissingData
from harness.core.places import reach_fixtures
from harness.core.progress import Report, silent
from harness.core.text import first_few
from harness.data.inspection import hashes_of, inspect_files
from harness.data.leakage import DuplicatePair, find_duplicates
from harness.data.manifest import read_manifest, read_strangers
from harness.data.records import CellImage, Manifest, Split, sorted_by_path
from harness.data.split import draw_split, read_split
from harness.data.tables import columns_of
from harness.judge.chances import Chance, Chances, How, chances
from harness.judge.criteria import subject_of
from harness.judge.looks_left import MOST_LOOKS, LooksLeft, looks_left
from harness.judge.prospects import BestCase, by_reason
from harness.metrics.estimates import Unavailable
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol

Cells = Mapping[str, Sequence[CellImage] | Unavailable]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known before a run.

    sizes:   set -> its cells; of an external set that is not there, or whose size is not known, None.
    looks:   set -> at how many looks a classifier without an error passes what is required of it, where errors decide.
    sized_by: where the sizes come from, in words.
    """

    protocol: Protocol
    chances: Chances
    sizes: Mapping[str, int | None]
    sized_by: str
    looks: Mapping[str, LooksLeft]

    @property
    def hopeless(self) -> dict[str, str]:
        """Required criterion -> why it cannot pass, even if every cell is classified correctly."""
        return {c.criterion: c.why for c in self.chances.each if c.required and c.how is How.CANNOT_PASS}


def plan(
    protocol: Protocol, data: Path | None, *, today: date, workers: int, progress: Report = silent, once: bool = True
) -> Plan:
    """
    Args:
        once: whether a picture that several cells of a part or set show counts once, as it does in a run. Each image is
            decoded for that.
    Raises:
        MissingData: neither --data nor the protocol says how many cells there are.
        HarnessError: the data cannot be read or divided.
    """
    copies: Sequence[DuplicatePair] = ()
    if data is None:
        cells, sized_by = _stated(protocol)
    else:
        listed = listed_sets(protocol, data, {}, workers=workers)
        cells, sized_by = _parts_and_sets(protocol, listed, data), f"as {data.name} is listed and divided"
        copies = _copies(protocol, listed, workers=workers, progress=progress) if once else ()
    # A baseline may be given to the run, and which device it will have is not known: neither has a model here.
    best = BestCase(protocol, cells, device=None, judged=None, compares=True, copies=copies)
    shown = {name: best.flawless(name) for name, found in cells.items() if not isinstance(found, Unavailable)}
    sizes = {name: len(shown[name].labels) if name in shown else None for name in cells}
    again = sum(each.n_left_out for each in shown.values())
    if data is not None and once:
        sized_by += f", {_said_again(again, sum(len(each.labels) for each in shown.values()) + again)}"
    sizes |= {each.name: None for each in (*protocol.external, *protocol.unknown) if each.name not in cells}
    found = chances(best, cells, protocol.plan, today=today)
    looked_at = ("test", *(each.name for each in protocol.external))
    there = {name: shown[name] for name in looked_at if sizes.get(name)}
    return Plan(protocol, found, sizes, sized_by, looks_left(protocol, there, dict.fromkeys(there, 1)))


def _said_again(n_again: int, n: int) -> str:
    if not n_again:
        return f"no picture twice in a part or set of {n:,} cells"
    return f"each picture once ({n_again:,} of {n:,} cells show one that their part or set has already)"


def _copies(
    protocol: Protocol, sets: Mapping[str, Manifest], *, workers: int, progress: Report
) -> Sequence[DuplicatePair]:
    """The search that a run makes, within the dataset and within each set."""
    hashes = []
    for name, found in sets.items():
        told = partial(_told, progress, f"inspecting {name}", len(found.images))
        rules = protocol.image_rules(name)
        inspected = inspect_files(found.images, found.root, rules=rules, workers=workers, progress=told)
        hashes.append(hashes_of(found.images, inspected, root=found.root, set_name=name))
    return find_duplicates(hashes, workers=workers)


def _told(progress: Report, label: str, total: int, done: int) -> None:
    progress(label, done, total, "")


def _parts_and_sets(protocol: Protocol, sets: Mapping[str, Manifest], data: Path) -> Cells:
    """The parts, and every external set that lies beside the data, as a run of this protocol on them has them."""
    divided = _divided(protocol, sets["dataset"], data)
    cells: dict[str, Sequence[CellImage] | Unavailable] = {part: divided.part(part) for part in PARTS}
    for each in (*protocol.external, *protocol.unknown):
        cells[each.name] = (
            sets[each.name].images
            if each.name in sets
            else Unavailable(f"set {each.name} is not there: no folder {each.name} beside the data")
        )
    return cells


def listed_sets(protocol: Protocol, data: Path, elsewhere: Mapping[str, Path], *, workers: int) -> dict[str, Manifest]:
    """The dataset, and every set of the protocol that lies beside it or is named, as a run lists them."""

    def listed(location: Path, name: str) -> Manifest:
        if (strange := protocol.unknown_plan(name)) is not None:
            return read_strangers(location, name=name, known=protocol.dataset.classes, workers=workers, names=strange)
        parts = protocol.dataset.parts if name == "dataset" else None
        names, classes = protocol.names_in(name), protocol.dataset.classes
        return read_manifest(location, name=name, classes=classes, workers=workers, names=names, parts=parts)

    near = (data if data.is_dir() else data.parent).resolve().parent
    sets = (*protocol.external, *protocol.unknown)
    beside = {each.name: near / each.name for each in sets if (near / each.name).is_dir()}
    return {"dataset": listed(data, "dataset")} | {
        name: listed(folder, name) for name, folder in (beside | dict(elsewhere)).items()
    }


def _divided(protocol: Protocol, found: Manifest, data: Path) -> Split:
    if data.is_file() and "split" in columns_of(data, protocol.dataset.columns):
        return read_split(data, found, names=protocol.names_in("dataset"), parts=protocol.dataset.parts)
    return draw_split(found, protocol.split)


def _stated(protocol: Protocol) -> tuple[Cells, str]:
    """The parts of as many cells as the protocol states, and every set that is drawn; no size of others is known."""
    plan = protocol.dataset
    if plan.synthetic is not None:
        counts, sized_by = dict(_drawn(protocol)), "as the protocol draws them"
    elif plan.images_per_class is not None:
        counts = {"dataset": {name: expected.least for name, expected in plan.counts.items()}}
        sized_by = "as the protocol states in images_per_class, without groups"
    else:
        raise MissingData(
            f"{protocol.source.name} does not say how many images there are. Name them with --data DIR, or state "
            "images_per_class in [dataset]."
        )
    sets = {name: stand_ins(of_set, name) for name, of_set in counts.items()}
    whole = Manifest("dataset", Path(), plan.classes, sorted_by_path(sets.pop("dataset")))
    divided = draw_split(whole, protocol.split)
    return {part: divided.part(part) for part in PARTS} | sets, sized_by


def _drawn(protocol: Protocol) -> Mapping[str, Mapping[str, int]]:
    """Set -> class -> how many synthetic cells a run draws; "dataset" is the one that is divided."""
    reach_fixtures()
    from fixtures.drawing import smears_for

    return {name: each.counts for name, each in smears_for(protocol, workers=1).sets.items()}


def stand_ins(counts: Mapping[str, int], name: str) -> list[CellImage]:
    """As many different cells of each class of a set, of which nobody knows more than that they are there."""
    return [
        CellImage(f"{label}/{number}", label, digest_of([name, label, number]), 0)
        for label, n in counts.items()
        for number in range(n)
    ]


# --- in words -------------------------------------------------------------------------------------


def lines(found: Plan) -> Iterator[str]:
    protocol, hoped = found.protocol, found.protocol.plan
    sizes = ", ".join(f"{name} {'not known' if n is None else f'{n:,}'}" for name, n in found.sizes.items())
    yield f"{protocol.identity.id}: cells {found.sized_by}: {sizes}"
    if hoped is None:
        yield "no truth is hoped for, so no chance can be told: state [plan] accuracy = 0.99, say, in the protocol"
    else:
        rates = ", ".join(f"{name} {100 * rate:.4g} %" for name, rate in found.chances.accuracy.items())
        yield f"hoped for, as true accuracy: {rates}; its chances at the first look:"
    criteria = {c.id: c for c in protocol.criteria}
    modelled = [each for each in found.chances.each if each.how in (How.EXACT, How.SIMULATED)]
    for each in modelled:
        optional = "" if each.required else " (not required)"
        yield f"  {_chance(each)}  {each.criterion} {subject_of(criteria[each.criterion])}{optional}{_enough(each)}"
    yield from _together(found)
    for name, looks in found.looks.items():
        yield f"looks at {name}: {_looks(looks)}"
    for why, names in by_reason(found.hopeless).items():
        yield f"required, and cannot pass: {_few(names)}: {why}"
    others = {c.criterion: c.why for c in found.chances.each if not c.required and c.how is How.CANNOT_PASS}
    for why, names in by_reason(others).items():
        yield f"not required, and cannot pass: {_few(names)}: {why}"
    without = {c.criterion: c.why for c in found.chances.each if c.how in (How.NO_MODEL, How.NOT_ASKED)}
    for why, names in by_reason(without).items():
        yield f"no model: {_few(names)}: {why}"


def _together(found: Plan) -> Iterator[str]:
    together = found.chances.together
    if together is None:
        return
    share = f"{100 * together.probability:.1f} % ± {100 * together.error:.1f}"
    n = len(together.criteria)
    enough = f"80 %: {together.why}" if together.times is None else f"80 % from about {_times(together.times)}"
    yield (
        f"all {n} required criteria that have a model, together: {share} "
        f"({found.chances.draws:,} draws, seed {found.chances.seed}; {enough})"
    )
    others = sum(c.required and c.how is How.NO_MODEL for c in found.chances.each)
    if others:
        yield f"what {others} more required criteria do is in no chance here"


def _looks(found: LooksLeft) -> str:
    if found.last is None:
        return f"a classifier without an error passes at more than the first {MOST_LOOKS:,}"
    at = "first" if found.last == 1 else f"first {found.last:,}"
    return (
        f"a classifier without an error passes at the {at}, and {_few(found.ended_by)} at no later one; then only "
        "cells that have not been looked at help"
    )


def _chance(each: Chance) -> str:
    assert each.probability is not None  # a modelled criterion has one
    error = "  (exact)" if each.error is None else f" ± {100 * each.error:.1f}  "
    return f"{100 * each.probability:5.1f} %{error:9}"


def _enough(each: Chance) -> str:
    here = f", n = {each.n:,}" if each.n is not None else ""
    if each.n_needed is not None:
        return f"{here}; 80 % from about {each.n_needed:,}"
    return f"{here}; 80 % from about {_times(each.times)}" if each.times is not None else f"{here}; 80 %: {each.why}"


def _times(times: float) -> str:
    return f"{times:.2g} times as many cells of every set"


def _few(names: Sequence[str]) -> str:
    return ", ".join(first_few(names, 5, more="and {n} more"))


def as_record(found: Plan) -> dict[str, object]:
    """For --json."""
    protocol = found.protocol
    return {
        "protocol": {"id": protocol.identity.id, "digest": protocol.digest},
        "hoped_for": protocol.plan and protocol.plan.model_dump(mode="json"),
        "sizes": dict(found.sizes),
        "sized_by": found.sized_by,
        "cannot_pass": found.hopeless,
        "looks": {name: asdict(looks) for name, looks in found.looks.items()},
        **asdict(found.chances),
    }
