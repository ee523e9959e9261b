"""Did this pack's run pass, as it says and as its verdicts say?"""

from __future__ import annotations

from collections.abc import Container, Mapping

from harness.core.errors import EvidenceError
from harness.data.prediction_records import GivenPredictions
from harness.judge.pretrained import Judged, nobody_asked
from harness.model.records import JudgedModel
from harness.pack.decode import decoded
from harness.pack.files import EVIDENCE
from harness.pack.read import Pack, require_field


def read_passed(pack: Pack) -> bool:
    """Whether the run passed, as it says and as its verdicts and its protocol's required criteria say.

    Raises:
        EvidenceError: it says that it passed, and its own verdicts contradict it.
    """
    passed = require_field(pack, "run", "passed", kind=bool)
    if passed and (reason := _blocking(pack)):
        raise EvidenceError(
            f"{pack.name}/{EVIDENCE} says that the run passed, but {reason}. It contradicts itself and was edited "
            "after the run: fetch the pack anew from where it was made."
        )
    return passed


def read_judged(pack: Pack) -> Judged:
    """What existed before the run and was judged; None where the run trained a classifier.

    Raises:
        EvidenceError: the record of it cannot be read.
    """
    model: JudgedModel | None = decoded(JudgedModel | None, pack.evidence.get("model"), "model")
    given: GivenPredictions | None = decoded(GivenPredictions | None, pack.evidence.get("given"), "given")
    if model is not None and given is not None:
        raise EvidenceError(
            f"{pack.name}/{EVIDENCE} says that a classifier was judged, and that predictions were. A run judges one."
        )
    return model or given


def _blocking(pack: Pack) -> str | None:
    """Why a run with these verdicts cannot have passed."""
    if require_field(pack, "run", kind=dict).get("stopped_because") is not None:
        return "it was stopped early"
    criteria = entries(pack, "protocol", "content", "criteria")
    optional = {each.get("id") for each in criteria if not each.get("required")}
    changes: object = pack.evidence.get("changes", [])  # older packs have none
    if not isinstance(changes, list) or not all(_open(each, optional) for each in changes):
        return "its protocol changed after a look, and no amendment declares it"
    if pack.evidence.get("contradictions"):
        return "cells that were scored again got other answers"
    verdicts = entries(pack, "verdicts")
    outcomes = {verdict.get("criterion"): verdict for verdict in verdicts}
    asked = require_field(pack, "protocol", "content", "baseline", kind=dict).get("needed")
    unasked = {
        "without_baseline": pack.evidence.get("baseline") is None and asked == "optional",
        "unpinned": require_field(pack, "protocol", "content", "dataset", kind=dict).get("digest") is None,
    }
    if len(outcomes) != len(verdicts) or not verdicts:
        return "it has no verdicts, or two on one criterion"
    judged = read_judged(pack)
    required = [criterion for criterion in criteria if criterion.get("required") is not False]
    for criterion in required:
        verdict = outcomes.get(criterion.get("id"), {})
        excused = isinstance(verdict.get("waiver"), dict) or (
            # Nobody asked: that follows from what was judged, whatever the verdict says of itself.
            verdict.get("not_asked") is True and _nobody_asked(criterion, judged, unasked)
        )
        if verdict.get("outcome") != "passed" and not (excused and verdict.get("outcome") == "not assessed"):
            return f"the required criterion {criterion.get('id')!r} has the outcome {verdict.get('outcome')!r}"
    if not any(outcomes[criterion.get("id")].get("outcome") == "passed" for criterion in required):
        return "no required criterion has the outcome 'passed'"
    return None


def _open(change: object, optional: Container[object]) -> bool:
    """Whether a change keeps no run from passing: it is declared, or a criterion more that is not required."""
    if not isinstance(change, dict):
        return False
    more = change.get("told") is True and change.get("old") == ""
    return bool(change.get("amendment")) or (more and str(change.get("key")).removeprefix("criteria.") in optional)


def _nobody_asked(criterion: Mapping[str, object], judged: Judged, unasked: Mapping[str, bool]) -> bool:
    metric, question, set_name = (str(criterion.get(key)) for key in ("metric", "question", "set"))
    return nobody_asked(metric, question, set_name, judged, **unasked)


def entries(pack: Pack, *keys: str) -> list[dict[str, object]]:
    """The objects in a list of the evidence.

    Raises:
        EvidenceError: it is no list of objects.
    """
    found = require_field(pack, *keys, kind=list)
    if not all(isinstance(entry, dict) for entry in found):
        raise EvidenceError(f"{pack.name}/{EVIDENCE}: {' > '.join(keys)} holds no entries. Fetch it anew.")
    return found
