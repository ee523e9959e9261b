"""Runs `python -m MODULE ...` again and again without importing the large libraries every time.

A process imports them once and forks for every command; the fork then does what Python does at its start: environment,
module path, sitecustomize, and the module as `__main__`. It has imported nothing of this project but what makes
torchvision importable, so a change that is planted into a module is planted before it is imported.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn, TypeAlias

# What every run imports for seconds.
PRELOADED = (
    "torch",
    "harness.model.torchvision_compat",
    "torchvision.models",
    "fastai.vision.learner",
    "great_expectations",
    "matplotlib.figure",
    "pandas",
    "scipy.stats",
    "sklearn.model_selection",
    "bs4",
    "jinja2",
    "markdown_it",
    "onnx",
    "pydantic",
    "securesystemslib.signer",
)
AT_START = "sitecustomize"
AVAILABLE = sys.platform == "linux"  # elsewhere system libraries do not survive a fork, or there is none


class ForkServer:
    """One process that forks, one command at a time; started with the first command. Close it.

    Args:
        cwd: where commands run, and the first folder of their module path.
        environment: of the process that forks: for what libraries read when they are imported.
    """

    def __init__(self, *, cwd: Path, environment: Mapping[str, str]) -> None:
        self._cwd, self._environment = cwd, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], *, output: Path, timeout_s: float) -> int:
        """The exit code of `python -m` with these arguments, as `subprocess` gives it; what it says goes to `output`.

        Raises:
            subprocess.TimeoutExpired: it did not end in time; it and what it started were killed.
            OSError: the process that forks cannot be started, or ended.
        """
        server = self._started()
        assert server.stdin is not None
        assert server.stdout is not None
        request = {"arguments": [*arguments], "environment": dict(environment), "output": str(output)}
        server.stdin.write(json.dumps(request).encode() + b"\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], timeout_s)[0]:
            self.close()
            raise subprocess.TimeoutExpired([*arguments], timeout_s)
        answer = server.stdout.readline()
        if not answer:
            self.close()
            raise ChildProcessError("the process that forks has ended")
        return int(answer)

    def close(self) -> None:
        """End the process that forks, and whatever it runs."""
        server, self._process = self._process, None
        if server is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # the group: a fork may be at work, and have started others
        server.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            if self._process.stdout.readline() != b"ready\n":
                self.close()
                raise ChildProcessError("the process that forks did not start: its error is printed above")
        return self._process


Idle: TypeAlias = "SimpleQueue[ForkServer]"


@contextmanager
def fork_servers(count: int, *, cwd: Path, environment: Mapping[str, str]) -> Iterator[Idle]:
    """As many as commands run at once, in a queue of those that run nothing: take one, and put it back."""
    servers, idle = [ForkServer(cwd=cwd, environment=environment) for _ in range(count)], SimpleQueue[ForkServer]()
    for server in servers:
        idle.put(server)
    try:
        yield idle
    finally:
        for server in servers:
            server.close()


# --- inside -----------------------------------------------------------------------------------


def serve() -> None:
    """Fork for every request on stdin and answer with the exit code, a line each, until stdin is closed."""
    for module in PRELOADED:
        importlib.import_module(module)
    _forget_plugins()
    gc.freeze()  # a collection in a fork would touch, and so copy, every page that it shares
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(**json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _forget_plugins() -> None:
    """pytest warns of plugins that were imported before it, as some are by libraries; these keep what they have."""
    packages = {entry.value.partition(".")[0] for entry in entry_points(group="pytest11")}
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


def _become(arguments: Sequence[str], environment: Mapping[str, str], output: str) -> NoReturn:
    """Do what `python -m` with these arguments does, to its end."""
    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for theirs, ours in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(theirs, ours)
    os.close(said)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(environment)
    folders = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:] = [str(Path.cwd()), *folders, *(each for each in sys.path if each and each not in folders)]
    if any((Path(folder) / f"{AT_START}.py").is_file() for folder in folders):
        # As a module, which is what Python makes of it: a run tells which modules came from outside.
        sys.modules.pop(AT_START, None)  # the server's own, where the environment has one
        importlib.import_module(AT_START)
    module, *rest = arguments
    sys.argv = [module, *rest]
    code = _exit_code(module)
    # As Python ends, but for taking libraries apart object by object, which takes two seconds.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _exit_code(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
