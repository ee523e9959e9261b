"""One run at a time writes to a reports folder, and one that was killed never blocks the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import StoreError
from harness.core.places import PROJECT
from harness.run.lock import HOLDER, lock_reports

HOLDING = """
import sys, time
from pathlib import Path
from harness.run.lock import lock_reports
hold = lock_reports(Path(sys.argv[1]), run_id="first")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_and_told_who_is_there(tmp_path, holder):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StoreError, match=rf"in use by run first \(process {holder.pid}, since .*--reports"):
        lock_reports(tmp_path, run_id="second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_killed_run_does_not_block_the_next(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / HOLDER).read_text())["run"] == "first"  # what it left says nothing any more
    hold = lock_reports(tmp_path, run_id="second")
    assert json.loads((tmp_path / HOLDER).read_text())["run"] == "second"
    hold.release()


def test_a_folder_that_was_let_go_can_be_held_again(tmp_path):
    for run_id in ("first", "second"):
        lock_reports(tmp_path / "reports", run_id=run_id).release()
    assert not (tmp_path / "reports" / HOLDER).exists()


def test_a_holder_that_has_not_said_its_name_yet_refuses_all_the_same(tmp_path):
    hold = lock_reports(tmp_path, run_id="first")
    (tmp_path / HOLDER).write_text("[]")
    with pytest.raises(StoreError, match="has not said yet which"):
        lock_reports(tmp_path, run_id="second")
    hold.release()


def test_a_file_in_the_place_of_the_folder_is_told_of_before_the_run(tmp_path):
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(StoreError, match=r"reports cannot be written: .*name another one with --reports"):
        lock_reports(tmp_path / "reports", run_id="first")
