"""On what did the run happen? Facts about machine, versions and source, without any path of the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import harness
from harness.core.places import PROJECT
from harness.core.threads import SETTINGS
from harness.model.precision import bfloat16_flags

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
VARIABLES = (
    *("PYTHONHASHSEED", "OMP_NUM_THREADS", "MKL_NUM_THREADS", *SETTINGS),
    *("CUBLAS_WORKSPACE_CONFIG", "PYTORCH_ENABLE_MPS_FALLBACK", "CI", "PYTEST_ADDOPTS"),
)
# What git itself lists as bound to one repository (git rev-parse --local-env-vars), but for its configuration.
REPOSITORY_VARIABLES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Which code a folder holds.

    commit, dirty: the commit, and "yes" or "no": does anything differ from it? "unknown" where the folder is not the
                   top of a checkout.
    tracked:       digest of the commit and of what differs in files that git knows; None where that is unknown.
    """

    commit: str
    dirty: str
    tracked: str | None


def environment(*, device: str, source: Source, engine: str = "", spread: str = "") -> dict[str, str]:
    """Name -> value of everything the evidence says of the machine.

    Args:
        device: as `devices.device_name` calls it.
        engine: what computed the answers that were judged and timed; "" where nothing was asked.
        spread: what workers of `--engine dask` did; "" where all was done on this machine.
        source: the harness's own, as it was when the run began: a run takes hours, and what is there when it ends need
            not be what ran.
    """
    now = source_state(PROJECT)
    facts = {
        "harness": harness.__version__,
        "commit": source.commit,
        "dirty": source.dirty if now.tracked == source.tracked else "changed during the run",
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "device": device,
        **({"engine": engine} if engine else {}),
        **({"spread by": spread} if spread else {}),
        "bfloat16 in the processor": ", ".join(bfloat16_flags()) or "not stated",
    }
    facts |= {name: version(name) for name in DISTRIBUTIONS}
    facts |= {name: os.environ.get(name, "not set") for name in VARIABLES}
    return facts


def source_state(folder: Path) -> Source:
    """The code in `folder`, if that is the top of a checkout.

    A checkout further up is somebody else's: the harness may be installed in an environment inside it.
    """
    # A git hook names its own repository in the environment, and git would take that one for this.
    variables = {name: value for name, value in os.environ.items() if name not in REPOSITORY_VARIABLES}

    def git(*arguments: str) -> bytes | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, check=False, timeout=30, env=variables
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(os.fsdecode(top.removesuffix(b"\n"))).resolve() != folder.resolve():
        return Source("unknown", "unknown", None)
    # Said in full: a user's own configuration may hide untracked files.
    changes = git("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none")
    dirty = "unknown" if changes is None else ("yes" if changes else "no")
    commit = git("rev-parse", "--verify", "HEAD")
    if commit is None:
        return Source("unknown", dirty, None)
    difference = git("diff", "--binary", "--no-ext-diff", "--no-textconv", "HEAD")
    tracked = None if difference is None else hashlib.sha256(commit + difference).hexdigest()
    return Source(commit.decode().strip(), dirty, tracked)
