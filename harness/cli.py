"""Which job does a command line ask for? `leukocyte-harness JOB ...`, which is `python -m harness JOB ...`.

Every job prints one line per finding and ends with 0 (all holds), 1 (something does not) or 2 (a wrong call); `--json`
prints the same for machines. To add a job, write a function that registers its parser and put it in JOBS.
"""

from __future__ import annotations

import harness.core.threads  # noqa: F401  # isort: skip  (before anything that computes is imported)

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeAlias

from harness import __version__
from harness.core.errors import HarnessError
from harness.core.text import perhaps_meant

if TYPE_CHECKING:
    from harness.judge.ledger import Look

    Parsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

HOLDS, DOES_NOT_HOLD, WRONG_CALL = 0, 1, 2
CUT_OFF = 141  # as a shell has it of a program that a closed pipe ended
PROGRAM, RUN = "leukocyte-harness", "run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one job and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [RUN]:  # everything behind it is for pytest, whose options argparse would take for its own
        from harness.suite_run import run_suites

        return run_suites(given[1:])
    asked = parser_of_jobs().parse_args(given)
    run: Callable[[argparse.Namespace], int] = asked.run
    try:
        code = run(asked)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads has read enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        return CUT_OFF
    except HarnessError as error:
        _print(f"{type(error).__name__}: {error}", sys.stderr)
        return WRONG_CALL


def parser_of_jobs() -> argparse.ArgumentParser:
    """What takes the command line of every job but `run`, which is pytest's."""
    parser: argparse.ArgumentParser = _Parser(prog=_program(), description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    jobs = parser.add_subparsers(dest="job", metavar="JOB", required=True)
    for register in JOBS:
        register(jobs)
    return parser


class _Parser(argparse.ArgumentParser):
    """One whose every error names the next step; argparse makes those of the jobs of the same class."""

    def error(self, message: str) -> NoReturn:
        words = [each.partition("=")[0] for each in re.findall(r"(?:--|choice: ')[\w=-]+", message)]
        meant = perhaps_meant([each.removeprefix("choice: '") for each in words], self._known())
        super().error(f"{message}. {meant}{' ' * bool(meant)}See `{self.prog} --help`.")

    def _known(self) -> list[str]:
        """Its jobs, and the options of each: what is asked too much is told by the parser above."""
        jobs = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        options = [name for each in jobs for job in each.values() for name in job._option_string_actions]
        return [*self._option_string_actions, *(name for each in jobs for name in each), *options]


def _program() -> str:
    """As it was called: by the console script, or as a module."""
    return PROGRAM if Path(sys.argv[0]).stem == PROGRAM else "python -m harness"


def register_run(jobs: Parsers) -> None:
    # Never parsed: `main` hands it on whole. Here for the list of jobs.
    jobs.add_parser(RUN, help="judge a classifier: the suites, with every option of `pytest` (see `run --help`)")


def register_claims(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "claims",
        help="can everything that a published report states hold together?",
        description="Reads the statements of a report, searches for confusion matrices that satisfy them, prints what "
        "cannot hold together and what the numbers do not support. Ends with 0 (holds), 1 (something cannot hold), "
        "3 (something was not checked) or 2 (cannot be read).",
    )
    from harness.claims.arguments import add_arguments

    add_arguments(parser)
    parser.set_defaults(run=_run_claims)


def _run_claims(asked: argparse.Namespace) -> int:
    from harness.claims.job import run

    return run(asked, print_text=_print, print_data=_print)


def register_verify(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "verify",
        help="does an evidence pack hold: every digest, and every number made again from its predictions?",
        description="Checks every digest, the ledger and every number of a pack without its model or images, and "
        "compares its report with them: every number and verdict, and the whole page where what printed it is "
        "installed. Fractions may differ by 1e-9 of their size, everything else not at all.",
    )
    parser.add_argument("pack", type=Path, metavar="PACK", help="folder or zip, wherever it lies now")
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="believe this public key (PEM), or the keys of this trust file (TOML: [[keys]] with path, owner, "
        "not_after); repeatable",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end with 1 unless one of these keys signed the pack and its whole report was compared",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run_verify)


def _run_verify(asked: argparse.Namespace) -> int:
    from harness.pack.report_check import PageCheck
    from harness.pack.sign import Standing, trust_in
    from harness.pack.verify import verify_pack

    result = verify_pack(asked.pack, trust=trust_in(asked.key))
    verified = result.signature is not None and result.signature.standing is Standing.VERIFIED
    whole = result.page is PageCheck.WHOLE
    code = HOLDS if result.holds and ((verified and whole) or not asked.strict) else DOES_NOT_HOLD
    if asked.json:
        _print(json.dumps({"holds": result.holds, "signed_and_verified": verified, **asdict(result)}, indent=2))
        return code
    for discrepancy in result.discrepancies:
        _print(str(discrepancy))
    if result.holds:
        for each in result.not_recomputed:
            _print(f"note: not made again: {each}")
        if not whole:
            _print(f"note: its report was compared {result.page}")
    word = "holds" if result.holds else f"does not hold: {len(result.discrepancies)} finding(s)"
    run = {True: ", which passed,", False: ", which DID NOT PASS,", None: ""}[result.passed]
    _print(f"{result.pack} (run {result.run_id or 'unknown'}{run}) {word}".replace(",)", ")"))
    for remark in result.signature.remarks if result.signature is not None else ("its signature was not read",):
        _print(remark)
    if asked.strict and not verified:
        _print("--strict: none of the given keys vouches for this pack")
    if asked.strict and result.holds and not whole:
        _print("--strict: the whole report was not compared; verify the pack with the version that wrote it")
    _print(f"SHA-256 of its SHA256SUMS: {result.sums_digest or 'not known'}")
    return code


def register_sign(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "sign",
        help="vouch for an evidence pack with a key",
        description="Checks every digest of a pack and writes signature.dsse.json into it: an in-toto Statement about "
        "its SHA256SUMS. Several keys may sign one pack. Whether what it says holds is for `verify` to tell.",
    )
    parser.add_argument("pack", type=Path, metavar="PACK", help="folder; passed or not")
    parser.add_argument(
        "--key",
        type=Path,
        required=True,
        metavar="FILE",
        help="private key in PEM; the passphrase of an encrypted one is read from HARNESS_KEY_PASSPHRASE",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run_sign)


def _run_sign(asked: argparse.Namespace) -> int:
    from harness.pack.keys import read_signing_key
    from harness.pack.sign import sign_pack

    result = sign_pack(asked.pack, read_signing_key(asked.key))
    if asked.json:
        _print(json.dumps(asdict(result)))
        return HOLDS
    word = "signed" if result.added else "was signed already, and is left as it is,"
    outcome = "passed" if result.passed else "DID NOT PASS"
    _print(f"{asked.pack}, a run that {outcome}, {word} with key id {result.key_id}; signatures in it: {result.n}")
    _print(f"by this key: {', '.join(result.files)}")
    return HOLDS


def register_keygen(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "keygen",
        help="make a key to sign evidence packs with",
        description="Writes an ed25519 or ECDSA key pair in PEM: the private key to FILE, for its owner, encrypted "
        "where HARNESS_KEY_PASSPHRASE holds a passphrase; the public one to FILE.pub.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a new file; none is overwritten")
    parser.add_argument(
        "--ecdsa", action="store_true", help="on the curve P-256, which model_signing takes; ed25519 without it"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run_keygen)


def _run_keygen(asked: argparse.Namespace) -> int:
    from harness.pack.keys import PASSPHRASE, write_key_pair

    public, key_id, encrypted = write_key_pair(asked.file, ecdsa=asked.ecdsa)
    if asked.json:
        made = {"private": str(asked.file), "public": str(public), "key_id": key_id, "encrypted": encrypted}
        _print(json.dumps(made))
        return HOLDS
    how = "encrypted" if encrypted else f"NOT encrypted: with a passphrase in {PASSPHRASE} it would be"
    _print(f"private key: {asked.file} ({how})")
    _print(f"public key:  {public}, key id {key_id}")
    return HOLDS


def register_compare(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "compare",
        help="is a candidate's run no worse than a baseline's, cell by cell?",
        description="Verifies both evidence packs, then judges the regression criteria of the candidate's own "
        "protocol on them. 0: every required one passed; 1: one did not; 2: a pack does not hold, or is not signed as "
        "asked.",
    )
    parser.add_argument("baseline", type=Path, metavar="BASELINE", help="evidence pack: folder or zip")
    parser.add_argument("candidate", type=Path, metavar="CANDIDATE", help="evidence pack: folder or zip")
    parser.add_argument(
        "--baseline-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="refuse the baseline unless this public key (PEM), or one of this trust file (TOML), signed it "
        "(repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    parser.add_argument(
        "--html", type=Path, metavar="OUT", help="write the comparison, and what changed between the two, as one page"
    )
    parser.set_defaults(run=_run_compare)


def _run_compare(asked: argparse.Namespace) -> int:
    from harness.core.errors import EvidenceError
    from harness.judge.criteria import explain
    from harness.metrics.comparison import remarks
    from harness.metrics.estimates import DISPLAY_LEVEL
    from harness.pack.compare import compare_packs
    from harness.pack.sign import trust_in
    from harness.pack.tables import as_json, baseline_record, change_record, comparison_record, verdict_record
    from harness.report.amended import change_told
    from harness.report.scores import scores_told, worse_corruptions
    from harness.report.sentences import baseline_told, worse_classes

    result = compare_packs(asked.baseline, asked.candidate, trust=trust_in(asked.baseline_key))
    if asked.html is not None:
        from harness.core.files import write_atomically
        from harness.pack.history import comparison_page

        told = [*baseline_told(result.baseline, result.protocol), *map(change_told, result.moved)]
        page = comparison_page(asked.baseline, asked.candidate, result, told=told)
        try:
            write_atomically(asked.html, page.encode())
        except OSError as error:
            raise EvidenceError(f"{asked.html} could not be written ({error.strerror}).") from None
    if asked.json:
        said = {
            "holds": result.holds,
            "baseline": baseline_record(result.baseline),
            "moved": [change_record(change) for change in result.moved],
            "verdicts": [verdict_record(verdict) for verdict in result.verdicts],
            "comparisons": {each.set: comparison_record(each) for each in result.comparisons},
            "corrupted_comparisons": {kind: comparison_record(each) for kind, each in result.corrupted.items()},
        }
        _print(as_json(said).decode().rstrip())
        return HOLDS if result.holds else DOES_NOT_HOLD
    for line in baseline_told(result.baseline, result.protocol):
        _print(line)
    for each in result.baseline.check.not_recomputed if result.baseline.check is not None else ():
        _print(f"note: baseline: not made again: {each}")
    for change in result.moved:
        _print(f"moved: {change_told(change)}")
    for verdict in result.verdicts:
        _print(explain(verdict))
    for comparison in result.comparisons:
        if worse := worse_classes(comparison):
            _print(f"worse: {comparison.set}: {', '.join(worse)}")
        if comparison.scores is not None:
            _print(f"scores: {scores_told(comparison.scores, comparison.set)}")
        for remark in remarks(comparison, level=DISPLAY_LEVEL):
            _print(f"note: {comparison.set}: {remark}")
        for cell in comparison.discordant:
            word = "gained" if cell.candidate_right else "lost"
            _print(
                f"{word}: {comparison.set}: {cell.path!r} is {cell.reference}, baseline {cell.baseline}, candidate "
                f"{cell.candidate}"
            )
    if kinds := worse_corruptions(result.corrupted):
        _print(f"worse: test, corrupted: {', '.join(kinds)}")
    return HOLDS if result.holds else DOES_NOT_HOLD


def register_index(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "index",
        help="what did the runs of a folder come to, one after another, and what changed between them?",
        description="Writes DIR/index.html, one file without scripts: the runs of DIR newest first, their verdicts, "
        "looks, trends of their estimates, and what changed between runs. Entries that are not packs, or do not "
        "verify, are listed as such. 1: there is such an entry.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the packs lie, such as reports")
    parser.add_argument(
        "--verify", action="store_true", help="make every number of every pack again first; seconds for each"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=_run_index)


def _run_index(asked: argparse.Namespace) -> int:
    from harness.pack.history import write_index

    place, runs, others = write_index(asked.folder, verify=asked.verify)
    if asked.json:
        said = {"index": str(place), "runs": [run.run_id for run in runs], "others": [asdict(each) for each in others]}
        _print(json.dumps(said, indent=2))
    else:
        for run in runs:
            _print(f"{run.started_at}  {'passed    ' if run.passed else 'NOT PASSED'}  {run.run_id}  {run.protocol}")
        for each in others:
            _print(f"no run: {each.folder!r}: {each.why}")
        _print(f"history: {place}")
    return DOES_NOT_HOLD if others else HOLDS


def register_card(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "card",
        help="a model card of a pack in Hugging Face's format, or whether a card is the pack's",
        description="Verifies the pack, then prints README.md of a model repository: front matter with a model-index, "
        "verdict, use, results, limits. With --check, compares a card with it, line by line. 1: it differs.",
    )
    parser.add_argument("pack", type=Path, metavar="PACK", help="folder or zip; passed or not")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--out", type=Path, metavar="FILE", help="write it here instead of printing it")
    either.add_argument("--check", type=Path, metavar="FILE", help="compare this card with the pack's")
    parser.set_defaults(run=_run_card)


def _run_card(asked: argparse.Namespace) -> int:
    from harness.core.errors import EvidenceError
    from harness.core.files import read_plain, write_atomically
    from harness.pack.card import card_of
    from harness.report.card import MAX_CARD_BYTES, differing

    card = card_of(asked.pack)
    try:
        if asked.out is not None:
            write_atomically(asked.out, card.encode())
            _print(f"model card: {asked.out}")
        elif asked.check is not None:
            content = read_plain(asked.check, most_bytes=MAX_CARD_BYTES, follow_link=True)
            found = differing(content.decode("utf-8", "backslashreplace"), card)
            for each in found:
                _print(f"line {each.line}: {each.written!r} is written, {each.follows!r} follows from the pack")
            _print(f"{asked.check} {'is not' if found else 'is'} the card of {asked.pack}")
            return DOES_NOT_HOLD if found else HOLDS
        else:
            _print(card.rstrip("\n"))
    except OSError as error:
        raise EvidenceError(f"{error.filename or asked.out or asked.check}: {error.strerror}.") from None
    return HOLDS


def register_log(jobs: Parsers) -> None:
    parser = jobs.add_parser("log", help="index an evidence pack in MLflow (extra [mlflow])")
    parser.add_argument("pack", type=Path, metavar="PACK", help="folder or zip; passed or not")
    _takes_registry(parser)
    parser.set_defaults(run=_run_log)


def _run_log(asked: argparse.Namespace) -> int:
    from harness.pack.registry import log_run, registry_at

    run = log_run(asked.pack, registry=registry_at(asked.reports))
    _print(json.dumps({"run": run}) if asked.json else f"indexed as MLflow run {run}")
    return HOLDS


def register_promote(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "promote",
        help="let an alias of the registry name a run that passed; later runs take it as their baseline",
        description="Refuses a pack that does not verify and a run that did not pass. Then "
        "`pytest suites/ --baseline=models:/NAME@ALIAS` compares with it.",
    )
    parser.add_argument("pack", type=Path, metavar="PACK", help="evidence pack: folder or zip")
    parser.add_argument("--name", default="leukocytes", help="registered model (default: leukocytes)")
    parser.add_argument("--alias", default="champion", help="default: champion")
    _takes_registry(parser)
    parser.set_defaults(run=_run_promote)


def _run_promote(asked: argparse.Namespace) -> int:
    from harness.pack.registry import NotPassed, promote, registry_at

    try:
        version = promote(asked.pack, name=asked.name, alias=asked.alias, registry=registry_at(asked.reports))
    except NotPassed as error:
        _print(json.dumps({"refused": str(error)}) if asked.json else f"refused: {error}")
        return DOES_NOT_HOLD
    reference = f"models:/{asked.name}@{asked.alias}"
    said = {"reference": reference, "version": version}
    _print(json.dumps(said) if asked.json else f"{reference} is version {version}, the run in {asked.pack}")
    return HOLDS


def _takes_registry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path("reports"),
        metavar="DIR",
        help="holds the registry mlflow.db, unless MLFLOW_TRACKING_URI names another (default: reports)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def register_ledger(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "ledger",
        help="is the chain of looks whole, and does it have every look of a pack?",
        description="Checks every hash of a ledger. With --pack also that nothing was taken out of it since that pack. "
        "With --merge, adds the looks of runs that went on beside it, such as another branch's.",
    )
    parser.add_argument("ledger", type=Path, metavar="FILE", help="such as reports/ledger.jsonl")
    parser.add_argument(
        "--merge",
        type=Path,
        action="append",
        default=[],
        metavar="OTHER",
        help="add to FILE every look of this ledger, or of this evidence pack, that FILE does not have (repeatable)",
    )
    parser.add_argument("--pack", type=Path, metavar="PACK", help="an evidence pack whose ledger.jsonl it continues")
    parser.add_argument("--json", action="store_true", help="print the looks as JSON")
    parser.set_defaults(run=_run_ledger)


def _run_ledger(asked: argparse.Namespace) -> int:
    from harness.judge.ledger import LedgerError, contains, head_of, merge_looks, read_ledger
    from harness.report.custody import backwards_told

    if not asked.ledger.exists() and not asked.merge:
        raise LedgerError(
            f"no ledger at {asked.ledger}. Name the file, such as reports/ledger.jsonl; if it was lost, add "
            "the looks that packs hold with --merge PACK, once for each pack."
        )
    try:
        others = {str(other): _looks_of(other) for other in asked.merge}
        added = merge_looks(asked.ledger, others) if others else ()
        looks = read_ledger(asked.ledger)
        held: tuple[Look, ...] = _looks_of(asked.pack) if asked.pack is not None else ()
    except LedgerError as error:
        _print(json.dumps({"holds": False, "because": str(error)}) if asked.json else f"broken: {error}")
        return DOES_NOT_HOLD
    holds = contains(held, looks)
    if asked.json:
        said = {"holds": holds, "added": len(added), "looks": [_look_told(look) for look in looks]}
        _print(json.dumps(said))
        return HOLDS if holds else DOES_NOT_HOLD
    for look in looks:
        _print(f"{look.index}  {look.time}  {look.set} (n = {look.n}, {look.role})  {look.run}  {look.hash[:12]}")
    for told in backwards_told(looks):
        _print(told)
    _print(f"head: {head_of(looks)}")
    if asked.merge:
        _print(f"added {len(added)} of {sum(map(len, others.values()))} looks; {asked.ledger} has {len(looks)}")
    if not holds:
        _print(
            f"broken: {asked.ledger} does not have every look of {asked.pack} in its order: looks were taken out or "
            "replaced. Restore the ledger of before, or add what is missing with --merge."
        )
    return HOLDS if holds else DOES_NOT_HOLD


def _look_told(look: Look) -> dict[str, object]:
    """A look without its thousands of probabilities, pictures and keys."""
    return {
        name: value
        for name, value in asdict(look).items()
        if name not in ("answers", "likenesses", "pictures", "terms")
    }


def _looks_of(place: Path) -> tuple[Look, ...]:
    """The looks in a ledger, or in an evidence pack whose every digest verifies."""
    from harness.judge.ledger import LedgerError, parse_ledger, read_ledger
    from harness.pack.read import open_pack, require_verified

    if not place.exists():
        raise LedgerError(f"there is neither a ledger nor a pack at {place}. Name one of them.")
    if place.is_file() and place.suffix != ".zip":
        return read_ledger(place)
    pack = open_pack(place)
    require_verified(pack)
    if "ledger.jsonl" not in pack.files:
        return ()
    return parse_ledger(pack.read("ledger.jsonl"), where=f"{pack.name}/ledger.jsonl")


def register_metrics(jobs: Parsers) -> None:
    parser = jobs.add_parser("metrics", help="which metrics can a criterion be on? (the text of docs/metrics.md)")
    parser.set_defaults(run=_run_metrics)


def _run_metrics(asked: argparse.Namespace) -> int:
    from harness.metrics.documentation import metrics_page

    _print(metrics_page().rstrip("\n"))
    return HOLDS


def register_init(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "init",
        help="draft a protocol for a folder of images, and say what the images cannot tell",
        description="Looks at a folder with one sub-folder for each class, or with train, validation and test folders "
        "above those. Writes a commented protocol; where the folders' names do not say it all, the protocol does. "
        "Changes nothing in the folder.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the images")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the protocol (default: NAME-OF-DIR.toml here)")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run_init)


def _run_init(asked: argparse.Namespace) -> int:
    from harness.core.places import INSTALLED
    from harness.core.threads import available_cores
    from harness.data.survey import survey
    from harness.drafting import CELLS_ARE, TOO_FEW, draft, out_of_reach, write_draft

    found = survey(asked.folder, workers=available_cores())
    out: Path = asked.out or Path(f"{found.root.resolve().name}.toml")
    made = draft(found, out=out)
    protocol, replaced = write_draft(made, out=out, force=asked.force)
    hopeless = out_of_reach(made, protocol)
    if asked.json:
        said = {
            "protocol": str(out),
            "replaced": replaced,
            "data": str(found.root),
            "counts": found.counts,
            "criteria": len(protocol.criteria),
            "unknown": made.unknown,
            "cannot_pass": hopeless,
        }
        _print(json.dumps(said, indent=2))
        return HOLDS
    _print(f"{found.root}: {len(found.images):,} images of {len(found.classes)} classes")
    _print(f"protocol: {out}, {len(protocol.criteria)} criteria")
    if replaced:
        _print(f"replaced: {out}, which was there before")
    _print("What the images could not tell, and you are to state or know:")
    for each in made.unknown:
        _print(f"- {each}")
    if hopeless:
        _print(TOO_FEW)
        for each in (*hopeless, CELLS_ARE):
            _print(f"- {each}")
    options = f"--protocol={shlex.quote(str(out))} --data={shlex.quote(str(found.root))}"
    _print(f"next: {PROGRAM if INSTALLED else _program()} {RUN} {options}")
    return HOLDS


def register_plan(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "plan",
        help="what are the chances of passing, before anything is trained, and what cannot pass?",
        description="At the truth that the protocol hopes for ([plan]): the chance of each criterion that rests on a "
        "confusion matrix, of all required ones together, and the number of cells for 80 %. Names what cannot pass and "
        "what has no model. 1: a required criterion cannot pass, whatever the classifier does.",
    )
    parser.add_argument("protocol", type=Path, metavar="PROTOCOL", help="TOML file, or the name of a shipped protocol")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="as a run takes it; without it, as many cells as the protocol states"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=_run_plan)


def _run_plan(asked: argparse.Namespace) -> int:
    from harness.core.threads import available_cores
    from harness.planning import as_record, lines, plan
    from harness.protocol.file import read_protocol

    protocol = read_protocol(asked.protocol)
    found = plan(protocol, asked.data, today=datetime.now(UTC).date(), workers=available_cores())
    if asked.json:
        _print(json.dumps(as_record(found), indent=2))
    else:
        for line in lines(found):
            _print(line)
    return DOES_NOT_HOLD if found.hopeless else HOLDS


def register_pin(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "pin",
        help="which digest pins these images and labels, and which of them differ from those of a pack?",
        description="Prints what `digest` of [dataset] and of each [[external]] set has to say so that a run on other "
        "images or labels fails. File names and locations do not matter. 1: the protocol pins another digest, "
        "or images differ from those of the pack.",
    )
    parser.add_argument("protocol", type=Path, metavar="PROTOCOL", help="TOML file, or the name of a shipped protocol")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="as a run takes it")
    parser.add_argument(
        "--external", action="append", default=[], metavar="NAME=DIR", help="a set that lies elsewhere (repeatable)"
    )
    parser.add_argument("--against", type=Path, metavar="PACK", help="names every image that differs from this pack's")
    parser.add_argument("--json", action="store_true", help="print the pins as JSON, with every difference")
    parser.set_defaults(run=_run_pin)


def _run_pin(asked: argparse.Namespace) -> int:
    from harness.core.threads import available_cores
    from harness.pinning import as_record, lines, pins
    from harness.protocol.file import read_protocol

    elsewhere = {name: Path(folder) for name, _, folder in (each.partition("=") for each in asked.external)}
    found = pins(read_protocol(asked.protocol), asked.data, elsewhere, against=asked.against, workers=available_cores())
    if asked.json:
        _print(json.dumps(as_record(found), indent=2))
    else:
        for line in lines(found):
            _print(line)
    return HOLDS if all(each.holds for each in found) else DOES_NOT_HOLD


def register_schema(jobs: Parsers) -> None:
    parser = jobs.add_parser("schema", help="which keys can a protocol have? (a JSON Schema for editors)")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--page", action="store_true", help="print docs/protocol-keys.md, the same for people")
    either.add_argument("--pack", action="store_true", help="print docs/pack-schema.md: what an evidence pack holds")
    parser.set_defaults(run=_run_schema)


def _run_schema(asked: argparse.Namespace) -> int:
    if asked.pack:
        from harness.pack.contents import contents_page

        _print(contents_page().rstrip("\n"))
        return HOLDS
    from harness.protocol.schema import keys_page, protocol_schema

    _print(keys_page().rstrip("\n") if asked.page else json.dumps(protocol_schema(), indent=2))
    return HOLDS


def register_prove(jobs: Parsers) -> None:
    parser = jobs.add_parser(
        "prove",
        help="is every check seen to close: is each planted fault caught, and does no clean control raise an alarm?",
        description="Plants every fault of fixtures/faults.py into a scratch copy of the embedded run and runs what "
        "must catch it. Leaves proof.json in --reports; later runs there put it into their pack.",
    )
    parser.add_argument("--quick", action="store_true", help="a chosen few of each kind, in minutes, as CI does")
    parser.add_argument(
        "--controls", type=int, default=0, metavar="N", help="also draw N other datasets, on which nothing may fail"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="faults whose id begins so (repeatable)"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many are tried at once (default: 2)")
    parser.add_argument(
        "--reports", type=Path, default=Path("reports"), metavar="DIR", help="default: reports; kept stages are reused"
    )
    parser.add_argument("--json", action="store_true", help="print the proof as JSON")
    parser.set_defaults(run=_run_prove)


def _run_prove(asked: argparse.Namespace) -> int:
    from harness.proof import PROOF, as_json, catalogue, lines, proof_of_this_code, prove, write_proof

    faults, controls = catalogue(quick=asked.quick, only=asked.only, seeds=asked.controls)

    def progress(label: str, done: int, total: int, detail: str) -> None:
        if not asked.json:
            print(f"{label}: {done} of {total} {detail}".rstrip(), file=sys.stderr, flush=True)

    proof = prove(faults, controls, reports=asked.reports, jobs=asked.jobs, quick=asked.quick, progress=progress)
    kept = proof_of_this_code(asked.reports)
    if not asked.only and not (asked.quick and kept is not None and not kept.quick):
        write_proof(proof, asked.reports / PROOF)  # a part of a proof is none, and a few do not stand for all
    if asked.json:
        _print(as_json(proof).rstrip())
    else:
        for line in lines(proof):
            _print(line)
    return HOLDS if proof.holds else DOES_NOT_HOLD


def _print(text: str, stream: TextIO | None = None) -> None:
    from harness.core.text import visible

    stream = stream or sys.stdout
    # A terminal in another encoding gets escapes, not a traceback, and none is driven by what a file's name holds.
    encoding = stream.encoding or "utf-8"
    print(visible(text).encode(encoding, "backslashreplace").decode(encoding), file=stream)


JOBS: tuple[Callable[[Parsers], None], ...] = (
    register_run,
    register_verify,
    register_sign,
    register_keygen,
    register_claims,
    register_compare,
    register_index,
    register_card,
    register_log,
    register_promote,
    register_ledger,
    register_metrics,
    register_schema,
    register_init,
    register_plan,
    register_pin,
    register_prove,
)
