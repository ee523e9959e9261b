"""A pack that is to be the baseline is judged again first, and it is said who vouches for it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from example_run import A_FIGURE, CLASSES, example_picture, example_run, write_example_dataset
from test_verify import FAULTS, edit_json, looked_at, mend_sums

from harness.core.errors import EvidenceError
from harness.data.records import Manifest
from harness.judge.criteria import not_judged
from harness.judge.verdicts import Outcome
from harness.pack.baseline import read_baseline
from harness.pack.keys import read_signing_key, read_trusted_keys, write_key_pair
from harness.pack.read import open_pack
from harness.pack.sign import Trust, sign_pack
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.protocol.criteria import Criterion
from harness.protocol.statistics import BaselinePlan
from harness.protocol.terms import terms_of
from harness.report.sentences import baseline_told, regressions_told
from harness.report.summary import summary
from harness.run.results import Baseline, BaselineCheck, RunResults

TODAY = date(2026, 6, 30)


def written(run: RunResults, manifest: Manifest, reports: Path) -> Path:
    """A pack that holds, without the seconds that drawing takes."""
    looked = looked_at(run, manifest, reports / "ledger.jsonl")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(looked, reports=reports, manifest=manifest, models={}, formats=("PNG",))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_example_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run() -> RunResults:
    return example_run(content=example_picture)


@pytest.fixture(scope="module")
def original(run: RunResults, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(run, manifest, tmp_path_factory.mktemp("reports"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "pack"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of an author and of a stranger."""
    place = tmp_path_factory.mktemp("keys")
    for name in ("author", "stranger"):
        write_key_pair(place / name)
    return place


def baseline_of(pack: Path, trust: Trust | None = None) -> Baseline:
    return read_baseline(pack, sets=("test",), classes=CLASSES, asked=BaselinePlan(), trust=trust)


def believing(*files: Path, today: date = TODAY) -> Trust:
    return Trust(read_trusted_keys(files), today=today)


# --- what is read of it ---------------------------------------------------------------------------


def test_a_baseline_holds_what_the_gate_compares(original, run):
    baseline = read_baseline(original, sets=("test", "second-laboratory"), classes=CLASSES, asked=BaselinePlan())
    assert list(baseline.predictions) == ["test", "second-laboratory"]
    assert baseline.predictions["test"].digest == run.predictions["test"].digest
    assert (baseline.name, baseline.run_id, baseline.classes) == (run.run_id, run.run_id, CLASSES)
    assert baseline.protocol_digest == run.protocol.digest
    assert baseline.commit == run.environment["commit"]
    assert baseline.sums_digest == open_pack(original).sums_digest


def test_a_baseline_that_did_not_pass_says_so(original, run):
    baseline = baseline_of(original)
    assert baseline.passed is False
    assert "which DID NOT PASS by this protocol" in baseline_told(baseline, run.protocol)[0]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (CLASSES[::-1], "its classes are in another order \\(basophil, .*; here neutrophil, "),
        ((*CLASSES, "blast"), "it lacks the classes 'blast'. Compare"),
        (CLASSES[1:], "it has the further classes 'basophil'. Compare"),
        (("Basophil", *CLASSES[1:]), "it lacks the classes 'Basophil' and it has the further classes 'basophil'"),
    ],
)
def test_a_baseline_of_other_classes_is_refused_by_how_they_differ(original, classes, message):
    with pytest.raises(EvidenceError, match=f"cannot be the baseline: {message}"):
        read_baseline(original, sets=("test",), classes=classes, asked=BaselinePlan())


# --- it is judged again ---------------------------------------------------------------------------


def test_a_baseline_is_verified_to_the_last_file_even_where_only_one_is_read(folder):
    (folder / "index.html").write_text("98 % is 99 %")
    with pytest.raises(EvidenceError, match=r"its pack does not hold \(1 finding\): index.html: SHA-256"):
        baseline_of(folder)


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize(
    "fault",
    ["a probability", "a probability, digest mended", "a bound", "an outcome", "a threshold", "a removed look"],
)
def test_a_baseline_that_was_edited_and_summed_anew_is_refused_by_what_does_not_hold(folder, fault):
    edit, _, _ = FAULTS[fault]
    edit(folder)
    mend_sums(folder)
    first = verify_pack(folder).discrepancies[0]
    with pytest.raises(EvidenceError, match="pack cannot be the baseline: judged again, its pack does not") as refused:
        baseline_of(folder)
    assert str(first) in str(refused.value)
    assert "Fetch it anew from where it was made; `python -m harness verify pack` lists" in str(refused.value)


def test_of_many_findings_the_first_are_named_and_the_rest_counted(folder):
    edit_json(folder, "evidence.json", lambda content: [each.update(look=7) for each in content["verdicts"]])
    mend_sums(folder)
    n = len(verify_pack(folder).discrepancies)
    with pytest.raises(EvidenceError, match=rf"\({n} findings\): .*; and {n - 3} more\. Fetch"):
        baseline_of(folder)


def test_what_could_not_be_made_again_is_kept(original):
    check = baseline_of(original).check
    assert check is not None
    assert set(verify_pack(original).not_recomputed) == set(check.not_recomputed)


def test_a_page_that_another_version_printed_is_said_to_be_compared_by_its_numbers(original, monkeypatch):
    now = {"digest": "0" * 64, "version": "later"}
    for module in ("report.page", "pack.report_check", "pack.verify", "pack.tables"):
        monkeypatch.setattr(f"harness.{module}.renderer", lambda: now)
    check = baseline_of(original).check
    assert check is not None
    assert check.not_recomputed[-1].startswith("its report, which was compared by its numbers, verdicts and pictures")


# --- who vouches for it ---------------------------------------------------------------------------


def naming(sha256: str) -> BaselinePlan:
    return BaselinePlan(needed="required", sha256=sha256)


def test_the_one_baseline_that_a_protocol_names_is_taken_and_any_other_refused(original, folder):
    """A pack that was written anew as a whole holds; no key need be at hand to tell it from the one that was named."""
    named = verify_pack(original).sums_digest
    assert named is not None
    found = read_baseline(original, sets=("test",), classes=CLASSES, asked=naming(named))
    assert found.sums_digest == named
    (folder / "summary.md").unlink()
    mend_sums(folder)
    other = open_pack(folder).sums_digest
    with pytest.raises(
        EvidenceError, match=rf"cannot be the baseline: its SHA256SUMS has the SHA-256 {other}, and"
    ) as told:
        read_baseline(folder, sets=("test",), classes=CLASSES, asked=naming(named))
    assert named in str(told.value) and "[[amendments]]" in str(told.value)


def test_a_baseline_is_named_where_one_is_required_and_before_the_first_look(run):
    with pytest.raises(ValueError, match='write needed = "required"'):
        BaselinePlan(sha256="ab" * 32)
    with pytest.raises(ValueError, match="pattern"):
        naming("AB" * 32)
    stated = run.protocol.model_copy(update={"baseline": naming("ab" * 32)})
    assert terms_of(stated).tree["baseline"]["sha256"] == "ab" * 32
    assert "sha256" not in terms_of(run.protocol).tree["baseline"]


def test_a_pack_that_says_it_was_compared_with_another_than_the_named_one_does_not_hold(run, manifest, tmp_path):
    assert run.baseline is not None
    named = run.protocol.model_copy(update={"baseline": naming(run.baseline.sums_digest)})
    pack = written(replace(run, protocol=named), manifest, tmp_path / "a")
    assert [str(each) for each in verify_pack(pack).discrepancies if "baseline" in each.field] == []
    other = run.protocol.model_copy(update={"baseline": naming("ab" * 32)})
    pack = written(replace(run, protocol=other), manifest, tmp_path / "b")
    assert [each.field for each in verify_pack(pack).discrepancies if "baseline" in each.field] == ["baseline > sums"]


def test_nobody_vouches_for_an_unsigned_baseline_and_that_is_said(original, run):
    baseline = baseline_of(original)
    assert baseline.check is not None
    assert (baseline.check.signed_by, baseline.check.vouched_by) == ((), ())
    assert "unsigned: nobody vouches for it" in baseline_told(baseline, run.protocol)[1]


def test_a_signature_that_nobody_asked_for_is_told_and_not_believed(folder, keys, run):
    signed = sign_pack(folder, read_signing_key(keys / "author"))
    baseline = baseline_of(folder)
    assert baseline.check is not None
    assert (baseline.check.signed_by, baseline.check.vouched_by) == ((signed.key_id,), ())
    told = baseline_told(baseline, run.protocol)[1]
    assert f"signed by key id {signed.key_id}, not checked: no --baseline-key" in told


def test_the_key_that_was_insisted_on_is_named_with_its_owner(folder, keys, tmp_path, run):
    signed = sign_pack(folder, read_signing_key(keys / "author"))
    shutil.copy(keys / "author.pub", tmp_path)
    trust = tmp_path / "trust.toml"
    trust.write_text('[[keys]]\npath = "author.pub"\nowner = "Ada"\n')
    baseline = baseline_of(folder, believing(trust, keys / "stranger.pub"))
    assert baseline.check is not None
    assert baseline.check.vouched_by == (f"{signed.key_id} (Ada, trust.toml)",)
    assert f"signed by key {signed.key_id} (Ada, trust.toml): the sig" in baseline_told(baseline, run.protocol)[1]


def test_an_unsigned_baseline_is_refused_where_a_key_is_insisted_on(folder, keys):
    with pytest.raises(EvidenceError, match=r"it is unsigned, and --baseline-key asks for .* \(author.pub\). Let its"):
        baseline_of(folder, believing(keys / "author.pub"))


def test_a_baseline_of_another_key_is_refused(folder, keys):
    sign_pack(folder, read_signing_key(keys / "stranger"))
    with pytest.raises(EvidenceError, match=r"which is none of the given keys: unknown\. --baseline-key asks for"):
        baseline_of(folder, believing(keys / "author.pub"))


def test_a_key_that_has_expired_vouches_for_nothing(folder, keys, tmp_path):
    sign_pack(folder, read_signing_key(keys / "author"))
    shutil.copy(keys / "author.pub", tmp_path)
    trust = tmp_path / "trust.toml"
    trust.write_text('[[keys]]\npath = "author.pub"\nowner = "Ada"\nnot_after = 2026-06-29\n')
    with pytest.raises(EvidenceError, match="EXPIRED: it is believed up to 2026-06-29 only"):
        baseline_of(folder, believing(trust))


def test_a_signed_baseline_that_was_edited_does_not_hold_whether_a_key_is_insisted_on_or_not(folder, keys):
    sign_pack(folder, read_signing_key(keys / "author"))
    FAULTS["a bound"][0](folder)
    sums = folder / "signature.dsse.json"
    kept = sums.read_bytes()
    sums.unlink()
    mend_sums(folder)
    sums.write_bytes(kept)
    for trust in (None, believing(keys / "author.pub")):
        with pytest.raises(EvidenceError, match="judged again, its pack does not hold"):
            baseline_of(folder, trust)


# --- what a run records of it ---------------------------------------------------------------------


def compared(run: RunResults, check: BaselineCheck | None) -> RunResults:
    assert run.baseline is not None
    return replace(run, baseline=replace(run.baseline, check=check))


CHECKS = {
    "unsigned": (BaselineCheck(("models/: not opened",), (), ()), "It is unsigned: nobody vouches for it."),
    "unchecked": (BaselineCheck((), ("ab" * 32,), ()), "which nobody checked: no"),
    "vouched": (
        BaselineCheck((), ("ab" * 32,), (f"{'ab' * 32} (Ada, trust.toml)",)),
        "(Ada, trust.toml)</data></code>: the signature verifies.",
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_pack_page_and_summary_say_who_vouches_for_the_baseline(run, manifest, tmp_path, name):
    check, words = CHECKS[name]
    pack = written(compared(run, check), manifest, tmp_path)
    found = verify_pack(pack)
    assert [str(each) for each in found.discrepancies] == []
    assert any("judging the baseline's pack again" in each for each in found.not_recomputed)
    assert words in " ".join((pack / "index.html").read_text().split())
    assert "baseline's pack: judged again, it holds; " in (pack / "summary.md").read_text()
    edit_json(pack, "evidence.json", lambda content: content["baseline"]["check"].update(signed_by=["cd" * 32]))
    mend_sums(pack)
    assert not verify_pack(pack).holds  # page and summary say otherwise


def test_a_pack_of_before_that_says_nothing_of_it_holds(run, manifest, tmp_path):
    from harness.pack import tables

    def formerly(baseline: Baseline) -> dict[str, object]:
        return {name: value for name, value in now(baseline).items() if name != "check"}

    now = tables.baseline_record
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tables, "baseline_record", formerly)
        pack = written(compared(run, None), manifest, tmp_path)
    assert [str(each) for each in verify_pack(pack).discrepancies] == []
    assert "judged again" not in (pack / "summary.md").read_text()
    assert "Every digest of its pack was checked." in (pack / "index.html").read_text()


# --- what got worse -------------------------------------------------------------------------------


GATE = Criterion.model_validate(
    {
        "id": "B1",
        "question": "regression",
        "set": "test",
        "metric": "accuracy_difference",
        "floor": -0.05,
        "level": 0.95,
        "required": True,
        "rationale": "For this test.",
    }
)


def judged_as(run: RunResults, outcome: Outcome) -> RunResults:
    verdict = replace(not_judged(GATE, "by hand"), outcome=outcome)
    return replace(run, verdicts=(*run.verdicts, verdict))


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_what_got_worse_is_named_by_class_and_cells_where_the_gate_did_not_pass(run, outcome):
    (told,) = regressions_told(judged_as(run, outcome))
    lost, gained, n = run.comparisons["test"].counts()
    assert told.startswith(f"test: {lost} cells lost, {gained} gained of {n}; worse: ")
    cell = next(cell for cell in run.comparisons["test"].discordant if not cell.candidate_right)
    assert f"{cell.path!r} of {cell.reference}, now {cell.candidate}" in told
    assert f"({run.comparisons['test'].counts(cell.reference)[0]} lost" in told
    assert f"{lost} cells lost, {gained} gained of {n}; worse: " in summary(run)


def test_where_the_gate_passed_the_report_has_the_cells_and_the_terminal_does_not(run):
    assert regressions_told(judged_as(run, Outcome.PASSED)) == []


def test_of_many_lost_cells_the_first_are_named_and_the_rest_counted(run):
    comparison = run.comparisons["test"]
    cell = next(cell for cell in comparison.discordant if not cell.candidate_right)
    many = replace(comparison, discordant=tuple(replace(cell, path=f"{number}.png") for number in range(20)))
    (told,) = regressions_told(replace(judged_as(run, Outcome.FAILED), comparisons={"test": many}))
    assert told.count(f" of {cell.reference}, now {cell.candidate}") == 8
    assert told.endswith(", and 12 more, in the report")
