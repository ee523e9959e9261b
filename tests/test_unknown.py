"""Cells of classes that a classifier does not know: which there are, and how many are confidently called known."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_ledger import sha
from test_verify import edit_json, mend_sums
from tiny_run import Pytest, evidence_of, verdicts_of

from fixtures import pipeline
from harness.core.errors import DataError, HarnessError
from harness.data.manifest import read_strangers
from harness.judge.criteria import judge
from harness.judge.groups import too_few_groups
from harness.judge.rules import RULES
from harness.judge.sample_size import POWER
from harness.judge.verdicts import Outcome
from harness.metrics.classification import evaluate
from harness.metrics.estimates import Estimate, Evaluation, Unavailable
from harness.metrics.intervals import clopper_pearson_bounds, probability_of_passing, trials_for_power
from harness.metrics.measurements import NothingRecorded
from harness.metrics.predictions import Predictions, widened
from harness.metrics.unknown import METRICS, confidently_known, confused_with
from harness.pack.verify import verify_pack
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.datasets import CONFIDENT_AT
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.sets import SetNames

PROTOCOL = read_protocol(DEFAULT_PROTOCOL)
KNOWN = ("monocyte", "neutrophil")


def said(*rows: tuple[str, float], groups: tuple[str, ...] | None = None) -> Predictions:
    """Answers on unknown cells: (kind, probability of monocyte) of each."""
    kinds = tuple(sorted({kind for kind, _ in rows}))
    classes, names = (*KNOWN, *kinds), tuple(f"{number}.png" for number in range(len(rows)))
    return Predictions(
        set="odd",
        classes=classes,
        paths=names,
        digests=tuple(map(sha, names)),
        labels=np.array([classes.index(kind) for kind, _ in rows]),
        probabilities=widened(np.array([[p, 1 - p] for _, p in rows]), classes),
        groups=groups,
    )


# --- how many -------------------------------------------------------------------------------------

FIVE = said(("blast", 0.95), ("blast", 0.9), ("blast", 0.6), ("smudge", 0.05), ("smudge", 0.45))


def test_confident_answers_are_counted_at_and_above_the_probability_with_exact_bounds():
    found = confidently_known(FIVE, at=0.9, intracluster_correlation=0.1, level=0.95)
    assert isinstance(found, Estimate)
    assert (found.k, found.n, found.value) == (3, 5, 0.6)
    assert (found.lower, found.upper) == clopper_pearson_bounds(3, 5, level=0.95)


def test_each_kind_says_what_it_is_taken_for():
    blast, smudge = confused_with(FIVE, KNOWN, at=0.9)
    assert (blast.kind, blast.n, blast.n_confident) == ("blast", 3, 2)
    assert blast.called == {"monocyte": 3, "neutrophil": 0}
    assert (smudge.n_confident, smudge.called) == (1, {"monocyte": 0, "neutrophil": 2})


def test_cells_of_few_patients_widen_the_bound():
    rows = [("blast", 0.95 if number < 10 else 0.5) for number in range(40)]
    patients = tuple(f"patient:{number // 10}" for number in range(40))
    alone, grouped = (
        confidently_known(said(*rows, groups=groups), at=0.9, intracluster_correlation=0.1, level=0.95)
        for groups in (None, patients)
    )
    assert isinstance(alone, Estimate) and isinstance(grouped, Estimate)
    assert (alone.k, alone.n) == (grouped.k, grouped.n) == (10, 40)
    assert grouped.upper > alone.upper
    assert "clustered by patients" in grouped.method


class Answers(NothingRecorded):
    def __init__(self, found: Predictions, protocol: Protocol) -> None:
        super().__init__(protocol, what="answers")
        self.rules, self._found = RULES, found

    def unknown(self, set_name: str) -> Predictions | Unavailable:
        return self._found

    def evaluation(self, set_name: str) -> Evaluation | Unavailable:
        return evaluate(self._found, intracluster_correlation=0.1)


def protocol_with(folder: Path, *, ceiling: float = 0.2, name: str = "odd", more: str = "") -> Protocol:
    (folder / "p.toml").write_text(f"""extends = "{DEFAULT_PROTOCOL.as_posix()}"
[[unknown]]
name = "{name}"
description = "Drawn blobs."
images = {{ formats = ["PNG"], min_side_px = 32, max_side_px = 64 }}
{more}
[[criteria]]
id = "U1"
question = "unknown"
set = "odd"
metric = "unknown_confident"
ceiling = {ceiling}
level = 0.95
rationale = "What it does not know may not enter a count."
required = true
""")
    return read_protocol(folder / "p.toml")


def test_the_bound_is_taken_at_the_set_s_own_probability(tmp_path: Path):
    def k(more: str) -> int | None:
        protocol = protocol_with(tmp_path, more=more)
        (criterion,) = (each for each in protocol.criteria if each.id == "U1")
        found = METRICS[0].estimate(Answers(FIVE, protocol), criterion, 0.95)
        assert isinstance(found, Estimate)
        return found.k

    assert (k(""), k("confident_at = 0.5"), k("confident_at = 0.96")) == (3, 5, 0)
    assert CONFIDENT_AT == 0.9


def test_an_undecided_ceiling_names_the_cells_that_would_decide_as_the_floor_on_the_rest_would(tmp_path: Path):
    protocol = protocol_with(tmp_path)
    (criterion,) = (each for each in protocol.criteria if each.id == "U1")
    found = confidently_known(
        said(*[("blast", 0.95)] * 2, *[("blast", 0.5)] * 38), at=0.9, intracluster_correlation=0.1, level=0.95
    )
    assert isinstance(found, Estimate)
    assert (found.k, found.n) == (2, 40)
    verdict = judge(criterion, replace(found, upper=0.21), protocol=protocol, today=date(2026, 1, 1), look=None)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    # 2 of 40 called known under a ceiling of 0.2 are 38 of 40 that are not, above a floor of 0.8.
    needed = trials_for_power(38 / 40, floor=0.8, level=0.95, power=POWER)
    assert needed is not None
    assert verdict.n_to_decide == needed.steady
    assert verdict.power == pytest.approx(probability_of_passing(38 / 40, 40, floor=0.8, level=0.95))


def test_too_few_patients_pass_nothing(tmp_path: Path):
    protocol = protocol_with(tmp_path)
    (criterion,) = (each for each in protocol.criteria if each.id == "U1")
    found = said(*[("blast", 0.5)] * 200, groups=tuple(f"patient:{number % 4}" for number in range(200)))
    evidence = Answers(found, protocol)
    estimate = METRICS[0].estimate(evidence, criterion, 0.95)
    assert isinstance(estimate, Estimate) and estimate.value == 0
    why = too_few_groups(criterion, estimate, evidence, rules=RULES)
    assert why is not None
    assert "odd has 4 patients" in why
    assert "the verdict turns at" in why or "at no correlation" in why or "at every correlation" in why


# --- what a protocol may say ----------------------------------------------------------------------


def test_another_set_s_question_is_not_asked_of_unknown_cells_nor_this_one_of_others(tmp_path: Path):
    protocol_with(tmp_path)
    text = (tmp_path / "p.toml").read_text()
    for before, after, words in (
        ('question = "unknown"', 'question = "external"', "no stage feeds metric 'unknown_confident'"),
        ('set = "odd"', 'set = "second_laboratory"', "question 'unknown' has no set 'second_laboratory'"),
        ('name = "odd"', 'name = "test"', "cannot be called 'test'"),
        ('name = "odd"', 'name = "Second_Laboratory"', "are not distinct when case is ignored"),
    ):
        assert before in text
        (tmp_path / "q.toml").write_text(text.replace(before, after))
        with pytest.raises(HarnessError, match=words):
            read_protocol(tmp_path / "q.toml")


def test_a_protocol_without_such_sets_keeps_its_digest():
    assert "unknown" not in PROTOCOL.model_dump(mode="json")


# --- which cells ----------------------------------------------------------------------------------


def draw(place: Path, n: int = 1, *, seed: int = 0) -> None:
    place.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(n):
        noise = rng.integers(0, 255, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(place / f"{number}.png")


def read(place: Path, names: SetNames | None = None) -> dict[str, int]:
    return read_strangers(place, name="odd", known=KNOWN, workers=1, names=names).counts


def test_sub_folders_are_kinds_and_loose_images_are_one(tmp_path: Path):
    draw(tmp_path / "kinds/blast", 2)
    draw(tmp_path / "kinds/smudge cell", 1)
    draw(tmp_path / "loose", 3)
    (tmp_path / "loose/README.txt").write_text("where from")
    (tmp_path / "loose/Thumbs.db").write_text("left behind")
    assert read(tmp_path / "kinds") == {"blast": 2, "smudge cell": 1}
    assert read(tmp_path / "loose") == {"odd": 3}
    found = read_strangers(tmp_path / "loose", name="odd", known=KNOWN, workers=1)
    assert (found.ignored, found.reading.litter) == (("README.txt",), ("Thumbs.db",))


def test_a_table_names_the_kinds_and_labels_say_what_a_folder_is(tmp_path: Path):
    draw(tmp_path / "images", 2)
    (tmp_path / "cells.csv").write_text("path,label\nimages/0.png,blast\nimages/1.png,giant\n")
    assert read(tmp_path / "cells.csv") == {"blast": 1, "giant": 1}
    assert read(tmp_path / "cells.csv", SetNames(labels={"giant": "platelet"})) == {"blast": 1, "platelet": 1}


@pytest.mark.parametrize("label", ["monocyte", "Monos"])
def test_a_kind_that_the_classifier_knows_is_refused_by_either_name(tmp_path: Path, label: str):
    draw(tmp_path / label)
    draw(tmp_path / "blast")
    with pytest.raises(DataError, match="has cells of 'monocyte', which is a class that the classifier knows"):
        read(tmp_path, SetNames(labels={"Monos": "monocyte"}))


@pytest.mark.parametrize("folder", ["Monocyte", "MONOCYTES", "mono-cyte", "odd/monocyte", "odd/2024/Monocytes"])
def test_neither_another_spelling_nor_a_level_below_hides_a_known_class(tmp_path: Path, folder: str):
    draw(tmp_path / folder)
    draw(tmp_path / "blast")
    with pytest.raises(DataError, match=r"has cells of 'monocyte' \('.*'\), which is a class"):
        read(tmp_path)


def test_parts_of_a_data_set_are_no_kinds_and_other_levels_are_part_of_theirs(tmp_path: Path):
    draw(tmp_path / "a" / "blast" / "slide 7", 2)
    draw(tmp_path / "a" / "monoblast")
    assert read(tmp_path / "a") == {"blast": 2, "monoblast": 1}
    draw(tmp_path / "b" / "train" / "blast")
    with pytest.raises(DataError, match="has the part folder 'train', and such a set is scored whole"):
        read(tmp_path / "b")


def test_loose_images_beside_sub_folders_are_refused(tmp_path: Path):
    draw(tmp_path)
    draw(tmp_path / "blast")
    with pytest.raises(DataError, match=r"loose images beside them, first '0\.png'"):
        read(tmp_path)


def test_nothing_there_is_said(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no cell")
    for place, words in (
        ("empty", r"set 'odd': .*empty holds no image\. Put the images of one kind of cell there, or one sub-folder"),
        ("texts", r"holds no image, and 'notes\.txt' is none\. Put the images"),
        ("nowhere", "set 'odd': there is nothing at"),
    ):
        with pytest.raises(DataError, match=words):
            read(tmp_path / place)


class CommandLine:
    """What a run is asked for, as pytest's own has it."""

    def __init__(self, *unknown: str) -> None:
        self._unknown = unknown

    def getoption(self, name: str) -> tuple[str, ...]:
        return {"--unknown": self._unknown}[name]


def test_one_set_has_one_folder_and_one_spelling(tmp_path: Path):
    twice = CommandLine(f"odd={tmp_path}", f"odd={tmp_path.parent}")
    with pytest.raises(HarnessError, match=r"--unknown names the set odd twice, .* Leave one of them out"):
        pipeline._named(twice, "--unknown")  # type: ignore[arg-type]
    two = pipeline._named(CommandLine(f"odd={tmp_path}", f"more={tmp_path}"), "--unknown")  # type: ignore[arg-type]
    assert list(two) == ["odd", "more"]
    protocol = protocol_with(tmp_path)
    pipeline._refuse_two_meanings(protocol, ["other"], ["odd", "more"])
    for external, unknown in (([], ["ODD"]), (["Odd"], [])):
        with pytest.raises(HarnessError, match=r"the sets O(DD|dd) and odd differ in case alone"):
            pipeline._refuse_two_meanings(protocol, external, unknown)


# --- the whole path -------------------------------------------------------------------------------

ODD = """extends = "tiny.toml"
[[unknown]]
name = "odd"
description = "Drawn noise that is none of the five classes."
confident_at = 0.21
images = { formats = ["PNG"], min_side_px = 48, max_side_px = 48 }
[[criteria]]
id = "U1"
question = "unknown"
set = "odd"
metric = "unknown_confident"
ceiling = 0.05
level = 0.95
rationale = "What it does not know may not enter a count."
required = false
"""


def test_unknown_cells_are_scored_judged_recorded_and_verified(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    (place / "odd.toml").write_text(ODD)
    draw(place / "cells" / "blast", 9, seed=1)
    draw(place / "cells" / "smudge", 8, seed=2)
    draw(place / "more", 4, seed=3)
    done = tiny(
        f"--protocol={place / 'odd.toml'}",
        f"--unknown=odd={place / 'cells'}",
        f"--unknown=more={place / 'more'}",
        suites="suites/test_unknown.py",
    )
    pack = (place / "reports" / "latest").resolve()
    assert pack != cold[1], done.stdout + done.stderr
    verdict, evidence = verdicts_of(pack)["U1"], evidence_of(pack)
    rows = list(csv.DictReader(io.StringIO((pack / "predictions/unknown/odd.csv").read_text())))
    n_confident = sum(max(float(row[name]) for name in row if name.startswith("p_")) >= 0.21 for row in rows)
    # Of five classes the likeliest has 0.2 at least: at 0.21 even a training of seconds is sure of some.
    assert (verdict["estimate"]["k"], verdict["estimate"]["n"], verdict["outcome"]) == (n_confident, 17, "failed")
    assert n_confident > 0, done.stdout
    assert {row["label"] for row in rows} == {"blast", "smudge"}
    assert {row["p_blast"] for row in rows} == {"0.0"}
    assert verdict["look"] == 1
    assert set(evidence["predictions"]) == set()  # of no part or external set: nobody asked
    assert evidence["unknown"]["more"]["kinds"] == ["more"]
    roles = {each["name"]: each["role"] for each in evidence["sets"]}
    assert (roles["odd"], roles["more"]) == ("unknown", "unknown")
    page = (pack / "index.html").read_text()
    assert "What unknown cells of odd are taken for" in page
    assert verify_pack(pack).discrepancies == ()

    # A kind that is called something else is no label that was corrected after a look.
    (place / "cells" / "smudge").rename(place / "cells" / "crushed")
    again = tiny(
        f"--protocol={place / 'odd.toml'}", f"--unknown=odd={place / 'cells'}", suites="suites/test_unknown.py"
    )
    renamed = (place / "reports" / "latest").resolve()
    assert renamed != pack, again.stdout + again.stderr
    assert verdicts_of(renamed)["U1"]["look"] == 1  # the same answers again
    assert not evidence_of(renamed)["relabelled"]
    assert "corrected" not in again.stdout
    assert verify_pack(renamed).discrepancies == ()

    # Planted: a cell of a class that it knows among them, and another probability than the one that was given.
    changed = (pack / "predictions/unknown/odd.csv").read_text()
    (pack / "predictions/unknown/odd.csv").write_text(changed.replace(",blast,", ",monocyte,", 1))
    mend_sums(pack)
    assert any("predictions/unknown/odd.csv" in str(each) for each in verify_pack(pack).discrepancies)
    (pack / "predictions/unknown/odd.csv").write_text(changed)

    def fewer(content):
        content["page"]["disturbances"]["unknown"]["odd"]["share"]["k"] -= 1

    edit_json(pack, "evidence.json", fewer)
    mend_sums(pack)
    assert any("share > k" in str(each) for each in verify_pack(pack).discrepancies)


def test_answers_on_unknown_cells_that_exist_are_judged_and_follow_from_their_file(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    classes = PROTOCOL.dataset.classes
    (place / "odd.toml").write_text(ODD)
    draw(place / "given" / "blast", 6, seed=4)

    def table(name: str, rows: list[list[object]], header: Sequence[str] = classes) -> Path:
        with (place / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([["path", *header], *rows])
        return place / name

    with (cold[1] / "predictions/test.csv").open(newline="") as stream:
        test = [[row["path"], *(row[f"p_{name}"] for name in classes)] for row in csv.DictReader(stream)]
    # As a pack writes them, with a column of zeros for the kind.
    odd = [[f"blast/{number}.png", *([0.2] * 5 if number else [1.0, 0, 0, 0, 0]), 0.0] for number in range(6)]
    own = [f"p_{name}" for name in (*classes, "blast")]
    done = tiny(
        f"--protocol={place / 'odd.toml'}",
        f"--split={cold[1] / 'data_split.csv'}",
        f"--unknown=odd={place / 'given'}",
        f"--predictions={table('test.csv', test)}",
        f"--predictions=odd={table('odd.csv', odd, own)}",
        suites="suites/test_unknown.py",
    )
    pack = (place / "reports" / "latest").resolve()
    verdict = verdicts_of(pack)["U1"]
    found = verdict["estimate"]
    assert found is not None, done.stdout[:6000]
    assert (found["k"], found["n"]) == (1, 6)
    assert verify_pack(pack).discrepancies == ()

    given = next((pack / "predictions" / "given").glob("odd*.csv"))
    given.write_text(given.read_text().replace("1.0,0", "0.9,0.1", 1))
    mend_sums(pack)
    assert any("predictions/given/odd" in str(each) for each in verify_pack(pack).discrepancies)


def test_a_set_that_is_not_there_a_picture_of_the_dataset_and_two_meanings(
    tiny: Pytest, place: Path, cold: tuple[subprocess.CompletedProcess[str], Path]
):
    (place / "odd.toml").write_text(ODD)
    tiny(f"--protocol={place / 'odd.toml'}", suites="suites/test_unknown.py")
    absent = verdicts_of((place / "reports" / "latest").resolve())["U1"]
    assert absent["outcome"] == "not assessed"
    assert "no --unknown odd=DIR" in absent["reason"]
    assert verify_pack((place / "reports" / "latest").resolve()).discrepancies == ()

    own = next((place / "reports").rglob("dataset/monocyte/*.png"))
    draw(place / "mixed" / "blast", 5)
    (place / "mixed" / "blast" / "own.png").write_bytes(own.read_bytes())
    tiny(f"--protocol={place / 'odd.toml'}", f"--unknown=odd={place / 'mixed'}", suites="suites/test_unknown.py")
    mixed = verdicts_of((place / "reports" / "latest").resolve())["U1"]
    assert mixed["outcome"] == "not assessed"
    assert "set odd is not unknown: 1 of its 6 images are also in the dataset" in mixed["reason"]

    both = tiny(
        f"--external=odd={place / 'mixed'}", f"--unknown=odd={place / 'mixed'}", suites="suites/test_unknown.py"
    )
    assert "set odd is named as external and as unknown" in both.stdout + both.stderr
