"""Is a pack what its run wrote? Every digest is checked, every number made again, the page printed anew.

Integers, digests and words must be equal; a fraction may differ by 1e-9 of its size, because another machine may round
the last bits otherwise. Reading a pack does not make it trustworthy: whoever writes all of it anew, predictions, ledger
and sums included, contradicts nothing in it. What then fails is a signature by a key that the reader believes; without
one, what differs is `sums_digest`, wherever it was written down before, and the ledger that the run was recorded in.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from html import unescape
from pathlib import Path, PurePosixPath
from typing import TypeVar

from harness.claims.audit import audit
from harness.claims.document import read_html
from harness.claims.extract import extract
from harness.claims.printing import as_json as claims_json
from harness.core.errors import EvidenceError, HarnessError
from harness.core.spreadsheet import inert
from harness.core.text import brief
from harness.data.records import Manifest, Split
from harness.data.split import COLUMNS
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.estimates import Estimate
from harness.pack.decode import recorded
from harness.pack.read import EVIDENCE, SIGNATURE, SUMS, Pack, open_pack, verify_digests
from harness.pack.rebuild import SPLIT, Discrepancy, RecordedProtocol, rebuild
from harness.pack.sign import SignatureCheck, Trust, check_signature
from harness.pack.tables import as_csv, as_json, documents, evidence
from harness.pack.write import CLAIMS, REPORT
from harness.report.page import render_report
from harness.run.results import RunResults

Record = TypeVar("Record")

# What arithmetic on records says when somebody else chose what is in them.
BROKEN = (HarnessError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
RELATIVE_TOLERANCE = 1e-9
SMALLEST = 1e-12  # differences of two fractions may be 0 on one machine and a rounding error on another
MOST_PER_FILE = 12
FIGURE = re.compile(
    r'<img src="data:image/png;base64,([^"]*)" alt="[^"]*">\n<figcaption>[^\n]*\(figures/([^)\n]*)\.png\)'
)
# The digest that stands next on the page is that of the same row.
THUMBNAIL = re.compile(
    r'<img class="thumb" src="data:image/png;base64,([^"]*)" alt="Cell [0-9a-f]*">.*?'
    r'<code class="soft" title="([0-9a-f]{64})">',
    re.DOTALL,
)
UNTOLD = (
    "texts, times, environment, training curves and the names of the sets' folders: recorded, and only compared with "
    "the page",
    "what is to be seen on figures and thumbnails: a figure's file is compared with the page's copy of it",
    "models/: their digests are checked, their weights are not opened",
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in a pack; nothing, where it holds.

    run_id:      None where evidence.json cannot be read.
    passed:      as the run says of itself; the pack of a run that failed holds, too.
    sums_digest: SHA-256 of SHA256SUMS, which stands for the whole pack.
    signature:   what its signature is worth; None where the pack cannot be read.
    untold:      what could not be made again, one sentence each.
    """

    pack: str
    run_id: str | None
    sums_digest: str | None
    passed: bool | None
    discrepancies: tuple[Discrepancy, ...]
    untold: tuple[str, ...] = ()
    signature: SignatureCheck | None = None

    @property
    def holds(self) -> bool:
        return not self.discrepancies


def verify_pack(path: Path, *, trust: Trust | None = None) -> Verification:
    """Check a pack, a folder or a zip of one, wherever it lies now. Neither its model nor its images are needed.

    Args:
        trust: the keys that its signature is checked with; None where nobody named one.
    Raises:
        EvidenceError: there is nothing at `path`, or a folder that was never a pack.
    """
    try:
        pack = open_pack(path)
    except EvidenceError as error:
        if not path.exists() or (path.is_dir() and not any((path / name).exists() for name in (SUMS, EVIDENCE))):
            raise
        return Verification(path.name, None, None, None, (_refused(path, str(error)),))
    run = pack.evidence.get("run")
    run_id = run.get("id") if isinstance(run, Mapping) else None
    found = [*_digests(pack)]
    untold: tuple[str, ...] = ()
    if not found:  # numbers of bytes that are not the run's would only say the same again
        found, untold = _recomputed(pack)
    signature = check_signature(pack, trust=trust)
    found += [Discrepancy(SIGNATURE, "", problem) for problem in signature.problems]
    run_id = run_id if isinstance(run_id, str) else None
    passed = run.get("passed") if isinstance(run, Mapping) else None
    passed = passed if isinstance(passed, bool) else None
    return Verification(pack.name, run_id, pack.sums_digest, passed, tuple(found), untold, signature)


def _refused(path: Path, why: str) -> Discrepancy:
    sums = f"{SUMS}, line" in why or f"/{SUMS}:" in why or f"has no {SUMS}" in why
    return Discrepancy(SUMS if sums else EVIDENCE if EVIDENCE in why else path.name, "", why)


def _digests(pack: Pack) -> Iterator[Discrepancy]:
    names = {repr(name): name for name in (*pack.sums, *pack.files)}
    for problem in verify_digests(pack):
        file = next((name for shown, name in names.items() if problem.startswith(f"{shown} ")), pack.name)
        yield Discrepancy(file, "SHA-256", problem)
    listed = list(pack.sums)
    if listed != sorted(listed, key=PurePosixPath):
        yield Discrepancy(SUMS, "", "its lines are not sorted by name, as the harness writes them")


def _recomputed(pack: Pack) -> tuple[list[Discrepancy], tuple[str, ...]]:
    try:
        return _remade(pack)
    except BROKEN as error:
        return [Discrepancy(EVIDENCE, "", f"no run's records can be made of it ({error})")], ()


def _remade(pack: Pack) -> tuple[list[Discrepancy], tuple[str, ...]]:
    rebuilt = rebuild(pack)
    if rebuilt.results is None:
        return list(rebuilt.discrepancies), ()
    run = _settled(rebuilt.results, pack)
    written = documents(rebuilt.results, rebuilt.manifest)
    if isinstance(run.protocol, RecordedProtocol):
        told = {**evidence(rebuilt.results, rebuilt.manifest), "protocol": pack.evidence["protocol"]}
        written[EVIDENCE] = as_json(told)
    if run.verdicts != rebuilt.results.verdicts:
        written["junit.xml"] = documents(run, rebuilt.manifest)["junit.xml"]
    if run.split is not None:
        written[SPLIT] = _split_csv(run.split)
    found = list(rebuilt.discrepancies)
    for name, expected in written.items():
        found += _first(_compared(pack, name, expected), name)
    found += _unexpected(pack, written)
    found += _page(pack, run, rebuilt.manifest)
    return list(dict.fromkeys(found)), (*UNTOLD, *rebuilt.untold)


def _first(found: Iterable[Discrepancy], name: str) -> list[Discrepancy]:
    listed = list(found)
    more = len(listed) - MOST_PER_FILE
    rest = [Discrepancy(name, "", f"and {more} more places that differ")] if more > 0 else []
    return listed[:MOST_PER_FILE] + rest


def _settled(run: RunResults, pack: Pack) -> RunResults:
    """The run with its numbers as they are written where they are the same but for the last bits.

    The page and JUnit are compared letter by letter, and a fraction that is 0.75 on one machine and a hair more on
    another would be printed as two.
    """
    stated = {str(each.get("criterion")): each for each in _entries(pack.evidence.get("verdicts"))}
    verdicts = []
    for verdict in run.verdicts:
        held = stated.get(verdict.criterion.id, {}).get("estimate")
        if verdict.estimate is not None and held is not None:
            verdict = replace(verdict, estimate=_either(verdict.estimate, Estimate, held))
        verdicts.append(verdict)
    reports = pack.evidence.get("calibrations")
    calibrations = {
        name: _either(report, CalibrationReport, reports[name])
        if isinstance(reports, Mapping) and name in reports
        else report
        for name, report in run.calibrations.items()
    }
    return replace(run, verdicts=tuple(verdicts), calibrations=calibrations)


def _either(made: Record, kind: type[Record], held: object) -> Record:
    """The record as it is written, if that is the one that was made, but for the last bits."""
    if next(_differences(held, _plain(asdict(made)), ""), None) is not None:  # type: ignore[call-overload]
        return made
    try:
        return recorded(kind, held, where="")
    except EvidenceError:
        return made


def _entries(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


# --- files ------------------------------------------------------------------------------------


def _split_csv(split: Split) -> bytes:
    return as_csv(COLUMNS, ((inert(path), inert(name), label, part) for path, name, label, part in split.rows()))


def _compared(pack: Pack, name: str, expected: bytes) -> Iterator[Discrepancy]:
    """Where a file differs from the one that follows from the rest of the pack."""
    if name not in pack.files:
        yield Discrepancy(name, "", "the run has this file to write, and it is not there")
        return
    found = pack.read(name)
    if found == expected:
        return
    kind, n_found = PurePosixPath(name).suffix, 0
    places = {".json": _in_json, ".csv": _in_table}.get(kind, _in_lines)
    for field, message in places(found, expected):
        n_found += 1
        yield Discrepancy(name, field, message)
    if not n_found and (kind != ".json" or found != as_json(_parsed(found))):
        yield Discrepancy(name, "", "it says the right thing in another spelling: it was written by something else")


def _in_json(found: bytes, expected: bytes) -> Iterator[tuple[str, str]]:
    try:
        return _differences(_parsed(found), _parsed(expected), "")
    except (ValueError, RecursionError) as error:
        return iter([("", f"it is not JSON ({error})")])


def _parsed(content: bytes) -> object:
    return json.loads(content)


def _plain(value: object) -> object:
    return _parsed(as_json(value))


def _differences(found: object, expected: object, field: str) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) of every place at which two JSON values differ by more than rounding."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in dict.fromkeys([*expected, *found]):
            here = f"{field} > {key}" if field else str(key)
            if key not in found and expected[key] is None:
                continue  # a newer harness has a place for what the run's did not know of
            if key not in found:
                yield here, f"is missing; {brief(expected[key])} follows from the rest of the pack"
            elif key not in expected:
                yield here, f"{brief(found[key])} is written, and nothing belongs here"
            else:
                yield from _differences(found[key], expected[key], here)
    elif isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            yield field, f"{len(found)} entries are written, {len(expected)} follow from the rest of the pack"
        for place, (one, other) in enumerate(zip(found, expected, strict=False)):
            label = other.get("criterion", place) if isinstance(other, dict) else place
            yield from _differences(one, other, f"{field} > {label}")
    elif not _same(found, expected):
        yield field, f"{brief(found)} is written, {brief(expected)} follows from the rest of the pack"


def _same(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=RELATIVE_TOLERANCE, abs_tol=SMALLEST)
    return type(found) is type(expected) and found == expected


def _in_table(found: bytes, expected: bytes) -> Iterator[tuple[str, str]]:
    try:
        ours, theirs = (
            list(csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline=""), strict=True))
            for content in (found, expected)
        )
    except csv.Error as error:
        yield "", f"it cannot be read as a table ({error})"
        return
    if len(ours) != len(theirs):
        yield "rows", f"{len(ours)} are written, {len(theirs)} follow from the rest of the pack"
    for number, (row, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        for column, (cell, wanted) in enumerate(zip(row, other, strict=False)):
            if cell != wanted:
                name = theirs[0][column] if column < len(theirs[0]) else column
                yield f"row {number}, {name}", f"{brief(cell)} is written, {brief(wanted)} follows"
        if len(row) != len(other):
            yield f"row {number}", f"{len(row)} cells are written, {len(other)} follow"


def _in_lines(found: bytes, expected: bytes) -> Iterator[tuple[str, str]]:
    """The same for text, JUnit's XML and the page; a place is named by the test case or heading that stands before."""
    ours, theirs = (content.decode("utf-8", "backslashreplace").split("\n") for content in (found, expected))
    if len(ours) != len(theirs):
        yield "lines", f"{len(ours)} are written, {len(theirs)} follow from the rest of the pack"
    heading = ""
    for number, (line, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if place := re.search(r'<testcase [^>]*name="([^"]*)"|<h[23][^>]*>(.*?)</h', other):
            heading = f" ({place[1] or place[2]})"
        if line != other:
            yield f"line {number}{heading}", "{} is written, {} follows".format(*_around(line, other))
            if len(ours) != len(theirs):
                return  # what comes after a line too many would only be shifted


def _around(line: str, other: str) -> tuple[str, str]:
    """Two texts, cut to where they first differ."""
    first = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    start = max(0, first - 60)
    return repr(line[start : first + 30]), repr(other[start : first + 30])


def _unexpected(pack: Pack, written: Mapping[str, bytes]) -> Iterator[Discrepancy]:
    known = {*written, SUMS, SIGNATURE, EVIDENCE, REPORT, CLAIMS}
    for name in pack.files:
        folder, _, rest = name.rpartition("/")
        drawn = folder == "models" or (folder == "figures" and rest.endswith(".png"))
        if name not in known and not drawn:
            yield Discrepancy(name, "", "no file of a pack is called this; it was added after the run")


# --- the page ---------------------------------------------------------------------------------


def _page(pack: Pack, run: RunResults, manifest: Manifest | None) -> Iterator[Discrepancy]:
    """Print the page again from the records, and say where the one in the pack differs."""
    if REPORT not in pack.files:
        yield Discrepancy(REPORT, "", "the report is not there")
        return
    content = pack.read(REPORT)
    page = content.decode("utf-8", "backslashreplace")
    before = sorted((name for name in pack.sums if name not in (REPORT, CLAIMS)), key=PurePosixPath)
    figures = {
        name.removeprefix("figures/").removesuffix(".png"): pack.read(name)
        for name in before
        if name.startswith("figures/") and name in pack.files
    }
    shown = {unescape(name): _picture(encoded) for encoded, name in FIGURE.findall(page)}
    for name, picture in shown.items():
        if name not in figures:
            yield Discrepancy(f"figures/{name}.png", "", f"{REPORT} shows this figure, and there is no such file")
        elif picture != figures[name]:
            yield Discrepancy(f"figures/{name}.png", "", f"it is not the picture that {REPORT} shows")
    thumbnails = {digest: picture for encoded, digest in THUMBNAIL.findall(page) if (picture := _picture(encoded))}
    try:
        again = render_report(
            run,
            figures=figures | {name: picture for name, picture in shown.items() if picture is not None},
            thumbnails=thumbnails,
            files={name: pack.sums[name] for name in before},
            ignored=manifest.ignored if manifest is not None else None,
        )
    except HarnessError as error:
        yield Discrepancy(EVIDENCE, "", f"no report can be made of these records: {error}")
        return
    if content != again.encode():
        yield from _first(
            (Discrepancy(REPORT, field, message) for field, message in _in_lines(content, again.encode())), REPORT
        )
        yield Discrepancy(REPORT, "", f"it is not the page that the harness here prints of these records{_newer(run)}")
    for each in _claims(pack, again, {*before, REPORT}):
        yield replace(each, message=f"{each.message}{_newer(run)}")
        return  # one is enough: what is counted differently once is counted differently all along


def _newer(run: RunResults) -> str:
    commit = run.environment.get("commit", "unknown")
    return f"; if this harness is another than the run's (commit {commit}), verify with the run's"


def _claims(pack: Pack, page: str, files: set[str]) -> Iterator[Discrepancy]:
    """What `python -m harness claims` says of the page, as it was written beside it."""
    report = extract(read_html(page), REPORT)
    stated = report.statements or report.unbound or report.problems or report.pins
    if not stated:
        if CLAIMS in pack.files:
            yield Discrepancy(CLAIMS, "", "the page states nothing that it could be an audit of")
        return
    found = audit(report, rounding="nearest", exists=lambda name: str(PurePosixPath(name)) in files)
    yield from _compared(pack, CLAIMS, as_json(claims_json(found)))


def _picture(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
