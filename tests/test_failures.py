"""Looking at errors: by confusion pair, with pictures where they may be shown, and the least sure correct cells."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from example_run import example_picture, example_pixels, example_run, page_of, write_example_dataset
from test_comparing import pack_of, run_named
from test_verify import mend_sums

from harness.data.leakage import DuplicatePair, ListedImage
from harness.pack.verify import verify_pack
from harness.pack.write import _load_shown
from harness.protocol.reporting import ReportPlan
from harness.report.figures import draw_thumbnails, images_to_show
from harness.report.sections.failures import (
    MOST_OF_A_PAIR,
    MOST_OF_A_SET,
    MOST_UNSURE,
    facts,
    misclassified,
    shown_cells,
    unsure_of,
)
from harness.run.recipes.basis import Pictures
from harness.run.results import RunResults

OTHER = "second-laboratory"


@pytest.fixture(scope="module")
def run() -> RunResults:
    return example_run(n_wrong=9)


def showing(run: RunResults, images: str) -> RunResults:
    plan = ReportPlan(images=images)  # type: ignore[arg-type]
    return dataclasses.replace(run, protocol=run.protocol.model_copy(update={"report": plan}))


def test_frequent_pairs_come_first_and_every_error_is_in_one(run):
    found = run.predictions[OTHER]
    rows = [cell.line - 2 for cell in misclassified(run, found)]
    assert sorted(rows) == np.flatnonzero(~found.correct).tolist()
    pairs = [(int(found.labels[row]), int(found.predicted[row])) for row in rows]
    counts = Counter(pairs)
    assert [counts[pair] for pair in pairs] == sorted((counts[pair] for pair in pairs), reverse=True)
    assert len([1 for a, b in pairwise(pairs) if a != b]) == len(counts) - 1  # one run for each
    confidence = found.confidence
    assert all(
        confidence[a] >= confidence[b] for (a, b), (p, q) in zip(pairwise(rows), pairwise(pairs), strict=True) if p == q
    )


def test_the_pairs_are_the_confusion_matrix_beside_its_diagonal(run):
    told = facts(run)["pairs"]
    for name, each in run.evaluations.items():
        if name in ("train", "validation"):
            continue
        matrix = np.zeros_like(each.confusion)
        for pair in told[name]:  # type: ignore[index]
            matrix[each.classes.index(pair["reference"]), each.classes.index(pair["predicted"])] += pair["n"]
        np.testing.assert_array_equal(matrix, each.confusion - np.diag(np.diag(each.confusion)))


def test_the_least_sure_cells_are_correct_and_no_correct_cell_is_less_sure(run):
    found = run.predictions["test"]
    told = unsure_of(run, found)
    assert len(told) == MOST_UNSURE
    sure = sorted(found.confidence[found.correct])
    assert [each.p_label for each in told] == sure[:MOST_UNSURE]
    for each in told:
        row = found.paths.index(each.path)
        assert each.label == found.classes[found.labels[row]]
        assert each.p_other == sorted(found.probabilities[row])[-2]


@pytest.mark.parametrize(
    ("images", "errors", "unsure"), [("all", True, True), ("errors", True, False), ("none", False, False)]
)
def test_pictures_are_of_what_the_protocol_lets_out(run, images, errors, unsure):
    shown = shown_cells(showing(run, images))
    for name in ("test", "nine-monocytes"):
        found = run.predictions[name]
        wrong = {cell.digest for cell in misclassified(run, found)}
        assert wrong <= shown if errors else not wrong & shown
        assert ({each.sha256 for each in unsure_of(run, found)} <= shown) is unsure


def test_pictures_have_an_end_and_the_list_does_not(run):
    # 200 cells of one class, all called one other: one pair, more than there is room for.
    found = run.predictions[OTHER]
    n, classes = 200, len(found.classes)
    probabilities = np.tile(np.eye(classes)[1], (n, 1))
    many = dataclasses.replace(
        found,
        paths=tuple(f"{i:03d}.png" for i in range(n)),
        digests=tuple(f"{i:064x}" for i in range(n)),
        labels=np.zeros(n, dtype=np.int64),
        probabilities=probabilities,
    )
    one_pair = dataclasses.replace(run, predictions={OTHER: many})
    assert len(shown_cells(one_pair)) == MOST_OF_A_PAIR
    labels = np.arange(n) % (classes - 1)
    labels[labels >= 1] += 1  # never the class that they are called
    more = dataclasses.replace(many, labels=labels)
    assert len(shown_cells(dataclasses.replace(run, predictions={OTHER: more}))) == min(
        MOST_OF_A_SET, MOST_OF_A_PAIR * (classes - 1)
    )
    assert len(misclassified(one_pair, many)) == n


def test_an_external_error_is_pictured_where_its_file_is_what_was_scored(run, tmp_path):
    found = run.predictions[OTHER]
    cell = misclassified(run, found)[0]
    row = cell.line - 2
    image = next(each for each in _cells(run) if each[0] == cell.digest)
    assert image[1] == found.paths[row]
    page = page_of(run, thumbnails=draw_thumbnails(run, example_pixels(images_to_show(run))))
    section = page.partition("Misclassified on second-laboratory")[2].partition("</table>")[0]
    assert section.count("<image ") == len({each.digest for each in misclassified(run, found)} & shown_cells(run))


def _cells(run: RunResults) -> list[tuple[str, str]]:
    return [
        (digest, path)
        for each in run.predictions.values()
        for digest, path in zip(each.digests, each.paths, strict=True)
    ]


def test_files_of_other_sets_are_found_by_digest_and_an_altered_one_is_not(tmp_path):
    manifest = write_example_dataset(tmp_path / "cells")
    whole, altered = manifest.images[:2]
    pictures = Pictures("elsewhere", (whole, altered), ("JPEG", "PNG"), manifest.root)
    (manifest.root / altered.path).write_bytes(example_picture("another"))
    assert set(_load_shown([whole.sha256, altered.sha256, "0" * 64], [pictures])) == {whole.sha256}


def test_a_copy_of_a_misclassified_cell_is_told_beside_it(run):
    found = run.predictions["test"]
    cell = misclassified(run, found)[0]
    row = cell.line - 2
    label = found.classes[found.labels[row]]
    own = ListedImage("dataset", found.paths[row], label)
    pair = DuplicatePair(own, ListedImage(OTHER, "x/copy.png", label), "near", "rotated 90", 0.999, 0.99)
    told = facts(dataclasses.replace(run, duplicates=(pair,)))["known"]
    assert told == {"test": {str(cell.line): [f"shows the picture of 'x/copy.png' ({OTHER}, {label})"]}}


def test_an_edited_probability_of_an_unsure_cell_is_found(tmp_path: Path):
    manifest = write_example_dataset(tmp_path / "data")
    pack = pack_of(run_named("edited", n_wrong=9), manifest, tmp_path / "reports")
    assert verify_pack(pack).holds
    place = pack / "evidence.json"
    evidence = json.loads(place.read_text())
    evidence["page"]["failures"]["unsure"]["test"][0]["p_label"] = 0.99
    place.write_text(json.dumps(evidence))
    mend_sums(pack)
    assert any("failures > unsure > test" in str(each) for each in verify_pack(pack).discrepancies)
