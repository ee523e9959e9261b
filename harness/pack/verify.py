"""Is a pack what its run wrote? Every digest is checked, every number made again, the page printed anew.

Integers, digests and words must be equal; a fraction may differ by 1e-9 of its size, because another machine may round
the last bits otherwise. Reading a pack does not make it trustworthy: whoever writes all of it anew, predictions, ledger
and sums included, contradicts nothing in it. What then fails is a signature by a key that the reader believes; without
one, what differs is `sums_digest`, wherever it was written down before, and the ledger that the run was recorded in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar

from harness.core.errors import EvidenceError, HarnessError
from harness.core.spreadsheet import inert
from harness.data.records import Split
from harness.data.split import COLUMNS
from harness.metrics.calibration_records import CalibrationReport
from harness.metrics.estimates import Estimate
from harness.pack.components import COMPONENTS
from harness.pack.decode import recorded
from harness.pack.differences import as_written, compared, differences, first_of, plain
from harness.pack.files import CLAIMS, EVIDENCE, REPORT, SIGNATURE, SUMS, UNLISTED
from harness.pack.formerly import as_formerly, lacks_assumed
from harness.pack.junit import JUNIT
from harness.pack.read import WITHOUT_PATHS, Pack, open_pack, verify_digests
from harness.pack.rebuild import rebuild
from harness.pack.rebuilding.frame import Discrepancy, RecordedProtocol
from harness.pack.report_check import PageCheck, check_report, how_far
from harness.pack.sign import SignatureCheck, Trust, check_signature
from harness.pack.split_check import SPLIT
from harness.pack.tables import (
    DOCUMENTS,
    SUSPECTS,
    as_csv,
    as_json,
    beside_evidence,
    components_of,
    evidence,
    for_a_job_page,
    junit_of,
)
from harness.report.captions import figures_of
from harness.report.page import renderer
from harness.report.pictures import KINDS, kind_of
from harness.report.summary import SUMMARY, summary
from harness.run.results import RunResults

Record = TypeVar("Record")
# What evidence.json of an earlier harness does not record.
LATER = ("rules", "chances", "known_chains", "custody", "rescored", "contradictions", "explanations")

# What arithmetic on records says when somebody else chose what is in them.
BROKEN = (HarnessError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
NOT_RECOMPUTED = (
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
    not_recomputed:      what could not be made again, one sentence each.
    page:        how far the report could be compared.
    """

    pack: str
    run_id: str | None
    sums_digest: str | None
    passed: bool | None
    discrepancies: tuple[Discrepancy, ...]
    not_recomputed: tuple[str, ...] = ()
    signature: SignatureCheck | None = None
    page: PageCheck = PageCheck.NOT_CHECKED

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
        return Verification(path.name, None, None, None, (Discrepancy(error.file or path.name, "", str(error)),))
    return verify(pack, trust=trust)


def verify(pack: Pack, *, trust: Trust | None = None) -> Verification:
    """Check a pack that is open; what is read of it afterwards are the bytes that were checked."""
    return verified_run(pack, trust=trust)[0]


def verified_run(pack: Pack, *, trust: Trust | None = None) -> tuple[Verification, RunResults | None]:
    """The same, and the run as it was made again; None where that could not be done, and the pack does not hold."""
    run = pack.evidence.get("run")
    run_id = run.get("id") if isinstance(run, Mapping) else None
    made = Recomputed([*_digests(pack)])
    if not made.discrepancies:  # numbers of bytes that are not the run's would only say the same again
        made = _recomputed(pack)
    signature = check_signature(pack, trust=trust)
    found = (*made.discrepancies, *map(_of_signature, signature.problems))
    run_id = run_id if isinstance(run_id, str) else None
    passed = run.get("passed") if isinstance(run, Mapping) else None
    passed = passed if isinstance(passed, bool) else None
    said = Verification(pack.name, run_id, pack.sums_digest, passed, found, made.not_recomputed, signature, made.page)
    return said, made.run


def _digests(pack: Pack) -> Iterator[Discrepancy]:
    for each in verify_digests(pack):
        yield Discrepancy(each.file, "SHA-256", str(each))
    listed = list(pack.sums)
    if listed != sorted(listed, key=PurePosixPath):
        yield Discrepancy(SUMS, "", "its lines are not sorted by name, as the harness writes them")


def _of_signature(problem: str) -> Discrepancy:
    """A problem of another statement begins with the name of its file."""
    file, _, rest = problem.partition(": ")
    return Discrepancy(file, "", rest) if file in UNLISTED else Discrepancy(SIGNATURE, "", problem)


class Recomputed(NamedTuple):
    """What came of making everything again; run: None where it could not be done."""

    discrepancies: list[Discrepancy]
    not_recomputed: tuple[str, ...] = ()
    page: PageCheck = PageCheck.NOT_CHECKED
    run: RunResults | None = None


def _recomputed(pack: Pack) -> Recomputed:
    try:
        return _remade(pack)
    except BROKEN as error:
        return Recomputed([Discrepancy(EVIDENCE, "", f"no run's records can be made of it ({error})")])


def _remade(pack: Pack) -> Recomputed:
    rebuilt = rebuild(pack)
    if rebuilt.results is None:
        return Recomputed(list(rebuilt.discrepancies))
    run = as_formerly(_settled(rebuilt.results, pack), pack)
    results = as_formerly(rebuilt.results, pack)
    told = plain(evidence(results, rebuilt.manifest))
    written = beside_evidence(results, rebuilt.manifest, told) | for_a_job_page(run)
    told = _in_schema_of(pack, results, told)
    written[EVIDENCE] = as_json(told)
    if "documents" not in pack.evidence:
        written[JUNIT] = junit_of(run, version=1)
        del written[SUMMARY]
    if (version := _earlier(pack, SUMMARY)) is not None:
        written[SUMMARY] = summary(run, version=version).encode()
    if (version := _earlier(pack, JUNIT)) is not None:
        written[JUNIT] = junit_of(run, version=version)
    if not _tells(pack, SUSPECTS):
        written.pop(SUSPECTS, None)
    if COMPONENTS in written and not _tells(pack, COMPONENTS):
        written[COMPONENTS] = components_of(results, formerly=True)
    if run.split is not None:
        written[SPLIT] = _split_csv(run.split)
    if pack.evidence["schema"] in WITHOUT_PATHS:
        written = {name: _in_old_words(content) for name, content in written.items()}
    found = list(rebuilt.discrepancies)
    for name, expected in written.items():
        found += first_of(compared(pack, name, expected), name)
    given = () if run.given is None else (each.kept_as for each in run.given.files)
    found += _unexpected(pack, (*written, *given), run)
    found += check_report(pack, run, rebuilt.manifest, as_written(told, pack.evidence))
    return Recomputed(
        list(dict.fromkeys(found)), (*NOT_RECOMPUTED, *rebuilt.not_recomputed), how_far(pack), rebuilt.results
    )


# What sentences of packs of schemas 2 and 3 say today.
OLD_WORDS = {
    "the bound meets the requirement": "the bound proves it",
    "alone the bound would exclude it": "alone the bound would disprove it",
    "the bound excludes it": "the bound disproves it",
    "too little evidence to decide": "too little evidence to prove or disprove it",
    "cells predicted as the class": "cells called so",
    "cells of the class or predicted as it": "cells of the class or called so",
    "none was predicted as it": "none was called so",
}


def _in_old_words(content: bytes) -> bytes:
    for today, before in OLD_WORDS.items():
        content = content.replace(today.encode(), before.encode())
    return content


def _in_schema_of(pack: Pack, run: RunResults, told: dict[str, Any]) -> dict[str, Any]:
    """The evidence.json of these records in the schema of the pack, without what its version did not record."""
    if isinstance(run.protocol, RecordedProtocol):
        told["protocol"] = pack.evidence["protocol"]
    schema = pack.evidence["schema"]
    told["schema"] = schema
    if lacks_assumed(pack):
        for verdict in told["verdicts"]:
            del verdict["assumed"]
    if "documents" not in pack.evidence:
        del told["documents"]
    for document in (SUMMARY, JUNIT):
        if (version := _earlier(pack, document)) is not None:
            told["documents"][document] = version
    if "changes" not in pack.evidence:
        del told["changes"]
    for later in LATER:
        if later not in pack.evidence:
            del told[later]
    held_baseline = pack.evidence.get("baseline")
    if told["baseline"] is not None and isinstance(held_baseline, Mapping) and "check" not in held_baseline:
        del told["baseline"]["check"]
    for later in (SUSPECTS, COMPONENTS) if "documents" in told else ():
        if not _tells(pack, later):
            del told["documents"][later]
    held_split = pack.evidence.get("split")
    if told["split"] is not None and isinstance(held_split, Mapping) and "source" not in held_split:
        del told["split"]["source"]
    if schema in WITHOUT_PATHS:
        for added in ("page", "renderer", "cannot_pass"):
            del told[added]
        for verdict in told["verdicts"]:
            del verdict["unavailable"]
        return told
    held = pack.evidence.get("renderer")
    if isinstance(held, Mapping) and set(held) == set(told["renderer"]):
        told["renderer"] = held  # what printed the page; nothing in the pack follows from it
    if held != renderer():
        told["page"] = _known_to(told["page"], pack.evidence.get("page"))
    return told


def _tells(pack: Pack, document: str) -> bool:
    """Whether the run says that it wrote a document, in whichever version."""
    return document in _documents(pack)


def _earlier(pack: Pack, document: str) -> int | None:
    """In which earlier version the run wrote its summary or JUnit; None where it says nothing of the kind."""
    version = _documents(pack).get(document)
    return version if type(version) is int and 1 <= version < DOCUMENTS[document] else None


def _documents(pack: Pack) -> Mapping[str, object]:
    held = pack.evidence.get("documents")
    return held if isinstance(held, Mapping) else {}


def _known_to(made: Any, held: Any) -> Any:
    """What this harness makes of what another version recorded; it may record more by now."""
    if isinstance(made, dict) and isinstance(held, Mapping):
        return {key: _known_to(value, held[key]) for key, value in made.items() if key in held}
    if isinstance(made, list) and isinstance(held, list) and len(made) == len(held):
        return [_known_to(*both) for both in zip(made, held, strict=True)]
    return made


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
    if next(differences(held, plain(asdict(made)), ""), None) is not None:  # type: ignore[call-overload]
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


def _unexpected(pack: Pack, written: Iterable[str], run: RunResults) -> Iterator[Discrepancy]:
    """What this run would not have left: a pack must not let out pictures that its protocol keeps in."""
    known = {*written, *UNLISTED, EVIDENCE, REPORT, CLAIMS}
    n_phases = 0 if run.training is None else len(run.training.phases)
    drawn = {name for name in figures_of(run.predictions, n_phases=n_phases) if run.protocol.report.draws(name)}
    for name in pack.files:
        folder, _, rest = name.rpartition("/")
        stem, _, kind = rest.rpartition(".")
        if folder == "figures" and kind in KINDS and stem in drawn:
            if kind_of(pack.read(name)) != kind:
                yield Discrepancy(name, "", f"its bytes are no {kind.upper()}, as its name says")
        elif name not in known and folder != "models":
            yield Discrepancy(name, "", "no file of this protocol's packs is called this; it was added after the run")
