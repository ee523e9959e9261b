"""What a process of somebody else's code is given of our environment."""

from __future__ import annotations

import os

from harness.core.threads import SETTINGS

# What Python and numerical libraries need; no token that a CI job holds is among it.
PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT"),
    *("OMP_NUM_THREADS", *SETTINGS),
)


def limited_environment() -> dict[str, str]:
    """The variables of `PASSED_ON` that are set here, and no other."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
