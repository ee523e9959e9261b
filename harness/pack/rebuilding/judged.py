"""What was judged, and with what: recorded, and held against the rest of the pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from harness.core.errors import EvidenceError
from harness.core.strict_json import parse_json
from harness.data.leakage import DuplicatePair
from harness.data.prediction_records import GivenPredictions
from harness.judge.margins import Margin, Rest
from harness.metrics.parity import Parity
from harness.metrics.predictions import Predictions
from harness.metrics.reproducibility import ProcessDigests
from harness.metrics.timing_rules import not_as_asked
from harness.model.records import CommandRecord, JudgedModel, Timing, TrainingRecord
from harness.pack.components import COMPONENTS, read_components
from harness.pack.files import EVIDENCE
from harness.pack.parity import TAKEN, parity_findings
from harness.pack.rebuilding.frame import Frame
from harness.run.packages import Declared, Packages, settled
from harness.run.results import Baseline, BaselineCheck


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What was judged, as recorded, and how: nothing in a pack can tell it again."""

    duplicates: tuple[DuplicatePair, ...] | None
    training: TrainingRecord | None
    model: JudgedModel | None
    given: GivenPredictions | None
    processes: tuple[ProcessDigests, ...]
    timings: tuple[Timing, ...]
    baseline: Baseline | None

    @property
    def digest(self) -> str | None:
        """The classifier's own, of the file that was judged or of the weights that were trained."""
        if self.model is not None:
            return self.model.digest
        return None if self.training is None else self.training.weights_digest


def read_judged(frame: Frame) -> Judged:
    """Raises EvidenceError where a record cannot be read."""
    found = Judged(
        duplicates=frame.of(tuple[DuplicatePair, ...] | None, "duplicates"),
        training=frame.of(TrainingRecord | None, "training"),
        model=frame.of(JudgedModel | None, "model"),
        given=frame.of(GivenPredictions | None, "given"),
        processes=frame.of(tuple[ProcessDigests, ...], "reproducibility"),
        timings=frame.of(tuple[Timing, ...], "timings"),
        baseline=_read_baseline(frame) if frame.has("baseline") else None,
    )
    if found.model is not None:
        _check_model(frame, found.model, found.training)
    if found.given is not None and (found.model or found.training) is not None:
        frame.note(EVIDENCE, "given", "predictions were judged, and a classifier is recorded as well")
    for place, timing in enumerate(found.timings):
        if (wrong := not_as_asked(timing, frame.protocol.throughput)) is not None:
            frame.note(EVIDENCE, f"timings[{place}].settling", wrong)
    if found.baseline is not None and (other := frame.protocol.baseline.unlike(found.baseline.sums_digest)):
        frame.note(EVIDENCE, "baseline > sums", other)
    if found.baseline is not None and found.baseline.margins is not None:
        frame.take("which margins the baseline's protocol had: its own pack has the protocol")
    if found.baseline is not None and found.baseline.check is not None:
        frame.take("what judging the baseline's pack again came to, and who had signed it")
    return found


def _read_baseline(frame: Frame) -> Baseline:
    """As recorded, without its predictions, which the comparison reads."""
    return Baseline(
        name=frame.field("baseline", "run", kind=str),
        run_id=frame.field("baseline", "run", kind=str),
        commit=frame.field("baseline", "commit", kind=str),
        classes=frame.protocol.dataset.classes,
        predictions={},
        protocol_digest=frame.field("baseline", "protocol", kind=str),
        passed=frame.field("baseline", "passed", kind=bool),
        sums_digest=frame.field("baseline", "sums", kind=str),
        check=frame.of(BaselineCheck | None, "baseline", "check"),
        margins=frame.of(tuple[Margin, ...] | None, "baseline", "margins"),
        rest=frame.of(Rest | None, "baseline", "rest"),
    )


def _check_model(frame: Frame, model: JudgedModel, training: TrainingRecord | None) -> None:
    """The judged file is the one in models/, if the pack still has it, and nothing else was trained beside it."""
    if training is not None:
        frame.note(EVIDENCE, "model", "a classifier that existed was judged, and a training is recorded as well")
    if model.command is not None:
        _check_command(frame, model, model.command)
        return
    files = {name: sha256 for name, sha256 in frame.pack.sums.items() if name.startswith("models/judged.")}
    if list(files.values()) != [model.sha256]:
        held = ", ".join(f"{name} {sha256}" for name, sha256 in files.items()) or "no such file"
        frame.note(EVIDENCE, "model > sha256", f"{model.sha256} is written, the sums list {held} in models/")
    frame.take(
        f"that {model.file} makes these predictions, and what it says of itself: its file is in models/, and "
        "`pytest suites/ --model` judges it again"
    )


def _check_command(frame: Frame, model: JudgedModel, command: CommandRecord) -> None:
    """The card speaks of the recorded command; what answered, no pack can hold."""
    if model.card is None or model.card.digest != command.digest:
        frame.note(EVIDENCE, "model > card > digest", f"{command.digest} follows from the recorded command")
    if model.file != command.line:
        frame.note(EVIDENCE, "model > file", f"{command.line!r} is the recorded command")
    frame.take(
        f"that the command {model.file} makes these predictions: what answered is not in the pack; "
        "`pytest suites/ --model-command` asks it again"
    )


def read_parity(frame: Frame, predictions: Mapping[str, Predictions]) -> Parity | None:
    parity: Parity | None = frame.of(Parity | None, "parity")
    if parity is not None:
        for field, said in parity_findings(parity, sums=frame.pack.sums, predictions=predictions):
            frame.note(EVIDENCE, field, said)
        frame.take(TAKEN)
    return parity


def read_packages(frame: Frame) -> Packages | None:
    """What was declared, as recorded, against the list of what was installed."""
    if not frame.has("packages"):
        return None
    frame.take("what was installed and what was declared: recorded, and compared with each other")
    try:
        installed = read_components(parse_json(frame.pack.read(COMPONENTS)))
    except (EvidenceError, ValueError) as error:
        frame.note(COMPONENTS, "", str(error))
        installed = ()
    versions = {canonicalize_name(each.name): each.version for each in installed}
    for name, version in frame.of(dict[str, str], "environment").items():
        if versions.get(name, version) != version:
            frame.note(COMPONENTS, name, f"{versions[name]} is written, {EVIDENCE} has {version} in its environment")

    def declared(name: str) -> tuple[Declared, ...]:
        return frame.of(tuple[Declared, ...], "packages", name)  # type: ignore[no-any-return]

    return settled(
        Packages(
            installed=installed,
            declared_in=frame.of(str | None, "packages", "declared_in"),
            requirements=declared("requirements"),
            tried_in=frame.of(str | None, "packages", "tried_in"),
            untried=declared("untried"),
            unlisted=frame.of(tuple[str, ...], "packages", "unlisted"),
            conflicts=declared("conflicts"),
        )
    )
