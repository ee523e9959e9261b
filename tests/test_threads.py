"""Do the threads of NumPy, SciPy, scikit-learn and torch sleep while they wait, in every process that we start?"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from harness.core.places import PROJECT
from harness.core.threads import SETTINGS, available_cores

# Asked of the libraries themselves, after one of our front doors was imported and they were loaded.
ASK = """
import json, sys
import {door}
early = [name for name in sys.modules if name in ("torch", "sklearn", "pandas")]
import numpy, scipy.linalg, sklearn, torch
import threadpoolctl
print(json.dumps([early, torch.get_num_threads(), threadpoolctl.threadpool_info()]))
"""


def asked(door: str, **environment: str) -> tuple[list[str], int, list[dict[str, object]]]:
    without = {name: value for name, value in os.environ.items() if name not in (*SETTINGS, "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(door=door)],
        env={**without, "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    early, n_threads, pools = json.loads(done.stdout)
    return early, n_threads, pools


def sizes(pools: list[dict[str, object]], api: str) -> set[object]:
    return {pool["num_threads"] for pool in pools if pool["user_api"] == api}


@pytest.mark.slow
@pytest.mark.parametrize("door", ["harness.plugin", "harness.cli"])
def test_every_front_door_sets_the_pools_before_a_library_is_loaded(door: str):
    early, n_threads, pools = asked(door)
    assert not early
    # No pool has more threads than there are cores, nor fewer: their number decides the order of summation, and so the
    # last bit of the weights.
    assert n_threads == available_cores()
    assert sizes(pools, "openmp") == sizes(pools, "blas") == {available_cores()}


@pytest.mark.slow
def test_what_the_environment_says_already_stays():
    _, n_threads, pools = asked("harness.plugin", OMP_NUM_THREADS="1")
    assert (n_threads, sizes(pools, "openmp"), sizes(pools, "blas")) == (1, {1}, {1})
    code = "import harness.plugin, os; print(os.environ['OMP_WAIT_POLICY'])"
    kept = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_WAIT_POLICY": "ACTIVE"}
    assert subprocess.check_output([sys.executable, "-c", code], env=kept, text=True).strip() == "ACTIVE"


def test_this_process_has_the_settings_and_hands_them_on():
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    found = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert {name: found[name] for name in SETTINGS} == {name: os.environ[name] for name in SETTINGS}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
def test_cores_are_those_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    assert available_cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
