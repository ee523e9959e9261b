"""Extending a protocol: what is removed is gone, what is replaced keeps nothing, and nothing goes unsaid."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import ProtocolError
from harness.protocol.extending import Unextendable, extended
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol

BASE: dict[str, Any] = {
    "prevalence": {"source": "somewhere", "shares": {"a": 0.4, "b": 0.6}},
    "robustness": {"kinds": ["stain", "noise"], "agreed": {"stain": 3, "noise": 2}, "seed": 1},
    "criteria": [{"id": "P1", "floor": 0.1, "level": 0.9}, {"id": "A1.x", "floor": 0.2, "level": 0.9}],
    "waivers": [{"criterion": "P1", "owner": "we"}],
    "external": [{"name": "elsewhere", "images": {"min": 1, "max": 9}}],
}


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("prevalence", lambda t: t.pop("prevalence")),
        ("prevalence.shares.a", lambda t: t["prevalence"]["shares"].pop("a")),
        ("robustness.kinds", lambda t: t["robustness"].pop("kinds")),
        ("robustness.kinds.noise", lambda t: t["robustness"]["kinds"].pop(1)),
        ("criteria.P1", lambda t: t["criteria"].pop(0)),
        ("criteria.A1.x", lambda t: t["criteria"].pop(1)),  # an id may hold a dot
        ("criteria.P1.level", lambda t: t["criteria"][0].pop("level")),
        ("waivers.P1", lambda t: t["waivers"].pop(0)),
        ("external.elsewhere.images.max", lambda t: t["external"][0]["images"].pop("max")),
    ],
)
def test_what_is_removed_is_gone_and_nothing_else(path, left):
    expected, before = copy.deepcopy(BASE), copy.deepcopy(BASE)
    left(expected)
    assert extended(BASE, {"remove": [path]}) == expected
    assert before == BASE, "the base was changed in place"


@given(st.permutations(["prevalence", "criteria.P1", "criteria.A1.x", "robustness.kinds.stain", "waivers"]))
def test_the_order_of_what_is_removed_makes_no_difference(paths):
    made = extended(BASE, {"remove": paths})
    assert made == {
        "robustness": {"kinds": ["noise"], "agreed": {"stain": 3, "noise": 2}, "seed": 1},
        "criteria": [],
        "external": BASE["external"],
    }


def test_a_replaced_table_keeps_nothing_of_the_base():
    own = {"robustness": {"kinds": ["jpeg"], "agreed": {"jpeg": 1}}}
    assert extended(BASE, own)["robustness"]["agreed"] == {"stain": 3, "noise": 2, "jpeg": 1}  # tables merge
    assert extended(BASE, {"replace": ["robustness"], **own})["robustness"] == own["robustness"]
    assert extended(BASE, {"replace": ["robustness.agreed"], **own})["robustness"] == {
        "kinds": ["jpeg"],
        "agreed": {"jpeg": 1},
        "seed": 1,
    }


def test_a_criterion_of_another_metric_under_an_inherited_id_is_refused():
    base = {"criteria": [{"id": "D10", "metric": "uninformative_images", "required": True}]}
    assert extended(base, {"criteria": [{"id": "D10", "required": False}]})["criteria"][0]["required"] is False
    other = {"criteria": [{"id": "D10", "metric": "unmet_expectations"}]}
    with pytest.raises(Unextendable, match=r"'D10' asks for 'unmet_expectations', and that of the base for .*own"):
        extended(base, other)
    assert extended(base, {"replace": ["criteria.D10"], **other})["criteria"] == other["criteria"]


def test_a_replaced_entry_keeps_its_place_and_a_replaced_array_none_of_its_entries():
    own = {"criteria": [{"id": "P1", "ceiling": 0.5}, {"id": "Z1", "floor": 0.3}]}
    assert extended(BASE, {"replace": ["criteria.P1"], **own})["criteria"] == [
        {"id": "P1", "ceiling": 0.5},
        BASE["criteria"][1],
        {"id": "Z1", "floor": 0.3},
    ]
    assert extended(BASE, {"replace": ["criteria"], **own})["criteria"] == own["criteria"]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"remove": ["prevalance"]}, "which the extended protocol does not have. Did you mean 'prevalence'"),
        ({"remove": ["criteria.P9"]}, "Did you mean 'criteria.P1'"),
        (
            {"remove": ["criteria.calibration-of-all"]},
            "does not have. It has .*criteria.P1",
        ),
        ({"remove": ["criteria.P1-a"]}, "Did you mean 'criteria.P1'"),
        ({"remove": ["zzz"]}, "It has prevalence, robustness, criteria, waivers, external"),
        ({"remove": ["prevalence.shares.c"]}, "does not have"),
        ({"remove": ["prevalence", "prevalence"]}, "does not have"),
        ({"remove": ["prevalence", "prevalence.source"]}, "does not have"),
        ({"remove": ["prevalence"], "prevalence": {}}, "states again. Name it in `replace`"),
        ({"remove": ["criteria.P1"], "criteria": [{"id": "P1"}]}, "states again. Name it in `replace`"),
        ({"replace": ["prevalence"]}, "does not state. State it, or name it in `remove`"),
        ({"replace": ["detection"], "detection": {}}, "`replace` names 'detection', which the extended protocol does"),
        ({"replace": ["robustness.seed"], "robustness": {"seed": 2}}, "is not a table. .* counts without `replace`"),
        ({"remove": "prevalence"}, "`remove` must be a list of names"),
        ({"remove": {"prevalence": True}}, "`remove` must be a list of names"),
        ({"replace": [1]}, "`replace` must be a list of names"),
        ({"remove": [""]}, "`remove` must be a list of names"),
    ],
)
def test_what_removes_or_replaces_nothing_is_refused(own, said):
    with pytest.raises(Unextendable, match=said):
        extended(BASE, own)


# --- in files -------------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path):
    """Reads a protocol file that is written from text; any other is written beside it by its name."""

    def read(text: str, **others: str) -> Protocol:
        for name, content in others.items():
            (tmp_path / f"{name}.toml").write_text(content)
        (tmp_path / "own.toml").write_text(text)
        return read_protocol(tmp_path / "own.toml")

    return read


def small() -> str:
    from test_protocol import SMALL

    return SMALL


def test_a_removal_holds_through_a_chain_of_files(read):
    second = 'extends = "base.toml"\nremove = ["criteria.R1"]\n[training]\nseed = 7\n'
    protocol = read('extends = "second.toml"\nremove = ["waivers", "criteria.E1"]\n', base=small(), second=second)
    assert [criterion.id for criterion in protocol.criteria] == ["A1", "S2"]
    assert (protocol.waivers, protocol.training.seed) == ((), 7)


def test_what_a_file_on_the_way_removed_can_be_stated_anew_and_not_removed_again(read):
    second = 'extends = "base.toml"\nremove = ["training.phases"]\n'
    phase = 'trains = "head"\nlearning_rate = 1e-3\nschedule = "flat"\nmax_epochs = 1\npatience = 1\n'
    again = f'extends = "second.toml"\n[[training.phases]]\nname = "only"\n{phase}'
    assert [p.name for p in read(again, base=small(), second=second).training.phases] == ["only"]
    with pytest.raises(ProtocolError, match=r"own.toml: `remove` names 'training.phases', which the extended"):
        read('extends = "second.toml"\nremove = ["training.phases"]\n', base=small(), second=second)


def test_the_digest_is_that_of_a_protocol_that_never_had_it(read):
    without = read('extends = "base.toml"\nremove = ["waivers"]\n', base=small())
    start = small().index("[[waivers]]")
    assert without.digest == read(small()[:start]).digest


def test_each_class_is_of_the_replaced_classes_and_the_removed_criterion_of_none(read):
    own = 'extends = "base.toml"\nremove = ["criteria.R1"]\n[dataset]\nclasses = ["x", "y", "z"]\n'
    assert all(criterion.cell_class is None for criterion in read(own, base=small()).criteria)


def test_removing_from_nothing_is_refused(read):
    with pytest.raises(ProtocolError, match=r"`remove` takes something out .* extends none. Remove the line, or add"):
        read('remove = ["waivers"]\n' + small())


@pytest.mark.parametrize("key", ["extends", "remove", "replace"])
def test_a_key_of_the_top_that_is_written_below_a_table_is_told_where_to_go(read, key):
    with pytest.raises(ProtocolError, match=rf"identity.{key}: this key belongs to the top of the file"):
        read(f'extends = "base.toml"\n[identity]\n{key} = []\n', base=small())
