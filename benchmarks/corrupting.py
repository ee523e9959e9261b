"""How long does it take to corrupt a cell, kind by kind, against another version of the code?

    python -m benchmarks corrupting --other FILE           # FILE: harness/data/corruptions.py of another commit
    python -m benchmarks corrupting --other FILE --size 64

Both versions corrupt the same drawn cells at severities 1, 3 and 5, in turn (A B B A), on one core; processor time. The
pixels must be the same; the command ends with 1 where they are not. The control is this version against itself.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks._ratios import ratio_of
from benchmarks.inspection import Side, in_turn
from fixtures.laboratories import HOME
from fixtures.smears import CELL_CLASSES, draw_cell
from harness.data import corruptions as ours

SEVERITIES, SEED = (1, 3, 5), 1


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("other_corruptions", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its records look their annotations up there
    spec.loader.exec_module(module)
    return module


def corrupted(module: ModuleType, pixels: np.ndarray, kind: str) -> np.ndarray:
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
    return np.stack([module.corrupt_set(pixels, digests, kind, severity, seed=SEED) for severity in SEVERITIES])


def timed(module: ModuleType, pixels: np.ndarray, kind: str) -> Side:
    def side() -> float:
        began = time.process_time()
        corrupted(module, pixels, kind)
        return time.process_time() - began

    return side


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, required=True, help="harness/data/corruptions.py of another commit")
    parser.add_argument("--size", type=int, default=224, help="of the cells, in px (default: 224)")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=6, help="pairs of each comparison (default: 6)")
    asked = parser.parse_args()
    other, dice = loaded(asked.other), np.random.default_rng(SEED)
    names = [CELL_CLASSES[number % len(CELL_CLASSES)] for number in range(asked.images)]
    pixels = np.stack([draw_cell(name, laboratory=HOME, size_px=asked.size, rng=dice) for name in names])
    per_image = 1e3 / (len(pixels) * len(SEVERITIES))
    print(f"{len(pixels)} cells of {asked.size} px, {asked.pairs} pairs; ms an image are medians of processor time\n")
    print("| kind | other, ms | ours, ms | other / ours, 95 % interval | pixels |\n| --- | --- | --- | --- | --- |")
    all_same = True
    for kind in ("control: stain", *ours.KINDS):
        name, against = kind.removeprefix("control: "), ours if kind.startswith("control") else other
        same = np.array_equal(corrupted(against, pixels, name), corrupted(ours, pixels, name))
        all_same &= same
        sides = timed(against, pixels, name), timed(ours, pixels, name)
        a, b = in_turn(*sides, pairs=asked.pairs)
        medians = " | ".join(f"{per_image * float(np.median(seconds)):.2f}" for seconds in (a, b))
        print(f"| {kind} | {medians} | {ratio_of(a, b)} | {'the same' if same else 'DIFFER'} |", flush=True)
    return 0 if all_same else 1


if __name__ == "__main__":
    sys.exit(main())
