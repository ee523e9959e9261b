"""The claims audit on honest reports and on reports with one changed digit: what is found, what is false, how long.

    python -m benchmarks.claims [--reports 2000] [--seed 1]

Prints the table of docs/claims-audit.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from harness.claims.audit import Audit, audit
from harness.claims.extract import extract
from harness.claims.markdown import read_markdown

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from claims_reports import FORMS, alone, draw_matrix, is_impossible, numbers_of, plant, several

DECIMALS = (2, 2, 2, 3, 4)


def audited(text: str) -> Audit:
    return audit(extract(read_markdown(text), "report.md"), rounding="nearest", exists=lambda name: False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reports", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    forms = list(FORMS)
    counted: dict[str, Counter[str]] = {form: Counter() for form in [*forms, "several in one report"]}
    slowest = 0.0
    for number in range(asked.reports):
        form = forms[number % len(forms)]
        numbers = numbers_of(draw_matrix(rng), int(rng.choice(DECIMALS)), rng)
        slowest = max(slowest, _honest(counted[form], alone(numbers, form), f"{asked.seed}/{number} {form}"))
        wrong = plant(numbers, rng)
        if is_impossible(wrong):
            result = audited(alone(wrong, form))
            counted[form]["detectable"] += 1
            counted[form]["found"] += result.exit_code == 1
            if result.exit_code != 1:
                print(f"missed: {asked.seed}/{number} {form}: exit {result.exit_code}", file=sys.stderr)
        if number % 4 == 0:
            some = [numbers_of(draw_matrix(rng, most_classes=12), int(rng.choice(DECIMALS)), rng) for _ in range(3)]
            text = several(some, [str(rng.choice(forms)) for _ in some], rng)
            row = counted["several in one report"]
            slowest = max(slowest, _honest(row, text, f"{asked.seed}/{number} several"))
    print("| Form | honest | false | decided | detectable | found |\n|---|---|---|---|---|---|")
    for form, row in counted.items():
        cells = (row[name] for name in ("honest", "false", "decided", "detectable", "found"))
        print(f"| {form} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    total = sum(counted.values(), Counter())
    print(f"| **all** | {' | '.join(f'{total[n]:,}' for n in ('honest', 'false', 'decided', 'detectable', 'found'))} |")
    print(f"\nslowest honest report: {slowest:.1f} s of the processor")


def _honest(row: Counter[str], text: str, name: str) -> float:
    start = time.process_time()
    result = audited(text)
    taken = time.process_time() - start
    row["honest"] += 1
    row["false"] += result.exit_code == 1
    row["decided"] += result.exit_code == 0
    if result.exit_code:
        said = result.findings[0].message[:200] if result.findings else "not decided"
        print(f"honest: {name}: exit {result.exit_code}, {taken:.1f} s: {said}", file=sys.stderr)
    return taken


if __name__ == "__main__":
    main()
