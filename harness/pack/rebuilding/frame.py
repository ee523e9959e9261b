"""What every part of a rebuilt run goes by: the pack, its protocol, the rules of its judge, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar

from pydantic import Field

from harness.core.digests import digest_of
from harness.core.errors import EvidenceError
from harness.core.text import brief
from harness.judge.rules import KNOWN, OLDEST, RULES, Rules
from harness.pack.decode import decoded
from harness.pack.files import EVIDENCE
from harness.pack.read import Pack, require_field
from harness.pack.recorded_protocol import read_protocol_of
from harness.protocol.records import Protocol

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One place where a pack is not what follows from the rest of it. field: empty where the whole file is meant."""

    file: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.message}" if self.field else f"{self.file}: {self.message}"


class RecordedProtocol(Protocol):
    """A protocol whose digest is that of its recorded content, to which a newer harness may have added defaults."""

    recorded_digest: str = Field(exclude=True)

    @property
    def digest(self) -> str:
        return self.recorded_digest


@dataclass(frozen=True, slots=True)
class Frame:
    """One pack that is read, and what was found on the way.

    discrepancies:  what does not fit together; reading goes on.
    not_recomputed: what had to be taken as recorded, one sentence each.
    """

    pack: Pack
    protocol: Protocol
    rules: Rules
    run_id: str
    started_at: str
    day: date
    discrepancies: list[Discrepancy] = field(default_factory=list)
    not_recomputed: list[str] = field(default_factory=list)

    def note(self, file: str, place: str, message: str) -> None:
        self.discrepancies.append(Discrepancy(file, place, message))

    def take(self, *sentences: str) -> None:
        """What is believed because nothing in the pack tells it again."""
        self.not_recomputed.extend(sentences)

    def of(self, kind: Any, *keys: str) -> Any:
        """The value at a place in evidence.json as a record of this kind; nothing there is None."""
        value: object = self.pack.evidence
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return decoded(kind, value, " > ".join(keys))

    def field(self, *keys: str, kind: type[Kind]) -> Kind:
        """As `require_field`, which raises EvidenceError where there is nothing of this kind."""
        return require_field(self.pack, *keys, kind=kind)

    def has(self, key: str) -> bool:
        """Whether evidence.json says anything there; an older harness may not have."""
        return self.pack.evidence.get(key) is not None


def frame_of(pack: Pack) -> Frame:
    """Raises EvidenceError where evidence.json lacks what everything else rests on."""
    started_at = require_field(pack, "run", "started_at", kind=str)
    try:
        day = datetime.fromisoformat(started_at).date()
    except ValueError:
        raise EvidenceError(f"run > started_at holds {brief(started_at)}, which is not a time") from None
    run_id = require_field(pack, "run", "id", kind=str)
    frame = Frame(pack, _protocol_of(pack), OLDEST, run_id, started_at, day)
    return replace(frame, rules=_rules(frame))


def _protocol_of(pack: Pack) -> Protocol:
    protocol, digest = read_protocol_of(pack), require_field(pack, "protocol", "digest", kind=str)
    if digest_of(require_field(pack, "protocol", "content", kind=dict)) != digest:
        return protocol  # and the digest in evidence.json will be found not to be its own
    return RecordedProtocol.model_construct(**dict(protocol), recorded_digest=digest)


def _rules(frame: Frame) -> Rules:
    """Those that some judge had, not those that a pack would like: by fewer questions more passes."""
    found: Rules | None = frame.of(Rules | None, "rules")
    if found is not None and found not in KNOWN:
        frame.note(EVIDENCE, "rules", f"no version of the judge had these: {found}")
        return RULES
    if found is None and "changes" in frame.pack.evidence:  # which came later
        frame.note(EVIDENCE, "rules", "they are missing, and every judge that tells `changes` tells its rules")
        return RULES
    repeated = frame.of(tuple[str, ...] | None, "page", "split", "repeated")
    if found is not None and not found.one_picture and repeated is not None:
        frame.note(EVIDENCE, "rules", f"its page tells of repeated pictures, and no judge by {found} does")
        return RULES
    if found is None:
        frame.take("what only a later judge asks: groups and copies were not counted, kinds not corrected for")
    return found or OLDEST
