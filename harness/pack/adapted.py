"""What a pack holds of a classifier that was adapted to an external set, and whether its cells were drawn so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.core.errors import EvidenceError
from harness.data.drawing import Candidate, copies_inside, draw_cells
from harness.data.leakage import DuplicatePair
from harness.data.records import CellImage
from harness.metrics.adaptation import Adapted, drawn_from
from harness.metrics.predictions import Predictions
from harness.pack.decode import decoded
from harness.pack.further import ADAPTED, DRAWN, read_further
from harness.pack.read import Pack, require_field
from harness.protocol.adaptation import AdaptationPlan


def read_adapted(pack: Pack, name: str, unadapted: Predictions | None) -> Adapted:
    """
    Raises:
        EvidenceError: a file is not the one that the evidence names, or speaks of other cells than `unadapted`.
    """
    here = ("adaptations", name)
    stated = require_field(pack, *here, kind=dict)
    found = read_further(pack, f"{ADAPTED}/{name}", stated.get("adapted"), set_name=name)
    drawn = read_further(pack, f"{DRAWN}/{name}", stated.get("drawn"), set_name=drawn_from(name))
    if unadapted is None or not _same_cells(found, unadapted):
        raise EvidenceError(f"these are not the cells of predictions/{name}.csv, on which both classifiers are judged")
    groups = decoded(tuple[str, ...] | None, stated["drawn"].get("groups"), " > ".join((*here, "drawn", "groups")))
    return Adapted(
        method=require_field(pack, *here, "method", kind=str),
        predictions=replace(unadapted, probabilities=found.probabilities),
        drawn=replace(drawn, groups=groups),
        scores=decoded(dict[str, int], stated.get("scores"), " > ".join((*here, "scores"))),
        notes=decoded(dict[str, str], stated.get("notes"), " > ".join((*here, "notes"))),
    )


def unlike_draw(
    found: Adapted, others: Predictions, plan: AdaptationPlan | None, pairs: Iterable[DuplicatePair]
) -> Iterator[str]:
    """One sentence where the drawn cells are not those that the protocol draws of the whole set."""
    if plan is None:
        yield f"the protocol declares no adaptation to {others.set}"
        return
    whole = (*_candidates(found.drawn), *_candidates(others))
    wanted = {cell.sha256 for cell in draw_cells(whole, copies_inside(pairs, others.set), n=plan.cells, seed=plan.seed)}
    if wanted != set(found.drawn.digests):
        foreign = len(set(found.drawn.digests) - wanted)
        drawn = f"{foreign} of {len(found.drawn.digests)} cells"
        yield f"{drawn} are not among those that cells = {plan.cells} and seed = {plan.seed} draw"


def cells_of(found: Predictions) -> tuple[CellImage, ...]:
    """The images that predictions speak of, as far as these name them."""
    return tuple(
        CellImage(path, found.classes[label], sha256, 0)
        for path, sha256, label in zip(found.paths, found.digests, found.labels.tolist(), strict=True)
    )


def _candidates(found: Predictions) -> Iterator[Candidate]:
    groups = found.groups or ("",) * len(found.paths)
    for cell, group in zip(cells_of(found), groups, strict=True):
        whole = group.startswith(("patient:", "slide:"))
        yield Candidate(cell.path, cell.label, cell.sha256, group if whole else cell.unit)


def _same_cells(one: Predictions, other: Predictions) -> bool:
    return (one.paths, one.digests, one.labels.tolist()) == (other.paths, other.digests, other.labels.tolist())
