"""Lets the threads of the pools of NumPy, SciPy, scikit-learn and torch sleep while they wait; import it first.

Each library reads its settings from the environment once, when it is loaded, so this module acts on import and the two
front doors import it first. What the environment already says stays.

How many threads each pool has is left alone: by default as many as this process may use cores. The number decides the
order of summation, and so the last bit of weights, predictions and distances between features.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        # A network is thousands of short parallel regions. By default a thread that waits at the end of one spins.
        # Where other processes want the cores too, it spins away the very time that the thread it waits for needs, and
        # a stage takes many times its share. One that sleeps is woken at once.
        "OMP_WAIT_POLICY": "PASSIVE",
        # The same of NumPy's and SciPy's BLAS: a thread waits awake for two to this power of cycles. 4 is the least.
        "OPENBLAS_THREAD_TIMEOUT": "4",
    }
)


def available_cores() -> int:
    """The cores that this process may run on, at least 1. Under `taskset` they are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
