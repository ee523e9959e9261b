"""Does the exported ONNX file say what was judged, of every cell that was judged?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_run import OF_IMAGES, Pytest, apart, evidence_of, verdicts_of

from harness.cli import main
from harness.core.digests import file_digest
from harness.metrics.measurements import Count
from harness.metrics.parity import Parity, SetParity, set_parity
from harness.metrics.predictions import Predictions
from harness.pack.parity import parity_findings

CLASSES = ("a", "b", "c")


def judged(*rows: tuple[float, float, float], name: str = "test") -> Predictions:
    n = len(rows)
    return Predictions(
        name,
        CLASSES,
        tuple(f"a/{index}.png" for index in range(n)),
        tuple(f"{index:064}" for index in range(n)),
        np.zeros(n, np.int64),
        np.array(rows, np.float64).reshape(n, 3),
    )


def lines(one: Predictions, *again: tuple[float, float, float]) -> tuple[str, ...]:
    return set_parity(one, CLASSES, np.array(again, np.float64).reshape(-1, 3)).differing


def test_probabilities_may_differ_by_a_ten_thousandth_and_no_more():
    one = judged((0.5, 0.3, 0.2), (0.6, 0.2, 0.2))
    assert lines(one, (0.50009, 0.29991, 0.2), (0.6, 0.2, 0.2)) == ()
    assert lines(one, (0.5, 0.3, 0.2), (0.60011, 0.19989, 0.2)) == ("a/1.png: probabilities differ by 0.00011",)


def test_the_label_must_be_the_same_unless_the_two_largest_are_as_good_as_equal():
    # 0.40005 - 0.39997 = 0.00008: nobody can say which is larger; 0.40010 - 0.39995 = 0.00015: somebody can.
    assert lines(judged((0.40005, 0.39997, 0.19998)), (0.40000, 0.40002, 0.19998)) == ()
    (line,) = lines(judged((0.40010, 0.39995, 0.19995)), (0.40002, 0.40003, 0.19995))
    assert line == "a/0.png: probabilities differ by 8e-05, another class"


def test_an_answer_that_is_no_number_is_another_answer():
    found = set_parity(judged((0.5, 0.3, 0.2)), CLASSES, np.array([[np.nan, 0.3, 0.2]]))
    assert len(found.differing) == 1
    assert found.largest == 1.0


def test_other_classes_or_a_missing_row_are_another_answer_for_every_cell():
    one = judged((0.5, 0.3, 0.2), (0.5, 0.3, 0.2))
    for classes, again in ((CLASSES[::-1], one.probabilities), (CLASSES, one.probabilities[:1])):
        found = set_parity(one, classes, again)
        assert (found.n, found.largest) == (2, 1.0)
        assert "every cell: it answers with" in found.differing[0]


def test_a_set_without_cells_has_no_difference():
    assert set_parity(judged(), CLASSES, np.empty((0, 3))) == SetParity("test", 0, 0.0, ())


WHOLE = Parity("classifier.onnx", "1" * 64, 9, "onnxruntime 1", (SetParity("test", 1, 1e-6, ()),))


def test_what_is_counted_are_the_cells_of_all_sets():
    other = SetParity("elsewhere", 3, 0.5, ("a/0.png: probabilities differ by 0.5",))
    found = replace(WHOLE, sets=(*WHOLE.sets, other)).count
    assert found == Count(("elsewhere, a/0.png: probabilities differ by 0.5",), 4)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({}, None),
        ({"sha256": "2" * 64}, "parity > sha256"),
        ({"file": "other.onnx"}, "parity > sha256"),
        ({"sets": ()}, "parity > sets"),
        ({"sets": (SetParity("test", 2, 0.0, ()),)}, "parity > sets > test"),
        ({"sets": (*WHOLE.sets, SetParity("elsewhere", 1, 0.0, ()))}, "parity > sets > elsewhere"),
        ({"sets": (SetParity("test", 1, 0.1, ()),)}, "parity > sets > test"),
        ({"sets": (SetParity("test", 1, float("nan"), ()),)}, "parity > sets > test"),
        ({"sets": (SetParity("test", 1, 0.1, ("a/0.png",)),)}, None),
    ],
)
def test_what_the_pack_itself_refutes_is_found(change: dict[str, object], field: str | None):
    found = parity_findings(
        replace(WHOLE, **change),  # type: ignore[arg-type]
        sums={"models/classifier.onnx": "1" * 64},
        predictions={"test": judged((0.5, 0.3, 0.2))},
    )
    assert [each for each, _ in found] == ([] if field is None else [field])


# --- whole runs ---


SETS = ("test", "second_laboratory", "nine_monocytes")


def test_every_training_leaves_a_file_that_says_what_was_judged(cold):
    done, pack = cold
    parity, verdict = evidence_of(pack)["parity"], verdicts_of(pack)["F8"]
    assert parity["sha256"] == file_digest(pack / "models" / "classifier.onnx")
    assert [each["set"] for each in parity["sets"]] == list(SETS)
    n = sum(len((pack / f"predictions/{name}.csv").read_text().splitlines()) - 1 for name in SETS)
    assert sum(each["n"] for each in parity["sets"]) == n == verdict["estimate"]["n"]
    assert (verdict["outcome"], verdict["estimate"]["value"]) == ("passed", 0.0)
    assert max(each["largest"] for each in parity["sets"]) < 1e-4
    assert f"0 of {n} checked" in done.stdout
    page = (pack / "index.html").read_text()
    assert "Exported ONNX file against what was judged" in page
    assert parity["sha256"] in page


@pytest.fixture(scope="module")
def judged_graph(tiny: Pytest, place: Path, cold) -> Path:
    """The pack of the cold run's classifier.onnx, judged by its file alone, elsewhere: no answer is there."""
    reports = apart(place, "graph", stages=OF_IMAGES)
    done = tiny(f"--model={cold[1] / 'models' / 'classifier.onnx'}", f"--reports={reports}")
    assert done.returncode == 0, done.stdout + done.stderr
    return (reports / "latest").resolve()


def table(pack: Path, name: str) -> tuple[list[str], np.ndarray]:
    rows = [line.split(",") for line in (pack / f"predictions/{name}.csv").read_text().splitlines()[1:]]
    return [",".join(row[:-5]) for row in rows], np.array([row[-5:] for row in rows], np.float64)


def test_judging_the_graph_says_what_the_training_run_said(judged_graph: Path, cold):
    for name in ("train", "validation", *SETS):
        (cells, own), (others, trained) = table(judged_graph, name), table(cold[1], name)
        assert len(cells) == len(others) > 0
        assert abs(own - trained).max() < 1e-4
    found, before = verdicts_of(judged_graph), verdicts_of(cold[1])
    for name, verdict in found.items():
        wanted = before[name]
        if verdict["not_asked"] or wanted["estimate"] is None or name.startswith(("T", "B3", "B4", "C")):
            continue  # another clock, another score where there are no features, sums of float32
        assert (verdict["outcome"], verdict["estimate"]["k"]) == (wanted["outcome"], wanted["estimate"]["k"]), name


def test_the_pack_tells_what_graph_was_judged_and_verifies(judged_graph: Path, cold, capsys):
    model = evidence_of(judged_graph)["model"]
    assert (model["format"], model["architecture"], model["layout"]) == (
        "ONNX",
        "resnet18",
        "NCHW float32 in, logits out",
    )
    assert model["cells"] == "stated by the file"
    assert model["sha256"] == file_digest(judged_graph / "models" / "judged.onnx")
    assert model["card"]["engine"].startswith("onnxruntime ")
    for name in ("F1", "F5", "F8", "P1"):
        assert verdicts_of(judged_graph)[name]["not_asked"]
    assert evidence_of(judged_graph)["robustness"]["detection"]["score"] == "confidence"
    page = (judged_graph / "index.html").read_text()
    assert "a graph of the standard's operators" in page
    assert "computed by" in page
    assert "32</data> px" in page
    assert main(["verify", str(judged_graph)]) == 0, capsys.readouterr().out
