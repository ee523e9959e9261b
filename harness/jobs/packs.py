"""Jobs on one evidence pack: verify, sign, keygen, card, claims."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.jobs.common import DOES_NOT_HOLD, HOLDS, print_line

if TYPE_CHECKING:
    from harness.jobs.common import Parsers


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

    return run(asked, print_text=print_line, print_data=print_line)


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
        help="end with 1 unless this public key (PEM), or one of this trust file (TOML: [[keys]] with path, owner, "
        "not_after), signed the pack; repeatable: one of them is enough",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end with 1 unless a given key signed the pack and its whole report was compared",
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
    vouched = verified or not (asked.key or asked.strict)  # whoever names a key asks whether it signed, as of cosign
    code = HOLDS if result.holds and vouched and (whole or not asked.strict) else DOES_NOT_HOLD
    if asked.json:
        print_line(json.dumps({"holds": result.holds, "signed_and_verified": verified, **asdict(result)}, indent=2))
        return code
    for discrepancy in result.discrepancies:
        print_line(str(discrepancy))
    if result.holds:
        for each in result.not_recomputed:
            print_line(f"note: not made again: {each}")
        if not whole:
            print_line(f"note: its report was compared {result.page}")
    word = "holds" if result.holds else f"does not hold: {len(result.discrepancies)} finding(s)"
    run = {True: ", which passed,", False: ", which DID NOT PASS,", None: ""}[result.passed]
    print_line(f"{result.pack} (run {result.run_id or 'unknown'}{run}) {word}".replace(",)", ")"))
    for remark in result.signature.remarks if result.signature is not None else ("its signature was not read",):
        print_line(remark)
    if not vouched:
        print_line(f"{'--key' if asked.key else '--strict'}: none of the given keys vouches for this pack")
    if asked.strict and result.holds and not whole:
        print_line("--strict: the whole report was not compared; verify the pack with the version that wrote it")
    print_line(f"SHA-256 of its SHA256SUMS: {result.sums_digest or 'not known'}")
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
        print_line(json.dumps(asdict(result)))
        return HOLDS
    word = "signed" if result.added else "was signed already, and is left as it is,"
    outcome = "passed" if result.passed else "DID NOT PASS"
    print_line(f"{asked.pack}, a run that {outcome}, {word} with key id {result.key_id}; signatures in it: {result.n}")
    print_line(f"by this key: {', '.join(result.files)}")
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
        print_line(json.dumps(made))
        return HOLDS
    how = "encrypted" if encrypted else f"NOT encrypted: with a passphrase in {PASSPHRASE} it would be"
    print_line(f"private key: {asked.file} ({how})")
    print_line(f"public key:  {public}, key id {key_id}")
    return HOLDS


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
            print_line(f"model card: {asked.out}")
        elif asked.check is not None:
            content = read_plain(asked.check, most_bytes=MAX_CARD_BYTES, follow_link=True)
            found = differing(content.decode("utf-8", "backslashreplace"), card)
            for each in found:
                print_line(f"line {each.line}: {each.written!r} is written, {each.follows!r} follows from the pack")
            print_line(f"{asked.check} {'is not' if found else 'is'} the card of {asked.pack}")
            return DOES_NOT_HOLD if found else HOLDS
        else:
            print_line(card.rstrip("\n"))
    except OSError as error:
        raise EvidenceError(f"{error.filename or asked.out or asked.check}: {error.strerror}.") from None
    return HOLDS
