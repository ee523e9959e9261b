"""A protocol's texts beside its numbers: what the criteria do not carry is refused, and what is honest is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.catalogue.controls import CONTROLS
from fixtures.faults import FAULTS
from fixtures.wording import INHERITED, WORDED
from harness.core.errors import ProtocolError
from harness.core.progress import silent
from harness.plugin import DEFAULT_PROTOCOL
from harness.proof import STAGES, Clean, plant_all
from harness.protocol.file import read_protocol, shipped_protocols
from harness.protocol.prose import bounds_in, levels_in, numbers_in
from harness.protocol.records import Protocol

Read = Callable[..., Protocol]
# The embedded protocol requires 0.85 of accuracy and 0.50 of each recall; its external criteria are not required.
BASE = """
extends = "embedded"
[identity]
id = "own"
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(*, title: str = "Own cells", use: str = "Trials of our own.", text: str = "") -> Protocol:
        file = tmp_path / "own.toml"
        file.write_text(f'{BASE}title = "{title}"\nintended_use = "{use}"\n{text}')
        return read_protocol(file)

    return of


def a1(rationale: str, *, bound: str = "floor = 0.90") -> str:
    return f'[[criteria]]\nid = "A1"\n{bound}\nrationale = "{rationale}"\n'


def refused(read: Read, *says: str, **texts: str) -> None:
    with pytest.raises(ProtocolError, match="its texts say what its criteria do not") as caught:
        read(**texts)
    assert all(each in str(caught.value) for each in says), str(caught.value)


@pytest.mark.parametrize("name", [n for n in shipped_protocols() if n not in ("base", "generic", "leukocyte-base")])
def test_the_texts_of_the_shipped_protocols_say_what_their_criteria_say(name):
    assert read_protocol(Path(name)).criteria


@pytest.mark.parametrize(
    "title",
    [
        "Clinically validated leukocyte classifier, 100 % accurate",
        "Leukocytes, accuracy 98 %",
        "Leukocytes: ninety-eight percent of cells right",
        "Leukocytes, 0.98 accurate",
        "Leukocytes, accuracy: 0.98",
        "Clinically v\\u0430lidated white cells",
        "Cl\\u0399nically proven white cells",
        "Clinically vali\\u00addated white cells",
        "A classifier that is ne\\u200bver wrong",
        "Clinically vali-\\ndated white cells",
        "Human-\\nlevel white cells",
        "Leukocytes, \\uff19\\uff18 % accurate",
        "Leukocytes, never less than 98 % correct",
        "Leukocytes, 373 of 375 cells correct",
        "Leukocytes with an error of 1 %",
        "Leukocytes, sensitivity 97 %",
        "Perfect leukocytes",
        "An error-free classifier",
        "A classifier that is never wrong",
        "FDA-cleared white cells",
        "White cells, ready for clinical use",
        "Expert-level white cells",
        "A robust classifier of white cells",
        "Generalises to every laboratory",
        "Calibrated probabilities of white cells",
    ],
)
def test_a_title_that_promises_more_than_is_required_is_refused(read, title):
    refused(read, "identity.title", title=title)


@pytest.mark.parametrize(
    "use",
    [
        "Classifies cells from any laboratory.",
        "For other hospitals. Not a medical device.",
        "Finds basophils with a sensitivity of at least 99 %, and is not a medical device.",
        "Right on 95 % of cells.",
    ],
)
def test_an_intended_use_against_the_criteria_is_refused(read, use):
    refused(read, "identity.intended_use", use=use)


@pytest.mark.parametrize(
    "use",
    [
        "Not clinically validated. It says nothing of other laboratories, and of no other stain.",
        "Decides whether a change may be merged; right on 85 % of cells is required.",
        "Shows in 10 % of the time that the path works. A pass does not mean that 99 % of cells are right.",
        "Recall of 50 % of every class; no statement about robust or perfect classifiers follows.",
    ],
)
def test_what_is_denied_or_carried_may_be_said(read, use):
    assert read(use=use).identity.intended_use == use


@pytest.mark.parametrize(
    "use",
    [
        "Cells stained for TNF\u03b1 and NF\u03baB, drawn at 5 \u03bcm.",
        "\u041b\u0435\u0439\u043a\u043e\u0446\u0438\u0442\u044b of our own ward.",
        "\u03b3\u03b4T cells are counted as lymphocytes.",
        "Trials on non-\\ngranular cells of our own.",
        "Five classes: 60 % of the cells are for training.",
    ],
)
def test_the_letters_of_the_field_and_of_other_languages_are_no_trick(read, use):
    assert read(use=use).identity.intended_use


def test_another_laboratory_may_be_named_where_a_required_criterion_asks_it(read):
    required = '[[criteria]]\nid = "E1"\nrequired = true\nrationale = "The use that is intended."\n'
    assert read(use="Classifies cells of other laboratories.", text=required)
    not_shown = '[[external]]\nname = "second_laboratory"\nindependence = "not shown"\n'
    refused(read, "independence is shown", use="Classifies cells of other laboratories.", text=not_shown + required)


@pytest.mark.parametrize(
    "rationale",
    [
        "Expected at least 0.97.",
        "Users expect at least 97 % of cells to be right.",
        "Accuracy must reach 97 percent.",
        "No less than ninety-seven percent is acceptable.",
        "The floor is 0.97, as agreed.",
        "A bound of >= 0.97.",
        "97 % or better is what the ward asks for.",
        "At most 3 % of cells may be wrong.",
        "At most one in fifty cells is wrong.",
        "At least 0.97; the floor of 0.90 came later.",
        "At least 0.80, as in the pilot.",  # laxer, and the bound itself is nowhere
        "At least 0.90, at 99 % confidence.",
        "At least 0.90. This criterion is not required.",
    ],
)
def test_a_rationale_that_names_another_bound_is_refused(read, rationale):
    refused(read, "criteria.A1.rationale", text=a1(rationale))


@pytest.mark.parametrize(
    "rationale",
    [
        "At least 0.90: a cell in ten may be read again.",
        "At most 10 % may be wrong.",
        "One cell in ten may be wrong at most.",
        "A true 98.5 % passes in 97 of 100 runs, a true 95 % in 2.",
        "Of 375 test cells 28 may be wrong; 347 of 375 at least.",
        "Colour alone reaches 0.78; this is far above.",
        "At least 90 %, at 95 % confidence.",
        "The published 0.98 was above 0.95; 0.90 is what our stain allows.",
        "No class may be given up for the others.",
    ],
)
def test_a_rationale_that_fits_its_bound_is_not_refused(read, rationale):
    assert read(text=a1(rationale))


@pytest.mark.parametrize(
    ("which", "rationale", "bound"),
    [
        ("G1", "A candidate may lose 1 point at most.", "floor = -0.05"),
        ("T2", "No more than 100 ms for one cell.", "ceiling = 1.0"),
        ("T4", "At least 50 images per second.", "floor = 5.0"),
        ("C1", "Off by at most 5 points.", "ceiling = 0.15"),
        ("B4", "At most one in ten inputs.", "ceiling = 0.20"),
    ],
)
def test_other_units_are_held_to_their_bounds(read, which, rationale, bound):
    text = f'[[criteria]]\nid = "{which}"\n{bound}\nrationale = "{rationale}"\n'
    refused(read, f"criteria.{which}", text=text)


def test_every_text_beside_a_verdict_is_read(read):
    sets = '[dataset]\ndescription = "Clinically validated cells."\n'
    waiver = '[[waivers]]\ncriterion = "A1"\nreason = "Clinically validated elsewhere."\nowner = "me"\n'
    refused(read, "dataset.description", "waivers.A1.reason", text=f"{sets}{waiver}expires = 2030-01-01\n")


# --- inherited rationales -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "key"),
    [
        ("floor = 0.70", "floor"),
        ("level = 0.8", "level"),
        ('set = "validation"\nrequired = false', "set"),
        # The same words again are inherited, too.
        (
            'floor = 0.70\nrationale = "Far above the 20 % of guessing,  low enough for a few minutes of training"',
            "floor",
        ),
    ],
)
def test_a_changed_bound_does_not_inherit_its_rationale(read, own, key):
    with pytest.raises(ProtocolError, match=f"'A1' has `{key}`.*with the rationale of the base.*Write `rationale`"):
        read(text=f'[[criteria]]\nid = "A1"\n{own}\n')


def test_a_bound_that_is_stated_again_keeps_its_rationale(read):
    assert read(text='[[criteria]]\nid = "A1"\nfloor = 0.85\nrequired = true\n')
    assert read(text='[[criteria]]\nid = "A1"\nfloor = 0.70\nrationale = "A trial with fewer cells."\n')


# --- numbers in words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("97 %, 97.5%, 0.97 and .97", [0.97, 0.975, 0.97, 0.97]),
        ("ninety-seven percent, one hundred per cent", [0.97, 1.0]),
        ("one in five, 99 of 100, 3 points", [0.2, 0.99, 0.03]),
        ("100 ms, 2 seconds, 50 images/s", [0.1, 2.0, 50.0]),
        ("version 1.2, 375 cells, ResNet-18, 96 px, 20 epochs", []),
        ("at 95 % confidence, a confidence level of 0.99", []),
    ],
)
def test_shares_times_and_rates_are_read_and_nothing_else(text, values):
    assert [number.value for number, _, _ in numbers_in(text)] == pytest.approx(values)


def test_a_confidence_level_is_a_level_and_no_bound():
    text = "At least 90 % at 99 % confidence."
    assert [each.value for each in levels_in(text)] == [0.99]
    assert [each.number.value for each in bounds_in(text)] == [0.9]


@pytest.mark.parametrize("text", [text for *_, text, _ in WORDED] + [text for *_, text in INHERITED])
def test_every_planted_text_is_refused(tmp_path, text):
    file = tmp_path / "planted.toml"
    file.write_text(f'extends = "embedded"\n{text}')
    with pytest.raises(ProtocolError):
        read_protocol(file)


@pytest.mark.slow
def test_a_run_ends_by_a_planted_text_and_not_by_an_honest_one(tmp_path):
    clean = Clean(tmp_path / "clean", tmp_path / "pack", tmp_path / "sets", DEFAULT_PROTOCOL)
    (clean.reports / STAGES).mkdir(parents=True)
    (tmp_path / "work").mkdir()
    wanted = ("H7-title", "H8-floor", "C-texts")
    planted = tuple(each for each in (*FAULTS, *CONTROLS) if each.id in wanted)
    trials = plant_all(planted, clean, work=tmp_path / "work", jobs=1, progress=silent)
    assert sorted(trial.id for trial in trials) == sorted(wanted)
    assert [trial for trial in trials if not trial.as_expected] == []
