"""What every job of the command line has: its exit codes, what it is called by, and how it prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

if TYPE_CHECKING:
    Parsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

HOLDS, DOES_NOT_HOLD, WRONG_CALL = 0, 1, 2
PROGRAM, RUN = "leukocyte-harness", "run"


def program() -> str:
    """As it was called: by the console script, or as a module."""
    return PROGRAM if Path(sys.argv[0]).stem == PROGRAM else "python -m harness"


def print_line(text: str, stream: TextIO | None = None) -> None:
    from harness.core.text import visible

    stream = stream or sys.stdout
    # A terminal in another encoding gets escapes, not a traceback, and none is driven by what a file's name holds.
    encoding = stream.encoding or "utf-8"
    print(visible(text).encode(encoding, "backslashreplace").decode(encoding), file=stream)
