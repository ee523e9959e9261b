"""One classifier through five doors: trained here, its tensors, its ONNX graph, a command, and its predictions.

    python benchmarks/doors.py --reports=/tmp/doors

Trains by the embedded protocol (or --protocol and --data), judges what that run exported through every other door, and
prints seconds, outcomes, counts and looks. Exits 1 where a door that answers gives another count or verdict, or where
the ledger counts a second look.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
COMMAND = HERE.parent / "tests" / "onnx_command.py"


def doors(trained: Path) -> Mapping[str, list[str]]:
    """Door -> what the command line says, given the pack of the run that trained."""
    sets = sorted(file.stem for file in (trained / "predictions").glob("*.csv"))
    models, parts = trained / "models", ("train", "validation", "test")
    given = [f"--predictions={trained / 'predictions' / part}.csv" for part in parts]
    given += [f"--predictions={name}={trained / 'predictions' / name}.csv" for name in sets if name not in parts]
    return {
        "safetensors": [f"--model={models / 'classifier.safetensors'}"],
        "ONNX": [f"--model={models / 'classifier.onnx'}"],
        "command": [f"--model-command={sys.executable} {COMMAND} {models / 'classifier.onnx'}"],
        "predictions": [f"--split={trained / 'data_split.csv'}", *given],
    }


def judged(arguments: Sequence[str], reports: Path) -> tuple[float, Path]:
    """(seconds, pack) of one run from nothing."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "suites/", "-q", "--fresh", f"--reports={reports}", *arguments],
        cwd=HERE.parent,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode not in (0, 1, 6, 7):
        raise SystemExit(f"a run ended with {done.returncode}: {' '.join(arguments)}")
    return time.monotonic() - began, (reports / "latest").resolve()


def answers_of(pack: Path) -> dict[str, Any]:
    evidence = json.loads((pack / "evidence.json").read_text())
    return {
        "looks": evidence["looks"],
        "verdicts": {each["criterion"]: each["outcome"] for each in evidence["verdicts"]},
        "right": {
            name: (sum(row[i] for i, row in enumerate(each["confusion"])), sum(map(sum, each["confusion"])))
            for name, each in evidence["evaluations"].items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reports", type=Path, required=True, help="where packs, stages and the ledger go")
    parser.add_argument("rest", nargs="*", help="after --: --protocol, --data and the like, for every run")
    asked = parser.parse_args()
    seconds, trained = judged(asked.rest, asked.reports)
    first = answers_of(trained)
    shown = {"trained here": (seconds, first)}
    for door, arguments in doors(trained).items():
        seconds, pack = judged([*asked.rest, *arguments], asked.reports)
        shown[door] = (seconds, answers_of(pack))
    sets = sorted(first["right"])
    print(f"| door | seconds | outcomes | {' | '.join(sets)} | verdicts that differ | looks |")
    print("| --- " * (5 + len(sets)) + "|")
    differing = 0
    for door, (seconds, answers) in shown.items():
        verdicts = answers["verdicts"]
        answered = [name for name in verdicts if verdicts[name] not in ("not assessed", "not judged")]
        other = [name for name in answered if first["verdicts"].get(name) != verdicts[name]]
        right = [f"{'/'.join(map(str, answers['right'][name]))}" if name in answers["right"] else "-" for name in sets]
        outcomes = ", ".join(f"{n} {word}" for word, n in Counter(verdicts.values()).most_common())
        looks = max(answers["looks"].values(), default=0)
        print(f"| {door} | {seconds:.0f} | {outcomes} | {' | '.join(right)} | {', '.join(other) or 'none'} | {looks} |")
        differing += len(other) + (looks != 1) + any(answers["right"][n] != first["right"][n] for n in answers["right"])
    return int(differing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
