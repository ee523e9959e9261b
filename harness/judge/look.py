"""One look at a set, as a ledger keeps it: what it says, and the hash that seals it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from harness.core.digests import digest_of
from harness.core.errors import HarnessError
from harness.judge.answers import InvalidAnswers, unpack_answers
from harness.judge.labels import InvalidLabels, unpack_labels
from harness.judge.likenesses import InvalidLikenesses, unpack_likenesses
from harness.judge.partitions import InvalidGroups, n_grouped
from harness.judge.pictures import InvalidPictures, unpack_pictures
from harness.judge.terms import InvalidTerms, unpack_terms

Role = Literal["judged", "seed", "fit", "adapted"]
ROLES = get_args(Role)
# Absent where an entry has nothing to say there.
OPTIONAL = ("answers", "groups", "labels", "likenesses", "pictures", "rule", "terms")
START = "0" * 64  # what the first entry names as the one before it


class LedgerError(HarnessError, RuntimeError):
    """The ledger of looks is not the chain it was written as, or cannot be written."""


@dataclass(frozen=True, slots=True)
class Look:
    """One evaluation of a set. One whose hash does not fit its content cannot be made.

    index:       counts from 1.
    time:        ISO 8601 in UTC, when the entry was written.
    run, set:    the run's id and the set's name.
    source:      digest of the contents of all images of the dataset or external set that the cells come from. A test
                 part that is drawn again with another seed has the same source.
    cells:       digest of the evaluated cells: see `cells_digest`.
    n:           how many cells were evaluated.
    model:       digest of the weights.
    predictions: digest of the predictions.
    protocol:    digest of the protocol.
    role:        "judged" where criteria were decided on it; "seed" where it only shows what a training seed does;
                 "fit" where a classifier was adapted with its cells, which are never judged again; "adapted" where the
                 classifier so adapted was judged.
    previous:    the hash of the entry before; 64 zeros in the first.
    hash:        SHA-256 of the canonical JSON of all other fields.
    answers:     the probabilities, as `harness.judge.answers` packs them; empty in entries of an older harness and of
                 sets that are too large, which can be recognised by the digest of their predictions alone.
    pictures:    the pictures of the cells, as `harness.judge.pictures` packs them; empty where an entry before it has
                 those of the same cells, and in entries of an older harness.
    likenesses:  how the pictures look, as `harness.judge.likenesses` packs it, so that one that was saved anew with
                 loss is known again; empty as `pictures`.
    labels:      the label of each picture, as `harness.judge.labels` packs them; empty as `pictures`.
    groups:      which pictures share a patient, slide, site or other column, as `harness.judge.partitions` packs them;
                 empty where the first entry of the same cells has the same, and in entries of an older harness.
    rule:        how its protocol shares the error among looks, as `LooksPlan.rule` says it, in entries of a harness
                 that kept nothing else of the protocol; empty in all others.
    terms:       what its protocol fixes, key by key, as `harness.judge.terms` packs it; empty where an entry before it
                 has that of the same cells, and in entries of an older harness.
    """

    index: int
    time: str
    run: str
    set: str
    source: str
    cells: str
    n: int
    model: str
    predictions: str
    protocol: str
    role: Role
    previous: str
    hash: str
    answers: str = ""
    pictures: str = ""
    rule: str = ""
    terms: str = ""
    labels: str = ""
    groups: str = ""
    likenesses: str = ""

    def __post_init__(self) -> None:
        for name in ("index", "n"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:  # True is an int, too
                raise LedgerError(f"{name} is {value!r}, not a whole number from 1 on")
        for name in ("run", "set"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value or _has_surrogate(value):
                raise LedgerError(f"{name} is {value!r}, not a name in Unicode text")
        for name in ("source", "cells", "model", "predictions", "protocol", "previous", "hash"):
            value = getattr(self, name)
            if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
                raise LedgerError(f"{name} is {value!r}, not a SHA-256 digest in lower case")
        if not _is_utc(self.time):
            raise LedgerError(f"time is {self.time!r}, not a time in UTC such as 2026-01-15T09:30:00+00:00")
        for name in OPTIONAL:
            value = getattr(self, name)
            if not isinstance(value, str) or _has_surrogate(value):
                raise LedgerError(f"{name} is {value!r}, not a text")
        if self.answers:
            try:
                n_answers = len(unpack_answers(self.answers).predicted)
            except InvalidAnswers as error:
                raise LedgerError(str(error)) from None
            if n_answers != self.n:
                raise LedgerError(f"it holds answers for {n_answers} cells, n is {self.n}")
        try:
            n_pictures = len(unpack_pictures(self.pictures))
        except InvalidPictures as error:
            raise LedgerError(str(error)) from None
        if n_pictures > self.n:
            raise LedgerError(f"it holds {n_pictures} pictures of cells, n is {self.n}")
        try:
            n_likenesses = len(unpack_likenesses(self.likenesses))
        except InvalidLikenesses as error:
            raise LedgerError(str(error)) from None
        if n_likenesses > self.n:
            raise LedgerError(f"it holds likenesses of {n_likenesses} pictures, n is {self.n}")
        try:
            n_labels = len(unpack_labels(self.labels).of)
        except InvalidLabels as error:
            raise LedgerError(str(error)) from None
        if n_labels > self.n or (self.pictures and self.labels and n_labels != n_pictures):
            raise LedgerError(f"it holds labels of {n_labels} pictures, of which it has {n_pictures} in {self.n} cells")
        try:
            n_groups = n_grouped(self.groups)
        except InvalidGroups as error:
            raise LedgerError(str(error)) from None
        if n_groups is not None and (n_groups > self.n or (self.pictures and n_groups != n_pictures)):
            raise LedgerError(f"it holds groups of {n_groups} pictures, of which it has {n_pictures} in {self.n} cells")
        try:
            unpack_terms(self.terms)
        except InvalidTerms as error:
            raise LedgerError(str(error)) from None
        if self.role not in ROLES:
            raise LedgerError(f"role is {self.role!r}; the roles are {', '.join(ROLES)}")
        found = hash_of({field: value for field, value in written(self).items() if field != "hash"})
        if self.hash != found:
            raise LedgerError(f"its content has the hash {found}, the entry says {self.hash}: a field was changed")


# What a look says; the other fields are of its place in a chain.
CONTENT = tuple(field.name for field in fields(Look) if field.name not in ("index", "previous", "hash"))


def sealed(entry: dict[str, object]) -> Look:
    return Look(**entry, hash=hash_of(entry))  # type: ignore[arg-type]  # checked field by field at birth


def hash_of(entry: dict[str, object]) -> str:
    try:
        return digest_of(entry)
    except (TypeError, ValueError):  # a field that is not text, found when the record is checked
        return START


def written(look: Look) -> dict[str, Any]:
    """The fields of an entry, without those that have nothing to say: so an older harness wrote it."""
    return {name: value for name, value in asdict(look).items() if name not in OPTIONAL or value != ""}


def content_of(look: Look) -> tuple[object, ...]:
    """What a look says, wherever in a chain it stands."""
    return tuple(getattr(look, name) for name in CONTENT)


def _is_utc(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        return False


def _has_surrogate(text: str) -> bool:
    """Such text has no UTF-8 of its own, and two texts would share a digest."""
    return any("\ud800" <= character <= "\udfff" for character in text)
