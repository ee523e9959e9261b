"""A classifier that is a command in a process of its own (--model-command): images in, probabilities out.

It is started twice: before the run, for its greeting, which says what it is; and when it is first asked for an answer,
after which it lives as long as the run. No shell reads its line.
"""

from __future__ import annotations

import shlex
import shutil
import stat
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from harness.core.digests import file_digest
from harness.core.errors import CommandError
from harness.core.progress import silent
from harness.core.text import shortened
from harness.model import command_messages as messages
from harness.model.child import Child, ChildFailed
from harness.model.classifier import Classifier, Machine
from harness.model.command_messages import BrokenProtocol, Greeting
from harness.model.images import Images
from harness.model.prefetch import fit_all, fitted_batches
from harness.model.records import CommandLimits, CommandRecord, JudgedModel, ModelCard, NamedFile, Preprocessing

if TYPE_CHECKING:
    from harness.model.exports import Claims
    from harness.protocol.records import Protocol

T = TypeVar("T")
GIB = 2**30
MOST_REQUEST_BYTES = 2**26  # of frames at once, unless a single one is larger
PINGS = 20
SHOWN_CHARACTERS = 100  # characters of a command line in a message


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """A command that greeted and fits the protocol, with what is recorded of it.

    words: the line as its program gets it.
    """

    record: JudgedModel
    card: ModelCard
    words: tuple[str, ...]
    greeting: Greeting

    @property
    def claims(self) -> Claims:
        """Its classes; a command says nothing of the cells that it was trained on."""
        from harness.model.exports import Claims  # which torch comes with

        return Claims(classes=self.card.classes)

    @property
    def kept_as(self) -> tuple[str, ...]:
        """Nothing: what a command is made of is not ours to collect."""
        return ()

    def keep(self, folder: Path) -> None:
        """Write nothing."""

    def open(self, machine: Machine) -> Classifier:
        """The command, started once more and ready to answer.

        Raises:
            CommandError: it does not start, or is another than the one that greeted before the run.
        """
        known = self.record.command
        assert known is not None
        if changed := {each.name for each in {*files_named_in(self.words)} ^ {*known.files}}:
            raise CommandError(
                f"{_called(known.line)}: of the files that it names, {', '.join(sorted(changed))} changed since the "
                "run began. Leave what it is made of alone, and run again. A file that the command itself writes, such "
                "as a log, is not named in its line: name it in a script that the line starts."
            )
        talk = Talk.begun(known.line, self.words, known.limits)
        if talk.greeting != self.greeting:
            talk.close()
            raise CommandError(
                f"{_called(known.line)} says something else of itself when it is started again: {talk.greeting}, and "
                f"before the run {self.greeting}. A command that changes cannot be judged."
            )
        kind = CommandClassifier if self.greeting.shown is None else PreparedCommandClassifier
        return kind(self.card, talk, machine)


def read_command(line: str, protocol: Protocol, *, limits: CommandLimits) -> Command:
    """Start a command, let it greet, and check what it says against the protocol before anything is predicted.

    Raises:
        CommandError: it does not start or greet as the line protocol says, or its classes are not the protocol's.
    """
    words = tuple(shlex.split(line))
    files = files_named_in(words)
    talk = Talk.begun(line, words, limits)
    talk.close()
    greeting = talk.greeting
    _refuse_other_classes(line, greeting, protocol)
    known = CommandRecord(
        line=line,
        files=files,
        protocol=messages.VERSION,
        name=greeting.name,
        version=greeting.model_version,
        limits=limits,
        memory_bound=talk.memory_bound,
    )
    prepared = greeting.shown is not None
    card = ModelCard(
        door="command",
        name=_called(line),
        digest=known.digest,
        classes=greeting.classes,
        preprocessing=_preprocessing(greeting),
        abilities=("probabilities", "new images", *(("prepared arrays",) if prepared else ())),
        corruptions_act_on="prepared arrays" if prepared else "RGB frames",
        asked_anew=True,  # a service behind it may be another tomorrow, under the same line
    )
    record = JudgedModel(
        file=line,
        sha256="",
        n_bytes=0,
        format="command",
        layout="",
        architecture="",
        weights_digest="",
        stated=("classes", *(("image_size_px", "resize") if prepared else ())),
        card=card,
        command=known,
    )
    return Command(record, card, words, greeting)


def files_named_in(words: Sequence[str]) -> tuple[NamedFile, ...]:
    """The files that a command line names, alone or behind a "=", with their digests; its program as PATH finds it.

    Raises:
        CommandError: one cannot be read.
    """
    found = []
    for place, word in enumerate(words):
        named = [word, word.partition("=")[2]] if place else [shutil.which(word) or word]
        file = next((path for path in map(Path, named) if _is_file(path)), None)
        if file is not None:
            try:
                found.append(NamedFile(word, file_digest(file), file.stat().st_size))
            except OSError as error:
                # A program that may be run and not read is still a program.
                if place:
                    raise CommandError(f"{word!r} of --model-command cannot be read: {error}.") from None
    return tuple(found)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # no such file, or no name that a file can have
        return False


def _refuse_other_classes(line: str, greeting: Greeting, protocol: Protocol) -> None:
    """As of a model file: the command, the protocol's [model] and the protocol's data speak of the same classes."""
    wanted = protocol.dataset.classes
    stated = protocol.model.classes if protocol.model is not None and protocol.model.classes else wanted
    for where, classes in (("the command", greeting.classes), ("[model] of the protocol", stated)):
        if tuple(classes) != wanted:
            raise CommandError(
                f"{_called(line)}: the classes of {where} are {list(classes)}, those of the protocol's dataset are "
                f"{list(wanted)}. One class would be read as another: state both in the same words and order."
            )


def _preprocessing(greeting: Greeting) -> Preprocessing | None:
    """Levels 0 to 255 are what it is given; what it does with them stays inside."""
    if greeting.shown is None:
        return None
    return Preprocessing(
        **asdict(greeting.shown), value_range=(0.0, 255.0), mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0)
    )


def _called(line: str) -> str:
    return f"--model-command {shortened(line, SHOWN_CHARACTERS)!r}"


# --- asking ---------------------------------------------------------------------------------------


class Talk:
    """Questions and answers of one started command; whatever goes wrong ends it, and is told in one error."""

    def __init__(self, line: str, words: Sequence[str], limits: CommandLimits) -> None:
        self._line, self._limits, self._asked = line, limits, 0
        try:
            self._child = Child(words, memory_bytes=int(limits.memory_gib * GIB), total_s=limits.total_s)
        except ChildFailed as error:
            raise CommandError(f"{_called(line)} {error}. Name a program and its arguments, without a shell.") from None
        self.memory_bound = self._child.memory_bound

    @classmethod
    def begun(cls, line: str, words: Sequence[str], limits: CommandLimits) -> Talk:
        """A command that has greeted."""
        talk = cls(line, words, limits)
        talk.greeting = talk._answer(
            [messages.hello(0)], "in its greeting", lambda line: messages.greeting_of(line, 0), limits.start_s
        )
        return talk

    greeting: Greeting

    def classify(self, frames: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """(n, n_classes) float64 for frames of one size.

        Raises:
            CommandError: names the command and an image.
        """
        number, n_classes = self._next(), len(self.greeting.classes)
        where = f"at image {names[0]}" if len(names) == 1 else f"at images {names[0]} to {names[-1]}"
        return self._answer(
            messages.classify(number, frames),
            where,
            lambda line: messages.rows_of(line, number, names, n_classes),
            self._limits.answer_s,
            most_bytes=messages.most_bytes(len(names), n_classes),
        )

    def pings_s(self, sizes: Sequence[int]) -> tuple[float, ...]:
        """Samples of the seconds that requests of so many bytes take to be read, and a short word to come back."""
        return tuple(sum(self._ping_s(n_bytes) for n_bytes in sizes) for _ in range(PINGS))

    def _ping_s(self, n_bytes: int) -> float:
        number = self._next()
        question = messages.ping(number, n_bytes)
        started = time.perf_counter()
        self._answer(
            question,
            "at a ping",
            lambda line: messages.refuse_other_pong(line, number, n_bytes),
            self._limits.answer_s,
        )
        return time.perf_counter() - started

    def close(self) -> None:
        self._child.close()

    def _next(self) -> int:
        self._asked += 1
        return self._asked

    def _answer(
        self,
        question: Sequence[bytes | memoryview],
        where: str,
        read: Callable[[bytes], T],
        within_s: float,
        *,
        most_bytes: int = messages.MOST_WORDS_BYTES,
    ) -> T:
        try:
            found = read(self._child.exchange(question, most_bytes=most_bytes, within_s=within_s))
            self._child.refuse_more()
            return found
        except (ChildFailed, BrokenProtocol) as error:
            self._child.close(grace_s=0.0)
            raise CommandError(f"{_called(self._line)}, {where}: it {error}.{self._child.last_words}") from None


class CommandClassifier:
    """A command that is shown frames as they were decoded, those of one size at once."""

    def __init__(self, card: ModelCard, talk: Talk, machine: Machine) -> None:
        self._card, self._talk, self._machine = card, talk, machine

    @property
    def card(self) -> ModelCard:
        return self._card

    def predict_proba(self, images: Images) -> np.ndarray:
        found, progress = [self._none], self._machine.progress if images.label else silent
        for start, frames in _alike(images, self._machine):
            found.append(self._talk.classify(frames, images.names[start : start + len(frames)]))
            progress(f"scoring {images.label}", start + len(frames), len(images), "")
        return np.concatenate(found)

    def pipe_samples_s(self, images: Images) -> tuple[float, ...]:
        sizes = [frames.nbytes for _, frames in _alike(images, self._machine)]
        return self._talk.pings_s(sizes)

    def close(self) -> None:
        """End the command; asked again, it says that it was ended."""
        self._talk.close()

    @cached_property
    def _none(self) -> np.ndarray:
        return np.empty((0, len(self._card.classes)))


class PreparedCommandClassifier(CommandClassifier):
    """A command that is shown squares, which are made here: others may act on them in between."""

    def predict_proba(self, images: Images) -> np.ndarray:
        assert self._card.preprocessing is not None
        done, found = 0, [self._none]
        batches = fitted_batches(
            images,
            self._card.preprocessing,
            workers=self._machine.workers,
            batch_size=self._machine.batch_size,
            progress=self._machine.progress if images.label else silent,
            label=f"scoring {images.label}",
        )
        for batch in batches:
            found.append(self._asked(batch, images.names[done : done + len(batch)]))
            done += len(batch)
        return np.concatenate(found)

    def prepare(self, images: Images) -> np.ndarray:
        assert self._card.preprocessing is not None
        return fit_all(
            images,
            self._card.preprocessing,
            workers=self._machine.workers,
            progress=self._machine.progress if images.label else silent,
            label=f"decoding {images.label}",
        )

    def forward(self, arrays: np.ndarray) -> np.ndarray:
        return self._asked(arrays, [f"prepared array {place}" for place in range(len(arrays))])

    def pipe_samples_s(self, images: Images) -> tuple[float, ...]:
        assert self._card.preprocessing is not None
        n_bytes = 3 * self._card.preprocessing.size_px**2
        return self._talk.pings_s([n * n_bytes for n in _sizes(len(images), self._machine.batch_size)])

    def _asked(self, arrays: np.ndarray, names: Sequence[str]) -> np.ndarray:
        found, start = [self._none], 0
        for n in _sizes(len(arrays), self._machine.batch_size):
            found.append(self._talk.classify(arrays[start : start + n], names[start : start + n]))
            start += n
        return np.concatenate(found)


def _sizes(n: int, batch_size: int) -> list[int]:
    return [min(batch_size, n - start) for start in range(0, n, batch_size)]


def _alike(images: Images, machine: Machine) -> Iterator[tuple[int, np.ndarray]]:
    """(place of the first, frames) of neighbours of one size, a batch at most; the next are decoded meanwhile."""
    if len(images) == 1:  # a thread for one image costs more than it saves
        yield 0, images.frame(0)[None]
        return
    starts = range(0, len(images), machine.batch_size)
    with warnings.catch_warnings(), ThreadPoolExecutor(machine.workers) as pool:
        warnings.simplefilter("ignore")  # what is odd about a file is integrity's to say, not Pillow's

        def window(start: int) -> list[Future[np.ndarray]]:
            stop = min(start + machine.batch_size, len(images))
            return [pool.submit(images.frame, place) for place in range(start, stop)]

        ahead = window(0) if len(images) else []
        for start in starts:
            frames = [each.result() for each in ahead]
            ahead = window(start + machine.batch_size) if start + machine.batch_size < len(images) else []
            first = 0
            for place in range(1, len(frames) + 1):
                if (
                    place < len(frames)
                    and frames[place].shape == frames[first].shape
                    and _fits(frames[first : place + 1])
                ):
                    continue
                yield start + first, np.stack(frames[first:place])
                first = place


def _fits(frames: Sequence[np.ndarray]) -> bool:
    return sum(frame.nbytes for frame in frames) <= MOST_REQUEST_BYTES
