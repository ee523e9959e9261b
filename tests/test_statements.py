"""What is signed beside the pack for tools that know no evidence pack: a test result, and the files of the model."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from example_run import A_FIGURE, example_run
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult as Result
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from test_signing import trusting

from harness.core.errors import EvidenceError
from harness.core.places import PROJECT
from harness.judge.verdicts import Outcome
from harness.model.records import CommandLimits, CommandRecord, JudgedModel, NamedFile
from harness.pack.keys import read_signing_key, write_key_pair
from harness.pack.read import open_pack
from harness.pack.sign import Standing, check_signature, sign_pack
from harness.pack.statements import TEST_RESULT_TYPE, statement_of
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.run.results import RunResults

RESULT, MODEL = "test-result.dsse.json", "model.sig"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people's keys: ed25519, and ECDSA of two."""
    folder = tmp_path_factory.mktemp("keys")
    write_key_pair(folder / "author")
    for name in ("publisher", "other"):
        write_key_pair(folder / name, ecdsa=True)
    return folder


@pytest.fixture(scope="module")
def run() -> RunResults:
    """One criterion that is required failed, one that is not is open, one was waived; the rest passed."""
    run = example_run()
    first, second, third, *others = run.verdicts
    optional = second.criterion.model_copy(update={"required": False})
    criteria = (first.criterion, optional, *(each.criterion for each in (third, *others)))
    verdicts = (
        dataclasses.replace(first, outcome=Outcome.FAILED),
        dataclasses.replace(second, criterion=optional, outcome=Outcome.INCONCLUSIVE),
        *(dataclasses.replace(each, outcome=Outcome.PASSED) for each in (third, *others)),
    )
    protocol = run.protocol.model_copy(update={"criteria": criteria})
    return dataclasses.replace(run, protocol=protocol, verdicts=verdicts)


@pytest.fixture(scope="module")
def written(run: RunResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack that nobody has signed."""
    place = tmp_path_factory.mktemp("written")
    models = {"classifier.onnx": place / "one", "a.safetensors": place / "two"}
    for name, file in models.items():
        file.write_bytes(name.encode() * 1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(run, reports=place / "reports", manifest=None, models=models, formats=("PNG",))


@pytest.fixture
def pack(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "reports" / written.name))


def statement(envelope: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return found


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def signed(pack: Path, key: Path) -> Path:
    sign_pack(pack, read_signing_key(key))
    return pack


def test_the_test_result_is_one_that_in_toto_reads_and_says_what_passed(run: RunResults, pack: Path, keys: Path):
    found = statement(read(signed(pack, keys / "author") / RESULT))
    message = StatementMessage(type=found["_type"], predicate_type=found["predicateType"])
    for each in found["subject"]:
        message.subject.add(name=each["name"], digest=each["digest"])
    message.predicate.update(found["predicate"])
    Statement.copy_from_pb(message).validate()
    assert found["predicateType"] == TEST_RESULT_TYPE
    predicate = found["predicate"]
    assert {field.json_name for field in Result.DESCRIPTOR.fields} >= predicate.keys()
    first, second, *others = (each.criterion.id for each in run.verdicts)
    assert (predicate["result"], predicate["failedTests"], predicate["warnedTests"]) == ("FAILED", [first], [second])
    assert predicate["passedTests"] == others
    assert predicate["configuration"] == [{"name": "protocol", "digest": {"sha256": run.protocol.digest}}]
    assert found["subject"] == [
        {"name": name, "digest": {"sha256": sha256((pack / name).read_bytes())}}
        for name in ("SHA256SUMS", "models/a.safetensors", "models/classifier.onnx")
    ]


def test_a_run_that_passed_says_so_whatever_warns(run: RunResults, tmp_path: Path, keys: Path, monkeypatch):
    monkeypatch.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
    first, *others = run.verdicts
    passed = dataclasses.replace(run, verdicts=(dataclasses.replace(first, outcome=Outcome.PASSED), *others))
    pack = write_pack(passed, reports=tmp_path, manifest=None, models={}, formats=("PNG",))
    predicate = statement(read(signed(pack, keys / "publisher") / RESULT))["predicate"]
    assert (predicate["result"], predicate["failedTests"]) == ("PASSED", [])
    assert len(predicate["warnedTests"]) == 1
    assert not (pack / MODEL).exists()  # it holds no model
    assert check_signature(open_pack(pack), trust=trusting(keys / "publisher.pub")).standing is Standing.VERIFIED


def asked_of_model_signing(pack: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """The verdict of the tool itself, which knows nothing of this harness."""
    call = ["verify", "key", "--signature", str(pack / MODEL), "--public_key", str(key), str(pack / "models")]
    return subprocess.run([sys.executable, "-m", "model_signing", *call], capture_output=True, text=True, check=False)


def test_model_signing_verifies_the_models_and_refuses_others(pack: Path, keys: Path):
    signed(pack, keys / "publisher")
    done = asked_of_model_signing(pack, keys / "publisher.pub")
    assert (done.returncode, "Verification succeeded" in done.stdout + done.stderr) == (0, True), done.stderr
    assert asked_of_model_signing(pack, keys / "other.pub").returncode != 0
    with (pack / "models" / "classifier.onnx").open("ab") as stream:
        stream.write(b" ")
    assert asked_of_model_signing(pack, keys / "publisher.pub").returncode != 0


def test_the_signature_of_the_models_verifies_by_hand(pack: Path, keys: Path):
    bundle = read(signed(pack, keys / "publisher") / MODEL)
    envelope = bundle["dsseEnvelope"]
    payload, (signature,) = base64.b64decode(envelope["payload"]), envelope["signatures"]
    kind = envelope["payloadType"].encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    pem = (keys / "publisher.pub").read_bytes()
    key = load_pem_public_key(pem)
    assert isinstance(key, EllipticCurvePublicKey)
    key.verify(base64.b64decode(signature["sig"]), encoded, ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature["sig"]), encoded + b" ", ECDSA(SHA256()))
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == sha256(pem)
    digests = [sha256((pack / "models" / name).read_bytes()) for name in ("a.safetensors", "classifier.onnx")]
    assert statement(envelope)["subject"][0]["digest"]["sha256"] == sha256(b"".join(map(bytes.fromhex, digests)))


def test_an_ed25519_key_signs_all_but_the_models_and_a_bundle_has_room_for_one(pack: Path, keys: Path):
    assert sign_pack(pack, read_signing_key(keys / "author")).files == ("signature.dsse.json", RESULT)
    assert not (pack / MODEL).exists()
    assert MODEL in sign_pack(pack, read_signing_key(keys / "publisher")).files
    bundle = (pack / MODEL).read_bytes()
    third = sign_pack(pack, read_signing_key(keys / "other"))
    assert (third.n, third.files) == (3, ("signature.dsse.json", RESULT))
    assert (pack / MODEL).read_bytes() == bundle
    assert not sign_pack(pack, read_signing_key(keys / "publisher")).added
    found = check_signature(
        open_pack(pack), trust=trusting(*(keys / f"{name}.pub" for name in ("author", "publisher")))
    )
    assert found.standing is Standing.VERIFIED
    assert len(found.remarks) == 7  # three of the pack, three of the result, one of the models
    assert not [each for each in verify_pack(pack).discrepancies if each.file in ("signature.dsse.json", RESULT, MODEL)]


def bundled(edit: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    """An edit of the envelope in a bundle, as `edit` makes it of one that stands alone."""
    return lambda bundle: edit(bundle["dsseEnvelope"])


def another_first(envelope: dict[str, Any]) -> None:
    envelope["signatures"].insert(0, {"keyid": "another", "sig": "AAAA"})


def extended(envelope: dict[str, Any]) -> None:
    envelope["note"] = "result: PASSED"


def extended_signature(envelope: dict[str, Any]) -> None:
    envelope["signatures"][0]["signer"] = "somebody else"


UNCHECKED: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    (MODEL, lambda bundle: bundle["verificationMaterial"]["publicKey"].update(hint="0" * 64), "it names the key 000"),
    (MODEL, lambda bundle: bundle["verificationMaterial"]["publicKey"].update(hint=None), "its hint is no text"),
    (MODEL, lambda bundle: bundle.pop("verificationMaterial"), "verificationMaterial"),
    (MODEL, lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[{"logIndex": 1}]), "one too many"),
    (MODEL, extended, "one too many"),
    (MODEL, bundled(extended), "one too many"),
    (MODEL, bundled(another_first), "it holds 2 signatures"),
    (RESULT, extended, "one too many"),
    (RESULT, extended_signature, "one too many"),
    (RESULT, lambda envelope: envelope["signatures"][0].update(keyid=3), "a key id is no text"),
    (RESULT, lambda envelope: envelope.update(payload=envelope["payload"] + "===="), "is not a DSSE envelope"),
    ("signature.dsse.json", extended, "one too many"),
    ("signature.dsse.json", extended_signature, "one too many"),
]


@pytest.mark.parametrize(("file", "edit", "words"), UNCHECKED)
def test_what_stands_around_a_statement_and_nobody_signs_is_no_place_to_write(
    pack: Path, keys: Path, file: str, edit, words: str
):
    content = read(signed(pack, keys / "publisher") / file)
    edit(content)
    (pack / file).write_text(json.dumps(content))
    found = check_signature(open_pack(pack), trust=trusting(keys / "publisher.pub"))
    assert found.standing is Standing.BROKEN
    assert any(words in each for each in found.problems), found.problems


def test_a_fault_of_another_statement_is_told_of_its_own_file(pack: Path, keys: Path):
    content = read(signed(pack, keys / "publisher") / MODEL)
    bundled(another_first)(content)
    (pack / MODEL).write_text(json.dumps(content))
    content = read(pack / RESULT)
    flipped(content)
    (pack / RESULT).write_text(json.dumps(content))
    found = verify_pack(pack).discrepancies
    named = [each.file for each in found if each.file in ("signature.dsse.json", RESULT, MODEL)]
    assert named == [RESULT, MODEL], found


def test_a_bundle_that_names_another_key_is_signed_again(pack: Path, keys: Path):
    content = read(signed(pack, keys / "publisher") / MODEL)
    content["verificationMaterial"]["publicKey"]["hint"] = "0" * 64
    (pack / MODEL).write_text(json.dumps(content))
    assert sign_pack(pack, read_signing_key(keys / "publisher")).added
    found = check_signature(open_pack(pack), trust=trusting(keys / "publisher.pub"))
    assert (found.standing, found.problems) == (Standing.VERIFIED, ())


def test_a_key_that_model_signing_takes_not_signs_no_bundle(pack: Path, keys: Path):
    content = read(signed(pack, keys / "publisher") / MODEL)
    envelope = Envelope.from_dict(content["dsseEnvelope"])
    envelope.signatures.clear()
    envelope.sign(read_signing_key(keys / "author"))
    content["dsseEnvelope"] = envelope.to_dict()
    (pack / MODEL).write_text(json.dumps(content))
    found = check_signature(open_pack(pack), trust=trusting(keys / "publisher.pub", keys / "author.pub"))
    assert found.standing is Standing.BROKEN
    assert "none that model_signing takes" in " ".join(found.problems)


@pytest.mark.parametrize(
    ("line", "files", "subjects"),
    [
        ("python judge.py --weights=w.npz", ("python", "judge.py", "--weights=w.npz"), ["judge.py", "--weights=w.npz"]),
        ("./classifier", ("./classifier",), ["./classifier"]),
        ("ssh elsewhere", ("ssh",), ["ssh"]),
        ("unreadable", (), []),
    ],
)
def test_of_a_command_the_files_that_it_names_were_judged(pack: Path, line: str, files, subjects: list[str]):
    named = tuple(NamedFile(name, sha256(name.encode()), 1) for name in files)
    limits = CommandLimits()
    command = CommandRecord(line, named, 1, "mean", "1", limits, memory_bound=False)
    judged = JudgedModel(line, "", 0, "command", "", "", "", ("classes",), command=command)
    opened = open_pack(pack)
    evidence = {**opened.evidence, "model": json.loads(json.dumps(dataclasses.asdict(judged)))}
    stated = statement_of(dataclasses.replace(opened, evidence=evidence), RESULT)
    assert stated is not None
    found = {each["name"]: each["digest"]["sha256"] for each in stated["subject"]}
    assert list(found) == ["SHA256SUMS", "models/a.safetensors", "models/classifier.onnx", *subjects]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found.values())


@pytest.mark.parametrize("excuse", [{"waiver": {"criterion": "x"}}, {"not_asked": True}])
def test_an_excuse_makes_no_failure_of_a_required_criterion_a_warning(pack: Path, excuse: dict[str, object]):
    opened = open_pack(pack)
    verdicts: Any = opened.evidence["verdicts"]
    first, *others = verdicts
    assert first["outcome"] == "failed"
    evidence = {**opened.evidence, "verdicts": [{**first, **excuse}, *others]}
    stated = statement_of(dataclasses.replace(opened, evidence=evidence), RESULT)
    assert stated is not None
    assert first["criterion"] in stated["predicate"]["failedTests"]


def flipped(envelope: dict[str, Any]) -> None:
    content = statement(envelope)
    content["predicate"]["result"] = "PASSED"
    envelope["payload"] = base64.b64encode(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).decode()


@pytest.mark.parametrize(
    ("file", "edit", "words"),
    [
        (RESULT, flipped, "it signs the result PASSED, the pack has 'FAILED'"),
        (RESULT, lambda content: content.update(signatures=[]), "it holds no signature"),
        (RESULT, lambda content: content.pop("payload"), "is not a DSSE envelope"),
        (RESULT, lambda content: content["signatures"][0].update(sig="AAAA"), "one of the two was altered"),
        (MODEL, lambda content: content.update(mediaType="text/plain"), "is not a DSSE envelope"),
        (MODEL, lambda content: content.pop("dsseEnvelope"), "is not a DSSE envelope"),
        (
            MODEL,
            lambda content: content["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
            "one of the two was altered",
        ),
    ],
)
def test_a_forged_statement_is_named_and_takes_the_standing_away(pack: Path, keys: Path, file: str, edit, words: str):
    content = read(signed(pack, keys / "publisher") / file)
    edit(content)
    (pack / file).write_text(json.dumps(content))
    found = check_signature(open_pack(pack), trust=trusting(keys / "publisher.pub"))
    assert (found.standing, found.verified_by) == (Standing.BROKEN, ())
    assert any(words in each and file in each for each in found.problems), found.problems


def test_statements_of_another_pack_are_refused(pack: Path, keys: Path, run: RunResults, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
    signed(pack, keys / "publisher")
    (tmp_path / "model").write_bytes(b"another")
    models = {"classifier.onnx": tmp_path / "model"}
    other = write_pack(run, reports=tmp_path / "others", manifest=None, models=models, formats=("PNG",))
    for file in (RESULT, MODEL):
        (other / file).write_bytes((pack / file).read_bytes())
    found = check_signature(open_pack(other), trust=None)
    assert found.standing is Standing.BROKEN
    assert "test-result.dsse.json: it signs another SHA256SUMS than this pack's" in " ".join(found.problems)
    assert "model.sig: it signs another models than this pack's" in " ".join(found.problems)


@pytest.mark.parametrize("name", ["reports/reference", "reports/leukocyte-reference", "tests/packs/schema-3"])
def test_an_older_pack_without_its_models_is_signed_but_for_what_nobody_can_see(name: str, keys: Path, tmp_path: Path):
    committed = Path(shutil.copytree(PROJECT / name, tmp_path / "pack"))
    signed_now = sign_pack(committed, read_signing_key(keys / "publisher"))
    assert signed_now.files == ("signature.dsse.json", RESULT)
    found = check_signature(open_pack(committed), trust=trusting(keys / "publisher.pub"))
    assert (found.standing, found.problems) == (Standing.VERIFIED, ())


def test_a_signature_holds_whatever_cannot_be_read_of_what_other_tools_are_told(pack: Path, keys: Path, monkeypatch):
    signed(pack, keys / "author")
    (pack / RESULT).unlink()

    def unreadable(pack: object) -> None:
        raise EvidenceError("a record of an older harness")

    monkeypatch.setattr("harness.pack.statements.read_judged", unreadable)
    assert check_signature(open_pack(pack), trust=trusting(keys / "author.pub")).standing is Standing.VERIFIED
