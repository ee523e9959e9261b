"""Who vouches for a pack? A pack and a key in, a signature out; a signature and believed keys in, what it is worth out.

The signature is an in-toto Statement in a DSSE envelope over SHA256SUMS, which stands for every other file; it lies
beside the sums, which do not list it. securesystemslib makes and checks the envelope. The Statement is a dictionary of
four keys, so the in-toto library, which brings protobuf, only witnesses it in the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as LibraryError
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature

from harness.core.errors import EvidenceError
from harness.core.files import write_atomically
from harness.core.strict_json import parse_json
from harness.pack.keys import TrustedKey, read_trusted_keys
from harness.pack.outcome import read_passed
from harness.pack.read import (
    SIGNATURE,
    SUMS,
    Pack,
    open_pack,
    read_protocol_digest,
    read_signature,
    require_field,
    require_verified,
)

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:leukocyte-harness:evidence-pack:v1"
# What reading JSON that somebody else wrote as an envelope can raise.
MALFORMED = (LibraryError, ValueError, TypeError, LookupError, AttributeError)


class Standing(StrEnum):
    """What a pack's signature is worth to whoever asked."""

    UNSIGNED = "unsigned draft"
    UNCHECKED = "signed, not checked"
    UNTRUSTED = "signed, by no key that is believed"
    BROKEN = "signed, and the signature does not hold"
    VERIFIED = "signed and verified"


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """Which keys are believed, and on which day."""

    keys: tuple[TrustedKey, ...]
    today: date


def trust_in(files: Sequence[Path]) -> Trust | None:
    """The keys that these files name, as they are believed today; None where nobody named one.

    Raises:
        KeyFileError: as `read_trusted_keys`.
    """
    return Trust(read_trusted_keys(files), today=datetime.now(UTC).date()) if files else None


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """What was found of a pack's signature.

    key_ids:     as the envelope names them, which proves nothing. verified_by: of the keys that really signed it, are
                 believed and have not expired.
    remarks:     one sentence per signature. problems: what makes the pack not hold.
    """

    standing: Standing
    key_ids: tuple[str, ...] = ()
    verified_by: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """A pack that has a signature. added: False where this key had signed it already. n: signatures it has now."""

    key_id: str
    passed: bool
    added: bool
    n: int


# --- signing ----------------------------------------------------------------------------------


def statement_of(pack: Pack) -> dict[str, Any]:
    """What a signature of this pack states.

    Raises:
        EvidenceError: the pack's evidence does not say it, or contradicts itself.
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": SUMS, "digest": {"sha256": pack.sums_digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "schema": require_field(pack, "schema", kind=str),
            "run": require_field(pack, "run", "id", kind=str),
            "protocol": read_protocol_digest(pack),
            "commit": require_field(pack, "environment", "commit", kind=str),
            "dirty": require_field(pack, "environment", "dirty", kind=str),
            "verdict": "passed" if read_passed(pack) else "not passed",
        },
    }


def sign_pack(path: Path, signer: CryptoSigner) -> Signed:
    """Put a signature into a pack whose every digest verifies, beside those that it has.

    What the pack says is not made again: `verify` does that.

    Raises:
        EvidenceError: the pack is a zip, does not verify, or holds a signature of something else.
    """
    pack = open_pack(path)
    if not pack.location.is_dir():
        raise EvidenceError(f"{path} is a zip, and a signature cannot be put into it. Unpack it, and name the folder.")
    require_verified(pack)
    envelope = _envelope_for(pack)
    key_id = signer.public_key.keyid
    signed_already = key_id in envelope.signatures and _signed_by(envelope, key_id, signer)
    if not signed_already:
        envelope.sign(signer)
        place = pack.location / SIGNATURE
        try:
            write_atomically(place, _written(envelope))
        except OSError as error:
            raise EvidenceError(f"{place} cannot be written ({error.strerror}). Make the pack writable.") from None
    return Signed(key_id, read_passed(pack), not signed_already, len(envelope.signatures))


def signature_of(pack: Pack, signer: CryptoSigner) -> bytes:
    """The content of signature.dsse.json for a pack that has none."""
    envelope = _unsigned(pack)
    envelope.sign(signer)
    return _written(envelope)


def _signed_by(envelope: Envelope, key_id: str, signer: CryptoSigner) -> bool:
    try:
        signer.public_key.verify_signature(envelope.signatures[key_id], envelope.pae())
    except UnverifiedSignatureError:
        return False
    return True


def _envelope_for(pack: Pack) -> Envelope:
    """The pack's envelope, or a new one."""
    if SIGNATURE not in pack.files:
        return _unsigned(pack)
    envelope = _read(pack)
    if wrong := next(_misstated(envelope, pack), None):
        raise EvidenceError(
            f"{pack.name} has a {SIGNATURE} already, and {wrong}. Remove that file first, if it is nothing to keep."
        )
    return envelope


def _unsigned(pack: Pack) -> Envelope:
    payload = json.dumps(statement_of(pack), sort_keys=True, separators=(",", ":")).encode()
    return Envelope(payload, PAYLOAD_TYPE, {})


def _written(envelope: Envelope) -> bytes:
    return (json.dumps(envelope.to_dict(), indent=1) + "\n").encode()


# --- checking ---------------------------------------------------------------------------------


def check_signature(pack: Pack, *, trust: Trust | None) -> SignatureCheck:
    """What the pack's signature is worth. trust: None where the auditor named no key.

    Whether the other files are those that SHA256SUMS lists is for `verify_digests` to say.
    """
    announced = pack.evidence.get("signed_with")
    if SIGNATURE not in pack.files:
        problems = []
        if announced is not None:
            problems.append(f"the run signed the pack with the key {_shown(announced)}, and the signature is not there")
        return SignatureCheck(
            Standing.UNSIGNED, remarks=("unsigned draft: there is no signature",), problems=tuple(problems)
        )
    try:
        envelope = _read(pack)
        problems = list(_misstated(envelope, pack))
    except EvidenceError as error:
        return SignatureCheck(Standing.BROKEN, remarks=("signed, unreadably",), problems=(str(error),))
    key_ids = tuple(envelope.signatures)
    if announced is not None and announced not in key_ids:
        problems.append(f"the run signed the pack with the key {_shown(announced)}, and that signature is not there")
    if not key_ids:
        problems.append("it holds no signature")
    remarks, verified_by = [], []
    for signature in envelope.signatures.values():
        remark, key, wrong = _worth(envelope, signature, trust)
        remarks.append(remark)
        problems += [wrong] if wrong else []
        verified_by += [key.id] if key is not None else []
    if problems:
        standing = Standing.BROKEN
    elif verified_by:
        standing = Standing.VERIFIED
    else:
        standing = Standing.UNCHECKED if trust is None else Standing.UNTRUSTED
    return SignatureCheck(
        standing,
        tuple(map(_shown, key_ids)),
        () if problems else tuple(dict.fromkeys(verified_by)),
        tuple(remarks),
        tuple(problems),
    )


def _worth(envelope: Envelope, signature: Signature, trust: Trust | None) -> tuple[str, TrustedKey | None, str | None]:
    """(what to say, the key to count it for, what is wrong with it)."""
    named = _shown(signature.keyid)
    if trust is None:
        return f"signed by key id {named}, not checked: no --key", None, None
    # Every key is tried: the key id is a hint that nobody signed.
    key = next((each for each in trust.keys if _verifies(each, signature, envelope)), None)
    if key is None and any(each.id == signature.keyid for each in trust.keys):
        wrong = f"the signature that names the key {named} does not verify with it: one of the two was altered"
        return f"signed by key id {named}: DOES NOT VERIFY", None, wrong
    if key is None:
        return f"signed by key id {named}, which is none of the given keys: unknown", None, None
    if key.not_after is not None and trust.today > key.not_after:
        # No clock but the signer's own says when it was signed, so the day of the check decides.
        return f"signed by key {key}, which EXPIRED: it is believed up to {key.not_after} only", None, None
    return f"signed by key {key}: the signature verifies", key, None


def _verifies(key: TrustedKey, signature: Signature, envelope: Envelope) -> bool:
    try:
        key.key.verify_signature(Signature(key.id, signature.signature), envelope.pae())
    except UnverifiedSignatureError:
        return False
    return True


def _read(pack: Pack) -> Envelope:
    content = read_signature(pack)
    try:
        # It takes what it is given apart, so this is parsed for it alone.
        envelope = Envelope.from_dict(parse_json(content))  # type: ignore[arg-type]
        envelope.pae()
    except MALFORMED as error:
        raise EvidenceError(
            f"{pack.name}/{SIGNATURE} is not a DSSE envelope ({type(error).__name__}: {error}). Fetch the pack anew."
        ) from None
    return envelope


def _misstated(envelope: Envelope, pack: Pack) -> Iterator[str]:
    """Where the signed statement is not the one that this pack has to have."""
    if envelope.payload_type != PAYLOAD_TYPE:
        yield f"it signs a payload of type {envelope.payload_type!r}, not {PAYLOAD_TYPE}"
        return
    expected = statement_of(pack)
    try:
        stated = parse_json(envelope.payload)
    except ValueError as error:
        yield f"what it signs is not JSON ({error})"
        return
    if stated == expected:
        return
    if not isinstance(stated, Mapping) or any(stated.get(key) != expected[key] for key in ("_type", "predicateType")):
        yield "what it signs is not an in-toto Statement of an evidence pack"
        return
    if stated.get("subject") != expected["subject"]:
        yield (
            f"it signs another {SUMS} than this pack's, whose SHA-256 is {pack.sums_digest}: it was made for another "
            "pack, or this one was altered since"
        )
    predicate, wanted = stated.get("predicate"), expected["predicate"]
    if not isinstance(predicate, Mapping) or predicate.keys() != wanted.keys() or stated.keys() != expected.keys():
        yield "what it signs lacks a field, or has one too many"
        return
    for name, value in wanted.items():
        if predicate[name] != value:
            yield f"it signs the {name} {_shown(predicate[name])}, evidence.json has {value!r}"


def _shown(value: object) -> str:
    """A text that somebody else chose, for a terminal."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z._-]{1,80}", value) else ascii(value)[:82]
