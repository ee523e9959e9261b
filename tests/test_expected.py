"""A run whose protocol hopes for a truth says what was to be expected before it says what came."""

from __future__ import annotations

import json
import subprocess
from datetime import date, datetime
from pathlib import Path

import pytest
from tiny_run import Pytest, evidence_of

from harness.cli import main
from harness.planning import as_record, plan
from harness.protocol.file import read_protocol

HOPED = """
[identity]
id = "hoped"
[plan]
accuracy = 0.97
draws = 100
[[criteria]]
id = "A1"
floor = 0.5
required = true
rationale = "So that ten cells can decide."
"""


@pytest.fixture(scope="module")
def hoped(cold: tuple[subprocess.CompletedProcess[str], Path], place: Path, tiny: Pytest) -> tuple[str, Path]:
    """What the terminal said, and the pack."""
    (place / "hoped.toml").write_text(f'extends = "{place / "tiny.toml"}"\n{HOPED}')
    done = tiny(f"--protocol={place / 'hoped.toml'}")
    return done.stdout, (place / "reports" / "latest").resolve()


def test_the_run_records_the_chances_that_the_plan_alone_tells(hoped: tuple[str, Path], place: Path):
    recorded = {each["criterion"]: each for each in evidence_of(hoped[1])["chances"]["each"]}
    protocol = read_protocol(place / "hoped.toml")
    alone = json.loads(json.dumps(as_record(plan(protocol, None, today=protocol_day(hoped[1]), workers=1))))
    modelled = [each for each in alone["each"] if each["how"] in ("exact", "simulated")]
    assert {"A1"} <= {each["criterion"] for each in modelled}
    for each in modelled:
        assert recorded[each["criterion"]] == each


def protocol_day(pack: Path) -> date:
    return datetime.fromisoformat(evidence_of(pack)["run"]["started_at"]).date()


def test_page_and_terminal_say_it_and_the_pack_holds(hoped: tuple[str, Path], capsys: pytest.CaptureFixture[str]):
    said, pack = hoped
    assert "required criteria that have a model pass together in" in said
    page = (pack / "index.html").read_text()
    assert "What was to be expected" in page
    assert main(["verify", str(pack)]) == 0
    assert "how likely a pass was at the hoped-for truth" in capsys.readouterr().out


def test_a_protocol_that_hopes_for_nothing_records_nothing(cold: tuple[subprocess.CompletedProcess[str], Path]):
    assert evidence_of(cold[1])["chances"] is None
