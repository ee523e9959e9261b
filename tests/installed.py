"""The wheel of this checkout, built and installed into a folder, with its console script."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.core.places import PROJECT

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PIP_"))}


@dataclass(frozen=True, slots=True)
class Installed:
    """wheel: the file. site: the folder in which it is installed, without what it depends on."""

    wheel: Path
    site: Path

    @property
    def environment(self) -> dict[str, str]:
        """In which the installed harness, and not the checkout, is found; its dependencies are this interpreter's."""
        path = os.pathsep.join([str(self.site / "bin"), str(Path(sys.executable).parent), ENVIRONMENT.get("PATH", "")])
        return {**ENVIRONMENT, "PYTHONPATH": str(self.site), "PATH": path}

    def run(self, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """`leukocyte-harness ...`, as somebody calls it in this folder."""
        return subprocess.run(
            [str(self.site / "bin" / "leukocyte-harness"), *arguments],
            cwd=cwd,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def install(folder: Path) -> Installed:
    """Build the wheel with the backend that is installed here, so that no network is asked, and install it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder), str(PROJECT)],
        env=ENVIRONMENT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)],
        env=ENVIRONMENT,
        check=True,
    )
    return Installed(wheel, folder / "site")
