"""`python -m harness.claims REPORT ...`: the audit alone, without the other rooms."""

from __future__ import annotations

import argparse
import sys

from harness.claims.arguments import add_arguments
from harness.claims.job import run
from harness.core.errors import HarnessError


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m harness.claims", description="Can everything that a report states hold together?"
    )
    add_arguments(parser)
    try:
        return run(parser.parse_args(), print_text=print, print_data=print)
    except HarnessError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
