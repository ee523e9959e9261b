"""The roads of docs/tutorials are walked as a reader would: files that they show, commands, what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from effort import with_all

from harness.core.places import PROJECT
from harness.jobs.common import PROGRAM

TUTORIALS = PROJECT / "docs" / "tutorials"
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```\n", re.DOTALL)
TIMEOUT_S = 800.0
# This project's own torchvision needs a hand where its operators were built for another torch; a reader's does not.
AS_PYTHON = (
    "import runpy, sys, harness.model.torchvision_compat; sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
# As the console script of an installation calls it.
AS_PROGRAM = f"import sys; sys.argv[0] = '{PROGRAM}'; from harness.cli import main; sys.exit(main())"


@dataclass
class Walk:
    """A reader's folder, with `python` and `leukocyte-harness` on the path."""

    place: Path
    environment: dict[str, str]
    said: str = ""

    def follow(self, page: str) -> None:
        for block in BLOCK.finditer((TUTORIALS / page).read_text(encoding="utf-8")):
            if block["file"]:
                (self.place / block["file"]).write_text(block["text"], encoding="utf-8")
            elif block["kind"] == "console":
                self.run(block["text"])
            elif block["kind"] == "text":
                self.expect(block["text"])

    def run(self, commands: str) -> None:
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        self.said = done.stdout

    def expect(self, promised: str) -> None:
        """Each line of the page stands in what was said, in this order; `...` is anything."""
        at = 0
        for line in promised.splitlines():
            pattern = r".*?".join(re.escape(piece.strip()) for piece in line.split("..."))
            found = re.compile(pattern).search(self.said, at)
            assert found is not None, f"{line!r} is promised, and not in:\n{self.said}"
            at = found.end()


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return begun(tmp_path_factory)


def begun(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """In an empty folder."""
    place = tmp_path_factory.mktemp("reader")
    bin_ = tmp_path_factory.mktemp("bin")
    for name, command in (("python", f'-W error -c "{AS_PYTHON}"'), (PROGRAM, f'-c "{AS_PROGRAM}"')):
        script = bin_ / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}
    return Walk(place, environment)


@pytest.mark.slow
def test_predictions_only(walk: Walk):
    walk.follow("predictions-only.md")


@with_all("it trains a network; the other road stands for it")
def test_own_torch_model(walk: Walk):
    """Goes on where the first ended, as its page says."""
    if not (walk.place / "reports" / "latest").exists():
        walk.follow("predictions-only.md")
    walk.follow("own-torch-model.md")


@with_all("it trains a network; the other roads stand for it")
def test_own_classes(tmp_path_factory: pytest.TempPathFactory):
    begun(tmp_path_factory).follow("own-classes.md")
