"""Sets how the thread pools of NumPy, SciPy, scikit-learn and torch share the cores; import before any of them.

Each library reads its settings from the environment once, when it is loaded, so this module acts on import and the two
front doors import it first. What the environment already says stays.

How many threads torch computes with is left alone: it decides the order of summation, and so the last bit of weights
and predictions.
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
        # Decoding and searching for duplicates run a thread per core already; a second pool below each would multiply.
        "OPENBLAS_NUM_THREADS": "1",
    }
)


def available_cores() -> int:
    """The cores that this process may run on, at least 1. Under `taskset` they are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
