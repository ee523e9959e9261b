"""What lets more pass says why in words, and what a constant answer would meet is told to require nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import ProtocolError
from harness.core.places import PROTOCOLS
from harness.data.records import CellImage
from harness.judge.constant_answers import constant_answers
from harness.judge.rules import RULES
from harness.metrics.predictions import Predictions, predictions_of
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.report.sentences import CLASSIFYING

PROTOCOL = read_protocol(PROTOCOLS / "leukocyte-gate.toml")
CLASSES = PROTOCOL.dataset.classes
EMPTY = {
    "looks.reason": '[looks]\ncorrection = "none"\nreason = "..........."\n',
    "clusters.source": '[clusters]\nintracluster_correlation = 0.0\nsource = "          "\n',
    "dataset.pixels_suffice": '[dataset]\npixels_suffice = "aaaaaaaaaaaa"\n',
    "waivers.T1.reason": '[[waivers]]\ncriterion = "T1"\nreason = "1234567890"\nowner = "me"\nexpires = 2099-01-01\n',
    "amendments.criteria.A1.floor.reason": '[[amendments]]\nkey = "criteria.A1.floor"\nold = 0.99\nnew = 0.85\n'
    'reason = "- - - - - -"\nowner = "me"\nday = 2026-01-01\n',
}


def written(folder: Path, text: str) -> Path:
    file = folder / "own.toml"
    file.write_text(f'extends = "{PROTOCOLS / "embedded.toml"}"\n[identity]\nid = "own"\n{text}')
    return file


@pytest.mark.parametrize("key", EMPTY)
def test_a_reason_or_source_that_says_nothing_is_refused(key, tmp_path: Path):
    with pytest.raises(ProtocolError, match=f"{key}: .* says nothing"):
        read_protocol(written(tmp_path, EMPTY[key]))


def test_a_source_in_words_is_read(tmp_path: Path):
    read_protocol(written(tmp_path, EMPTY["clusters.source"].replace(" " * 10, "Rossi 2024, table 3")))


def test_a_class_that_every_cell_has_leaves_no_predictive_value_to_miss(tmp_path: Path):
    shares = ", ".join(f"{name} = {float(name == CLASSES[0])}" for name in CLASSES)
    text = f'[prevalence]\nsource = "what we would like"\nshares = {{ {shares} }}\n'
    with pytest.raises(ProtocolError, match="no predictive value can be missed"):
        read_protocol(written(tmp_path, text))


def cells(counts: dict[str, int]) -> Predictions:
    labels = [label for label, n in counts.items() for _ in range(n)]
    images = [CellImage(f"{i}.png", label, f"{i:064x}", 1) for i, label in enumerate(labels)]
    shown = np.full((len(images), len(CLASSES)), 1 / len(CLASSES))
    return predictions_of(images, shown, set_name="test", classes=CLASSES)


def requiring(**floors: float) -> Protocol:
    asked = [c.model_copy(update={"floor": floors[c.id]}) for c in PROTOCOL.criteria if c.id in floors]
    return PROTOCOL.model_copy(update={"criteria": tuple(asked)})


def enough(protocol: Protocol, counts: dict[str, int]) -> list[str]:
    return list(constant_answers(protocol, {"test": cells(counts)}, CLASSIFYING, rules=RULES))


def test_one_answer_to_every_cell_meets_a_floor_below_the_share_of_its_class():
    even, uneven = dict.fromkeys(CLASSES, 40), {**dict.fromkeys(CLASSES, 10), CLASSES[3]: 160}
    # 40 of 200 prove 0.147 at 97.5 %, 160 of 200 prove 0.738.
    assert enough(requiring(A1=0.14), even) == list(CLASSES)
    assert enough(requiring(A1=0.15), even) == []
    assert enough(requiring(A1=0.73), uneven) == [CLASSES[3]]
    assert enough(requiring(A1=0.74), uneven) == []


def test_recalls_of_two_classes_are_met_by_no_one_answer():
    even = dict.fromkeys(CLASSES, 40)
    one, two = f"R1-{CLASSES[0]}", f"R1-{CLASSES[1]}"
    assert enough(requiring(**{one: 0.9}), even) == [CLASSES[0]]
    assert enough(requiring(**{one: 0.9, two: 0.01}), even) == []
    assert enough(PROTOCOL, even) == []


@pytest.mark.parametrize("owner", ["  ", "--", "\u200b\u200b", "1."])
def test_an_owner_who_is_nobody_answers_for_nothing(tmp_path: Path, owner: str):
    (tmp_path / "own.toml").write_text(
        'extends = "embedded"\n[identity]\nid = "own"\n[[waivers]]\ncriterion = "E1"\nexpires = 2099-01-01\n'
        f'reason = "the set is not on every machine"\nowner = "{owner}"\n',
        encoding="utf-8",
    )
    with pytest.raises(ProtocolError, match=r"waivers.E1.owner: .* names nobody. Say who answers for it"):
        read_protocol(tmp_path / "own.toml")
