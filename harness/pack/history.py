"""Which runs lie in a folder, and what did each come to? Reads their packs, and writes the folder's index.html."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from harness.core.errors import EvidenceError
from harness.core.files import write_atomically
from harness.metrics.table import TABLE
from harness.pack.compare import PackComparison
from harness.pack.components import COMPONENTS, read_components
from harness.pack.files import EVIDENCE, REPORT, SUMS
from harness.pack.outcome import read_passed
from harness.pack.read import ABSENT_OK, Pack, open_pack, read_protocol_digest, require_field, require_verified
from harness.pack.verify import BROKEN, verify_pack
from harness.protocol.names import PARTS
from harness.report.compared import render_comparison
from harness.report.history import GENERATOR, NoRun, PastRun, Reading, changes_between, render_history

INDEX = "index.html"
CODE = ("harness", "commit", "dirty")  # of the environment in evidence.json
TRAINED = ("architecture", "precision", "seed", "weights", "weights_digest", "card")
DIGESTS_CHECKED = (
    "Of each pack every digest was checked but those of its models/, and that it does not contradict itself. Its "
    "numbers were not made again: `python -m harness index DIR --verify` does that."
)
MADE_AGAIN = "Each pack was verified: every digest was checked, and every number made again from its predictions."


class Written(NamedTuple):
    """What an index was written of, and where it is."""

    place: Path
    runs: list[PastRun]
    others: list[NoRun]


def write_index(folder: Path, *, verify: bool = False) -> Written:
    """Write `folder`/index.html, the history of the packs that lie in it.

    Args:
        verify: whether every number of every pack is made again first, which takes seconds for each.
    Raises:
        EvidenceError: there is no such folder, it is itself a pack, or its index.html is somebody else's.
    """
    runs, others = read_history(folder, verify=verify)
    place = folder / INDEX
    name = folder.resolve().name or "reports"
    page = render_history(name, runs, others, checked=MADE_AGAIN if verify else DIGESTS_CHECKED)
    try:
        if place.is_symlink() or (place.exists() and not _is_an_index(place)):
            raise EvidenceError(f"{place} is not an index that the harness wrote, so it is left alone. Move it away.")
        write_atomically(place, page.encode())
    except OSError as error:
        raise EvidenceError(f"{place} could not be written ({error.strerror}). Make the folder writable.") from error
    return Written(place, runs, others)


def _is_an_index(place: Path) -> bool:
    if not place.is_file():
        return False
    with place.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR}">'.encode() in file.read(4096)


def read_history(folder: Path, *, verify: bool = False) -> tuple[list[PastRun], list[NoRun]]:
    """The runs of a folder, newest first, and the entries of it of which no run can be told.

    Hidden entries, links to packs in the same folder (such as `latest`), and files that are no zip are passed over.

    Raises:
        EvidenceError: there is no such folder, or it is itself a pack.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be listed ({error.strerror}). Name the folder of the reports.") from None
    if any((folder / name).exists() for name in (SUMS, EVIDENCE)):
        raise EvidenceError(f"{folder} is itself a pack. Name the folder that it lies in.")
    runs: dict[str, PastRun] = {}
    others = []
    for entry in entries:
        if entry.name.startswith(".") or not _may_be_a_pack(entry, folder):
            continue
        try:
            run = read_run(entry, verify=verify)
        except EvidenceError as error:
            others.append(NoRun(entry.name, str(error)))
            continue
        if run.run_id in runs:
            others.append(NoRun(entry.name, f"it is of the same run as {runs[run.run_id].folder}"))
        else:
            runs[run.run_id] = run
    return sorted(runs.values(), key=lambda run: (run.started_at, run.run_id), reverse=True), others


def _may_be_a_pack(entry: Path, folder: Path) -> bool:
    if entry.is_symlink():
        try:
            return entry.resolve(strict=True).parent != folder.resolve()
        except (OSError, RuntimeError):  # a link that leads nowhere, or in a circle, is told as such
            return True
    return entry.is_dir() or entry.suffix == ".zip"


def read_run(place: Path, *, verify: bool = False) -> PastRun:
    """What a pack says of its run, once it is known to be whole.

    Raises:
        EvidenceError: it is not a pack, does not verify, contradicts itself, or lacks what every run records.
    """
    if verify and not (found := verify_pack(place)).holds:
        raise EvidenceError(
            f"it does not verify, {len(found.discrepancies)} finding(s), first {found.discrepancies[0]}"
        )
    pack = open_pack(place)
    judged = replace(pack, files=MappingProxyType({name: f for name, f in pack.files.items() if not _is_model(name)}))
    require_verified(judged)
    try:
        return _run_of(pack, page=place.is_dir() and REPORT in pack.files)
    except BROKEN as error:
        raise EvidenceError(f"no run's records can be made of it ({error})") from error


def _is_model(name: str) -> bool:
    return name.startswith(ABSENT_OK)


def _run_of(pack: Pack, *, page: bool) -> PastRun:
    digest = read_protocol_digest(pack)
    content = require_field(pack, "protocol", "content", kind=dict)
    baseline = _table(pack.evidence.get("baseline")).get("run")
    return PastRun(
        folder=pack.location.name,
        page=page,
        run_id=require_field(pack, "run", "id", kind=str),
        started_at=_in_utc(require_field(pack, "run", "started_at", kind=str)),
        protocol=require_field(pack, "protocol", "content", "identity", "id", kind=str),
        title=str(_table(content.get("identity")).get("title", "")),
        passed=read_passed(pack),
        stopped=_table(pack.evidence.get("run")).get("stopped_because") is not None,
        outcomes=_outcomes(require_field(pack, "verdicts", kind=list)),
        looks={str(name): int(n) for name, n in _table(pack.evidence.get("looks")).items()},
        baseline=baseline if isinstance(baseline, str) else None,
        readings=dict(_readings(pack.evidence)),
        facts={
            "protocol": {"digest": digest, **flat(content)},
            "data": dict(_data(pack.evidence)),
            "code": flat({name: _table(pack.evidence.get("environment")).get(name) for name in CODE}),
            "environment": dict(_environment(pack)),
            "model": dict(_model(pack.evidence)),
        },
    )


def comparison_page(baseline: Path, candidate: Path, found: PackComparison, *, told: Sequence[str]) -> str:
    """The page of `compare --html`: two packs side by side, and what changed between their runs.

    Args:
        found: what `compare_packs` made of the same two.
        told: what else is said of them, a sentence each.
    """
    return render_comparison(
        changes_between(read_run(baseline), read_run(candidate)),
        holds=found.holds,
        told=told,
        verdicts=found.verdicts,
        comparisons=found.comparisons,
        corrupted=found.corrupted,
    )


def _in_utc(text: str) -> str:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")


def _outcomes(verdicts: list[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for verdict in verdicts:
        if verdict["required"]:
            found[str(verdict["outcome"])] = found.get(str(verdict["outcome"]), 0) + 1
    return found


# --- what can change --------------------------------------------------------------------------


def flat(value: object, place: str = "") -> dict[str, str]:
    """Name of a key, with dots -> its value as text; entries of lists are named by their id or name.

    >>> flat({"a": {"b": 1}, "criteria": [{"id": "A1", "floor": 0.9}], "classes": ["x", "y"]})
    {'a.b': '1', 'criteria.A1.id': 'A1', 'criteria.A1.floor': '0.9', 'classes': '["x", "y"]'}
    """
    inner: dict[str, object] = {}
    if isinstance(value, Mapping):
        inner = {str(name): each for name, each in value.items()}
    elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        inner = {str(each.get("id", each.get("name", n))): each for n, each in enumerate(value)}
        if len(inner) != len(value):  # two of one name
            inner = {str(n): each for n, each in enumerate(value)}
    if not inner:
        return {place: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
    found: dict[str, str] = {}
    for name, each in inner.items():
        found |= flat(each, f"{place}.{name}" if place else name)
    return found


def _data(evidence: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for each in _tables(evidence.get("sets")):
        name = str(each.get("name"))
        yield f"{name}: digest", str(each.get("digest"))
        yield f"{name}: images", str(each.get("n_images"))
    split = _table(evidence.get("split"))
    if split:
        yield "split: digest", str(split.get("digest"))


def _environment(pack: Pack) -> Iterator[tuple[str, str]]:
    for name, value in _table(pack.evidence.get("environment")).items():
        if name not in CODE:
            yield str(name), str(value)
    if COMPONENTS in pack.files:
        for package in read_components(json.loads(pack.read(COMPONENTS))):
            yield f"package {package.name}", package.version


def _model(evidence: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Of a classifier that was trained here what it became and from what; of one that was given its whole record."""
    training = _table(evidence.get("training"))
    told = {"training": {name: training[name] for name in TRAINED if name in training}}
    told |= {door: evidence[door] for door in ("model", "given") if evidence.get(door) is not None}  # type: ignore[misc]
    yield from (each for each in flat({name: each for name, each in told.items() if each}).items() if each[0])


# --- estimates --------------------------------------------------------------------------------


def _readings(evidence: Mapping[str, object]) -> Iterator[tuple[str, Reading]]:
    """Accuracy of each judged set and the lowest recall of the test part; then what was timed."""
    evaluations = _table(evidence.get("evaluations"))
    judged = {name: _table(each) for name, each in evaluations.items() if name == "test" or name not in PARTS}
    for name, each in judged.items():
        if (found := _reading(each.get("accuracy"))) is not None:
            yield f"accuracy, {name}", found
        if name == "test":
            recalls = [_reading(_table(row).get("recall")) for row in _table(each.get("per_class")).values()]
            if known := [recall for recall in recalls if recall is not None]:
                yield "lowest recall of a class, test", min(known, key=lambda recall: recall.value)
            if (found := _reading(each.get("macro_f1"))) is not None:
                yield "macro F1, test", found
    for verdict in _tables(evidence.get("verdicts")):
        estimate = _table(verdict.get("estimate"))
        entry = TABLE.get(str(estimate.get("metric")))
        if entry is not None and "throughput" in entry.questions and (found := _reading(estimate)) is not None:
            yield f"{entry.name}, {estimate.get('set')} ({verdict.get('criterion')})", found


def _reading(estimate: object) -> Reading | None:
    """An estimate of the evidence with its interval for display, else its bounds; None where it has no value."""
    found = _table(estimate)
    value = _finite(found.get("value"))
    if value is None:
        return None
    shown = _table(found.get("display"))
    bounds, sides = (shown, "two-sided") if shown else (found, "each one-sided")
    lower, upper, level = (_finite(bounds.get(name)) for name in ("lower", "upper", "level"))
    k, n = found.get("k"), found.get("n")
    how = "" if level is None or None in (lower, upper) else f"{sides} {100 * level:.6g} %, {bounds.get('method')}"
    counts = f"{k}/{n}" if isinstance(k, int) and isinstance(n, int) else f"n = {n}" if isinstance(n, int) else ""
    return Reading(value, lower, upper, str(found.get("unit")), counts, how)


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
