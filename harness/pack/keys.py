"""Whose key is this? Key files and trust files in; a key that signs, or keys that are believed, out.

ed25519, and ECDSA on the curves that model_signing takes: few kinds of key are few ways to be mistaken. What is written
here is what `openssl pkey` reads.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from harness.core.errors import HarnessError

PASSPHRASE = "HARNESS_KEY_PASSPHRASE"
MAX_BYTES = 1 << 16
CURVES = ("secp256r1", "secp384r1", "secp521r1")
KINDS = "Name an ed25519 key, or an ECDSA key on P-256, P-384 or P-521"


class KeyFileError(HarnessError, ValueError):
    """A file is not the key, or the list of keys, that it was named for."""


@dataclass(frozen=True, slots=True, eq=False)
class TrustedKey:
    """A public key, and what the auditor says of it.

    source:    the file that named it. owner: None where only the key was given.
    not_after: the last day on which it is believed; None where nobody set one.
    """

    key: SSlibKey
    source: str
    owner: str | None = None
    not_after: date | None = None

    @property
    def id(self) -> str:
        return self.key.keyid

    def __str__(self) -> str:
        return f"{self.id} ({f'{self.owner}, ' if self.owner else ''}{self.source})"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    not_after: date | None = None


class _TrustFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    keys: list[_Entry] = Field(min_length=1)


def read_signing_key(path: Path) -> CryptoSigner:
    """The private key in a PEM file (PKCS#8); an encrypted one is opened with the passphrase in HARNESS_KEY_PASSPHRASE.

    Raises:
        KeyFileError: there is no such key, it is of another kind, or the passphrase is missing or wrong.
    """
    content = _content(path)
    encrypted = b"ENCRYPTED" in content
    passphrase = os.environ.get(PASSPHRASE)
    if encrypted and not passphrase:
        raise KeyFileError(f"{path} is encrypted. Put its passphrase into the environment variable {PASSPHRASE}.")
    try:
        key = load_pem_private_key(content, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = f"the passphrase in {PASSPHRASE} does not open it" if encrypted else _not_a_key(content, error)
        raise KeyFileError(
            f"{path} is not a private key that can be read: {why}. {KINDS}, in PEM (PKCS#8), such as "
            "`python -m harness keygen` writes."
        ) from None
    if not (isinstance(key, Ed25519PrivateKey) or (isinstance(key, EllipticCurvePrivateKey) and _has_curve(key))):
        raise KeyFileError(f"{path} holds a {type(key).__name__}. {KINDS}.")
    return CryptoSigner(key)


def is_ecdsa(key: Key) -> bool:
    """Whether this is a key that model_signing takes."""
    return bool(key.scheme.startswith("ecdsa-"))


def _has_curve(key: EllipticCurvePrivateKey | EllipticCurvePublicKey) -> bool:
    return key.curve.name in CURVES


def _not_a_key(content: bytes, error: Exception) -> str:
    return "it is a public key" if b"PUBLIC KEY" in content else str(error).rstrip(".")


def read_trusted_keys(paths: Sequence[Path]) -> tuple[TrustedKey, ...]:
    """The keys of several files, each a public key in PEM or a trust file in TOML.

    A trust file lists keys with their owners: `[[keys]]` with `path` (beside the file), `owner` and, if the key is to
    be believed up to a day only, `not_after`.

    Raises:
        KeyFileError: a file is neither, or a key is named twice.
    """
    keys = tuple(key for path in paths for key in _keys_in(path))
    seen: dict[str, TrustedKey] = {}
    for key in keys:
        if (other := seen.setdefault(key.id, key)) is not key:
            raise KeyFileError(f"the key {key.id} is named by {other.source} and again by {key.source}. Name it once.")
    return keys


def _keys_in(path: Path) -> list[TrustedKey]:
    content = _content(path)
    if b"-----BEGIN" in content:
        return [TrustedKey(_public_key(path, content), path.name)]
    try:
        listed = _TrustFile.model_validate(tomllib.loads(content.decode("utf-8"))).keys
    except ValidationError as error:
        first = error.errors()[0]
        place = " > ".join(map(str, first["loc"]))
        raise KeyFileError(
            f"{path}: {place}: {first['msg']}. A trust file has [[keys]] with path, owner and, if wanted, not_after "
            "(a date such as 2027-06-30)."
        ) from None
    except ValueError as error:
        raise KeyFileError(f"{path} is neither a public key in PEM nor a trust file in TOML ({error}).") from None
    keys = []
    for entry in listed:
        beside = path.parent / entry.path
        keys.append(TrustedKey(_public_key(beside, _content(beside)), path.name, entry.owner, entry.not_after))
    return keys


def _public_key(path: Path, content: bytes) -> SSlibKey:
    if b"PRIVATE KEY" in content:
        raise KeyFileError(f"{path} is a private key. Keep it where it is, and name the public one.")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        why = str(error).rstrip(".")
        raise KeyFileError(f"{path} is not a public key in PEM ({why}). {KINDS}.") from None
    if not (isinstance(key, Ed25519PublicKey) or (isinstance(key, EllipticCurvePublicKey) and _has_curve(key))):
        raise KeyFileError(f"{path} holds a {type(key).__name__}. {KINDS}.")
    return SSlibKey.from_crypto(key)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read ({error.strerror}). Name a key file.") from None
    if len(content) > MAX_BYTES:
        raise KeyFileError(f"{path} is larger than any key file. Name a key file.")
    return content


def write_key_pair(path: Path, *, ecdsa: bool = False) -> tuple[Path, str, bool]:
    """Make a key pair: the private key to `path`, for its owner only, the public one beside it.

    Args:
        ecdsa: on P-256, which also signs a pack's models for model_signing; else ed25519.
    Returns:
        The public key's file, its key id, and whether the private key is encrypted: with the passphrase in
        HARNESS_KEY_PASSPHRASE, where there is one.
    Raises:
        KeyFileError: one of the two files exists or cannot be written.
    """
    public = path.with_name(f"{path.name}.pub")
    key = generate_private_key(SECP256R1()) if ecdsa else Ed25519PrivateKey.generate()
    passphrase = os.environ.get(PASSPHRASE)
    encryption: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    )
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        if public.exists():
            raise FileExistsError(None, "it exists", str(public))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(private_pem)
        with public.open("xb") as stream:
            stream.write(public_pem)
    except OSError as error:
        raise KeyFileError(
            f"{error.filename} cannot be written ({error.strerror}). Name a new file: a key is never overwritten."
        ) from None
    return public, SSlibKey.from_crypto(key.public_key()).keyid, bool(passphrase)
