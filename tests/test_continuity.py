"""A ledger must go on from where it was last seen: in any pack, in the baseline, or by a head that was kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_ledger import looked, sha
from tiny_run import Pytest, apart, evidence_of, verdicts_of

from harness.cli import main
from harness.judge.continuity import known_chain, known_head, lost_ledger, without_ledger
from harness.judge.ledger import head_of, ledger_bytes, merge_looks, read_ledger
from harness.judge.look import START, Look
from harness.pack.known_ledgers import chains_in
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.session import Exit

NOWHERE: tuple[Look, ...] = ()


def chain(path: Path, *runs: str) -> tuple[Look, ...]:
    for run in runs:
        looked(path, run=run, predictions=sha(run))
    return read_ledger(path)


def pack(reports: Path, name: str, began: str, looks: tuple[Look, ...]) -> None:
    folder = reports / name
    folder.mkdir(parents=True)
    (folder / "evidence.json").write_text(json.dumps({"run": {"id": name, "started_at": began}}))
    if looks:
        (folder / "ledger.jsonl").write_bytes(ledger_bytes(looks))


def test_a_chain_goes_on_where_every_look_of_it_is_there(tmp_path):
    older = chain(tmp_path / "ledger.jsonl", "a", "b")
    newer = chain(tmp_path / "ledger.jsonl", "c")
    other = chain(tmp_path / "other.jsonl", "a", "c")
    for ledger, goes_on in ((older, True), (newer, True), (older[:1], False), (other, False), (NOWHERE, False)):
        assert known_chain("a pack", older, ledger).continued is goes_on
        assert known_head(head_of(older), ledger).continued is goes_on
    assert known_chain("a pack", NOWHERE, NOWHERE).continued
    assert known_head(START, NOWHERE).continued


def test_a_ledger_that_others_were_merged_into_goes_on(tmp_path):
    ours, theirs = chain(tmp_path / "ours.jsonl", "a"), chain(tmp_path / "theirs.jsonl", "b")
    merge_looks(tmp_path / "ours.jsonl", {"theirs": theirs})
    merged = read_ledger(tmp_path / "ours.jsonl")
    assert all(known_chain("a pack", each, merged).continued for each in (ours, theirs))


def test_every_pack_with_a_ledger_is_asked_whichever_is_the_latest(tmp_path):
    looks = chain(tmp_path / "ledger.jsonl", "a", "b", "c")
    reports = tmp_path / "reports"
    pack(reports, "1-a", "2026-01-01T00:00:00+00:00", looks[:1])
    pack(reports, "2-b", "2026-01-02T00:00:00+00:00", looks[:2])
    pack(reports, "3-none", "2026-01-03T00:00:00+00:00", NOWHERE)  # a run that made no look
    (reports / "latest").symlink_to("3-none")
    assert [(each.source, each.continued) for each in chains_in(reports, looks)] == [("the pack of run 2-b", True)]
    lost = chains_in(reports, NOWHERE)
    assert [each.source for each in lost if not each.continued] == ["the pack of run 2-b", "the pack of run 1-a"]
    # A clock that was set back makes the newest the oldest, and hides nothing.
    pack(reports, "0-c", "1999-01-01T00:00:00+00:00", looks)
    assert "the pack of run 0-c" in [each.source for each in chains_in(reports, looks[:2]) if not each.continued]
    assert chains_in(tmp_path / "nowhere", NOWHERE) == ()


def test_a_pack_from_elsewhere_asks_nothing_of_the_runs_beside_it(tmp_path):
    pack(tmp_path, "2026-run", "2026-01-01T00:00:00+00:00", chain(tmp_path / "ledger.jsonl", "a"))
    (tmp_path / "2026-run").rename(tmp_path / "reference")  # such as the one that a checkout has
    assert chains_in(tmp_path, NOWHERE) == ()


def test_where_looks_were_lost_nothing_is_judged_that_counts_them(tmp_path):
    chains = (known_chain("the pack of run a", chain(tmp_path / "ledger.jsonl", "a"), NOWHERE),)
    refused = {c.id for c in read_protocol(DEFAULT_PROTOCOL).criteria if without_ledger(c, chains) is not None}
    assert {"A1", "R1-monocyte", "G1", "E1", "C1", "B2", "F8"} <= refused
    assert not {"D1", "S1", "F1", "F6", "P1", "T2", "L1"} & refused
    found = lost_ledger(chains)
    assert found is not None and not found.waivable
    assert all(said in found.reason for said in ("the pack of run a", "its look 1", "A CI job keeps", "--merge PACK"))
    assert lost_ledger(()) is None


@pytest.mark.parametrize("how", ["deleted", "without latest", "PYTEST_ADDOPTS", "head", "baseline"])
def test_a_run_with_a_lost_ledger_judges_nothing_and_looks_at_nothing(tiny: Pytest, place: Path, cold, how: str):
    first = (place / "reports" / "latest").resolve()
    reports = apart(place, how.replace(" ", "-"))
    arguments, environment = ["-k", "A1 or D1"], {}
    if how in ("deleted", "without latest", "PYTEST_ADDOPTS"):
        shutil.copytree(first, reports / first.name)
    if how == "deleted":
        (reports / "latest").symlink_to(first.name)
    if how == "PYTEST_ADDOPTS":
        shutil.copy(place / "reports" / "ledger.jsonl", reports)
        environment["PYTEST_ADDOPTS"] = f"--ledger={reports / 'fresh.jsonl'}"
    if how == "head":
        arguments.append(f"--ledger-head={evidence_of(first)['ledger']['head']}")
    if how == "baseline":
        arguments.append(f"--baseline={first}")
    done = tiny(f"--reports={reports}", *arguments, **environment)
    assert done.returncode == Exit.INCOMPLETE, done.stdout
    made = (reports / "latest").resolve()
    verdict = verdicts_of(made)["A1"]
    assert verdict["outcome"] == "not assessed"
    assert "the ledger does not have every look" in verdict["reason"]
    assert "required, and cannot pass" in done.stdout  # told before anything was trained
    assert evidence_of(made)["looks"] == {}
    assert not (reports / "fresh.jsonl").exists()
    assert main(["verify", str(made)]) == 0
    edited = json.loads((made / "evidence.json").read_text())
    assert [each["continued"] for each in edited["known_chains"]] == [False]


def test_a_ledger_that_goes_on_from_all_of_them_is_judged_by(tiny: Pytest, place: Path, cold):
    first = (place / "reports" / "latest").resolve()
    head = evidence_of(first)["ledger"]["head"]
    done = tiny("-k", "A1", f"--baseline={first}", f"--ledger-head={head}")
    made = (place / "reports" / "latest").resolve()
    assert verdicts_of(made)["A1"]["look"] == 1, done.stdout  # the same predictions, and so the same look
    assert [(each["head"], each["continued"]) for each in evidence_of(made)["known_chains"]] == [(head, True)] * 3
    assert main(["verify", str(made)]) == 0
