"""What did a protocol fix when a set was first looked at? As one text, such as a ledger keeps."""

from __future__ import annotations

from harness.core.strict_json import parse_json
from harness.protocol.records import Protocol
from harness.protocol.terms import Tree, canonical, terms_of


class InvalidTerms(ValueError):
    """A text that `pack_terms` did not write."""


def pack_terms(protocol: Protocol) -> str:
    """Everything that the protocol fixes, of every set: its whole content but texts and the candidate's making."""
    return canonical(terms_of(protocol).tree)


def unpack_terms(packed: str) -> Tree:
    """Key -> value or tree; empty for an empty text.

    Raises:
        InvalidTerms: this is nothing that `pack_terms` writes.
    """
    if not packed:
        return {}
    try:
        tree = parse_json(packed.encode())
        spelling = canonical(tree)
    except (ValueError, RecursionError) as error:
        raise InvalidTerms(f"its terms are not JSON ({error})") from None
    if not isinstance(tree, dict) or spelling != packed:
        raise InvalidTerms("its terms are not a table of a protocol's keys in the ledger's spelling")
    return tree
