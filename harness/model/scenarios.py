"""The queries that are timed: LoadGen's SingleStream, MultiStream, Server and Offline, decode-to-label and model-only.

pytest-benchmark does the timing and never synchronises a device; a classifier's answers are in memory, so that whoever
has one has waited for the device. What was answered is kept: a classifier that saves itself work while it is timed
answers otherwise than when it was judged, or is faster where an image comes again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np

from harness.model.classifier import Classifier, Closing, Piped, Preparing
from harness.model.images import Images
from harness.model.records import COLD, Settling, TimedAnswer, TimedBlocks, Timing
from harness.protocol.throughput import ThroughputPlan

MULTI_IMAGES = 8  # a field of view, and what LoadGen's MultiStream asks at once
ONE_IMAGE = "SingleStream, one image"  # after MLPerf's TEST04, which asks for one sample over and over
SINGLE, MULTI, SERVER, OFFLINE = "SingleStream", "MultiStream", "Server", "Offline"
COLD_ROUNDS = 5  # fewer give no 95 % bound of a median
ONE_BY_ONE = (SINGLE, MULTI, ONE_IMAGE)  # the next query when the one before it is answered
SERVER_SEED = 0  # of the arrivals, so that every run has the same
READY_IMAGES = 32  # prepared beforehand where one is answered at a time


Answers = np.ndarray  # (n,) columns


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One thing to time: call `query` `rounds` times after `warmup` untimed calls.

    pipe: samples of the seconds that the bytes of a query take to another process and back; none where there is none.
    blocks, pause_s: as `ThroughputPlan`; what is asked many at once is in blocks by itself.
    before: to be called before each query, untimed and warm-up alike.
    answered: each different (place among the images, predicted column) that its queries gave so far.
    taken:  the seconds of its queries so far, where not those that a call took; None: as the stopwatch took them.
    waited: the seconds of these in which each stood in line; None where nobody does.
    settling: what was asked of it before, untimed, where that was asked for.
    """

    name: str
    span: str
    device: str
    images_per_query: int
    batch_size: int
    rounds: int
    warmup: int
    query: Callable[[], object]
    pipe: Callable[[], tuple[float, ...]] = tuple
    blocks: int = 1
    pause_s: float = 0.0
    before: Callable[[], None] = lambda: None
    answered: Callable[[], Iterable[tuple[int, int]]] = tuple
    taken: Callable[[], Sequence[float]] | None = None
    waited: Callable[[], Sequence[float]] | None = None
    settling: Settling | None = None

    def samples(self, of_calls: Sequence[float]) -> tuple[float, ...]:
        """Seconds of each query that counts. of_calls: what the stopwatch took of their calls."""
        return tuple(of_calls if self.taken is None else self.taken()[-len(of_calls) :])

    def timing(
        self,
        samples_s: Sequence[float],
        *,
        digests: Sequence[str],
        others_share: float | None,
        block_shares: tuple[float, ...] = (),
    ) -> Timing:
        """The samples, and beside them the time of the pipe that is in them.

        Args:
            digests: of the images, in their order.
        """
        answers = sorted({(digests[place], column) for place, column in self.answered()})
        return Timing(
            self.name,
            self.span,
            self.device,
            self.images_per_query,
            self.batch_size,
            tuple(samples_s),
            self.pipe() or None,
            others_share,
            TimedBlocks(self.blocks, self.pause_s, block_shares) if self.blocks > 1 else None,
            tuple(TimedAnswer(digest, column) for digest, column in answers),
            None if self.waited is None else tuple(self.waited()[-len(samples_s) :]),
            self.settling,
        )


def scenarios(
    classifier: Classifier,
    images: Images,
    *,
    plan: ThroughputPlan,
    device: str,
    opened: Callable[[], Classifier] | None = None,
) -> dict[tuple[str, str], Scenario]:
    """(name, span) -> scenario; model-only ones where the classifier takes prepared arrays.

    Images are taken in turn, so that no query repeats the one before it.

    Args:
        opened: the same classifier, opened anew; None where how it is opened is nothing to time.
    """
    turns = {name: cycle(range(len(images))) for name in ONE_BY_ONE}
    offline = [place % len(images) for place in range(plan.offline_images)]

    def scenario(
        name: str, span: str, places: Callable[[], list[int]], ask: Callable[[list[int]], Answers]
    ) -> Scenario:
        answered: list[tuple[list[int], Answers]] = []

        def query() -> None:
            shown = places()
            answered.append((shown, ask(shown)))

        n_images, in_turn = _images_of(name, plan), name != OFFLINE
        apart = name in ONE_BY_ONE
        return Scenario(
            name=name,
            span=span,
            device=device,
            images_per_query=n_images,
            batch_size=n_images if in_turn else plan.batch_size,
            rounds=plan.queries if in_turn else plan.offline_rounds,
            warmup=plan.warmup_queries if in_turn else 1,
            query=query,
            pipe=_pipe(classifier, images.take([place % len(images) for place in range(n_images)])),
            blocks=min(plan.blocks, plan.queries) if apart else 1,
            pause_s=plan.pause_s if apart else 0.0,
            answered=lambda: _pairs(answered),
        )

    def from_files(shown: list[int]) -> Answers:
        found: Answers = classifier.predict_proba(images.take(shown)).argmax(axis=1)
        return found

    def in_turn(name: str) -> Callable[[], list[int]]:
        return lambda: [next(turns[name]) for _ in range(_images_of(name, plan))]

    found = [scenario(name, "decode-to-label", in_turn(name), from_files) for name in (SINGLE, MULTI)]
    found.append(scenario(ONE_IMAGE, "decode-to-label", lambda: [0], from_files))
    found.append(scenario(OFFLINE, "decode-to-label", lambda: offline, from_files))
    if plan.server_rate is not None:
        arriving = cycle(range(len(images)))
        served = scenario(SERVER, "decode-to-label", lambda: [next(arriving)], from_files)
        found.append(with_arrivals(served, rate=plan.server_rate))
    if opened is not None:
        found.append(cold_start(opened, images, device=device))
    if isinstance(classifier, Preparing):
        asked: Preparing = classifier
        arrays, ready = classifier.prepare(images.take(offline)), min(READY_IMAGES, len(images))
        first = classifier.prepare(images.take(range(ready)))
        places = cycle(range(ready))

        def of_one(shown: list[int]) -> Answers:
            answer: Answers = asked.forward(first[shown[0]][None]).argmax(axis=1)
            return answer

        def of_all(shown: list[int]) -> Answers:
            answer: Answers = asked.forward(arrays).argmax(axis=1)
            return answer

        found.append(scenario(SINGLE, "model-only", lambda: [next(places)], of_one))
        found.append(scenario(OFFLINE, "model-only", lambda: offline, of_all))
    return {(each.name, each.span): each for each in found}


def with_arrivals(
    served: Scenario,
    *,
    rate: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Scenario:
    """LoadGen's Server: queries arrive at random times, and one that arrives while another is answered waits its turn.

    The times are those of a Poisson process with a fixed seed, from the first warm-up query on; a query takes from its
    arrival to its answer, however long it stood in line.

    Args:
        rate: queries a second.
    """
    gaps, arrival = np.random.default_rng(SERVER_SEED), [math.nan]
    taken, waited = list[float](), list[float]()

    def query() -> None:
        arrival[0] = clock() if math.isnan(arrival[0]) else arrival[0] + float(gaps.exponential(1 / rate))
        late = clock() - arrival[0]
        if late < 0:
            sleep(-late)
        served.query()
        taken.append(clock() - arrival[0])
        waited.append(max(0.0, late))

    return replace(served, query=query, taken=lambda: taken, waited=lambda: waited)


def cold_start(
    opened: Callable[[], Classifier],
    images: Images,
    *,
    device: str,
    clock: Callable[[], float] = time.perf_counter,
) -> Scenario:
    """From opening the classifier to its first label: each time the next image, and a classifier that is opened anew.

    The libraries are imported already and its file may be in the system's cache: what a process of its own takes more
    is not in it, unless the classifier is one, as a command is. To close it is not timed.
    """
    turn, answered, taken = cycle(range(len(images))), list[tuple[list[int], Answers]](), list[float]()

    def query() -> None:
        shown, began = [next(turn)], clock()
        classifier = opened()
        try:
            answered.append((shown, classifier.predict_proba(images.take(shown)).argmax(axis=1)))
            taken.append(clock() - began)
        finally:
            if isinstance(classifier, Closing):
                classifier.close()

    return Scenario(
        name=COLD,
        span="decode-to-label",
        device=device,
        images_per_query=1,
        batch_size=1,
        rounds=COLD_ROUNDS,
        warmup=0,
        query=query,
        answered=lambda: _pairs(answered),
        taken=lambda: taken,
    )


def _images_of(name: str, plan: ThroughputPlan) -> int:
    return {MULTI: MULTI_IMAGES, OFFLINE: plan.offline_images}.get(name, 1)


def _pairs(answered: Iterable[tuple[list[int], Answers]]) -> Iterator[tuple[int, int]]:
    for places, columns in answered:
        yield from zip(places, columns.tolist(), strict=True)


def _pipe(classifier: Classifier, images: Images) -> Callable[[], tuple[float, ...]]:
    return (lambda: classifier.pipe_samples_s(images)) if isinstance(classifier, Piped) else tuple
