"""Packages that only a measurement needs, each set in an environment of its own, so that ours stays as it is."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Mapping
from pathlib import Path


def python_with(place: Path, packages: Mapping[str, str]) -> Path:
    """The interpreter of an environment that has these packages; made, or added to, where it has not.

    Args:
        packages: module -> what pip is asked for.
    """
    python = place / "bin" / "python"
    if not python.is_file():
        venv.create(place, with_pip=True)
    has = subprocess.run([python, "-c", f"import {', '.join(packages)}"], capture_output=True, check=False)
    if has.returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "-q", *packages.values()], check=True)
    return python
