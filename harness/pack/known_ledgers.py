"""Which chains of looks do the packs in a folder know of? Every pack that holds a ledger, whichever is the latest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.core.files import read_plain
from harness.judge.continuity import KnownChain, known_chain
from harness.judge.ledger import MOST_BYTES, parse_ledger
from harness.judge.look import Look
from harness.pack.files import EVIDENCE
from harness.pack.rebuilding.looks import LEDGER


def chains_in(reports: Path, ledger: Sequence[Look]) -> tuple[KnownChain, ...]:
    """The chain of the newest pack that holds one, and of every other whose looks the ledger does not have.

    Runs that made no look leave packs without a ledger, and `latest` is a link that anybody may move: neither is asked.

    Raises:
        LedgerError: the ledger in a pack is not a whole chain.
    """
    known = {look.hash for look in ledger}
    chains = []
    for place, pack in enumerate(_with_ledger(reports)):
        content = read_plain(pack / LEDGER, most_bytes=MOST_BYTES, follow_link=False)
        if place and _last_hash(content) in known:
            continue  # the hash stands for all before it; of older packs only what is missing is told
        chain = known_chain(f"the pack of run {pack.name}", parse_ledger(content, where=str(pack / LEDGER)), ledger)
        chains += [chain] if not place or not chain.continued else []
    return tuple(chains)


def _with_ledger(reports: Path) -> list[Path]:
    """The packs that runs wrote into this folder, newest first by what they say of when they began."""
    folders = [each for each in reports.iterdir() if (each / LEDGER).is_file()] if reports.is_dir() else []
    began = {folder: found for folder in folders if (found := _began(folder)) is not None}
    return sorted(began, key=lambda folder: (began[folder], folder.name), reverse=True)


def _began(pack: Path) -> str | None:
    """When the run began; None for a pack under another name than its run's: a link to one, or one from elsewhere."""
    try:
        run = json.loads((pack / EVIDENCE).read_text(encoding="utf-8"))["run"]
        return str(run["started_at"]) if run["id"] == pack.name and not pack.is_symlink() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _last_hash(content: bytes) -> str:
    try:
        return str(json.loads(content.rstrip(b"\n").rpartition(b"\n")[2])["hash"])
    except (ValueError, KeyError, TypeError):
        return ""
