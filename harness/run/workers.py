"""`--engine dask`: per-image stages as tasks over slices of images, on the workers of a scheduler that runs already.

Nothing is started here, and no address is guessed. A worker takes on no slice before it has shown that it is what this
run is: the same code by its meaning, the same versions, the same way to compute, and a sight of the same files at the
same paths. One that joins later or is started again is asked before its first slice.
"""

from __future__ import annotations

import logging
import os
import pickle
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from harness.core.digests import file_digest
from harness.core.errors import HarnessError, WorkersError
from harness.core.mapping import MapEngine, Sample, Task
from harness.core.text import first_few
from harness.run.code import installed

if TYPE_CHECKING:
    from distributed import Client, Future

S = TypeVar("S")
R = TypeVar("R")
ADDRESS = "DASK_SCHEDULER_ADDRESS"
ENGINES = ("local", "dask")
# Images in a slice. Of 256 decoded images some 2 MB come back, after seconds; a task of dask's costs a thousandth of
# that. A killed worker costs as much again as it had in hand.
AT_ONCE = 256
AHEAD = 3  # slices for each thread of the workers that are sent ahead: what waits there need not be waited for
CONNECT_S = 10.0
WITHOUT_WORKERS_S = 60.0  # the time in which a cluster may start its workers again
ASKED_EVERY_S = 2.0
SHOWN = 3
NOT_LIKE = (
    "Start every worker from the same checkout and environment as this run (docs/scale.md), or run with --engine local."
)


def engine_named(name: str) -> MapEngine | None:
    """What `--engine` names; None for "local", which spreads nothing.

    Raises:
        WorkersError: the extra is not installed, or no scheduler is named.
    """
    if name == "local":
        return None
    if find_spec("distributed") is None:
        raise WorkersError(
            "--engine dask needs the extra [dask], which is not installed: pip install 'leukocyte-harness[dask]'."
        )
    address = os.environ.get(ADDRESS, "").strip()
    if not address:
        raise WorkersError(
            f"--engine dask: {ADDRESS} is not set, and no cluster is started unasked. Set it to the address that "
            "`dask scheduler` prints, such as tcp://HOST:8786 (docs/scale.md)."
        )
    return Dask(address)


@dataclass(frozen=True, slots=True)
class Dask:
    """The workers of one scheduler.

    at_once: items of a slice, rounded up to what a task wants a multiple of.
    ran:     what was done -> where, for the evidence.
    """

    address: str
    at_once: int = AT_ONCE
    without_workers_s: float = WITHOUT_WORKERS_S
    ran: dict[str, str] = field(default_factory=dict)

    def map(
        self,
        task: Task[S, R],
        items: Sequence[S],
        *,
        label: str,
        multiple: int,
        sample: Sample | None,
        done: Callable[[int], None],
    ) -> list[R]:
        """See `MapEngine`."""
        size = -(-self.at_once // multiple) * multiple
        slices = [items[start : start + size] for start in range(0, len(items), size)]
        call = Call(task, alike(task), sample)
        with self._client() as client:
            workers = self._refuse_others(client, call)
            found = self._spread(client, call, slices, label=label, done=done)
        self.ran[label] = f"{_counted(len(slices), 'slice')} on {_counted(len(workers), 'worker')}"
        return found

    def stays_here(self, label: str, why: str) -> None:
        """See `MapEngine`."""
        self.ran[label] = f"on this machine, as {why}"

    @property
    def told(self) -> str:
        """What was done by workers and what was not, for the evidence; no address is in it."""
        return f"dask {version('distributed')}: " + ("; ".join(f"{k} {v}" for k, v in self.ran.items()) or "nothing")

    def _spread(
        self,
        client: Client,
        call: Call[S, R],
        slices: Sequence[Sequence[S]],
        *,
        label: str,
        done: Callable[[int], None],
    ) -> list[R]:
        from distributed import wait

        found: dict[int, R] = {}
        waiting: dict[Future, int] = {}
        n_done, unserved_since = 0, None
        while len(found) < len(slices):
            threads = sum(client.nthreads().values())
            ahead = range(len(found) + len(waiting), len(slices))
            for number in ahead[: max(1, AHEAD * threads) - len(waiting)]:
                # No retries: what a task raises it would raise again. A slice whose worker died is given to another.
                waiting[client.submit(_sent(), pickle.dumps((call, slices[number])), pure=False)] = number
            unserved_since = None if threads else unserved_since or time.monotonic()
            if unserved_since is not None and time.monotonic() - unserved_since > self.without_workers_s:
                raise WorkersError(
                    f"{label}: the scheduler at {ADDRESS} has had no worker for {self.without_workers_s:g} s, and "
                    f"{len(slices) - len(found)} of {len(slices)} slices are not done. Start workers, and run again."
                )
            try:
                ready = wait(list(waiting), timeout=ASKED_EVERY_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            for future in ready:
                number = waiting[future]
                packed = _result(future, f"{label}, slice {number + 1} of {len(slices)}")
                if packed is None:
                    continue
                found[number] = pickle.loads(packed)
                del waiting[future]
                n_done += len(slices[number])
                done(n_done)
        return [found[number] for number in range(len(slices))]

    def _refuse_others(self, client: Client, call: Call[Any, Any]) -> tuple[str, ...]:
        """The workers that are there, each of which is what this run is.

        Raises:
            WorkersError: there is none, or one is something else.
        """
        try:
            client.wait_for_workers(1, timeout=self.without_workers_s)
        except TimeoutError:
            raise WorkersError(
                f"the scheduler at {ADDRESS} has no worker, and got none in {self.without_workers_s:g} s. Start "
                "some: `dask worker ADDRESS` (docs/scale.md)."
            ) from None
        said = client.run(_asked(), pickle.dumps((call.alike, call.sample)), on_error="return")
        other = [f"{address}: {_words(why)}" for address, why in sorted(said.items()) if why]
        if other:
            raise WorkersError(
                f"{len(other)} of {len(said)} workers are not what this run is, and nothing was given to any: "
                f"{'; '.join(first_few(other, SHOWN))}. {NOT_LIKE}"
            )
        return tuple(said)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        """
        Raises:
            WorkersError: nobody answers at the address.
        """
        from distributed import Client

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions: it is asked here, and refused in our words
            logging.getLogger("distributed").setLevel(logging.CRITICAL)
            try:
                client = Client(self.address, timeout=CONNECT_S, set_as_default=False, name="leukocyte-harness")
            except (OSError, ValueError) as error:  # TimeoutError is an OSError; a wrong address a ValueError
                # Why a run stopped is evidence, and no address is.
                why = _words(error).replace(self.address, ADDRESS)
                raise WorkersError(
                    f"--engine dask: no scheduler answers at {ADDRESS} ({why}). Start one with `dask scheduler`, or "
                    f"correct {ADDRESS}."
                ) from None
            try:
                with client.as_current():
                    yield client
            finally:
                client.close(timeout=CONNECT_S)


def _sent() -> Callable[[bytes], bytes]:
    """What a worker is sent: a function that is pickled whole, as it stands inside another.

    The scheduler takes a task apart, and one that named our code would need the code there. Of bytes it asks nothing.
    A worker without our code says so in plain words when it is about to run them.
    """

    def on_worker(packed: bytes) -> bytes:
        import pickle

        from harness.run.workers import work

        return pickle.dumps(work(*pickle.loads(packed)))

    return on_worker


def _asked() -> Callable[[bytes], str]:
    """The same for the question whether a worker is what this run is."""

    def on_worker(packed: bytes) -> str:
        import pickle

        from harness.run.workers import unlike

        return unlike(*pickle.loads(packed))

    return on_worker


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _words(why: object) -> str:
    if isinstance(why, ImportError | AttributeError):
        return f"it cannot load the harness's code ({type(why).__name__}: {why})"
    return f"{type(why).__name__}: {why}" if isinstance(why, BaseException) else str(why)


def _result(future: Future, where: str) -> bytes | None:
    """What a task gave; None where that is not there just now: its worker died with it, and it is made again.

    Raises:
        WorkersError: its workers died, the scheduler is gone, or a worker has other code.
        HarnessError: what it raised.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    try:
        result: bytes = future.result(timeout=ASKED_EVERY_S)
        return result
    except TimeoutError:
        if future.status == "error":  # it is what the task raised
            raise
        return None
    except HarnessError:
        raise
    except KilledWorker as error:
        raise WorkersError(
            f"{where}: {error.allowed_failures + 1} workers that had it died, one after another. One of its images, or "
            "of a slice beside it, may crash a decoder or need more memory than a worker has: give workers more, or "
            "find the image with --engine local."
        ) from None
    except CancelledError:
        raise WorkersError(
            f"{where}: the scheduler is gone, and what it held with it. Start it again with its workers, and run again."
        ) from None
    except (ImportError, AttributeError) as error:
        raise WorkersError(f"{where}: a worker that joined later is another: {_words(error)}. {NOT_LIKE}") from None


# --- what a worker does -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alike:
    """What a process must be, to do a task as another one does it.

    modules:  whose code does the task, with all that they import.
    packages: distributions.
    device:   as in `Task`.
    stated:   (what, as it is in the process that asks).
    """

    modules: tuple[str, ...]
    packages: tuple[str, ...]
    device: str | None
    stated: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Call(Generic[S, R]):
    """A task, and what whoever takes it on must be and see."""

    task: Task[S, R]
    alike: Alike
    sample: Sample | None


def alike(task: Task[Any, Any]) -> Alike:
    """What a process must be to do this task as this one does it."""
    modules = (type(task).__module__, __name__)
    packages = ("distributed", *task.packages)
    return Alike(modules, packages, task.device, tuple(_stated(modules, packages, task.device).items()))


@cache
def _stated(modules: tuple[str, ...], packages: tuple[str, ...], device: str | None) -> Mapping[str, str]:
    return {
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in packages},
        **({} if device is None else {"device": _computing(device)}),
        "code": installed().digest(*modules)[:12],
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _computing(device: str) -> str:
    from harness.model.devices import instructions

    return instructions(device)


def unlike(asked: Alike, sample: Sample | None) -> str:
    """Why this process must not take on a task; "" where it may."""
    if (asked, sample) in _FOUND_ALIKE:
        return ""
    here = _stated(asked.modules, asked.packages, asked.device)
    told = [f"{name} is {here[name]} there and {wanted} here" for name, wanted in asked.stated if here[name] != wanted]
    if sample is not None:
        try:
            same = file_digest(sample.path) == sample.sha256
        except OSError as error:
            told.append(f"it cannot read {str(sample.path)!r} ({type(error).__name__}): mount the folder at that path")
        else:
            if not same:
                told.append(f"{str(sample.path)!r} holds other bytes there: mount the same folder at that path")
    if not told:
        _FOUND_ALIKE.add((asked, sample))
    return ", ".join(told)


_FOUND_ALIKE: set[tuple[Alike, Sample | None]] = set()  # what is amiss may be put right while this process lives
_ONE_AT_A_TIME = threading.Lock()  # strictness of decoders and threads of torch belong to the process


def work(call: Call[S, R], items: Sequence[S]) -> R:
    """Do a task with all threads of this worker.

    Raises:
        WorkersError: this worker is not what the run is.
    """
    from distributed import get_worker

    with _ONE_AT_A_TIME:
        if why := unlike(call.alike, call.sample):
            raise WorkersError(f"a worker that joined later is not what this run is: {why}. {NOT_LIKE}")
        return call.task(items, get_worker().state.nthreads)
