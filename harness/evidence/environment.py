"""On what did the run happen? Facts about machine, versions and source, without any path of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import harness

DISTRIBUTIONS = (
    "torch",
    "torchvision",
    "fastai",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "great-expectations",
    "matplotlib",
    "pillow",
    "pytest",
    "pytest-benchmark",
)
# Settings of the environment that can change a result or a timing.
VARIABLES = ("PYTHONHASHSEED", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "CI", "PYTEST_ADDOPTS")


def environment(*, device: str) -> dict[str, str]:
    """Name -> value of everything the evidence says of the machine. device: as `devices.device_name` calls it."""
    facts = {
        "harness": harness.__version__,
        **source_state(Path(harness.__file__).resolve().parents[1]),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "device": device,
    }
    facts |= {name: version(name) for name in DISTRIBUTIONS}
    facts |= {name: os.environ.get(name, "not set") for name in VARIABLES}
    return facts


def source_state(folder: Path) -> dict[str, str]:
    """Commit and whether tracked files differ from it; "unknown" where `folder` is not the top of a checkout.

    A checkout further up is somebody else's: the harness may be installed in an environment inside it.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != folder.resolve():
        return {"commit": "unknown", "dirty": "unknown"}
    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain")
    dirty = "unknown" if changes is None else ("yes" if changes else "no")
    return {"commit": commit or "unknown", "dirty": dirty}
