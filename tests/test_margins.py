"""A protocol that asks less than the baseline's, and criteria that a newer harness adds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from example_run import example_run
from test_amended import first, protocol  # noqa: F401  (a fixture)
from test_ledger import looked

from harness.judge.amended import Compared, changes_in
from harness.judge.ledger import read_ledger
from harness.judge.margins import loosened, margins_of, rest_of
from harness.judge.rules import KNOWN
from harness.judge.terms import pack_terms
from harness.pack.tables import junit_of
from harness.protocol.amendments import Amendment
from harness.protocol.criteria import Criterion, Waiver
from harness.protocol.records import Protocol
from harness.protocol.statistics import ClusterPlan, LooksPlan
from harness.report.amended import changes_told
from harness.report.sentences import conclusion

GATE = {
    "id": "G1",
    "question": "regression",
    "set": "test",
    "metric": "accuracy_difference",
    "floor": -0.02,
    "level": 0.95,
    "required": True,
    "rationale": "For this test.",
}


def gated(**changed: object) -> Protocol:
    example = example_run().protocol
    kept = [each for each in example.criteria if each.question != "reproducibility"]  # the example's G1
    return Protocol.model_validate(
        {**dict(example), "criteria": (*kept, Criterion.model_validate({**GATE, **changed}))}
    )


BASELINE = Compared("before", margins_of(gated()))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"floor": -0.05}, [("criteria.G1.floor", "-0.02", "-0.05")]),
        ({"floor": -0.05, "id": "G7"}, [("criteria.G7.floor", "-0.02", "-0.05")]),
        ({"level": 0.9}, [("criteria.G1.level", "0.95", "0.9")]),
        ({"required": False}, [("criteria.G1.required", "true", "false")]),
        ({"floor": -0.01, "level": 0.99}, []),  # stricter than the baseline's is nobody's gain
        ({}, []),
    ],
)
def test_only_what_asks_for_less_than_the_baseline_did_is_named(changed, found):
    changes = changes_in(gated(**changed), (), run="after", baseline=BASELINE)
    assert [(change.key, change.old, change.new) for change in changes] == found
    assert all(change.undeclared and change.run == "before" for change in changes)


def test_a_margin_that_is_gone_is_looser_than_any():
    (gone,) = loosened(example_run().protocol, BASELINE.margins)
    assert gone.steps == ("criteria", "G1")
    assert gone.new is None


def test_what_the_baseline_did_not_require_is_no_margin():
    assert margins_of(gated(required=False)) == ()


def test_an_undeclared_looser_margin_keeps_a_run_from_passing_and_a_declared_one_is_told():
    moved = gated(floor=-0.05)
    stated = {"key": "criteria.G1.floor", "old": -0.02, "new": -0.05, "reason": "fewer cells than before"}
    declared = moved.model_copy(
        update={"amendments": (Amendment.model_validate({**stated, "owner": "us", "day": date(2026, 1, 2)}),)}
    )
    said = []
    for protocol_, undeclared in ((moved, 1), (declared, 0)):
        changes = changes_in(protocol_, (), run="after", baseline=BASELINE)
        run = replace(example_run(), changes=changes)
        assert len(run.undeclared) == undeclared
        assert (b"<error" in junit_of(replace(run, verdicts=()))) is bool(undeclared)
        assert changes_told(run)[0].startswith("criteria.G1.floor was -0.02 in the protocol of the baseline before, ")
        said.append(conclusion(run))
    assert "less is asked than of the baseline, and no amendment declares it: criteria.G1.floor" in said[0]
    assert "amended after a look: criteria.G1.floor -0.02 -> -0.05" in said[1]


# --- what margins rest on -------------------------------------------------------------------------

UNTIL = date(2026, 6, 1)
SERIES, TWO, TWENTY = LooksPlan(correction="series"), LooksPlan(correction="budget", budget=2), LooksPlan()
ONE, ALL = LooksPlan(correction="budget", budget=1), LooksPlan(correction="none", reason="for this test, alone")
MANY = LooksPlan(correction="budget", budget=20)


def resting(**changed: object) -> Protocol:
    """The gated protocol with other looks, clusters or waivers; `level` is the margin's."""
    return gated(level=changed.pop("level", 0.95)).model_copy(update=changed)


def waived(until: date) -> tuple[Waiver, ...]:
    return (Waiver(criterion="G1", reason="no such device here", owner="us", expires=until),)


def alike(correlation: float, source: str | None = None) -> ClusterPlan:
    stated = {} if source is None else {"source": source}
    return ClusterPlan.model_validate({"intracluster_correlation": correlation, **stated})


STUDY = "a study of the same smears"


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"clusters": alike(0.1)}, {"clusters": alike(0.01)}, ["clusters.intracluster_correlation"]),
        ({"clusters": alike(0.1)}, {"clusters": alike(0.1, STUDY)}, ["clusters.source"]),
        ({"clusters": alike(0.1, STUDY)}, {"clusters": alike(0.2)}, []),
        ({"looks": TWENTY}, {"looks": ONE}, ["looks.correction", "looks.budget"]),
        ({"looks": MANY}, {"looks": TWO}, ["looks.budget"]),
        ({"looks": SERIES}, {"looks": TWENTY}, []),  # half of it for a first look by both
        (
            {"looks": TWENTY},
            {"looks": ALL, "level": 0.999},
            ["looks.correction", "looks.budget"],
        ),  # at every further look
        ({"looks": ONE}, {"looks": TWO, "level": 0.9}, []),  # 5 % at a first look by both
        ({"looks": TWO}, {"looks": TWO, "level": 0.9}, ["criteria.G1.level"]),
        ({}, {"waivers": waived(UNTIL)}, ["waivers.G1"]),
        ({"waivers": waived(UNTIL)}, {"waivers": waived(date(2026, 7, 1))}, ["waivers.G1.expires"]),
        ({"waivers": waived(UNTIL)}, {"waivers": waived(date(2026, 5, 1))}, []),
        ({"waivers": waived(UNTIL)}, {}, []),
    ],
)
def test_what_a_margin_rests_on_is_compared_as_the_margin_is(before, after, found):
    theirs, ours = resting(**before), resting(**after)
    baseline = Compared("before", margins_of(theirs), rest_of(theirs))
    changes = changes_in(ours, (), run="after", baseline=baseline)
    assert [change.key for change in changes] == found
    assert all(change.undeclared and change.baseline for change in changes)
    assert changes_in(ours, (), run="after", baseline=Compared("before", (), rest_of(theirs))) == ()
    stated = [
        Amendment.model_validate(
            {
                "key": change.key,
                **{side: json.loads(said) for side in ("old", "new") if (said := getattr(change, side))},
                "reason": "for this test, alone",
                "owner": "us",
                "day": UNTIL,
            }
        )
        for change in changes
    ]
    declared = ours.model_copy(update={"amendments": tuple(stated)})
    assert not any(change.undeclared for change in changes_in(declared, (), run="after", baseline=baseline))


def test_an_older_harness_recorded_margins_alone():
    loose = resting(clusters=alike(0.0), looks=ONE, waivers=waived(UNTIL))
    assert changes_in(loose, (), run="after", baseline=BASELINE) == ()


# --- criteria that a newer harness adds -----------------------------------------------------------

MORE = (
    '[[criteria]]\nid = "A8"\nquestion = "accuracy"\nset = "test"\nmetric = "accuracy"\nfloor = 0.5\n'
    'level = 0.9\nrationale = "x"\nrequired = '
)


@pytest.mark.parametrize(("required", "undeclared"), [("false", []), ("true", ["criteria.A8"])])
def test_a_criterion_more_is_an_amendment_only_where_a_verdict_rests_on_it(protocol, tmp_path, required, undeclared):  # noqa: F811
    path = tmp_path / "ledger.jsonl"
    first(path, protocol())
    now = protocol(MORE + required + "\n")
    looked(path, run="later", terms=pack_terms(now))
    changes = changes_in(now, read_ledger(path), run="later")
    assert [change.key for change in changes] == ["criteria.A8"]
    assert [change.key for change in changes if change.undeclared] == undeclared
    told = changes_told(replace(example_run(), changes=changes, ledger=()))
    assert ("nothing need be declared" in told[0]) is (not undeclared)
    # A pack of before is judged as it was: there every criterion more had to be declared.
    before = changes_in(
        now, read_ledger(path), run="later", rules=next(each for each in KNOWN if each.more_told is None)
    )
    assert [change.key for change in before if change.undeclared] == ["criteria.A8"]


def test_what_was_not_required_and_is_gone_or_moved_is_still_an_amendment(protocol, tmp_path):  # noqa: F811
    path = tmp_path / "ledger.jsonl"
    by = protocol(MORE + "false\n")
    first(path, by)
    now = protocol(MORE.replace("0.5", "0.4") + "false\n")
    looked(path, run="later", terms=pack_terms(now))
    assert [c.key for c in changes_in(now, read_ledger(path), run="later") if c.undeclared] == ["criteria.A8.floor"]
