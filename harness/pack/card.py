"""A model card of a pack, which is verified first: what a stranger reads must follow from the evidence."""

from __future__ import annotations

import json
from pathlib import Path

from harness.pack.baseline import judged_again
from harness.pack.files import EVIDENCE
from harness.pack.read import open_pack
from harness.pack.tables import documents
from harness.report.card import model_card
from harness.report.page import limits_of


def card_of(place: Path) -> str:
    """The model card of the run in a pack, in Hugging Face's format.

    Raises:
        EvidenceError: there is no pack, or it does not hold.
    """
    pack = open_pack(place)
    run, _ = judged_again(pack, role="have a model card")
    evidence = json.loads(documents(run, None)[EVIDENCE])  # an older pack's may lack what the limits are printed from
    return model_card(run, limits=limits_of(run, evidence=evidence), sums_digest=pack.sums_digest)
