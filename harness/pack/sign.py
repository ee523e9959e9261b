"""Who vouches for a pack? A pack and a key in, a signature out; a signature and believed keys in, what it is worth out.

The signature is an in-toto Statement in a DSSE envelope over SHA256SUMS, which stands for every other file; it lies
beside the sums, which do not list it, as do the same key's signatures of the statements that other tools know
(`harness.pack.statements`). securesystemslib makes and checks the envelopes, `harness.pack.envelopes` reads
and writes their files. A Statement is a dictionary of four keys, so the in-toto library, which brings protobuf, only
witnesses them in the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Key, Signature

from harness.core.errors import EvidenceError
from harness.core.files import write_atomically
from harness.core.strict_json import parse_json
from harness.core.text import brief
from harness.pack.envelopes import PAYLOAD_TYPE, SignedFile, as_written, hint_of, read_signed_file
from harness.pack.files import MODEL_SIGNATURE, SIGNATURE, TEST_RESULT
from harness.pack.keys import TrustedKey, is_ecdsa, read_trusted_keys
from harness.pack.outcome import read_passed
from harness.pack.read import Pack, open_pack, require_verified
from harness.pack.statements import MADE_BY, MODELS, Statement, evidence_pack, statement_of


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
    """A pack that has a signature.

    files: that this key has signed in it. added: False where it had signed all of them already.
    n:     signatures of the pack that it has now.
    """

    key_id: str
    passed: bool
    added: bool
    n: int
    files: tuple[str, ...]


# --- signing ----------------------------------------------------------------------------------


def sign_pack(path: Path, signer: CryptoSigner) -> Signed:
    """Put signatures into a pack whose every digest verifies, beside those that it has.

    What the pack says is not made again: `verify` does that. The model's files are signed by a key that model_signing
    takes, an ECDSA key, where they are all there, and by one person: its bundle has room for one signature.

    Raises:
        EvidenceError: the pack is a zip, does not verify, or holds a signature of something else.
    """
    pack = open_pack(path)
    if not pack.location.is_dir():
        raise EvidenceError(f"{path} is a zip, and a signature cannot be put into it. Unpack it, and name the folder.")
    require_verified(pack)
    own, added = signer.public_key, []
    statements = ((file, statement_of(pack, file)) for file in MADE_BY)
    held = {file: _held(pack, file, stated) for file, stated in statements if stated is not None}
    unseen = any(name.startswith(MODELS) for name in pack.sums.keys() - pack.files.keys())
    if unseen or not is_ecdsa(own) or any(each != own.keyid for each in _of_model(held)):
        held.pop(MODEL_SIGNATURE, None)
    for file, signed in held.items():
        if not _signed_by(signed, own):
            signed.envelope.sign(signer)
            added.append(file)
    for file in added:
        signed = held[file] if file != MODEL_SIGNATURE else replace(held[file], hint=hint_of(own))
        try:
            write_atomically(pack.location / file, as_written(signed))
        except OSError as error:
            place = pack.location / file
            raise EvidenceError(f"{place} cannot be written ({error.strerror}). Make the pack writable.") from None
    n = len(held[SIGNATURE].envelope.signatures)
    return Signed(own.keyid, read_passed(pack), bool(added), n, tuple(held))


def _of_model(held: Mapping[str, SignedFile]) -> Iterable[str]:
    return held[MODEL_SIGNATURE].envelope.signatures if MODEL_SIGNATURE in held else ()


def _signed_by(signed: SignedFile, key: Key) -> bool:
    signature = signed.envelope.signatures.get(key.keyid)
    named = signed.hint is None or signed.hint == hint_of(key)
    return named and signature is not None and _verifies(key, signature, signed.envelope)


def _held(pack: Pack, file: str, stated: Statement) -> SignedFile:
    """What the pack has of a file, or a new one that nobody has signed."""
    if file not in pack.files:
        payload = json.dumps(stated, sort_keys=True, separators=(",", ":")).encode()
        return SignedFile(Envelope(payload, PAYLOAD_TYPE, {}))
    signed = read_signed_file(pack, file)
    if wrong := next(_misstated(signed.envelope, stated), None):
        raise EvidenceError(
            f"{pack.name} has a {file} already, and {wrong}. Remove that file first, if it is nothing to keep."
        )
    return signed


# --- checking ---------------------------------------------------------------------------------


def check_signature(pack: Pack, *, trust: Trust | None) -> SignatureCheck:
    """What the pack's signature is worth. trust: None where the auditor named no key.

    Only signature.dsse.json says who vouches; the other two must be of this pack, and hold, where they are there.
    Whether the other files are those that SHA256SUMS lists is for `verify_digests` to say.
    """
    found = _of_pack(pack, trust)
    further = [_further(pack, file, trust) for file in (TEST_RESULT, MODEL_SIGNATURE) if file in pack.files]
    problems = (*found.problems, *(wrong for _, problems in further for wrong in problems))
    remarks = (*found.remarks, *(remark for said, _ in further for remark in said))
    if len(problems) > len(found.problems):
        found = replace(found, standing=Standing.BROKEN, verified_by=())
    return replace(found, remarks=remarks, problems=problems)


def _further(pack: Pack, file: str, trust: Trust | None) -> tuple[list[str], list[str]]:
    """(what to say, what is wrong) of a statement for other tools."""
    try:
        signed, stated = read_signed_file(pack, file), statement_of(pack, file)
        envelope = signed.envelope
        problems = list(_misstated(envelope, stated)) if stated else ["the pack holds no model"]
    except EvidenceError as error:
        return [f"{file}: signed, unreadably"], [f"{file}: {error}"]
    if not envelope.signatures:
        problems.append("it holds no signature")
    problems += _misnamed(signed, trust)
    remarks = []
    for signature in envelope.signatures.values():
        remark, _, wrong = _worth(envelope, signature, trust)
        remarks.append(f"{file}: {remark}")
        problems += [wrong] if wrong else []
    return remarks, [f"{file}: {wrong}" for wrong in problems]


def _misnamed(signed: SignedFile, trust: Trust | None) -> Iterator[str]:
    """Why model_signing would refuse a bundle whose statement is right: it reads one signature, by the key it names."""
    signatures = tuple(signed.envelope.signatures.values())
    if signed.hint is None:
        return
    if len(signatures) > 1:
        yield f"it holds {len(signatures)} signatures, and a bundle has room for one"
    if trust is None:
        return
    for key in filter(None, (_signer_of(each, signed.envelope, trust) for each in signatures)):
        if not is_ecdsa(key.key):
            yield f"it is signed by key {key}, which is none that model_signing takes"
        elif signed.hint != hint_of(key.key):
            yield f"it names the key {_shown(signed.hint)}, and key {key} has signed it"


def _of_pack(pack: Pack, trust: Trust | None) -> SignatureCheck:
    announced = pack.evidence.get("signed_with")
    if SIGNATURE not in pack.files:
        problems = []
        if announced is not None:
            problems.append(f"the run signed the pack with the key {_shown(announced)}, and the signature is not there")
        return SignatureCheck(
            Standing.UNSIGNED, remarks=("unsigned draft: there is no signature",), problems=tuple(problems)
        )
    try:
        envelope = read_signed_file(pack, SIGNATURE).envelope
        problems = elsewhere = list(_misstated(envelope, evidence_pack(pack)))
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
        remarks.append(f"{remark}, and is not of this pack as it is" if key is not None and elsewhere else remark)
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
    key = _signer_of(signature, envelope, trust)
    if key is None and any(each.id == signature.keyid for each in trust.keys):
        wrong = f"the signature that names the key {named} does not verify with it: one of the two was altered"
        return f"signed by key id {named}: DOES NOT VERIFY", None, wrong
    if key is None:
        return f"signed by key id {named}, which is none of the given keys: unknown", None, None
    if key.not_after is not None and trust.today > key.not_after:
        # No clock but the signer's own says when it was signed, so the day of the check decides.
        return f"signed by key {key}, which EXPIRED: it is believed up to {key.not_after} only", None, None
    return f"signed by key {key}: the signature verifies", key, None


def _signer_of(signature: Signature, envelope: Envelope, trust: Trust) -> TrustedKey | None:
    """Whose it is; every key is tried, for the key id is a hint that nobody signed."""
    return next((each for each in trust.keys if _verifies(each.key, signature, envelope)), None)


def _verifies(key: Key, signature: Signature, envelope: Envelope) -> bool:
    try:
        key.verify_signature(Signature(key.keyid, signature.signature), envelope.pae())
    except UnverifiedSignatureError:
        return False
    return True


def _misstated(envelope: Envelope, expected: Statement) -> Iterator[str]:
    """Where the signed statement is not the one that this pack has to have."""
    if envelope.payload_type != PAYLOAD_TYPE:
        yield f"it signs a payload of type {envelope.payload_type!r}, not {PAYLOAD_TYPE}"
        return
    try:
        stated = parse_json(envelope.payload)
    except ValueError as error:
        yield f"what it signs is not JSON ({error})"
        return
    if stated == expected:
        return
    if not isinstance(stated, Mapping) or any(stated.get(key) != expected[key] for key in ("_type", "predicateType")):
        yield f"what it signs is not an in-toto Statement of type {expected['predicateType']}"
        return
    if stated.get("subject") != expected["subject"]:
        first = expected["subject"][0]
        yield (
            f"it signs another {first['name']} than this pack's, whose SHA-256 is {first['digest']['sha256']}: it was "
            "made for another pack, or this one was altered since"
        )
    predicate, wanted = stated.get("predicate"), expected["predicate"]
    if not isinstance(predicate, Mapping) or predicate.keys() != wanted.keys() or stated.keys() != expected.keys():
        yield "what it signs lacks a field, or has one too many"
        return
    for name, value in wanted.items():
        if predicate[name] != value:
            yield f"it signs the {name} {_shown(predicate[name])}, the pack has {_brief(value)}"


def _brief(value: object) -> str:
    return brief(value) if isinstance(value, str) else "another"


def _shown(value: object) -> str:
    """A text that somebody else chose, for a terminal."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z._-]{1,80}", value) else ascii(value)[:82]
