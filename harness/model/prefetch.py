"""Images decoded ahead of whoever computes with them: in order, batch by batch, and never more than a bounded number.

Threads decode, as Pillow releases the interpreter lock while it does. The Python around it does not: one thread at a
time, some thousand images a second. That is enough beside a processor, and too little beside a GPU that answers for
thousands. Beside such a one each thread has a process of its own, and waits for its pixels; see `decoders.py`.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from harness.core.progress import Report
from harness.model.decoders import Decoders, decoders
from harness.model.fitting import fitted_one
from harness.model.images import Images
from harness.model.records import Preprocessing

CHUNK = 8  # images that a thread decodes before it says so
ROUNDS_AHEAD = 2  # chunks for each thread that may be decoded or waiting: one in hand, and one to go on with
WORTH_PROCESSES = 256  # images; below, processes take longer to start than threads to be done

Fill = Callable[[int, np.ndarray], None]  # (first index, the array to fill with it and those after it)


def fitted_batches(
    images: Images,
    how: Preprocessing,
    *,
    workers: int,
    batch_size: int,
    progress: Report,
    label: str,
    device: str = "cpu",
) -> Iterator[np.ndarray]:
    """(n, size_px, size_px, 3) uint8 of every image in their order, batch by batch.

    While a batch is being used, the next ones are decoded: as many as keep every worker busy, and no more. The result
    depends on neither `workers` nor `device`.

    Args:
        workers: how many decode at once.
        device:  what computes with the batches. "cuda" is fast enough for processes that decode.
    Raises:
        DataError: a file changed, or does not decode.
    """
    total = len(images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about a file is integrity's to say, not Pillow's
        if total == 1:  # a thread for one image costs more than it saves
            progress(label, 1, 1, "")
            yield fitted_one(images, 0, how)[None]
            return
        elsewhere = device == "cuda" and images.files is not None and total >= WORTH_PROCESSES
        decode = _in_processes(images, how, decoders(workers)) if elsewhere else _here(images, how)
        shape = (how.size_px, how.size_px, 3)
        done = 0
        for batch in batches_ahead(decode, total, shape, workers=workers, batch_size=batch_size):
            done += len(batch)
            progress(label, done, total, "")
            yield batch


def fit_all(
    images: Images, how: Preprocessing, *, workers: int, progress: Report, label: str, device: str = "cpu"
) -> np.ndarray:
    """(n, size_px, size_px, 3) uint8 of every image in their order."""
    pixels = np.empty((len(images), how.size_px, how.size_px, 3), dtype=np.uint8)
    done = 0
    for batch in fitted_batches(
        images, how, workers=workers, batch_size=CHUNK, progress=progress, label=label, device=device
    ):
        pixels[done : done + len(batch)] = batch
        done += len(batch)
    return pixels


def batches_ahead(
    fill: Fill, total: int, shape: Sequence[int], *, workers: int, batch_size: int
) -> Iterator[np.ndarray]:
    """(n, *shape) uint8 of every item in their order, batch by batch, each filled by threads before it is asked for.

    At most a batch and `ROUNDS_AHEAD` chunks for each worker, rounded up to batches, are in memory beside the one that
    was given last.

    Args:
        fill: fills an array with the items from an index on. Called by several threads at once.
    """
    chunk = max(1, min(CHUNK, -(-total // workers)))  # a small set is divided among all
    starts, waiting = deque(range(0, total, batch_size)), deque[tuple[np.ndarray, list[Future[None]]]]()
    n_ahead = 1 + -(-ROUNDS_AHEAD * workers * chunk // batch_size)
    with ThreadPoolExecutor(workers) as pool:
        try:
            while starts or waiting:
                while starts and len(waiting) < n_ahead:
                    start = starts.popleft()
                    batch = np.empty((min(batch_size, total - start), *shape), dtype=np.uint8)
                    parts = range(0, len(batch), chunk)
                    waiting.append((batch, [pool.submit(fill, start + at, batch[at : at + chunk]) for at in parts]))
                batch, filled = waiting.popleft()
                for part in filled:
                    part.result()
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)  # whoever stops in the middle waits for nothing more


def _here(images: Images, how: Preprocessing) -> Fill:
    def decode(first: int, into: np.ndarray) -> None:
        for place in range(len(into)):
            into[place] = fitted_one(images, first + place, how)

    return decode


def _in_processes(images: Images, how: Preprocessing, made: Decoders) -> Fill:
    assert images.files is not None
    files = images.files

    def decode(first: int, into: np.ndarray) -> None:
        made.decode(files[first : first + len(into)], how, into)

    return decode
