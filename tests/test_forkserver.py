"""A forked `python -m` must be what a started one is: the same arguments, environment, path, output and end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.forkserver import AVAILABLE, ForkServer
from harness.proof import PROJECT

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="commands are forked on Linux alone")

Forked = Callable[..., tuple[int, str]]
SAYS = """
import json, os, sys
print(json.dumps({
    "name": __name__, "argv": sys.argv, "cwd": os.getcwd(), "stdin": sys.stdin.read(), "path": sys.path[:3],
    "environment": {k: v for k, v in sorted(os.environ.items()) if k not in ("PWD", "OLDPWD", "SHLVL", "_")},
    "changed": getattr(sys, "changed_by_another", None) or os.environ.get("CHANGED_BY_ANOTHER"),
}))
print("beside it", file=sys.stderr)
sys.changed_by_another = os.environ["CHANGED_BY_ANOTHER"] = "yes"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer(cwd=PROJECT, environment={**os.environ, "PYTHONPATH": str(PROJECT)})
    yield server
    server.close()


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A folder for modules, which is on the module path of what is run."""
    folder = tmp_path / "modules"
    folder.mkdir()
    return folder


@pytest.fixture
def forked(server: ForkServer, modules: Path, tmp_path: Path) -> Forked:
    def run(code: str, *arguments: str, timeout_s: float = 60.0) -> tuple[int, str]:
        (modules / "planted_main.py").write_text(code, encoding="utf-8")
        code_ = server.run(
            ["planted_main", *arguments], environment(modules), output=tmp_path / "said.txt", timeout_s=timeout_s
        )
        return code_, (tmp_path / "said.txt").read_text(encoding="utf-8")

    return run


def environment(modules: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(modules), str(PROJECT)])}


def test_a_module_finds_what_it_finds_in_a_process_of_its_own(forked: Forked, modules: Path):
    code, said = forked(SAYS, "--one", "tw o")
    started = subprocess.run(
        [sys.executable, "-m", "planted_main", "--one", "tw o"],
        cwd=PROJECT,
        env=environment(modules),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    found, beside = sorted(said.splitlines(), reverse=True)  # which comes first depends on Python's buffers
    assert code == 0
    assert json.loads(found) == json.loads(started.stdout)
    assert beside == started.stderr.strip() == "beside it"


def test_one_command_leaves_nothing_to_the_next(forked: Forked):
    assert forked(SAYS) == forked(SAYS)


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("", 0, ""),
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('in words')", 1, "in words"),
        ("raise ValueError('planted')", 1, "ValueError: planted"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import atexit; atexit.register(print, 'the last word')", 0, "the last word"),
    ],
)
def test_it_ends_as_python_ends(forked: Forked, code: str, exit_code: int, words: str):
    ended, said = forked(code)
    assert ended == exit_code
    assert words in said


def test_a_bug_is_planted_before_the_module_runs_even_into_a_library_that_was_imported(forked: Forked, modules: Path):
    (modules / "sitecustomize.py").write_text("from fixtures.bugs import plant\nplant('training_mode')\n")
    code, said = forked("import torch; print(torch.nn.Linear(1, 1).eval().training)")
    assert (code, said) == (0, "True\n")
    (modules / "sitecustomize.py").unlink()
    assert forked("import torch; print(torch.nn.Linear(1, 1).eval().training)")[1] == "False\n"


def test_what_python_imports_at_its_start_is_a_module_of_a_file(forked: Forked, modules: Path):
    """So that a run can tell that it was there, as in a process of its own."""
    (modules / "sitecustomize.py").write_text("print('started')\n")
    code, said = forked("import sys; print(sys.modules['sitecustomize'].__file__)")
    (modules / "sitecustomize.py").unlink()
    assert (code, said) == (0, f"started\n{modules / 'sitecustomize.py'}\n")


def test_no_module_that_judges_was_imported_before_and_no_thread_was_running(forked: Forked):
    _, said = forked(
        "import sys, threading\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('harness', 'fixtures', 'pytest')))\n"
        "print(threading.active_count(), 'torch' in sys.modules)"
    )
    assert said.splitlines() == [
        "['harness', 'harness.forkserver', 'harness.model', 'harness.model.torchvision_compat']",
        "1 True",
    ]


def test_pytest_runs_with_its_warnings_as_errors(server: ForkServer, tmp_path: Path):
    """Among them the one of a plugin that was imported before pytest."""
    arguments = ["pytest", "suites/", "--collect-only", "-q", f"--reports={tmp_path / 'reports'}"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    code = server.run(arguments, {**plain, "PYTHONPATH": str(PROJECT)}, output=tmp_path / "said.txt", timeout_s=120.0)
    said = (tmp_path / "said.txt").read_text(encoding="utf-8")
    assert code == 0, said
    assert "suites/test_accuracy.py" in said


@pytest.mark.slow
def test_what_does_not_end_is_killed_with_what_it_started_and_the_next_command_runs(forked: Forked, tmp_path: Path):
    alive = tmp_path / "alive"
    beats = f"import pathlib, time\nwhile True: pathlib.Path({str(alive)!r}).touch(); time.sleep(0.02)"
    starts = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {beats!r}]); time.sleep(60)"
    with pytest.raises(subprocess.TimeoutExpired):
        forked(starts, timeout_s=3.0)
    alive.unlink()
    time.sleep(0.3)
    assert not alive.exists()
    assert forked("print('again')") == (0, "again\n")


def test_a_process_that_cannot_start_is_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "torch.py").write_text("raise ImportError('planted')")
    server = ForkServer(cwd=PROJECT, environment={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"})
    with pytest.raises(ChildProcessError, match="did not start"):
        server.run(["this"], {}, output=tmp_path / "said.txt", timeout_s=60.0)
    assert "planted" in capfd.readouterr().err
