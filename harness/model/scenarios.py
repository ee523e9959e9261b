"""The queries that are timed: LoadGen's SingleStream and Offline, decode-to-label and model-only.

pytest-benchmark does the timing and never synchronises a device; a classifier's answers are in memory, so that whoever
has one has waited for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from harness.model.classifier import Classifier, Piped, Preparing
from harness.model.images import Images
from harness.model.records import TimedBlocks, Timing
from harness.protocol.records import ThroughputPlan

READY_IMAGES = 32  # prepared beforehand where one is answered at a time


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """One thing to time: call `query` `rounds` times after `warmup` untimed calls.

    pipe: samples of the seconds that the bytes of a query take to another process and back; none where there is none.
    blocks, pause_s: as `ThroughputPlan`; what is asked many at once is in blocks by itself.
    before: to be called before each query, untimed and warm-up alike.
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

    def timing(
        self, samples_s: Sequence[float], *, others_share: float | None, block_shares: tuple[float, ...] = ()
    ) -> Timing:
        """The samples, and beside them the time of the pipe that is in them."""
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
        )


def scenarios(
    classifier: Classifier, images: Images, *, plan: ThroughputPlan, device: str
) -> dict[tuple[str, str], Scenario]:
    """(name, span) -> scenario; model-only ones where the classifier takes prepared arrays.

    Images are taken in turn, so that no query repeats the one before it.
    """
    single = cycle(range(len(images)))
    offline = images.take([i % len(images) for i in range(plan.offline_images)])

    def scenario(name: str, span: str, query: Callable[[], object]) -> Scenario:
        is_single = name == "SingleStream"
        return Scenario(
            name=name,
            span=span,
            device=device,
            images_per_query=1 if is_single else len(offline),
            batch_size=1 if is_single else plan.batch_size,
            rounds=plan.queries if is_single else plan.offline_rounds,
            warmup=plan.warmup_queries if is_single else 1,
            query=query,
            pipe=_pipe(classifier, images.take([0]) if is_single else offline),
            blocks=min(plan.blocks, plan.queries) if is_single else 1,
            pause_s=plan.pause_s if is_single else 0.0,
        )

    def answer(shown: Images) -> Callable[[], object]:
        return lambda: classifier.predict_proba(shown).argmax(axis=1)

    found = [
        scenario("SingleStream", "decode-to-label", lambda: answer(images.take([next(single)]))()),
        scenario("Offline", "decode-to-label", answer(offline)),
    ]
    found += _model_only(classifier, images, offline, scenario) if isinstance(classifier, Preparing) else []
    return {(each.name, each.span): each for each in found}


def _pipe(classifier: Classifier, images: Images) -> Callable[[], tuple[float, ...]]:
    return (lambda: classifier.pipe_samples_s(images)) if isinstance(classifier, Piped) else tuple


def _model_only(
    classifier: Preparing,
    images: Images,
    offline: Images,
    scenario: Callable[[str, str, Callable[[], object]], Scenario],
) -> list[Scenario]:
    arrays = classifier.prepare(offline)
    ready = cycle(classifier.prepare(images.take(range(min(READY_IMAGES, len(images))))))
    return [
        scenario("SingleStream", "model-only", lambda: classifier.forward(next(ready)[None]).argmax(axis=1)),
        scenario("Offline", "model-only", lambda: classifier.forward(arrays).argmax(axis=1)),
    ]
