"""One classifier's answers through another engine are the same look; those of another classifier never are."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judge import answers as answers_module
from harness.judge.answers import InvalidAnswers, answers_of, pack_answers, unpack_answers
from harness.judge.ledger import cells_digest, parse_ledger, read_ledger, record_look
from harness.judge.look import LedgerError, Look
from harness.judge.looks import look_number
from harness.metrics.predictions import Predictions

CLASSES = ("basophil", "eosinophil", "monocyte")
SOURCE, PROTOCOL, MODEL = ("a" * 64, "b" * 64, "c" * 64)


def predictions(seed: int = 0, n: int = 12, *, moved: float = 0.0) -> Predictions:
    """Clear answers for n cells; `moved` shifts probability from the largest of each to the next."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(3) * 0.4, size=n) * 0.5
    rows[np.arange(n), rng.integers(3, size=n)] += 0.5
    largest, others = rows.argmax(axis=1), rows.argmin(axis=1)
    rows[np.arange(n), largest] -= moved
    rows[np.arange(n), others] += moved
    digests = tuple(hashlib.sha256(bytes([number])).hexdigest() for number in range(n))
    labels = np.arange(n, dtype=np.int64) % 3
    return Predictions("test", CLASSES, tuple(f"{i}.png" for i in range(n)), digests, labels, rows)


def other_order(given: Predictions) -> Predictions:
    """The same answers with rows and classes in another order."""
    rows, columns = np.arange(len(given.digests))[::-1], [2, 0, 1]
    names = tuple(given.classes[column] for column in columns)
    labels = np.array([names.index(given.classes[label]) for label in given.labels[rows]])
    paths, digests = (tuple(each[row] for row in rows) for each in (given.paths, given.digests))
    return replace(
        given, classes=names, paths=paths, digests=digests, labels=labels,
        probabilities=given.probabilities[rows][:, columns],
    )  # fmt: skip


def looked(path: Path, found: Predictions, *, run: str, role: str = "judged", old: bool = False) -> int:
    """The number of a look at these predictions, once it is on record; old: as an older harness recorded it."""
    look = record_look(
        path,
        run=run,
        set="test",
        source=SOURCE,
        cells=cells_digest(found),
        n=len(found.digests),
        model=MODEL,
        predictions=found.digest,
        protocol=PROTOCOL,
        role=role,  # type: ignore[arg-type]
        answers="" if old else pack_answers(answers_of(found)),
    )
    return number_of(read_ledger(path), look)


def number_of(looks: tuple[Look, ...], look: Look) -> int:
    return look_number(
        looks, run=look.run, source=look.source, cells=look.cells, predictions=look.predictions, answers=look.answers
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


# --- what is kept ---


def test_what_is_kept_is_read_back_and_holds_every_probability_in_millionths():
    found = predictions()
    kept = unpack_answers(pack_answers(answers_of(found)))
    assert kept.equals(answers_of(found))
    order = sorted(range(12), key=lambda row: found.digests[row])
    assert kept.classes == CLASSES
    assert np.abs(kept.millionths / 1e6 - found.probabilities[order]).max() <= 5e-7
    assert kept.predicted.tolist() == found.predicted[order].tolist()


def test_the_order_of_cells_and_classes_changes_nothing():
    found = predictions()
    assert answers_of(found).equals(answers_of(other_order(found)))


@settings(max_examples=examples(200))
@given(seed=st.integers(0, 2**32 - 1), moved=st.floats(0, 3e-4))
def test_one_ten_thousandth_decides_and_what_is_kept_decides_the_same(seed: int, moved: float):
    one, other = predictions(seed), predictions(seed, moved=moved)
    difference = np.abs(one.probabilities - other.probabilities).max()
    same = unpack_answers(pack_answers(answers_of(one))).is_same_look_as(answers_of(other))
    if abs(difference - 1e-4) > 2e-6:  # both are kept to a millionth
        assert same == (difference < 1e-4 and np.array_equal(one.predicted, other.predicted))


def test_another_class_of_one_cell_is_another_look_however_near():
    one = predictions()
    rows = one.probabilities.copy()
    rows[0] = [0.50002, 0.49998, 0.0]
    flipped = rows.copy()
    flipped[0] = [0.49998, 0.50002, 0.0]
    near, other = replace(one, probabilities=rows), replace(one, probabilities=flipped)
    assert not answers_of(near).is_same_look_as(answers_of(other))


def test_of_a_set_that_is_too_large_nothing_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(answers_module, "MOST_CHARACTERS", 40)
    assert pack_answers(answers_of(predictions())) == ""


def packed(head: object, body: bytes = b"") -> str:
    return base64.b64encode(zlib.compress(json.dumps(head).encode() + b"\n" + body)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        base64.b64encode(b"not zlib").decode(),
        packed([]),
        packed({"classes": ["a"]}),
        packed({"classes": [], "n": 0}),
        packed({"classes": ["a"], "n": True}),
        packed({"classes": ["a"], "n": 2}, b"\0" * 6),
        packed({"classes": ["a"], "n": 1}, b"\1\0" + b"\0" * 4),
        packed({"classes": ["a"], "n": 1}, b"\0\0" + b"\xff" * 4),
        pack_answers(answers_of(predictions()))[:-8],
        base64.b64encode(zlib.compress(b"{}\n") + b"more").decode(),
    ],
)
def test_what_was_not_packed_here_is_refused(text: str):
    with pytest.raises(InvalidAnswers):
        unpack_answers(text)


def test_a_bomb_is_not_unpacked():
    with pytest.raises(InvalidAnswers, match="more than 67,108,864 bytes"):
        unpack_answers(base64.b64encode(zlib.compress(b"\0" * (2**26 + 1))).decode())


# --- what the ledger makes of it ---


def test_another_engine_s_last_bits_are_the_same_look(path: Path):
    assert looked(path, predictions(), run="trained") == 1
    for number, moved in enumerate([1e-7, 3e-5, 9.9e-5]):
        assert looked(path, predictions(moved=moved), run=f"engine {number}") == 1
    assert looked(path, other_order(predictions(moved=5e-5)), run="another order") == 1
    assert looked(path, predictions(seed=1), run="another classifier") == 2
    assert looked(path, predictions(moved=2e-4), run="moved") == 3


def test_small_steps_lead_to_no_free_look(path: Path):
    numbers = [looked(path, predictions(moved=step * 9e-5), run=f"step {step}") for step in range(5)]
    assert numbers == [1, 1, 2, 2, 3]  # each is measured from the first of its look, not from the one before


def test_the_same_answers_on_other_cells_of_the_source_are_another_look(path: Path):
    assert looked(path, predictions(), run="one") == 1
    few = predictions(n=6)
    assert looked(path, few, run="redrawn") == 2


def test_an_entry_without_answers_is_known_by_its_digest_alone(path: Path):
    assert looked(path, predictions(), run="old harness", old=True) == 1
    assert looked(path, predictions(), run="the same bits") == 1
    assert looked(path, predictions(moved=1e-6), run="other bits") == 2  # nothing shows that they are the same


def test_a_seed_that_is_as_good_as_the_judged_one_is_the_same_look(path: Path):
    assert looked(path, predictions(), run="seeds") == 1
    looked(path, predictions(moved=5e-5), run="seeds", role="seed")
    assert looked(path, predictions(moved=5e-5), run="later") == 1
    looked(path, predictions(seed=4), run="seeds", role="seed")
    assert looked(path, predictions(seed=4, moved=1e-5), run="later still") == 2


def test_old_lines_keep_their_bytes_and_their_hash(path: Path):
    looked(path, predictions(), run="old harness", old=True)
    line = path.read_bytes()
    assert b"answers" not in line
    looked(path, predictions(), run="new harness")
    assert path.read_bytes().startswith(line)
    assert [bool(look.answers) for look in parse_ledger(path.read_bytes(), where="x")] == [False, True]


def relined(path: Path, **changed: object) -> bytes:
    """The last line with changed fields, and a hash that fits them."""
    entry = {k: v for k, v in (json.loads(path.read_bytes().splitlines()[-1]) | changed).items() if k != "hash"}
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    sealed = {**entry, "hash": hashlib.sha256(text.encode()).hexdigest()}
    return json.dumps(sealed, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("", "a field was changed"),
        (None, "answers is None"),
        ("AAAA", "answers are not what the harness writes"),
        (pack_answers(answers_of(predictions(n=3))), "it holds answers for 3 cells, n is 12"),
    ],
)
def test_answers_that_nobody_wrote_break_the_chain(path: Path, answers: object, words: str):
    looked(path, predictions(), run="one")
    with pytest.raises(LedgerError, match=words):
        parse_ledger(relined(path, answers=answers), where="x")
