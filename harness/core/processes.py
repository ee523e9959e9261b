"""Runs what somebody else made in a process of its own, with little of our environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.core.threads import SETTINGS

REQUEST = "request.json"
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
        request: what it is asked, as JSON in a file whose name is the script's one argument. One argument of a
            process holds 128 KiB on Linux, and the names of a test part's images are more.
        folder:  its working folder, where the request is written: no other process writes there.
    Raises:
        subprocess.TimeoutExpired: it was ended after `timeout_s`.
    """
    asked = folder.absolute() / REQUEST
    asked.write_text(json.dumps(request), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", str(script), str(asked)],
        input=content,
        capture_output=True,
        check=False,
        cwd=folder,
        env=limited_environment(),
        timeout=timeout_s,
    )
