"""What does a signature of a pack say? in-toto Statements, each made of the pack alone, so `verify` makes it again.

The first is of the pack, by a type of our own. Two more have standard types, for tools that know no evidence pack: a
test result (in-toto), and the files of the model (the model signing specification of OpenSSF).
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.data.prediction_records import GivenPredictions
from harness.model.records import CommandRecord, JudgedModel
from harness.pack.files import MODEL_SIGNATURE, SIGNATURE, SUMS, TEST_RESULT
from harness.pack.outcome import entries, read_judged, read_passed
from harness.pack.read import Pack, read_protocol_digest, require_field

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
EVIDENCE_PACK_TYPE = "urn:leukocyte-harness:evidence-pack:v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
MODEL_TYPE = "https://model_signing/signature/v1.0"
MODELS = "models/"

Statement = dict[str, Any]


def statement_of(pack: Pack, file: str) -> Statement | None:
    """What a file beside SHA256SUMS states of this pack; None of the model where the pack holds none.

    Raises:
        EvidenceError: the pack's evidence does not say it, or contradicts itself.
    """
    return MADE_BY[file](pack)


def evidence_pack(pack: Pack) -> Statement:
    """What a signature of this pack states.

    Raises:
        EvidenceError: as `statement_of`.
    """
    predicate = {
        "schema": require_field(pack, "schema", kind=str),
        "run": require_field(pack, "run", "id", kind=str),
        "protocol": read_protocol_digest(pack),
        "commit": require_field(pack, "environment", "commit", kind=str),
        "dirty": require_field(pack, "environment", "dirty", kind=str),
        "verdict": "passed" if read_passed(pack) else "not passed",
    }
    return _statement([_file(SUMS, pack.sums_digest)], EVIDENCE_PACK_TYPE, predicate)


def _test_result(pack: Pack) -> Statement:
    """Source: in-toto attestation, predicates/test-result, version 0.1.

    A criterion is a test. One that is required and did not pass failed; one that is not required and was seen not to
    pass is a warning; what nobody asked or could assess is in no list, unless it is required and nothing excuses it.
    An excuse is one of what was not assessed, never of what was seen.
    The result is that of the run: a warning alone does not take PASSED away.
    """
    passed: list[str] = []
    warned: list[str] = []
    failed: list[str] = []
    criteria = entries(pack, "protocol", "content", "criteria")
    required = {each.get("id") for each in criteria if each.get("required") is not False}
    for verdict in entries(pack, "verdicts"):
        name, outcome = str(verdict.get("criterion")), verdict.get("outcome")
        excused = outcome == "not assessed" and bool(verdict.get("waiver") or verdict.get("not_asked"))
        if outcome == "passed":
            passed.append(name)
        elif name in required and not excused:
            failed.append(name)
        elif outcome in ("failed", "inconclusive"):
            warned.append(name)
    predicate = {
        "result": "PASSED" if read_passed(pack) else "FAILED",
        "configuration": [_file("protocol", read_protocol_digest(pack))],
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
    }
    return _statement([_file(SUMS, pack.sums_digest), *_judged(pack)], TEST_RESULT_TYPE, predicate)


def _model(pack: Pack) -> Statement | None:
    """Source: the model signing specification, version 1.0: one digest over those of all files, in order of names."""
    whole, resources = hashlib.sha256(), []
    if not any(_models(pack)):
        return None
    for name, digest in sorted(_models(pack)):
        whole.update(bytes.fromhex(digest))
        resources.append({"name": name.removeprefix(MODELS), "algorithm": "sha256", "digest": digest})
    how = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []}
    return _statement(
        [_file(MODELS.rstrip("/"), whole.hexdigest())], MODEL_TYPE, {"serialization": how, "resources": resources}
    )


def _judged(pack: Pack) -> Iterator[dict[str, Any]]:
    """The files of what was judged: those of a trained model, the file or command that was named, given predictions.

    A command's are the files that its line names; where it names none, nothing but the line is known of it. The program
    is one only where it is alone: an interpreter passed no test.
    """
    for name, digest in _models(pack):
        yield _file(name, digest)
    match read_judged(pack):
        case JudgedModel(command=None) as model:
            yield _file(model.file, model.sha256)
        case JudgedModel(command=CommandRecord(line=line, files=files)):
            program = shlex.split(line)[0]
            shown = {each.name: each.sha256 for each in files}
            for name in [name for name in shown if name != program] or shown:
                yield _file(name, shown[name])
        case GivenPredictions() as given:
            for each in given.files:
                yield _file(each.kept_as, each.sha256)


def _models(pack: Pack) -> Iterator[tuple[str, str]]:
    return ((name, digest) for name, digest in pack.sums.items() if name.startswith(MODELS))


def _file(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _statement(subject: list[dict[str, Any]], kind: str, predicate: Mapping[str, Any]) -> Statement:
    return {"_type": STATEMENT_TYPE, "subject": subject, "predicateType": kind, "predicate": dict(predicate)}


MADE_BY: dict[str, Callable[[Pack], Statement | None]] = {
    SIGNATURE: evidence_pack,
    TEST_RESULT: _test_result,
    MODEL_SIGNATURE: _model,
}
