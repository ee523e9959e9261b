"""Signatures: a key that vouches is believed, everything else is said by its name and never passes --strict."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from example_run import A_FIGURE, example_run, unread_run
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from tiny_run import evidence_of, run_pytest

from harness.cli import main
from harness.core.errors import EvidenceError
from harness.core.places import PROJECT, SUITES
from harness.judge.verdicts import Outcome
from harness.pack.keys import PASSPHRASE, KeyFileError, read_signing_key, read_trusted_keys, write_key_pair
from harness.pack.read import open_pack
from harness.pack.sign import Standing, Trust, check_signature, sign_pack
from harness.pack.statements import EVIDENCE_PACK_TYPE
from harness.pack.verify import verify_pack
from harness.pack.write import write_pack
from harness.run.environment import source_state
from harness.run.results import RunResults

SIGNATURE = "signature.dsse.json"
PAYLOAD_TYPE = b"application/vnd.in-toto+json"
TODAY = date(2026, 6, 30)


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE, raising=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, Path]:
    """Three keys: the author's, the approver's and a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("author", "approver", "stranger"):
        write_key_pair(folder / name)
    return {path.name: path for path in folder.iterdir()}


def written(run: RunResults, reports: Path, **options: Any) -> Path:
    """A pack without the seconds that drawing takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.report.figures.draw_figures", lambda results, images: A_FIGURE)
        return write_pack(run, reports=reports, manifest=None, models={}, formats=("PNG",), **options)


@pytest.fixture(scope="module")
def draft(tmp_path_factory) -> Path:
    return written(unread_run(), tmp_path_factory.mktemp("reports"))


@pytest.fixture
def pack(draft, tmp_path) -> Path:
    return Path(shutil.copytree(draft, tmp_path / "pack"))


@pytest.fixture
def signed(pack, keys) -> Path:
    assert sign_pack(pack, read_signing_key(keys["author"])).added
    return pack


def trusting(*paths: Path, today: date = TODAY) -> Trust:
    return Trust(read_trusted_keys(paths), today=today)


def envelope_of(pack: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((pack / SIGNATURE).read_text())
    return content


def payload_of(pack: Path) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.b64decode(envelope_of(pack)["payload"]))
    return payload


def edit_envelope(pack: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = envelope_of(pack)
    edit(content)
    (pack / SIGNATURE).write_text(json.dumps(content))


def edit_payload(pack: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    payload = payload_of(pack)
    edit(payload)
    encoded = base64.b64encode(json.dumps(payload).encode()).decode()
    edit_envelope(pack, lambda content: content.update(payload=encoded))


def edit_sums(pack: Path) -> None:
    """What whoever alters a file and mends the sums does to the signature: another SHA256SUMS."""
    (pack / "junit.xml").write_text("<testsuites/>")
    lines = (pack / "SHA256SUMS").read_text().splitlines(keepends=True)
    digest = subprocess.run(["sha256sum", "junit.xml"], cwd=pack, capture_output=True, text=True, check=True).stdout
    mended = [digest if line.endswith("  junit.xml\n") else line for line in lines]
    (pack / "SHA256SUMS").write_text("".join(mended))


# --- what is signed -------------------------------------------------------------------------------


def test_the_statement_names_the_sums_and_the_run_and_is_one_that_in_toto_accepts(tmp_path, keys):
    run = example_run(environment={"dirty": "no"})
    passed = tuple(dataclasses.replace(verdict, outcome=Outcome.PASSED) for verdict in run.verdicts)
    run = dataclasses.replace(run, verdicts=passed)
    place = written(run, tmp_path)
    sign_pack(place, read_signing_key(keys["author"]))
    found = payload_of(place)
    assert found["subject"] == [{"name": "SHA256SUMS", "digest": {"sha256": open_pack(place).sums_digest}}]
    assert found["predicate"] == {
        "schema": "leukocyte-harness/evidence/4",
        "run": run.run_id,
        "protocol": run.protocol.digest,
        "commit": run.environment["commit"],
        "dirty": "no",
        "verdict": "passed",
    }
    message = StatementMessage(type=found["_type"], predicate_type=found["predicateType"])
    message.subject.add(name=found["subject"][0]["name"], digest=found["subject"][0]["digest"])
    message.predicate.update(found["predicate"])
    Statement.copy_from_pb(message).validate()
    assert found["predicateType"] == EVIDENCE_PACK_TYPE


def test_the_verdict_of_a_run_that_did_not_pass_is_signed_as_such(signed):
    assert payload_of(signed)["predicate"]["verdict"] == "not passed"


def test_a_program_that_knows_dsse_and_nothing_of_the_harness_verifies_it(signed, keys):
    content = envelope_of(signed)
    payload, signature = (base64.b64decode(text) for text in (content["payload"], content["signatures"][0]["sig"]))
    assert content["payloadType"].encode() == PAYLOAD_TYPE
    # The pre-authentication encoding of the DSSE specification, by hand.
    encoded = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE, len(payload), payload)
    key = load_pem_public_key(keys["author.pub"].read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(signature, encoded)
    with pytest.raises(InvalidSignature):
        key.verify(signature, encoded + b" ")


def test_the_sums_stay_as_they_were_and_do_not_list_the_signature(draft, signed):
    assert (signed / "SHA256SUMS").read_bytes() == (draft / "SHA256SUMS").read_bytes()
    assert SIGNATURE not in (signed / "SHA256SUMS").read_text()
    assert {p.name for p in signed.iterdir()} - {p.name for p in draft.iterdir()} == {
        SIGNATURE,
        "test-result.dsse.json",
    }


# --- what verify says -----------------------------------------------------------------------------


def test_an_unsigned_pack_is_called_a_draft_and_holds_unless_a_key_is_asked_for(pack, keys, capsys):
    assert main(["verify", str(pack)]) == 0
    assert "unsigned draft: there is no signature" in capsys.readouterr().out
    for asked, named in ((["--strict"], "--strict"), (["--key", str(keys["author.pub"])], "--key")):
        assert main(["verify", *asked, str(pack)]) == 1
        said = capsys.readouterr().out
        assert "unsigned draft" in said
        assert f"{named}: none of the given keys vouches for this pack" in said


def test_a_signature_by_a_given_key_verifies_strictly(signed, keys, capsys):
    assert main(["verify", "--strict", "--key", str(keys["author.pub"]), str(signed)]) == 0
    key_id = read_trusted_keys([keys["author.pub"]])[0].id
    assert f"signed by key {key_id} (author.pub): the signature verifies" in capsys.readouterr().out


def test_a_signature_that_nobody_checked_is_never_taken_for_one_that_was(signed, capsys):
    assert main(["verify", str(signed)]) == 0
    assert ", not checked: no --key" in capsys.readouterr().out
    assert main(["verify", "--strict", str(signed)]) == 1
    assert "none of the given keys" in capsys.readouterr().out


def test_a_pack_that_cannot_be_read_is_not_said_to_be_signed(signed, keys, capsys):
    (signed / "evidence.json").write_text("{}")
    assert main(["verify", "--strict", "--key", str(keys["author.pub"]), str(signed)]) == 1
    said = capsys.readouterr().out
    assert "its signature was not read" in said
    assert "verifies" not in said


def test_machines_are_told_the_same(signed, keys, capsys):
    assert main(["verify", "--strict", "--json", "--key", str(keys["author.pub"]), str(signed)]) == 0
    said = json.loads(capsys.readouterr().out)
    key_id = read_trusted_keys([keys["author.pub"]])[0].id
    assert said["signed_and_verified"] is True
    assert said["signature"]["verified_by"] == [key_id]
    assert main(["verify", "--strict", "--json", "--key", str(keys["stranger.pub"]), str(signed)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["holds"], said["signed_and_verified"]) == (True, False)
    assert said["signature"]["standing"] == "signed, by no key that is believed"


def trust_file(folder: Path, keys: dict[str, Path], *, author_until: date) -> Path:
    """The author, believed up to a day; the approver, without end. Nobody knows the stranger."""
    for name in ("author.pub", "approver.pub"):
        shutil.copy(keys[name], folder)
    path = folder / "trust.toml"
    path.write_text(
        f'[[keys]]\npath = "author.pub"\nowner = "Ada, author"\nnot_after = {author_until.isoformat()}\n'
        '[[keys]]\npath = "approver.pub"\nowner = "Bob, approver"\n'
    )
    return path


@pytest.mark.parametrize(
    ("signer", "until", "standing", "words"),
    [
        ("author", TODAY, Standing.VERIFIED, "Ada, author, trust.toml): the signature verifies"),
        ("author", TODAY - timedelta(days=1), Standing.UNTRUSTED, "which EXPIRED: it is believed up to 2026-06-29"),
        ("approver", TODAY - timedelta(days=1), Standing.VERIFIED, "Bob, approver, trust.toml): the signature"),
        ("stranger", TODAY, Standing.UNTRUSTED, "which is none of the given keys: unknown"),
    ],
    ids=["last day", "expired", "without end", "unknown"],
)
def test_of_three_keys_only_one_that_is_known_and_has_not_expired_is_believed(
    pack, keys, tmp_path, signer, until, standing, words
):
    sign_pack(pack, read_signing_key(keys[signer]))
    found = verify_pack(pack, trust=trusting(trust_file(tmp_path, keys, author_until=until)))
    assert found.holds
    assert found.signature.standing is standing
    assert words in found.signature.remarks[0]
    assert bool(found.signature.verified_by) == (standing is Standing.VERIFIED)


def test_a_key_that_is_asked_for_and_signed_nothing_ends_a_check_with_1(signed, keys, tmp_path, capsys):
    expired = trust_file(tmp_path, keys, author_until=date(2020, 1, 1))
    for asked, words in ((expired, "EXPIRED"), (keys["stranger.pub"], "which is none of the given keys")):
        assert main(["verify", "--key", str(asked), str(signed)]) == 1
        said = capsys.readouterr().out
        assert words in said
        assert "--key: none of the given keys vouches for this pack" in said
    one_of_them = ["--key", str(keys["stranger.pub"]), "--key", str(keys["author.pub"])]
    assert main(["verify", *one_of_them, str(signed)]) == 0


FORGERIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "another verdict": (
        lambda pack: edit_payload(pack, lambda payload: payload["predicate"].update(verdict="passed")),
        "it signs the verdict passed, the pack has 'not passed'",
    ),
    "another run": (
        lambda pack: edit_payload(pack, lambda payload: payload["predicate"].update(run="2020")),
        "it signs the run 2020",
    ),
    "another subject": (
        lambda pack: edit_payload(pack, lambda payload: payload["subject"][0]["digest"].update(sha256="0" * 64)),
        "it signs another SHA256SUMS than this pack's",
    ),
    "one subject more": (
        lambda pack: edit_payload(pack, lambda payload: payload["subject"].append({"name": "x", "digest": {}})),
        "it signs another SHA256SUMS than this pack's",
    ),
    "another kind of statement": (
        lambda pack: edit_payload(pack, lambda payload: payload.update(predicateType="https://slsa.dev/provenance/v1")),
        "not an in-toto Statement of type urn:leukocyte-harness:evidence-pack:v1",
    ),
    "one field more": (
        lambda pack: edit_payload(pack, lambda payload: payload["predicate"].update(approved="yes")),
        "lacks a field, or has one too many",
    ),
    "another type": (
        lambda pack: edit_envelope(pack, lambda content: content.update(payloadType="text/plain")),
        "it signs a payload of type 'text/plain'",
    ),
    "other bytes of the same statement": (
        lambda pack: edit_payload(pack, lambda payload: None),  # spaces that were not there
        "does not verify with it: one of the two was altered",
    ),
    "an altered signature": (
        lambda pack: edit_envelope(
            pack, lambda c: c["signatures"][0].update(sig=base64.b64encode(b"\x01" * 64).decode())
        ),
        "does not verify with it: one of the two was altered",
    ),
    "a cut signature": (
        lambda pack: edit_envelope(pack, lambda c: c["signatures"][0].update(sig="AAAA")),
        "does not verify with it: one of the two was altered",
    ),
    "no signature in it": (lambda pack: edit_envelope(pack, lambda c: c.update(signatures=[])), "holds no signature"),
    "the same key twice": (
        lambda pack: edit_envelope(pack, lambda c: c["signatures"].append(c["signatures"][0])),
        "is not a DSSE envelope",
    ),
    "no payload": (lambda pack: edit_envelope(pack, lambda c: c.pop("payload")), "is not a DSSE envelope"),
    "a number for a type": (
        lambda pack: edit_envelope(pack, lambda c: c.update(payloadType=7)),
        "is not a DSSE envelope",
    ),
    "no JSON": (lambda pack: (pack / SIGNATURE).write_bytes(b"\xff{"), "is not a DSSE envelope"),
    "no object": (lambda pack: (pack / SIGNATURE).write_text("[]"), "is not a DSSE envelope"),
    "no text": (
        lambda pack: edit_envelope(pack, lambda c: c.update(payload=base64.b64encode(b"{").decode())),
        "what it signs is not JSON",
    ),
    "too large": (lambda pack: (pack / SIGNATURE).write_bytes(b" " * ((1 << 20) + 1)), "of at most 1 MiB"),
    "altered sums": (edit_sums, "it signs another SHA256SUMS than this pack's"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_named_and_the_pack_does_not_hold(signed, keys, name):
    forge, words = FORGERIES[name]
    forge(signed)
    found = verify_pack(signed, trust=trusting(keys["author.pub"]))
    assert not found.holds
    assert found.signature.standing is Standing.BROKEN
    assert found.signature.verified_by == ()
    said = [each for each in found.discrepancies if each.file == SIGNATURE]
    assert [each for each in said if words in each.message], [str(each) for each in found.discrepancies]


def test_a_signature_that_verifies_is_not_said_to_be_of_a_pack_that_was_altered(signed, keys):
    edit_sums(signed)
    found = check_signature(open_pack(signed), trust=trusting(keys["author.pub"]))
    assert found.remarks[0].endswith("the signature verifies, and is not of this pack as it is"), found.remarks


def test_the_signature_of_another_pack_is_refused_even_where_no_key_is_given(signed, keys, tmp_path):
    other = written(dataclasses.replace(unread_run(), run_id="another"), tmp_path / "reports")
    shutil.copy(signed / SIGNATURE, other)
    found = check_signature(open_pack(other), trust=None)
    assert found.standing is Standing.BROKEN
    assert "it was made for another pack" in found.problems[0]


def test_a_byte_that_changed_beside_a_whole_signature_is_still_found(signed, keys, capsys):
    (signed / "index.html").write_bytes((signed / "index.html").read_bytes() + b" ")
    assert main(["verify", "--strict", "--key", str(keys["author.pub"]), str(signed)]) == 1
    assert "'index.html' has SHA-256" in capsys.readouterr().out


def test_a_key_id_is_only_a_hint(signed, keys):
    # Nobody signed it: another one must neither hide a good signature nor lend a name to a stranger's.
    key_id = read_trusted_keys([keys["approver.pub"]])[0].id
    edit_envelope(signed, lambda content: content["signatures"][0].update(keyid="\x1b[2J"))
    found = check_signature(open_pack(signed), trust=trusting(keys["author.pub"]))
    assert found.standing is Standing.VERIFIED
    assert "\x1b" not in " ".join([*found.key_ids, *found.remarks])
    edit_envelope(signed, lambda content: content["signatures"][0].update(keyid=key_id))
    found = check_signature(open_pack(signed), trust=trusting(keys["approver.pub"]))
    assert found.standing is Standing.BROKEN


# --- signing --------------------------------------------------------------------------------------


def test_several_people_sign_one_pack_and_each_is_checked(signed, keys, capsys):
    assert main(["sign", str(signed), "--key", str(keys["approver"])]) == 0
    assert "signatures in it: 2" in capsys.readouterr().out
    found = check_signature(open_pack(signed), trust=trusting(keys["author.pub"], keys["approver.pub"]))
    assert len(found.verified_by) == 2
    found = check_signature(open_pack(signed), trust=trusting(keys["approver.pub"]))
    assert (found.standing, len(found.verified_by)) == (Standing.VERIFIED, 1)
    assert "unknown" in found.remarks[0]


def test_signing_again_changes_nothing_and_says_so(signed, keys, capsys):
    before = (signed / SIGNATURE).read_bytes()
    assert main(["sign", str(signed), "--key", str(keys["author"])]) == 0
    assert "was signed already" in capsys.readouterr().out
    assert (signed / SIGNATURE).read_bytes() == before


def test_a_forged_signature_in_ones_own_name_is_replaced(signed, keys):
    edit_envelope(signed, lambda c: c["signatures"][0].update(sig="AAAA"))
    assert sign_pack(signed, read_signing_key(keys["author"])).added
    assert check_signature(open_pack(signed), trust=trusting(keys["author.pub"])).standing is Standing.VERIFIED


def test_a_pack_that_does_not_verify_is_not_signed(pack, keys):
    (pack / "junit.xml").write_text("")
    with pytest.raises(EvidenceError, match=r"'junit\.xml' has SHA-256"):
        sign_pack(pack, read_signing_key(keys["author"]))
    assert not (pack / SIGNATURE).exists()


def test_a_signature_of_something_else_is_not_added_to(signed, keys):
    edit_sums(signed)
    with pytest.raises(EvidenceError, match="it signs another SHA256SUMS"):
        sign_pack(signed, read_signing_key(keys["approver"]))


def test_a_signed_pack_verifies_as_a_zip_and_a_zip_is_not_signed(signed, keys, tmp_path):
    place = tmp_path / "pack.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for file in sorted(file for file in signed.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(signed))
    assert verify_pack(place, trust=trusting(keys["author.pub"])).signature.standing is Standing.VERIFIED
    with pytest.raises(EvidenceError, match="Unpack it"):
        sign_pack(place, read_signing_key(keys["author"]))


# --- a run that signs -----------------------------------------------------------------------------


@pytest.fixture
def signed_by_its_run(keys, tmp_path) -> Path:
    signer = read_signing_key(keys["author"])
    run = dataclasses.replace(unread_run(), signed_with=signer.public_key.keyid)
    return written(run, tmp_path / "reports", signer=signer)


def test_a_run_that_signs_its_pack_is_no_draft_and_its_page_says_with_which_key(signed_by_its_run, keys):
    found = verify_pack(signed_by_its_run, trust=trusting(keys["author.pub"]))
    assert [str(each) for each in found.discrepancies] == []
    assert found.signature.standing is Standing.VERIFIED
    page = (signed_by_its_run / "index.html").read_text()
    assert read_trusted_keys([keys["author.pub"]])[0].id in page
    assert "nsigned draft" not in page


def test_the_page_of_a_draft_says_so_and_stays_as_it_was_when_somebody_signs(draft, signed, keys):
    page = (draft / "index.html").read_text()
    assert "Unsigned draft" in page
    assert "cannot show a signature that came later" in page
    assert (signed / "index.html").read_text() == page
    assert verify_pack(signed, trust=trusting(keys["author.pub"])).holds


@pytest.mark.parametrize("replaced", [False, True])
def test_a_signature_that_was_taken_away_is_missed(signed_by_its_run, keys, replaced):
    (signed_by_its_run / SIGNATURE).unlink()
    if replaced:
        sign_pack(signed_by_its_run, read_signing_key(keys["stranger"]))
    found = verify_pack(signed_by_its_run)
    assert not found.holds
    assert "the run signed the pack with the key" in str(found.discrepancies[0])


def test_a_pack_is_not_written_with_another_key_than_the_run_announces(keys, tmp_path):
    with pytest.raises(EvidenceError, match="give write_pack that key"):
        written(unread_run(), tmp_path, signer=read_signing_key(keys["author"]))
    assert not list(tmp_path.iterdir())


def test_a_real_run_signs_what_it_writes(tiny, place, keys, capsys):
    done = tiny("-k", "D1 or D2", f"--sign-key={keys['author']}")
    pack = (place / "reports" / "latest").resolve()
    assert main(["verify", "--strict", "--key", str(keys["author.pub"]), str(pack)]) == 0, capsys.readouterr().out
    said = evidence_of(pack)
    assert f"evidence: signed with key id {said['signed_with']}" in done.stdout
    assert said["packages"]["declared_in"] == "pyproject.toml"
    assert said["packages"]["tried_in"].startswith("constraints")
    assert said["environment"]["commit"] == source_state(PROJECT).commit


@pytest.mark.parametrize("content", [None, "no key"])
def test_a_key_that_cannot_be_read_ends_the_session_before_anything_runs(tmp_path, content):
    key = tmp_path / "key"
    if content is not None:
        key.write_text(content)
    done = run_pytest(str(SUITES), f"--sign-key={key}", f"--reports={tmp_path / 'reports'}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert str(key) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "reports").exists()


# --- key files ------------------------------------------------------------------------------------


def test_keygen_makes_a_pair_for_its_owner_only_and_never_overwrites(tmp_path, capsys):
    assert main(["keygen", str(tmp_path / "key")]) == 0
    said = capsys.readouterr().out
    assert "NOT encrypted" in said
    assert read_signing_key(tmp_path / "key").public_key.keyid in said
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    before = (tmp_path / "key").read_bytes()
    assert main(["keygen", str(tmp_path / "key")]) == 2
    (tmp_path / "key.pub").unlink()
    assert main(["keygen", str(tmp_path / "key")]) == 2
    assert (tmp_path / "key").read_bytes() == before
    (tmp_path / "other.pub").touch()
    assert main(["keygen", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()  # no half pair


def test_an_encrypted_key_is_opened_with_the_passphrase_in_the_environment(tmp_path, monkeypatch, pack):
    monkeypatch.setenv(PASSPHRASE, "slide 7, field 3")
    _, _, encrypted = write_key_pair(tmp_path / "key")
    assert encrypted
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (tmp_path / "key").read_bytes()
    sign_pack(pack, read_signing_key(tmp_path / "key"))
    assert check_signature(open_pack(pack), trust=trusting(tmp_path / "key.pub")).standing is Standing.VERIFIED
    monkeypatch.setenv(PASSPHRASE, "slide 7, field 4")
    with pytest.raises(KeyFileError, match="does not open it"):
        read_signing_key(tmp_path / "key")
    monkeypatch.delenv(PASSPHRASE)
    with pytest.raises(KeyFileError, match=f"environment variable {PASSPHRASE}"):
        read_signing_key(tmp_path / "key")


def test_a_passphrase_that_a_key_does_not_need_does_no_harm(keys, monkeypatch):
    monkeypatch.setenv(PASSPHRASE, "unused")
    assert read_signing_key(keys["author"]).public_key.keyid == read_trusted_keys([keys["author.pub"]])[0].id


def test_a_key_that_openssl_made_signs_and_verifies(tmp_path, pack):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    for arguments in (
        ["genpkey", "-algorithm", "ed25519", "-out", "key.pem"],
        ["pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem"],
    ):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)
    sign_pack(pack, read_signing_key(tmp_path / "key.pem"))
    found = check_signature(open_pack(pack), trust=trusting(tmp_path / "pub.pem"))
    assert found.standing is Standing.VERIFIED


def test_a_private_key_is_not_taken_for_a_public_one_nor_the_other_way_round(keys):
    with pytest.raises(KeyFileError, match="is a private key"):
        read_trusted_keys([keys["author"]])
    with pytest.raises(KeyFileError, match="it is a public key"):
        read_signing_key(keys["author.pub"])


def test_a_key_of_another_kind_is_refused(tmp_path):
    key = ec.generate_private_key(ec.SECP256K1())  # Bitcoin's curve, which model_signing does not take
    (tmp_path / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub").write_bytes(public)
    with pytest.raises(KeyFileError, match="Name an ed25519 key"):
        read_signing_key(tmp_path / "key")
    with pytest.raises(KeyFileError, match="Name an ed25519 key"):
        read_trusted_keys([tmp_path / "key.pub"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "keys: Field required"),
        ("keys = []", "keys"),
        ('[[keys]]\npath = "author.pub"\n', "keys > 0 > owner"),
        ('[[keys]]\npath = "author.pub"\nowner = "A"\nnot_after = "2027-01-01"\n', "keys > 0 > not_after"),
        ('[[keys]]\npath = "author.pub"\nowner = "A"\nnot_befor = 2027-01-01\n', "keys > 0 > not_befor"),
        ('[[keys]]\npath = "nowhere.pub"\nowner = "A"\n', "nowhere.pub cannot be read"),
        ("this is not a TOML", "neither a public key in PEM nor a trust file"),
        ('[[keys]]\npath = "author.pub"\nowner = "A"\n' * 2, "Name it once"),
    ],
)
def test_a_trust_file_that_could_be_misread_is_refused(tmp_path, keys, content, words):
    shutil.copy(keys["author.pub"], tmp_path)
    (tmp_path / "trust.toml").write_text(content)
    with pytest.raises(KeyFileError, match=words):
        read_trusted_keys([tmp_path / "trust.toml"])


def test_a_wrong_key_file_is_a_wrong_call(signed, tmp_path, capsys):
    assert main(["verify", "--key", str(tmp_path / "nowhere"), str(signed)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main(["sign", "--key", str(tmp_path / "nowhere"), str(signed)]) == 2


def test_checking_a_signature_needs_no_protobuf_and_no_network_library(signed, keys):
    code = (
        "import sys; from harness.cli import main; code = main(['verify', '--strict', '--key', *sys.argv[1:]]); "
        "assert not {'in_toto_attestation', 'google.protobuf', 'requests', 'torch'} & set(sys.modules); sys.exit(code)"
    )
    arguments = [sys.executable, "-c", code, str(keys["author.pub"]), str(signed)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
