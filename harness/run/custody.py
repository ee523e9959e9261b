"""What else was in the room? Code from outside checkout and environment, files from the future, who named the ledger.

Nothing here blocks a run: it is recorded and told, so that whoever reads a verdict knows what could have made it. No
path of the machine is kept, but the names of files and their digests.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.core.digests import file_digest
from harness.core.places import PROJECT

MOST_FILES = 200
TOLERANCE_S = 300.0  # between the clocks of two machines that share a file system
AT_START = ("sitecustomize", "usercustomize")
# Of the checkout, and no code of it: what runs leave there, the scratch copies of a proof among it.
OUTPUTS = PROJECT / "reports"


@dataclass(frozen=True, slots=True)
class OutsideCode:
    """A module that was loaded from neither the checkout nor the environment.

    by:     "pytest plugin", "Python's start", "PYTHONPATH" or "an import".
    sha256: of its file as it lay when the run ended; empty where it could not be read.
    """

    module: str
    file: str
    sha256: str
    by: str


@dataclass(frozen=True, slots=True)
class FutureFile:
    """A file that is dated after the machine's clock. what: which of the run's files it is; newer_by_s: by how much."""

    what: str
    newer_by_s: float


@dataclass(frozen=True, slots=True)
class Custody:
    """What could have had a hand in the run.

    outside:        loaded modules from elsewhere; n_outside: how many there were, where not all are listed.
    python_path:    names of the folders of PYTHONPATH outside checkout and environment.
    future:         files that are dated after the clock.
    ledger_named_by: "default", "the command line", "PYTEST_ADDOPTS" or "a configuration file".
    """

    outside: tuple[OutsideCode, ...] = ()
    n_outside: int = 0
    python_path: tuple[str, ...] = ()
    future: tuple[FutureFile, ...] = ()
    ledger_named_by: str = "default"


def outside_code(modules: Mapping[str, object], *, plugins: Iterable[object] = ()) -> Iterator[OutsideCode]:
    """Every loaded module from outside, by its name. plugins: what pytest has registered."""
    folders = python_path_folders()
    registered = {getattr(each, "__name__", None) for each in plugins}
    for name, module in sorted(modules.items()):
        file = _file_of(module, modules)
        if file is None or _at_home(file):
            continue
        if name in AT_START:
            by = "Python's start"
        elif name in registered:
            by = "pytest plugin"
        else:
            by = "PYTHONPATH" if _inside(file, folders) else "an import"
        yield OutsideCode(name, file.name, _digest(file), by)


def _file_of(module: object, modules: Mapping[str, object]) -> Path | None:
    """Where a module's code lies; None where it has no file.

    One that was made in memory, such as torch.ops, may name a file without a place: its code is that of its class.
    """
    file = getattr(module, "__file__", None)
    if isinstance(file, str) and not Path(file).is_absolute():
        file = getattr(modules.get(type(module).__module__), "__file__", None) or file
    return Path(file) if isinstance(file, str) else None


def python_path_folders() -> tuple[Path, ...]:
    """The folders of PYTHONPATH that are outside checkout and environment."""
    named = [Path(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return tuple(each.resolve() for each in named if not _home_folder(each.absolute()))


def from_the_future(files: Mapping[str, Path], *, now: float) -> tuple[FutureFile, ...]:
    """The files that are dated after the clock. files: what it is -> where it lies."""
    found = []
    for what, path in files.items():
        try:
            newer = path.stat().st_mtime - now
        except OSError:
            continue
        found += [FutureFile(what, round(newer, 1))] if newer > TOLERANCE_S else []
    return tuple(sorted(found, key=lambda each: -each.newer_by_s)[:MOST_FILES])


def named_by(option: str, value: object, *, words: Sequence[str]) -> str:
    """Who set an option: the words of the command line, the environment, or a file that pytest reads."""
    if value is None:
        return "default"
    if any(word == option or word.startswith(f"{option}=") for word in words):
        return "the command line"
    return "PYTEST_ADDOPTS" if option in os.environ.get("PYTEST_ADDOPTS", "") else "a configuration file"


def _at_home(file: Path) -> bool:
    """Thousands of modules lie in hundreds of folders: a file that is no link is where its folder is."""
    is_link = os.path.islink(file)  # noqa: PTH114  (no error where its folder may not be entered)
    whole = file.resolve() if is_link or file.name in ("", "..") else file.absolute()
    return whole in _homes() or _home_folder(whole.parent)


@cache
def _home_folder(folder: Path) -> bool:
    return _inside(folder, _homes()) and not _inside(folder, [OUTPUTS])


@cache
def _homes() -> tuple[Path, ...]:
    """Checkout, environment and Python's own library."""
    paths: list[str | Path] = [PROJECT, *sysconfig.get_paths().values(), *site.getsitepackages()]
    paths += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    paths += [sys.prefix] if sys.prefix != sys.base_prefix else [Path(sys.executable).parent]
    return tuple(Path(each).resolve() for each in paths if str(each) not in ("", os.sep))


def _inside(path: Path, homes: Iterable[Path]) -> bool:
    whole = path.resolve()
    return any(whole.is_relative_to(home) for home in homes)


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return ""
