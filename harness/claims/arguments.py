"""What may be asked of the claims audit? Apart from the job, so that a list of jobs imports no reader."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "report",
        type=Path,
        nargs="+",
        metavar="REPORT",
        help="Markdown, HTML, text, a notebook, JSON, YAML, TOML, the folder of a pack, or a folder of reports",
    )
    parser.add_argument(
        "--rounding",
        choices=("nearest", "truncated"),
        default="nearest",
        help="how the report made its decimals: rounded half-up or half-even (default), or cut off",
    )
    parser.add_argument("--verbose", action="store_true", help="also print the text of every line that was read")
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="end with 0 where nothing cannot hold, even if something was not checked (for a hook on commits)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the audit as JSON")
    form.add_argument("--csv", action="store_true", help="print a line per statement, with the recomputed value")
    form.add_argument("--sarif", action="store_true", help="print SARIF 2.1.0, for code scanning")
    form.add_argument("--github", action="store_true", help="print annotations of GitHub Actions")
