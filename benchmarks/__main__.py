"""One command for every measurement: `python -m benchmarks` lists them, `python -m benchmarks NAME ...` runs one."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent


def measurements() -> dict[str, str]:
    """Name of each module that measures something, and the first line of what it says about itself."""
    said = {path.stem: ast.get_docstring(ast.parse(path.read_text("utf-8"))) for path in sorted(HERE.glob("*.py"))}
    return {name: (text or "").partition("\n")[0] for name, text in said.items() if not name.startswith("_")}


def main(argv: list[str]) -> int:
    known = measurements()
    if not argv or argv[0] in ("-h", "--help"):
        print("python -m benchmarks NAME [options of NAME]\n")
        print("\n".join(f"  {name:<{max(map(len, known))}}  {line}" for name, line in known.items()))
        return 0
    name = argv[0]
    if name not in known:
        print(f"no measurement is called {name!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    sys.argv = [f"benchmarks {name}", *argv[1:]]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
