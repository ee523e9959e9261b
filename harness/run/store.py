"""Keeps each stage's result on disk, under a key made of the content that the result depends on."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.core.digests import digest_of, file_digest
from harness.core.errors import HarnessError, StoreError
from harness.core.files import WRITING, read_plain, write_atomically
from harness.core.strict_json import parse_json


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage of the run: how long it took, and whether its result was made or reused."""

    name: str
    seconds: float
    reused: bool
    key: str


SEAL = "stage.json"
MOST_SEAL_BYTES = 2**28
LOCK_TIMEOUT_S = 5.0
TORCH_WRITER = "inline_container.cc"  # named in the RuntimeError that torch.save raises where the disk is full
TORN = (f"*{WRITING}", ".*.partial")  # what a killed `write_atomically` leaves, and a killed drawing of smears


def stage_folder(root: Path, stage: str, key: str) -> Path:
    """Where the result of a stage lies; key: as the run's `StageRecord` has it."""
    return root / stage / key[:32]


class Store:
    """Stage results on disk: `<root>/<stage>/<key>/`, each sealed with its key and the digests of its files.

    A stage that was killed leaves its folder unsealed, with whatever checkpoints it wrote; the next run hands that
    folder to the stage again, without the files that were only half written. A sealed folder is made anew, from
    nothing, where its seal is not the one of the key that is asked for, was edited, or no longer fits the files.

    Args:
        root: created if absent.
        fresh: make every stage anew, once, whatever is kept.
    """

    def __init__(self, root: Path, *, fresh: bool) -> None:
        self.root = root
        self._fresh = fresh
        self._made: set[Path] = set()
        self.records: list[StageRecord] = []

    def fetch(self, stage: str, key: Mapping[str, object], make: Callable[[Path], None], *, anew: bool = False) -> Path:
        """The folder with the stage's files: kept from before, or made now by `make(folder)`.

        Args:
            anew: make it once in this run, whatever is kept: the key does not hold all that the result depends on.
        Raises:
            StoreError: another run is making the same stage, or the folder cannot be written.
        """
        started, digest = time.monotonic(), _key(stage, key)
        folder = stage_folder(self.root, stage, digest)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S):
                unwanted = (self._fresh or anew) and folder not in self._made
                reused = not unwanted and _is_sealed(folder, digest)
                if not reused:
                    if unwanted or os.path.lexists(
                        folder / SEAL
                    ):  # with its checkpoints, or altered since it was sealed
                        shutil.rmtree(folder)
                        folder.mkdir()
                    _remove_torn(folder)
                    make(folder)
                    _seal(folder, stage=stage, key=digest, made_of=key)
                self._made.add(folder)
        except Timeout:
            raise StoreError(
                f"stage {stage!r} is being made by another run in {folder}. "
                "Wait for it, or use another --reports folder."
            ) from None
        except HarnessError:
            raise  # a stage's own words, even where its type is also an OSError
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and TORCH_WRITER not in str(error):
                raise
            raise StoreError(
                f"stage {stage!r} was not made: {error}. If {folder} is full or read-only, free space or use another "
                "--reports folder."
            ) from error
        self.records.append(StageRecord(stage, time.monotonic() - started, reused, digest))
        return folder


def _key(stage: str, made_of: Mapping[str, object]) -> str:
    return digest_of({"stage": stage, **made_of})


def _is_sealed(folder: Path, key: str) -> bool:
    """Whether the folder holds what was made under this key, every file of it and no other."""
    try:
        seal: Any = parse_json(read_plain(folder / SEAL, most_bytes=MOST_SEAL_BYTES, follow_link=False))
        if seal.pop("seal") != digest_of(seal) or not key == seal["key"] == _key(seal["stage"], seal["made_of"]):
            return False
        if _strange(folder):
            return False
        return bool({name: file_digest(file) for name, file in _files(folder).items()} == seal["files"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _strange(folder: Path) -> bool:
    """Whether the folder holds what no stage makes and no seal speaks of: a link, a pipe, an empty folder."""
    return any(
        path.is_symlink() or not (path.is_file() or (path.is_dir() and any(path.iterdir())))
        for path in folder.rglob("*")
    )


def _seal(folder: Path, *, stage: str, key: str, made_of: Mapping[str, object]) -> None:
    files = {name: file_digest(file) for name, file in _files(folder).items()}
    seal = {"stage": stage, "key": key, "made_of": made_of, "files": files}
    write_atomically(folder / SEAL, json.dumps({**seal, "seal": digest_of(seal)}, indent=1).encode())


def _remove_torn(folder: Path) -> None:
    # Sealed with the rest, a half-written seal would go missing when the seal is renamed, and unmake the stage.
    for torn in [path for pattern in TORN for path in folder.rglob(pattern)]:
        if torn.is_dir():
            shutil.rmtree(torn)
        else:
            torn.unlink()


def _files(folder: Path) -> dict[str, Path]:
    """Name -> file of everything in the folder that its seal speaks of."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file != folder / SEAL)
    return {file.relative_to(folder).as_posix(): file for file in files}
