"""May a later run be compared with this pack? It is judged again before a number of it is believed.

Whoever edits a pack and writes its sums anew is found by what follows from the rest of it; whoever writes all of it
anew is only found by a signature, so that it is always said who signed, and a key can be insisted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from harness.core.errors import EvidenceError
from harness.core.text import first_few
from harness.judge.margins import margins_of, rest_of
from harness.metrics.predictions import Predictions
from harness.pack.outcome import read_passed
from harness.pack.read import Pack, open_pack, read_classes, read_protocol_digest, require_field
from harness.pack.read_predictions import read_predictions
from harness.pack.report_check import PageCheck
from harness.pack.sign import SignatureCheck, Standing, Trust
from harness.pack.verify import Verification, verified_run
from harness.protocol.statistics import BaselinePlan
from harness.run.results import Baseline, BaselineCheck, RunResults

MOST_FINDINGS = 3
AMEND_PIN = "state this one's in [baseline] before a set is looked at, and after a look declare it in [[amendments]]"
CLASS_REMEDY = "Compare with a run whose protocol lists the same classes in the same order."


def read_baseline(
    path: Path, *, sets: Sequence[str], classes: Sequence[str], asked: BaselinePlan, trust: Trust | None = None
) -> Baseline:
    """An earlier run to compare with, its pack judged again first.

    Args:
        sets: whose predictions are compared; an external one that the baseline was not judged on is left out.
        classes: the candidate's vocabulary, which the baseline's must equal, order included.
        asked: what the candidate's protocol says of its baseline; it may name the one pack.
        trust: the keys of --baseline-key, one of which must have signed it; None where nobody insists.
    Raises:
        EvidenceError: it is another pack than the protocol names, it does not hold, none of the keys vouches for it, it
            lacks the test part, or speaks of other classes.
    """
    pack = open_pack(path)
    if (other := asked.unlike(pack.sums_digest)) is not None:
        raise EvidenceError(f"{pack.name} cannot be the baseline: {other}. Name that pack, or {AMEND_PIN}.")
    run, found = judged_again(pack, role="be the baseline", trust=trust)
    theirs, ours = read_classes(pack), tuple(classes)
    if theirs != ours:
        raise EvidenceError(f"{pack.name} cannot be the baseline: {_difference(theirs, ours)}. {CLASS_REMEDY}")
    return Baseline(
        name=pack.name,
        run_id=require_field(pack, "run", "id", kind=str),
        commit=require_field(pack, "environment", "commit", kind=str),
        classes=theirs,
        predictions=MappingProxyType({name: _grouped(pack, name, run) for name in sets if _asked(name, run)}),
        protocol_digest=read_protocol_digest(pack),
        passed=read_passed(pack),
        sums_digest=pack.sums_digest,
        ledger=run.ledger,
        check=found,
        corrupted=MappingProxyType(run.corrupted),
        robustness=run.protocol.robustness,
        margins=margins_of(run.protocol),
        rest=rest_of(run.protocol),
    )


def _grouped(pack: Pack, name: str, run: RunResults) -> Predictions:
    """The predictions of one set, with the groups that its judge knew."""
    judged = run.predictions.get(name)
    return replace(read_predictions(pack, name), groups=judged.groups if judged and run.rules.grouped else None)


def _asked(name: str, run: RunResults) -> bool:
    """Whether a set must be read, or can be: without a test part nothing is a baseline, an external set may be new."""
    return name == "test" or name in run.predictions


def judged_again(pack: Pack, *, role: str, trust: Trust | None = None) -> tuple[RunResults, BaselineCheck]:
    """The run of a pack that holds and, where keys are named, was signed by one of them; and what verifying it came to.

    Args:
        role: what the pack is for, in an error, such as "be the baseline".
    Raises:
        EvidenceError: it does not hold, or none of the keys vouches for it.
    """
    found, run = verified_run(pack, trust=trust)
    if run is None or not found.holds:
        raise EvidenceError(f"{pack.name} cannot {role}: {_refutation(found)}")
    signature = found.signature or SignatureCheck(Standing.UNSIGNED)
    if trust is not None and signature.standing is not Standing.VERIFIED:
        raise EvidenceError(f"{pack.name} cannot {role}: {_insisted(signature, trust)}")
    page = () if found.page is PageCheck.WHOLE else (f"its report, which was compared {found.page}",)
    keys = () if trust is None else trust.keys
    return run, BaselineCheck(
        not_recomputed=(*found.not_recomputed, *page),
        signed_by=signature.key_ids,
        vouched_by=tuple(str(key) for key in keys if key.id in signature.verified_by),
    )


def _refutation(found: Verification) -> str:
    n = len(found.discrepancies)
    first = first_few([str(each) for each in found.discrepancies], MOST_FINDINGS, more="and {n} more")
    return (
        f"judged again, its pack does not hold ({n} {'finding' if n == 1 else 'findings'}): {'; '.join(first)}. Fetch "
        f"it anew from where it was made; `python -m harness verify {found.pack}` lists what does not hold."
    )


def _insisted(signature: SignatureCheck, trust: Trust) -> str:
    wanted = " or ".join(map(str, trust.keys))
    if signature.standing is Standing.UNSIGNED:
        return (
            f"it is unsigned, and --baseline-key asks for a signature by {wanted}. Let its author sign it "
            "(`python -m harness sign PACK --key FILE`), or compare with a signed pack."
        )
    return (
        f"{'; '.join(signature.remarks)}. --baseline-key asks for a signature by {wanted}. Compare with a pack that "
        "such a key signed, or name the key of whoever signed this one, if you believe it."
    )


def _difference(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    lacking = [name for name in ours if name not in theirs]
    foreign = [name for name in theirs if name not in ours]
    if not lacking and not foreign:
        return f"its classes are in another order ({', '.join(theirs)}; here {', '.join(ours)})"
    parts = [f"it lacks the classes {', '.join(map(ascii, lacking))}"] if lacking else []
    parts += [f"it has the further classes {', '.join(map(ascii, foreign))}"] if foreign else []
    return " and ".join(parts)
