"""Where do the suites, the shipped protocols and the drawing of cells lie?

In a checkout beside the package. A wheel carries them inside it, in a folder that is laid out like a checkout, so that
nothing but `harness` appears among a user's installed packages; pyproject.toml says what goes there.
"""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "shipped"
INSTALLED = SHIPPED.is_dir()  # a checkout never has this folder
# The checkout, or the folder that stands for one: what imports `fixtures` needs it on its path.
PROJECT = SHIPPED if INSTALLED else PACKAGE.parent
SUITES = PROJECT / "suites"
PROTOCOLS = SUITES / "protocols"


def module_root(top: str) -> Path:
    """The folder that holds one of our top-level packages: `harness`, or `fixtures`."""
    return PACKAGE.parent if top == PACKAGE.name else PROJECT


def reach_fixtures() -> None:
    """`import fixtures` works from here on, as the last place where it is looked for."""
    if str(PROJECT) not in sys.path:
        sys.path.append(str(PROJECT))
