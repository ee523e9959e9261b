"""What form has a signature's file? Bytes in, a DSSE envelope out, and back; of a model's signature in a bundle.

Nobody signs what is around a payload. So a file is read only where it is what would be written of what was read: no
field more, and base64 that every program reads alike. Else it could say to others what nobody here has checked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as LibraryError
from securesystemslib.signer import Key, Signature

from harness.core.errors import EvidenceError
from harness.core.strict_json import parse_json
from harness.pack.files import MODEL_SIGNATURE
from harness.pack.read import Pack, read_signature

PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"  # what model_signing reads
# What reading JSON that somebody else wrote as an envelope can raise.
MALFORMED = (LibraryError, ValueError, TypeError, LookupError, AttributeError)


@dataclass(frozen=True, slots=True, eq=False)
class SignedFile:
    """The content of a file that signs a statement.

    hint: how a bundle names its key; None of an envelope alone.
    """

    envelope: Envelope
    hint: str | None = None


def read_signed_file(pack: Pack, file: str) -> SignedFile:
    """What a file beside SHA256SUMS holds; whether it is true is for `check_signature` to say.

    Raises:
        EvidenceError: it is no envelope, or no bundle of one, or not written as one is.
    """
    content = read_signature(pack, file)
    try:
        read: Any = parse_json(content)  # the library takes it apart, so what is compared is parsed again
        found = _of_bundle(read) if file == MODEL_SIGNATURE else SignedFile(_envelope(read))
        found.envelope.pae()
        if parse_json(content) != _plain(found):
            raise ValueError("a field is missing or one too many, or programs differ in how they read its base64")
    except MALFORMED as error:
        raise EvidenceError(
            f"{pack.name}/{file} is not a DSSE envelope ({type(error).__name__}: {error}). Fetch the pack anew."
        ) from None
    return found


def as_written(signed: SignedFile) -> bytes:
    """The bytes of its file."""
    return (json.dumps(_plain(signed), indent=1) + "\n").encode()


def hint_of(key: Key) -> str:
    """How a bundle names an ECDSA key: the digest of the public key in PEM."""
    public = load_pem_public_key(key.keyval["public"].encode())
    return hashlib.sha256(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _of_bundle(read: Any) -> SignedFile:
    if read["mediaType"] != BUNDLE_TYPE:
        raise ValueError(f"a bundle of type {ascii(read['mediaType'])[:80]}")
    hint = read["verificationMaterial"]["publicKey"]["hint"]
    if not isinstance(hint, str):
        raise TypeError("its hint is no text")
    return SignedFile(_envelope(read["dsseEnvelope"]), hint)


def _envelope(read: Any) -> Envelope:
    envelope = Envelope.from_dict(read)
    if not all(isinstance(name, str) for name in envelope.signatures):
        raise TypeError("a key id is no text")
    known = {name: Signature(name, each.signature) for name, each in envelope.signatures.items()}
    return Envelope(envelope.payload, envelope.payload_type, known)


def _plain(signed: SignedFile) -> dict[str, Any]:
    envelope: dict[str, Any] = signed.envelope.to_dict()
    if signed.hint is None:
        return envelope
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": signed.hint}, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
