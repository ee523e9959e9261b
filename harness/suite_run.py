"""`leukocyte-harness run`: pytest over the suites, wherever they lie and from whatever folder it is called."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence

from harness.core.places import INSTALLED, PROJECT, SUITES, reach_fixtures
from harness.core.text import perhaps_meant
from harness.jobs.common import PROGRAM, RUN

# The suites' own configuration, not that of the project in whose folder somebody works.
OWN = ("-c", str(PROJECT / "pyproject.toml"), "--rootdir", str(PROJECT), "-p", "harness.plugin", str(SUITES))


def tolerant(configuration: str) -> tuple[str, ...]:
    """Options by which a warning ends nothing, and those that the project knows of are not printed either.

    In a checkout a warning is an error, so that its maintainers see it. An installed harness meets versions that nobody
    has tried with it, and what a library will change one day is no finding about a classifier.

    Args:
        configuration: the content of pyproject.toml.
    >>> tolerant("[tool.pytest.ini_options]\\nfilterwarnings = ['error', 'ignore:old']")
    ('-o', 'filterwarnings=default\\nignore:old')
    """
    filters = tomllib.loads(configuration)["tool"]["pytest"]["ini_options"]["filterwarnings"]
    return "-o", "filterwarnings=" + "\n".join("default" if each == "error" else each for each in filters)


def _own() -> list[str]:
    return [*OWN, *(tolerant((PROJECT / "pyproject.toml").read_text("utf-8")) if INSTALLED else ())]


def run_suites(given: Sequence[str]) -> int:
    """Run the suites with these options of pytest and of a validation run; the exit code is the run's."""
    import pytest

    reach_fixtures()
    code = int(pytest.main([*_own(), *given]))
    if code == pytest.ExitCode.USAGE_ERROR:
        from harness.options import option_names

        asked = [word.partition("=")[0] for word in given if word.startswith("--")]
        if meant := perhaps_meant(asked, option_names()):
            print(meant, file=sys.stderr)
        print(f"`{PROGRAM} {RUN} --help` lists every option; those of a run stand under `validation`.", file=sys.stderr)
    return code


def as_called(given: Sequence[str]) -> list[str]:
    """The command that somebody gave, of pytest's own arguments; no folder of this machine's installation is in it."""
    own = _own()
    return [PROGRAM, RUN, *given[len(own) :]] if list(given[: len(own)]) == own else ["pytest", *given]
