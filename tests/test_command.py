"""--model-command: a command is asked over its pipes, what goes wrong is one error, and nothing of it stays."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
import torchvision
from drawn import CLASSES, decoded
from sklearn.linear_model import LogisticRegression
from tiny_run import OF_IMAGES, Pytest, apart, evidence_of, verdicts_of

from harness.cli import main
from harness.core.digests import file_digest
from harness.core.errors import CommandError, InvalidPredictions
from harness.core.places import PROJECT
from harness.core.progress import silent
from harness.data.records import Manifest
from harness.model.child import Child
from harness.model.classifier import Classifier, Machine, Piped, Preparing, predict, refuse_wrong_card
from harness.model.command import CommandClassifier, files_named_in, read_command
from harness.model.corrupted import corrupted_predictions
from harness.model.fitting import fitted
from harness.model.images import Images, frames_of, images_of
from harness.model.model_file import read_model
from harness.model.records import CommandLimits, Preprocessing
from harness.plugin import DEFAULT_PROTOCOL
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.protocol.training import ModelPlan
from harness.run.graph import Graph
from harness.run.setting import RunOptions, Setting
from harness.run.stages.predictions import predictions
from harness.run.store import Store
from harness.session import Exit

DOCS = PROJECT / "docs" / "commands"
PROTOCOL = read_protocol(DEFAULT_PROTOCOL)
LIMITS = CommandLimits(start_s=60.0, answer_s=60.0, total_s=600.0, memory_gib=16.0)
CPU = Machine("cpu", 4, workers=2, progress=silent)
# Whatever a test asks to be gone gets this long to go.
GONE_S = 20.0

# With the documented helper: softmax of the mean colour, by weights that are written out.
WEIGHTS = np.random.default_rng(1).normal(0, 5, (3, 5))
MEAN_COLOUR = f"""
import sys
sys.path.insert(0, {str(DOCS)!r})
import numpy as np
from answering import answer
WEIGHTS = np.array({WEIGHTS.tolist()})
def classify(images):
    logits = images.mean(axis=(1, 2)) / 255 @ WEIGHTS
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
print("a library says hello")
"""
CALL = f"answer(classify, classes={CLASSES!r}, name='mean colour', model_version='3', **HOW)"

# Without it, and without numpy: one answer of five fifths for each image, where no line of a test says otherwise.
PLAIN = f"""
import json, os, signal, subprocess, sys, time
questions, answers = sys.stdin.buffer, sys.stdout.buffer
greeting = {{"protocol": "classifier-command", "version": 1, "classes": {list(CLASSES)!r}, "name": "plain"}}
def say(**what):
    write(json.dumps(what).encode() + b"\\n")
def write(line):
    answers.write(line)
    answers.flush()
FIRST
while line := questions.readline():
    asked = json.loads(line)
    content = questions.read(asked["bytes"])
    number, ask = asked["id"], asked["ask"]
    rows = [[0.2] * 5] * asked.get("n", 0)
    THEN
    if ask == "hello":
        say(id=number, **greeting)
    elif ask == "ping":
        say(id=number, pong=len(content))
    else:
        say(id=number, probabilities=rows)
"""


def script(folder: Path, text: str, name: str = "command.py") -> str:
    """The command line of a Python program."""
    file = folder / name
    file.write_text(text)
    return f"{sys.executable} {file}"


def mean_colour(folder: Path, **how: object) -> str:
    return script(folder, f"{MEAN_COLOUR}HOW = {how!r}\n{CALL}\n")


def plain(folder: Path, then: str = "", first: str = "") -> str:
    return script(
        folder, PLAIN.replace("FIRST", textwrap.dedent(first)).replace("    THEN", textwrap.indent(then, "    "))
    )


@contextlib.contextmanager
def opened(line: str, *, limits: CommandLimits = LIMITS, protocol: Protocol = PROTOCOL) -> Iterator[CommandClassifier]:
    classifier = read_command(line, protocol, limits=limits).open(CPU)
    assert isinstance(classifier, CommandClassifier)
    try:
        yield classifier
    finally:
        classifier.close()


def cells(n: int = 6, side: int = 20) -> Images:
    frames = np.random.default_rng(2).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return frames_of(frames, names=[f"cell {place}.png" for place in range(n)])


def softmax(frame: np.ndarray) -> np.ndarray:
    shares = np.exp(frame.mean(axis=(0, 1)) / 255 @ WEIGHTS)
    found: np.ndarray = shares / shares.sum()
    return found


def is_gone(pid: int) -> bool:
    """Whether there is no such process within a while; one that only waits to be collected is none."""
    until = time.monotonic() + GONE_S
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


# --- what is asked and answered -------------------------------------------------------------------


def test_frames_come_as_they_are_in_every_size_and_order(tmp_path: Path):
    rng = np.random.default_rng(3)
    sides = [(20, 20), (20, 20), (7, 9), (20, 20), (9, 7), (9, 7), (9, 7), (9, 7), (9, 7), (9, 7)]
    frames = [rng.integers(0, 256, (*side, 3), dtype=np.uint8) for side in sides]
    with opened(mean_colour(tmp_path)) as classifier:
        refuse_wrong_card(classifier)
        found = predict(classifier, frames_of(frames))
        assert not isinstance(classifier, Preparing)
        assert classifier.card.preprocessing is None
        assert classifier.card.corruptions_act_on == "RGB frames"
        assert predict(classifier, frames_of([])).shape == (0, 5)
    assert np.abs(found - [softmax(frame) for frame in frames]).max() < 1e-12


def test_a_command_is_shown_the_squares_that_it_asks_for(tmp_path: Path, manifest: Manifest):
    line = mean_colour(tmp_path, shown={"size_px": 24, "resize": "crop", "filter": "bicubic", "crop": 0.75})
    how = Preprocessing(
        24, "crop", filter="bicubic", crop=0.75, value_range=(0.0, 255.0), mean=(0.0,) * 3, deviation=(1.0,) * 3
    )
    images = images_of(manifest.images[:7], manifest.root, formats=("PNG",))
    with opened(line) as classifier:
        refuse_wrong_card(classifier)
        assert isinstance(classifier, Preparing)
        assert classifier.card.preprocessing == how
        found, arrays = predict(classifier, images), classifier.prepare(images)
        assert np.array_equal(classifier.forward(arrays), found)
    assert np.array_equal(arrays, [fitted(images.frame(place), how) for place in range(7)])
    assert np.abs(found - [softmax(array) for array in arrays]).max() < 1e-12


def test_a_number_comes_through_to_the_last_bit(tmp_path: Path):
    rows = np.random.default_rng(4).dirichlet(np.ones(5), 1)
    with opened(plain(tmp_path, f"rows = {rows.tolist()} * asked.get('n', 0)")) as classifier:
        assert np.array_equal(predict(classifier, cells(5)), np.repeat(rows, 5, axis=0))


def test_the_pipe_is_timed_with_the_bytes_of_the_images(tmp_path: Path):
    told = tmp_path / "pings"
    line = plain(tmp_path, f"if ask == 'ping':\n    open({str(told)!r}, 'a').write(f'{{len(content)}}\\n')")
    with opened(line) as classifier:
        assert isinstance(classifier, Piped)
        samples = classifier.pipe_samples_s(cells(6))
    assert all(seconds > 0 for seconds in samples)
    # Six images of 20 x 20 x 3 bytes are asked as four and two.
    assert told.read_text().splitlines() == ["4800", "2400"] * len(samples)


def test_what_is_recorded_is_the_line_the_files_and_its_own_word(tmp_path: Path):
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"tensors")
    line = f"{mean_colour(tmp_path)} --weights={weights} --verbose {tmp_path} nothing.here"
    command = read_command(line, PROTOCOL, limits=LIMITS)
    known = command.record.command
    assert known is not None
    assert [each.name for each in known.files] == [sys.executable, str(tmp_path / "command.py"), f"--weights={weights}"]
    assert known.files[2].sha256 == file_digest(weights)
    assert (known.line, known.name, known.version, known.protocol) == (line, "mean colour", "3", 1)
    assert command.card.digest == known.digest == command.record.digest
    assert command.card.asked_anew
    assert (command.kept_as, command.claims.classes) == ((), CLASSES)
    weights.write_bytes(b"others")
    with pytest.raises(CommandError, match=f"of the files that it names, --weights={weights} changed since the run"):
        command.open(CPU)
    again = read_command(line, PROTOCOL, limits=LIMITS)
    assert again.card.digest != known.digest


def test_a_file_that_the_command_writes_is_named_with_the_way_out(tmp_path: Path):
    """It changes with every start, so that to leave it alone and run again would end in the same error."""
    command = plain(tmp_path, first="open(sys.argv[1], 'a').write('started')")
    with pytest.raises(CommandError, match=r"run\.log changed .*: name it in a script that the line starts"):
        read_command(f"{command} {tmp_path / 'run.log'}", PROTOCOL, limits=LIMITS).open(CPU)
    within = script(
        tmp_path, f"import os\nos.execvp('sh', ['sh', '-c', '{command} {tmp_path / 'run.log'}'])", "start.py"
    )
    with opened(within) as classifier:
        assert predict(classifier, cells()).shape == (6, 5)


def test_a_program_is_found_as_the_command_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program = tmp_path / "answers"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = files_named_in(["answers", "\0", "x" * 5000, str(tmp_path)])
    assert (found.name, found.sha256) == ("answers", file_digest(program))


def test_no_shell_reads_the_line(tmp_path: Path):
    line = f"{plain(tmp_path)} ; touch {tmp_path / 'touched'} $(touch {tmp_path / 'touched'})"
    with opened(line) as classifier:
        predict(classifier, cells())
    assert not (tmp_path / "touched").exists()


def test_no_secret_of_the_environment_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CI_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    line = plain(tmp_path, first="greeting['name'] = ' '.join(sorted(os.environ))")
    known = read_command(line, PROTOCOL, limits=LIMITS).record.command
    assert known is not None
    assert "PATH" in known.name.split()
    assert not {"CI_TOKEN", "PYTHONPATH"} & set(known.name.split())


RESNET = f"""
import sys
sys.path[:0] = [{str(DOCS)!r}, {str(PROJECT)!r}]
from answering import answer
import harness.model.torchvision_compat
import torch
import torchvision
network = torchvision.models.resnet18(weights=None, num_classes=5).eval()
network.load_state_dict(torch.load(sys.argv[1], weights_only=True))
mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
def classify(images):
    light = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return network((light - mean) / deviation).double().softmax(dim=1)
HOW = {{"shown": {{"size_px": 32, "resize": "squish"}}}}
{CALL}
"""


@pytest.mark.slow
def test_the_same_network_says_the_same_as_a_file_and_as_a_command(tmp_path: Path, manifest: Manifest):
    """As it is, corrupted and turned: the squares are made by one code, and corruptions act on them in both."""
    torch.manual_seed(8)
    weights = tmp_path / "resnet.pth"
    torch.save(torchvision.models.resnet18(weights=None, num_classes=5).state_dict(), weights)
    training = PROTOCOL.training.model_copy(update={"image_size_px": 32})
    protocol = PROTOCOL.model_copy(update={"training": training, "model": ModelPlan(classes=CLASSES)})
    plan = PROTOCOL.robustness
    assert plan is not None
    plan = plan.model_copy(update={"kinds": ("stain",), "severities": (3,), "invariances": ("rotation_90",)})
    images = images_of(manifest.images[:10], manifest.root, formats=("PNG",))
    digests = [image.sha256 for image in manifest.images[:10]]

    def said(classifier: Classifier) -> list[np.ndarray]:
        corrupted = corrupted_predictions(classifier, images, plan, digests=digests, machine=CPU)
        return [predict(classifier, images), *corrupted.values()]

    file = said(read_model(weights, protocol, trusted=()).open(CPU))
    with opened(f"{script(tmp_path, RESNET)} {weights}", protocol=protocol) as classifier:
        command = said(classifier)
    assert len(file) == len(command) == 3
    for one, other in zip(file, command, strict=True):
        assert np.abs(one - other).max() < 1e-5
        assert np.array_equal(one.argmax(axis=1), other.argmax(axis=1))


# --- what goes wrong ------------------------------------------------------------------------------

NEVER = "import time\ntime.sleep(600)"


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("greeting['version'] = 2", r"in its greeting: it greets as 'classifier-command', version 2; this harness"),
        ("greeting['protocol'] = 'http'", r"greets as 'http', version 1"),
        ("del greeting['classes']", r"greets with classes = .*Field required"),
        ("greeting['classes'] = 'abc'", r"greets with classes = 'abc'"),
        ("greeting['shown'] = {'size_px': 10**9}", r"greets with shown\.size_px = 1000000000"),
        ("greeting['shown'] = {'size': 9}", r"greets with shown\.size"),
        ("greeting['sides'] = 9", r"greets with sides = 9"),
        ("greeting['classes'] = greeting['classes'][::-1]", r"the classes of the command are \['neutrophil'.*another"),
        ("greeting['classes'] = greeting['classes'][:4]", r"the classes of the command are .*'monocyte'\], those of"),
        ("greeting['classes'] += ['blast']", r"the classes of the command are .*'blast'\], those of"),
        (
            "write(b'Loading model ...\\n')",
            r"it says b'Loading model \.\.\.', which is not a line of JSON.*standard error",
        ),
        ("write(b'[' * 60000 + b'\\n')", r"which is not a line of JSON"),
        ("write(b'[1]\\n')", r"it says \[1\], which answers no question 0"),
        ("write(b'\\xff\\n')", r"which is not a line of JSON"),
        ("write(b'x' * 10**6)", r"it said more than 65,536 bytes where one line answers: b'xxx"),
        (
            "sys.exit('no weights here')",
            r"it ended with exit status 1\. Its standard error ends with:\nno weights here",
        ),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"it was killed by SIGSEGV\. It wrote nothing"),
        ("os.close(1); time.sleep(600)", r"it closed its standard output"),
        (NEVER, r"it did not answer within 0\.5 s"),
        ("bytearray(2**31)", r"it ended with exit status 1\.(.|\n)*MemoryError"),
    ],
)
def test_a_command_that_cannot_be_begun_with_is_refused_in_one_error(tmp_path: Path, first: str, words: str):
    limits = replace(LIMITS, memory_gib=1.0, start_s=0.5 if first is NEVER else 60.0)
    with pytest.raises(CommandError, match=words) as told:
        read_command(plain(tmp_path, first=first), PROTOCOL, limits=limits)
    assert "--model-command" in str(told.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/no/such/program --now", r"--model-command '/no/such/program --now' cannot be started: No such file"),
        (str(PROJECT / "README.md"), r"cannot be started: Permission denied"),
        (str(PROJECT), r"cannot be started: Permission denied"),
        ("true", r"it ended with exit status 0"),
        ("cat", r"it greets as 'classifier-command', version 1|greets with .*: "),
        ("yes", r"it says b'y', which is not a line of JSON|it said more than"),
    ],
)
def test_a_line_that_names_no_such_program_says_so(line: str, words: str):
    with pytest.raises(CommandError, match=words):
        read_command(line, PROTOCOL, limits=LIMITS)


def test_the_protocol_s_own_word_on_the_classes_must_fit(tmp_path: Path):
    said = PROTOCOL.model_copy(update={"model": ModelPlan(classes=CLASSES[::-1])})
    with pytest.raises(CommandError, match=r"the classes of \[model\] of the protocol are \['neutrophil'"):
        read_command(plain(tmp_path), said, limits=LIMITS)


AT_THE_FIFTH = "if ask == 'classify' and number == 2:\n    "  # of six cells in batches of four: cells 4 and 5
HERE = r"^--model-command '.*', at images cell 4\.png to cell 5\.png: "


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("rows = rows[:1]", r"it answers with 1 rows for 2 images, the first of them cell 4\.png"),
        ("rows = 'none'", r"it answers with 'none' as probabilities"),
        ("rows = [[0.2] * 5, [0.25] * 4]", r"it answers for cell 5\.png with 4 numbers; it named 5 classes"),
        ("rows = [[0.2] * 5, 1]", r"it answers for cell 5\.png with 1; it named"),
        ("rows = [[0.2] * 5, [float('nan')] * 5]", r"it answers for cell 5\.png with \[nan.*which is not finite"),
        ("rows = [[0.2] * 5, [float('inf')] + [0] * 4]", r"cell 5\.png .*which is not finite"),
        ("rows = [[0.2] * 5, [None] * 5]", r"cell 5\.png with None where a probability stands"),
        ("rows = [[0.2] * 5, [True, 0, 0, 0, 0]]", r"cell 5\.png with True where a probability stands"),
        ("rows = [[0.2] * 5, [2.5, -1.5, 0, 0, 0]]", r"cell 5\.png with \[2\.5, -1\.5.*Apply softmax"),
        ("rows = [[20] * 5] * 2", r"cell 4\.png with \[20, 20.*Apply softmax"),
        ("rows = [[10**400] * 5] * 2", r"cell 4\.png with \[1000.*which is not finite"),
        ("rows = [[0.2] * 5, [0.5, 10**400, 0, 0, 0]]", r"cell 5\.png with \[0\.5, 1000.*which is not finite"),
        ("rows = [rows] * 10**5", r"it said more than 65,856 bytes where one line answers"),
        ("number = 1", r"which answers no question 2"),
        (
            "write((json.dumps(dict(id=2, probabilities=rows)) + '\\n{}\\n').encode())\n    continue",
            r"it said more than",
        ),
        ("say(id=number, error='no such mood')\n    continue", r"it says that it cannot: 'no such mood'"),
        ("write(b'warning: deprecated\\n')\n    continue", r"it says b'warning: deprecated', which is not"),
        ("raise RuntimeError('out of luck')", r"it ended with exit status 1\.(.|\n)*RuntimeError: out of luck"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"it was killed by SIGKILL"),
        ("os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(600)", r"it or somebody else killed the process that"),
        ('write(b\'{"id": 2, "probabilities": [[\')\n    time.sleep(600)', r"it did not answer within 2 s"),
    ],
)
def test_whatever_happens_in_mid_run_is_one_error_with_command_and_image(tmp_path: Path, then: str, words: str):
    limits = replace(LIMITS, answer_s=2.0) if "sleep" in then else LIMITS
    with opened(plain(tmp_path, AT_THE_FIFTH + then), limits=limits) as classifier:
        group = classifier._talk._child.group
        with pytest.raises(CommandError, match=HERE + "(it .*)?" + words):
            predict(classifier, cells())
        assert is_gone(group)
        with pytest.raises(CommandError, match="it was ended after an error"):
            predict(classifier, cells())


def test_a_command_that_does_not_read_is_not_waited_for(tmp_path: Path):
    """The request is larger than any pipe: the write must give way to the clock too."""
    hangs = "if number == 0:\n    say(id=number, **greeting)\n    time.sleep(600)"
    with (
        opened(plain(tmp_path, hangs), limits=replace(LIMITS, answer_s=0.5)) as classifier,
        pytest.raises(CommandError, match=r"at images cell 0\.png to cell 3\.png: it did not answer within 0\.5 s"),
    ):
        predict(classifier, cells(side=600))


def test_the_seconds_of_all_answers_are_bounded_together(tmp_path: Path):
    slow = plain(tmp_path, "if ask == 'classify':\n    time.sleep(0.4)")
    with (
        opened(slow, limits=replace(LIMITS, total_s=1.5)) as classifier,
        pytest.raises(CommandError, match=r"it took more than the 1\.5 s that it has in total"),
    ):
        [classifier.predict_proba(cells(1)) for _ in range(9)]


def test_what_it_writes_to_standard_error_is_drained_and_its_end_is_quoted(tmp_path: Path):
    chatty = "if ask == 'classify':\n    sys.stderr.write('x' * 10**6 + '\\n\\x1b[31mred\\n'); sys.stderr.flush()"
    with (
        opened(plain(tmp_path, chatty + "\nif number == 2:\n    sys.exit(9)")) as classifier,
        pytest.raises(
            CommandError, match=r"it ended with exit status 9\. Its standard error ends with:\nx+\n\\x1b\[31mred$"
        ) as told,
    ):
        predict(classifier, cells())
    assert len(str(told.value)) < 3000


@pytest.mark.parametrize(
    ("then", "words"),
    [
        # Of nine cells: three requests, then the first eight twice, then some one by one.
        ("if number > 3:\n    rows = [[0.3, 0.1, 0.2, 0.2, 0.2]] * asked['n']", "predicted differently by"),
        ("if number > 5:\n    rows = [[0.3, 0.1, 0.2, 0.2, 0.2]] * asked['n']", "answers differently when"),
        ("if asked.get('n') == 1:\n    rows = [[0.3, 0.1, 0.2, 0.2, 0.2]]", "predicted differently by"),
    ],
)
def test_another_answer_the_second_time_is_refused_with_command_and_image(tmp_path: Path, then: str, words: str):
    with opened(plain(tmp_path, then)) as classifier, pytest.raises(InvalidPredictions, match=words) as told:
        predict(classifier, cells(9))
    assert "--model-command" in str(told.value)
    assert "cell 0.png" in str(told.value)


def test_a_command_that_greets_otherwise_the_second_time_is_refused(tmp_path: Path):
    first = f"greeting['name'] = str(os.path.exists({str(tmp_path / 'been')!r})); open({str(tmp_path / 'been')!r}, 'w')"
    command = read_command(plain(tmp_path, first=first), PROTOCOL, limits=LIMITS)
    with pytest.raises(CommandError, match="says something else of itself when it is started again"):
        command.open(CPU)


# --- nothing stays --------------------------------------------------------------------------------

# A process that has left the group and the session, and another that ignores what can be ignored.
FAMILY = """
stubborn = "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(600)"
loose = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
tight = subprocess.Popen([sys.executable, "-c", stubborn])
greeting["name"] = f"{loose.pid} {tight.pid} {os.getpid()}"
"""


def test_what_a_command_started_ends_with_it(tmp_path: Path):
    command = read_command(plain(tmp_path, first=FAMILY.replace("\n", "\n")), PROTOCOL, limits=LIMITS)
    assert all(is_gone(int(pid)) for pid in command.greeting.name.split())  # the greeting was all that was asked


def test_it_ends_where_nobody_closes_it(tmp_path: Path):
    line = plain(tmp_path)
    child = Child(line.split(), memory_bytes=2**34, total_s=60.0)
    group = child.group
    assert os.killpg(group, 0) is None  # it is there
    del child
    assert is_gone(group)


@pytest.mark.slow(but_one_in=3)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGINT", "SIGHUP"])
@pytest.mark.parametrize("state", ["idle", "asked"])
def test_nothing_stays_where_the_judge_is_ended(tmp_path: Path, name: str, state: str):
    """A judge in a process of its own, ended while it has a command open: between two questions, and in one."""
    line = plain(tmp_path, "if ask == 'classify':\n    time.sleep(600)", first=FAMILY)
    judge = textwrap.dedent(
        f"""
        import signal, sys, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it,
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup this one
        sys.path.insert(0, {str(PROJECT)!r})
        from harness.model.child import Child
        from harness.model import command_messages as messages
        import numpy as np
        child = Child({line.split()!r}, memory_bytes=2**34, total_s=600.0)
        greeting = child.exchange([messages.hello(0)], most_bytes=9999, within_s=60)
        print(messages.greeting_of(greeting, 0).name, flush=True)
        if {state!r} == "asked":
            frames = np.zeros((4, 600, 600, 3), np.uint8)
            child.exchange(messages.classify(1, frames), most_bytes=9999, within_s=600)
        while True:  # in short naps: a signal that comes just before one long sleep is heard only after it
            time.sleep(0.05)
        """
    )
    with subprocess.Popen([sys.executable, "-c", judge], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        assert started.stdout is not None
        pids = [int(pid) for pid in started.stdout.readline().split()]
        assert len(pids) == 3
        if state == "asked":
            time.sleep(0.3)
        started.send_signal(signal.Signals[name])
        try:
            started.wait(GONE_S)
        finally:
            started.kill()  # a judge that stays fails this test without holding up those after it
    assert all(is_gone(pid) for pid in pids)


# --- in a run -------------------------------------------------------------------------------------


def counted(folder: Path) -> str:
    return plain(folder, f"if ask == 'classify':\n    open({str(folder / 'asked')!r}, 'a').write('.')")


def test_a_set_is_asked_once_in_a_run_and_again_in_the_next(tmp_path: Path, smears: Path, manifest: Manifest):
    """The same line may be another classifier tomorrow, so that no kept answer is taken for its own."""
    protocol, line = read_protocol(DEFAULT_PROTOCOL), counted(tmp_path)
    asked = tmp_path / "asked"

    def run() -> Graph:
        command = read_command(line, protocol, limits=LIMITS)
        options = RunOptions("test", smears, {}, frozenset(), None, "cpu", 2, tmp_path / "ledger.jsonl", model=command)
        return Graph(Setting.of(protocol, options), store=Store(tmp_path / "stages", fresh=False), progress=silent)

    first = run()
    first(predictions, "validation")
    once = asked.stat().st_size
    first(predictions, "validation")
    assert asked.stat().st_size == once > 0
    second = run()
    second(predictions, "validation")
    assert asked.stat().st_size == 2 * once
    assert [record.reused for record in second.store.records if record.name.startswith("predictions")] == [False]


@pytest.fixture(scope="module")
def judged(tiny: Pytest, place: Path, first_run: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    line, reports = mean_colour(place), apart(first_run, str(place / "command"), stages=OF_IMAGES)
    done = tiny(f"--model-command={line}", f"--reports={reports}")
    return done, (reports / "latest").resolve()


def test_a_whole_run_of_a_command_passes_tells_what_was_judged_and_verifies(judged, place: Path, capsys):
    done, pack = judged
    assert done.returncode == 0, done.stdout + done.stderr
    model = evidence_of(pack)["model"]
    assert model["command"]["files"][1]["sha256"] == file_digest(place / "command.py")
    assert f"judged: the command '{model['command']['line']}', which calls itself 'mean colour' 3" in done.stdout
    assert {json.loads(line)["model"] for line in (pack / "ledger.jsonl").read_text().splitlines()} == {
        model["card"]["digest"]
    }
    assert not list((pack / "models").glob("judged*"))
    page = (pack / "index.html").read_text()
    for words in ("asked over its pipes", "mean colour", "What the command runs was not seen", "asked through a pipe"):
        assert words in page
    assert main(["verify", str(pack)]) == 0, capsys.readouterr().out


def test_robustness_and_speed_work_through_it(judged):
    found = verdicts_of(judged[1])
    assert found["B1-stain"]["estimate"] is not None
    assert found["B3-blank"]["estimate"] is not None
    assert found["T2"]["outcome"] == found["T4"]["outcome"] == "passed"
    assert found["T3"]["not_asked"]
    for timing in evidence_of(judged[1])["timings"]:
        assert len(timing["pipe_samples_s"]) > 1
        assert 0 < float(np.median(timing["pipe_samples_s"])) < max(timing["samples_s"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e["model"]["command"].update(name="another"), "model > card > digest"),
        (lambda e: e["model"]["command"]["files"][1].update(sha256="0" * 64), "model > card > digest"),
        (lambda e: e["model"].update(file="true"), "model > file"),
        (lambda e: e["model"]["command"].update(line="true"), "entry 1, model"),
    ],
)
def test_a_report_replayed_for_another_command_does_not_verify(tmp_path: Path, judged, change, words: str, capsys):
    from shutil import copytree

    from test_judged_model import resealed

    pack = tmp_path / judged[1].name
    copytree(judged[1], pack)
    resealed(pack, change)
    assert main(["verify", str(pack)]) == 1
    assert words in capsys.readouterr().out


def test_a_command_that_breaks_in_mid_run_stops_it_and_leaves_no_pack(
    tiny: Pytest, place: Path, first_run: Path, tmp_path: Path
):
    line = plain(tmp_path, "if number == 3:\n    sys.exit('no more memory on the device')")
    reports = apart(first_run, str(place / "broken"), stages=OF_IMAGES)
    done = tiny(f"--model-command={line}", f"--reports={reports}", "-k", "A1 or R1")
    assert done.returncode == Exit.ERROR, done.stdout
    assert "no more memory on the device" in done.stdout
    assert "Traceback" not in done.stdout
    pack = (reports / "latest").resolve()
    if pack.exists():  # what a stopped run leaves says that it stopped, and judges nothing
        assert not evidence_of(pack)["run"]["passed"]
        assert not evidence_of(pack)["predictions"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model-command="], "it names no program"),
        (["--model-command='"], "is not a command line"),
        (["--model-command=true", "--model=m.pth"], "--model and --model-command: a run judges what one of them"),
        (["--predictions=p.csv", "--model=m.pth"], "--model and --predictions: a run judges what one of them names"),
        (["--predictions=p.csv", "--model-command=true"], "--model-command and --predictions: a run judges what one"),
        (["--model-command=true", "--command-limit=answer_s=0"], "not NAME=NUMBER with a number above 0"),
        (["--model-command=true", "--command-limit=patience=9"], "start_s, answer_s, total_s, memory_gib"),
        (["--command-limit=answer_s=9"], "no --model-command names one"),
        ([f"--trust-model={'1' * 64}"], "no --model names one"),
    ],
)
def test_a_wrong_call_is_a_wrong_call(tiny: Pytest, place: Path, arguments: list[str], words: str):
    done = tiny(*arguments, f"--reports={place / 'none'}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in done.stderr


# --- what docs/ shows -----------------------------------------------------------------------------


def test_the_helper_is_about_thirty_lines():
    lines = (DOCS / "answering.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) < 45


def test_scikit_learn_is_judged_as_the_docs_show_it(tmp_path: Path, manifest: Manifest, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from sklearn_command import features

    all_cells = decoded(manifest, manifest.images)
    labels = [image.label for image in manifest.images]
    squares = np.stack([fitted(array, Preprocessing(64, "squish")) for array in all_cells.pixels])
    model = LogisticRegression(max_iter=2000).fit(features(squares), labels)
    joblib.dump(model, tmp_path / "model.joblib")
    with opened(f"{sys.executable} {DOCS / 'sklearn_command.py'} {tmp_path / 'model.joblib'}") as classifier:
        assert classifier._talk.greeting.name == "LogisticRegression"
        frames = frames_of(all_cells.pixels, names=[image.path for image in manifest.images])
        found = predict(classifier, frames)
    assert np.abs(found - model.predict_proba(features(squares))).max() < 1e-12
    assert [CLASSES[column] for column in found.argmax(axis=1)] == model.predict(features(squares)).tolist()


class Service(BaseHTTPRequestHandler):
    """Answers with the softmax of the mean colour; says no to images of one row."""

    def do_GET(self) -> None:
        self._say({"classes": CLASSES, "version": "7"})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        shape = [int(self.headers[name]) for name in ("X-N", "X-Height", "X-Width")]
        if shape[1] == 1:
            self.send_error(503, "asleep")
            return
        images = np.frombuffer(content, np.uint8).reshape(*shape, 3)
        self._say({"probabilities": [softmax(image).tolist() for image in images]})

    def _say(self, what: dict[str, Any]) -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_service_on_this_machine_is_judged_as_the_docs_show_it(service: str):
    images = cells(9)
    with opened(f"{sys.executable} {DOCS / 'http_command.py'} {service}") as classifier:
        assert classifier._talk.greeting.model_version == "7"
        found = predict(classifier, images)
        with pytest.raises(CommandError, match=r"at image a line\.png: it says that it cannot: .*503: 'asleep'"):
            predict(classifier, frames_of(np.zeros((1, 1, 5, 3), np.uint8), names=["a line.png"]))
    assert np.abs(found - [softmax(images.frame(place)) for place in range(9)]).max() < 1e-12


def test_a_service_that_is_not_there_is_told():
    with pytest.raises(CommandError, match=r"in its greeting: it ended with exit status 1(.|\n)*Connection refused"):
        read_command(f"{sys.executable} {DOCS / 'http_command.py'} http://127.0.0.1:9", PROTOCOL, limits=LIMITS)
