"""What a pack holds of the cells of classes that the classifier does not know."""

from __future__ import annotations

from dataclasses import replace

from harness.core.errors import EvidenceError
from harness.metrics.predictions import Predictions
from harness.pack.decode import decoded
from harness.pack.further import UNKNOWN, read_further
from harness.pack.read import Pack, read_classes, require_field


def read_unknown(pack: Pack, name: str) -> Predictions:
    """
    Raises:
        EvidenceError: the file is not the one that the evidence names, or has cells of a known class or probabilities
            of an unknown one.
    """
    here, known = ("unknown", name), read_classes(pack)
    stated = require_field(pack, *here, kind=dict)
    kinds = decoded(tuple[str, ...], stated.get("kinds"), " > ".join((*here, "kinds")))
    found = read_further(pack, f"{UNKNOWN}/{name}", stated, set_name=name, further_classes=kinds)
    if foreign := {found.classes[label] for label in found.labels.tolist()} - {*kinds}:
        raise EvidenceError(f"it has cells of {', '.join(sorted(foreign))}, which the classifier knows")
    if found.probabilities[:, len(known) :].any():
        raise EvidenceError("it has probabilities of classes that the classifier does not know")
    return replace(
        found,
        groups=decoded(tuple[str, ...] | None, stated.get("groups"), " > ".join((*here, "groups"))),
        columns=decoded(dict[str, tuple[str, ...]], stated.get("columns"), " > ".join((*here, "columns"))),
    )
