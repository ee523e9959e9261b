"""The worst site and the worst slice: a pooled pass does not hide a place where the classifier fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from example_run import example_picture, example_run, write_example_dataset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.core.places import SUITES
from harness.data.manifest import read_manifest
from harness.data.records import CellImage, Reading, Split
from harness.judge.asking import ask
from harness.judge.chances import How, chances
from harness.judge.criteria import complete, explain
from harness.judge.prospects import BestCase, cannot_pass
from harness.judge.rules import RULES
from harness.judge.verdicts import Outcome, Verdict
from harness.metrics.classification import evaluate
from harness.metrics.estimates import Evaluation, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.measurements import NothingRecorded
from harness.metrics.predictions import Predictions, predictions_of
from harness.metrics.slices import evaluate_slices, worst_of
from harness.pack.measurements import RecordedMeasurements
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.protocol.criteria import Criterion
from harness.protocol.file import read_protocol
from harness.protocol.hopes import HopedTruth
from harness.protocol.names import PARTS
from harness.protocol.records import Protocol
from harness.protocol.sets import ColumnPlan, SetNames
from harness.protocol.statistics import SlicePlan

TODAY = date(2026, 1, 15)
GATE = read_protocol(SUITES / "protocols" / "leukocyte-gate.toml")
CLASSES = GATE.dataset.classes
A1 = next(criterion for criterion in GATE.criteria if criterion.id == "A1")
ASKED = {"id": "W1", "question": "accuracy", "set": "test", "level": 0.95, "required": True, "rationale": "A test."}
W1 = Criterion.model_validate({**ASKED, "metric": "worst_site", "floor": 0.9})
W2 = Criterion.model_validate({**ASKED, "id": "W2", "metric": "worst_slice", "kind": "stain", "floor": 0.9})


def protocol_with(*criteria: Criterion, protocol: Protocol = GATE, minimum_support: int = 30) -> Protocol:
    """The protocol with these criteria beside its own, and a column for the stain."""
    dataset = protocol.dataset.model_copy(update={"columns": ColumnPlan(slices={"stain": "Stain"})})
    plan = SlicePlan(columns=("stain", "patient"), minimum_support=minimum_support)
    content = {**dict(protocol), "dataset": dataset, "slices": plan, "criteria": (*protocol.criteria, *criteria)}
    return Protocol.model_validate(content)


def cells_at(sites: Mapping[str | None, tuple[int, int]], *, column: str = "site") -> Predictions:
    """(cells, wrong ones) of each site, each cell of a patient of its own."""
    images, wrong = [], []
    for site, (n, n_wrong) in sites.items():
        for i in range(n):
            name = f"{site}-{i}"
            slices = (("stain", site),) if column == "stain" and site is not None else ()
            place = site if column == "site" else None
            images.append(CellImage(name, CLASSES[i % 5], name, 1, patient=name, site=place, slices=slices))
            wrong.append(i < n_wrong)
    labels = np.array([CLASSES.index(image.label) for image in images])
    labels[wrong] = (labels[wrong] + 1) % len(CLASSES)
    return predictions_of(images, np.eye(len(CLASSES))[labels], set_name="test", classes=CLASSES)


class Shown(NothingRecorded):
    """Evidence of one set and nothing else."""

    rules = RULES

    def __init__(self, protocol: Protocol, predictions: Predictions) -> None:
        super().__init__(protocol, what="one set")
        self._predictions = predictions

    def evaluation(self, set_name: str) -> Evaluation:
        return evaluate(self._predictions, intracluster_correlation=0.1)

    def slices(self, set_name: str, column: str) -> Mapping[str, Evaluation] | Unavailable:
        return evaluate_slices(self._predictions, column, intracluster_correlation=0.1)

    def look(self, criterion: Criterion) -> int:
        return 1

    def dependent_sets(self) -> dict[str, str]:
        return {}


def verdict_on(predictions: Predictions, criterion: Criterion = W1, *, minimum_support: int = 30) -> Verdict:
    protocol = protocol_with(W1, W2, minimum_support=minimum_support)
    return ask(criterion, Shown(protocol, predictions), today=TODAY)


@pytest.mark.parametrize(("column", "asked"), [("site", W1), ("stain", W2)])
def test_a_pooled_pass_with_one_failing_site_is_seen_and_named(column, asked):
    # 30 of 60 wrong in C, none of 3,000 elsewhere: 99 % over all.
    predictions = cells_at({"A": (1500, 0), "B": (1500, 0), "C": (60, 30)}, column=column)
    assert verdict_on(predictions, A1).passed
    verdict = verdict_on(predictions, asked)
    assert verdict.outcome is Outcome.FAILED
    lower, upper = clopper_pearson_bounds(30, 60, level=1 - 0.025 / 3)
    shown = f"0.5 (30/60) [{lower:.4f}, {upper:.4f}] at 97.5 % one-sided, {column} 'C', the worst of 3"
    assert shown in explain(verdict)
    assert f"- {column} 'C': 0.5000 (30/60)" in explain(verdict)


def test_bounds_hold_together_one_share_of_the_error_for_each_site():
    found = verdict_on(cells_at({"A": (200, 1), "B": (100, 1), "C": (150, 0)})).estimate
    each = 1 - 0.025 / 3
    bounds = [clopper_pearson_bounds(k, n, level=each) for k, n in ((199, 200), (99, 100), (150, 150))]
    assert (found.value, found.k, found.n) == (0.99, 99, 100)
    assert (found.lower, found.upper) == (min(low for low, _ in bounds), min(high for _, high in bounds))


def test_sites_with_too_few_cells_are_named_and_not_judged_and_cells_without_a_site_are_one():
    predictions = cells_at({"A": (200, 0), "B": (29, 29), None: (100, 50)})
    verdict = verdict_on(predictions)
    assert "cells without a site, the worst of 2 with at least 30 cells (1 with fewer are not judged)" in explain(
        verdict
    )
    assert "- site 'B': 29 cells, fewer than 30" in explain(verdict)
    assert "site 'B', the worst of 3" in explain(verdict_on(predictions, minimum_support=29))


def test_where_no_site_has_enough_cells_or_none_is_named_nothing_passes():
    few = verdict_on(cells_at({"A": (29, 0), "B": (10, 0)}))
    assert (few.outcome, few.reason) == (Outcome.INCONCLUSIVE, "undefined on test: no site has 30 cells")
    nowhere = verdict_on(cells_at({None: (200, 0)}))
    assert nowhere.outcome is Outcome.NOT_ASSESSED
    assert nowhere.reason.startswith("no cell of test names its site")


def test_one_site_with_few_patients_does_not_pass_in_a_set_of_many():
    many = cells_at({"A": (200, 0), "B": (200, 0)})
    assert many.groups is not None
    assert verdict_on(many).passed
    shared = (*many.groups[:200], *(f"patient:{i % 4}" for i in range(200)))
    found = verdict_on(replace(many, groups=shared))
    assert "test, site 'B', has 4 patients or slides, fewer than 20" in found.reason


@pytest.mark.slow
def test_a_plan_has_no_model_of_how_far_sites_differ():
    protocol = protocol_with(W1)
    images = [CellImage(f"{i}", CLASSES[i % 5], f"{i}", 1, patient=f"{i}", site="AB"[i % 2]) for i in range(500)]
    cells = dict.fromkeys(PARTS, images)
    best = BestCase(protocol, cells, device=None, judged=None, compares=True)
    (chance,) = [
        each
        for each in chances(best, cells, HopedTruth(accuracy=0.99, draws=100), today=TODAY).each
        if each.criterion == W1.id
    ]
    assert (chance.how, chance.probability) == (How.NO_MODEL, None)
    assert chance.why == "how far the share of right answers differs by site is unknown"


def test_what_cannot_pass_is_known_before_the_run():
    images = [CellImage(f"{i}", CLASSES[i % 5], f"{i}", 1, patient=f"{i}", site="AB"[i % 2]) for i in range(100)]
    cells = dict.fromkeys(PARTS, images)
    best = BestCase(protocol_with(W1), cells, device="cpu", judged=None, compares=False)
    # Fifty without an error at 98.75 % (one of two sites, at a first look): 0.0125 ** (1 / 50) = 0.9161.
    assert "W1" not in cannot_pass(best, today=TODAY)
    strict = protocol_with(W1.model_copy(update={"floor": 0.95}))
    best = BestCase(strict, cells, device="cpu", judged=None, compares=False)
    assert cannot_pass(best, today=TODAY)["W1"].startswith("without a single error it is 1 (50/50) [0.9161, 1]")


@given(
    counts=st.dictionaries(
        st.sampled_from("ABCDE"),
        st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda c: (c[0], min(c))),
        min_size=1,
    ),
    support=st.integers(1, 60),
)
def test_the_worst_site_is_the_least_of_those_with_enough_cells(counts, support):
    slices = evaluate_slices(replace(cells_at(counts), groups=None), "site", intracluster_correlation=0.1)
    found = worst_of(slices, metric="worst_site", set_name="test", column="site", minimum_support=support, level=0.95)
    shares = [(n - wrong) / n for n, wrong in counts.values() if n >= support]
    assert found.value == (min(shares) if shares else None)
    assert not shares or found.lower <= found.value <= found.upper


def test_the_least_of_equal_sites_is_above_the_joint_upper_bound_in_at_most_5_percent():
    # Five sites of 50 cells, each truly at 0.9: without a share for each, the upper bound would miss in 1 - 0.95 ** 5.
    rng, missed = np.random.default_rng(7), [0, 0]
    for _ in range(2000):
        right = rng.binomial(50, 0.9, 5)
        for place, level in enumerate((1 - 0.05 / 5, 0.95)):
            missed[place] += min(clopper_pearson_bounds(int(k), 50, level=level)[1] for k in right) < 0.9
    assert missed[0] / 2000 <= 0.05 < missed[1] / 2000


# --- the protocol ---------------------------------------------------------------------------------


def test_a_column_that_nothing_names_and_a_missing_table_are_refused():
    with pytest.raises(ValidationError, match="nothing says which column that is"):
        Protocol.model_validate({**dict(GATE), "slices": SlicePlan(columns=("scanner",))})
    with pytest.raises(ValidationError, match="needs the table `slices`"):
        Protocol.model_validate({**dict(GATE), "criteria": (*GATE.criteria, W1)})
    with pytest.raises(ValidationError, match="kind 'stain' is not among"):
        Protocol.model_validate(
            {**dict(GATE), "slices": SlicePlan(columns=("site",)), "criteria": (*GATE.criteria, W2)}
        )
    with pytest.raises(ValidationError, match="slices cannot be called 'label'"):
        ColumnPlan(slices={"label": "Stain"})
    with pytest.raises(ValidationError, match="'Stain' is named more than once"):
        ColumnPlan(site="Stain", slices={"stain": "Stain"})


def test_a_protocol_without_slices_keeps_its_digest():
    content = GATE.model_dump(mode="json")
    assert "slices" not in content
    assert "slices" not in ColumnPlan(site="Hospital").model_dump()


# --- from the table to the pack and back ----------------------------------------------------------


def test_columns_of_a_label_table_are_read_as_slices(tmp_path):
    (tmp_path / "cells").mkdir()
    for name in "ab":
        (tmp_path / "cells" / f"{name}.png").write_bytes(name.encode())
    table = tmp_path / "table.csv"
    table.write_text("path,label,Hospital,Stain\ncells/a.png,x,North,MGG\ncells/b.png,y,South,\n")
    plan = ColumnPlan(site="Hospital", slices={"stain": "Stain"})
    found = read_manifest(table, name="dataset", classes=("x", "y"), workers=1, names=SetNames(columns=plan))
    assert [image.columns for image in found.images] == [{"site": "North", "stain": "MGG"}, {"site": "South"}]
    assert found.reading.columns["slices.stain"] == "Stain"
    assert found.reading.unread == ()


@pytest.mark.slow
def test_a_pack_holds_what_the_worst_site_and_slice_rest_on_and_verify_finds_it_again(tmp_path):
    manifest, run = write_example_dataset(tmp_path), example_run(content=example_picture)
    assert run.split is not None

    def placed(image: CellImage, place: int) -> CellImage:
        return replace(image, site="AB"[place % 2], patient=f"P-{image.path}", slices=(("stain", "=M,\n"),))

    images = {i.path: placed(i, n) for part in PARTS for n, i in enumerate(run.split.part(part))}
    split = Split(*(tuple(images[i.path] for i in run.split.part(p)) for p in PARTS), origin="sites.csv", source="file")
    reading = Reading(columns={"path": "path", "label": "label", "site": "Hospital", "slices.stain": "Stain"})
    manifest = replace(manifest, images=tuple(images[i.path] for i in manifest.images), reading=reading)
    predictions = {
        name: predictions_of(split.part(name), each.probabilities, set_name=name, classes=each.classes)
        if name in PARTS
        else replace(each, columns={"site": tuple("XY"[i % 2] for i in range(len(each.digests)))})
        for name, each in run.predictions.items()
    }
    protocol = protocol_with(W1, W2, protocol=run.protocol, minimum_support=2)
    placed_run = replace(
        run,
        protocol=protocol,
        split=split,
        sets=tuple(replace(s, reading=reading) if s.name == "dataset" else s for s in run.sets),
        predictions=predictions,
        evaluations={n: evaluate(each, intracluster_correlation=0.1) for n, each in predictions.items()},
        seed_predictions={},
        looks={},
        ledger=(),
    )
    evidence = RecordedMeasurements(placed_run, manifest)
    asked = [ask(criterion, evidence, today=TODAY) for criterion in (W1, W2)]
    assert [verdict.estimate is not None for verdict in asked] == [True, True]
    kept = [verdict for verdict in run.verdicts if verdict.criterion.question not in ("accuracy", "external")]
    verdicts = complete(protocol, [*kept, *asked], otherwise="not asked")
    pack = write_pack(
        replace(placed_run, verdicts=verdicts), reports=tmp_path, manifest=manifest, models={}, formats=()
    )
    again = {each["criterion"]: each for each in json.loads((pack / "evidence.json").read_text())["verdicts"]}
    assert "site 'A'" in again["W1"]["estimate"]["note"] or "site 'B'" in again["W1"]["estimate"]["note"]
    found = [str(each) for each in verify_pack(pack).discrepancies if "W1" in str(each) or "W2" in str(each)]
    assert found == []
    assert _columns_of(pack, "manifest.csv")[-1] == "slices.stain"
    content = (pack / "manifest.csv").read_text()
    (pack / "manifest.csv").write_text(content.replace(",A,", ",B,"))
    _mend(pack)
    assert any("W1" in str(each) for each in verify_pack(pack).discrepancies)


def _columns_of(pack: Path, name: str) -> list[str]:
    return (pack / name).read_text().partition("\n")[0].split(",")


def _mend(pack: Path) -> None:
    from test_verify import mend_sums

    mend_sums(pack)
