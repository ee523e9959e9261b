"""Runs what somebody else made in a process of its own, with little of our environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.core.threads import SETTINGS

# What Python and numerical libraries need; no token that a CI job holds is among it.
PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT"),
    *("OMP_NUM_THREADS", *SETTINGS),
)


def limited_environment() -> dict[str, str]:
    """The variables of `PASSED_ON` that are set here, and no other."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def run_isolated(
    script: Path, request: Mapping[str, object], content: bytes, *, folder: Path, timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    """Run one of our scripts that opens a file somebody else made: isolated Python, the file over standard input.

    Args:
        request: the script's one argument, as JSON.
        folder:  its working folder.
    Raises:
        subprocess.TimeoutExpired: it was ended after `timeout_s`.
    """
    return subprocess.run(
        [sys.executable, "-I", str(script), json.dumps(request)],
        input=content,
        capture_output=True,
        check=False,
        cwd=folder,
        env=limited_environment(),
        timeout=timeout_s,
    )
