"""The page of a CI job that runs the suites: GitHub Actions names a file, and shows what is appended to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def append_to_job_page(text: Callable[[], str]) -> str | None:
    """Append Markdown to the file that the CI system names, if it names one.

    Returns:
        What went wrong, for the terminal; the run's evidence does not depend on it. None where nothing did.
    """
    named = os.environ.get(STEP_SUMMARY)
    if not named:
        return None
    try:
        said = text()  # read from the pack, and only where somebody shows it
        with Path(named).open("a", encoding="utf-8") as page:
            page.write(f"{said}\n")
    except (OSError, ValueError) as error:
        return f"the summary could not be appended to {STEP_SUMMARY}: {error}. Show summary.md of the pack instead."
    return None
