"""How long does it take to look at every picture, against bare decoding and against CleanVision?

    python -m benchmarks inspection --data DIR             # a folder with one sub-folder per class
    python -m benchmarks inspection --data DIR --peers DIR # where CleanVision is installed, once; "" for none

Two sides run in turn on the same files (A B B A), with as many threads or processes; the ratio of each pair is of work
that shared the machine alike. The interval is Student's t on the logarithms of the pairs' ratios. The control compares
a side with itself: where its interval leaves 1 out, the machine was too restless, and nothing follows from the rest.

Imports are no part of any side (great-expectations' and CleanVision's take seconds, once). Sides:
  decode   every file opened by Pillow and decoded to RGB, nothing else
  pass     `inspect_files`: bytes against their digest, integrity, quality, headers, digests, thumbnails, colours
  kinds    what CleanVision looks for: the pass, its findings, exact copies, near copies by the whole frame
  whole    listing, the pass, expectations, copies under any transform, shortcuts
  resize   every picture brought to 224 px, as a network is given it, without its decoding
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._peers import python_with
from benchmarks._ratios import LEVEL, ratio_of
from harness.data import gx
from harness.data.inspection import Inspected, hashes_of, inspect_files, set_facts_of
from harness.data.integrity import judge_files
from harness.data.leakage import find_duplicates
from harness.data.manifest import read_manifest
from harness.data.quality import quality_findings
from harness.data.records import Manifest
from harness.data.resemblance import resembling
from harness.metrics.shortcuts import find_shortcuts
from harness.protocol.datasets import ImageRules

NETWORK_PX = 224
RULES = ImageRules(formats=("JPEG", "PNG"), min_side_px=1, max_side_px=4096)
PEER = "cleanvision==0.3.7"
PEER_CODE = """
import sys, time, contextlib, io
from cleanvision import Imagelab
with contextlib.redirect_stdout(io.StringIO()):
    lab = Imagelab(data_path=sys.argv[1])
    began = time.perf_counter()
    lab.find_issues(n_jobs=int(sys.argv[2]))
    took = time.perf_counter() - began
kinds = lab.issue_summary.set_index("issue_type")["num_images"].to_dict()
print(took, kinds, sep="\\t")
"""
Side = Callable[[], float]


def in_turn(one: Side, other: Side, *, pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of each side, pair by pair: A B, B A, A B, ... after one untimed round."""
    one(), other()
    first: list[float] = []
    second: list[float] = []
    for number in range(pairs):
        for side in (one, other) if number % 2 == 0 else (other, one):
            (first if side is one else second).append(side())
    return first, second


def timed(work: Callable[[], object]) -> Side:
    def side() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return side


# --- sides ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Work:
    """Everything of ours that is timed, on the images of one set."""

    found: Manifest
    workers: int

    def listing(self) -> Manifest:
        return read_manifest(self.found.root, name="dataset", classes=self.found.classes, workers=self.workers)

    def decode(self) -> None:
        def one(path: Path) -> None:
            Image.open(path).convert("RGB")

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(one, [self.found.root / image.path for image in self.found.images]))

    def look(self) -> tuple[Inspected, ...]:
        return inspect_files(self.found.images, self.found.root, rules=RULES, workers=self.workers)

    def kinds(self) -> dict[str, int]:
        """How many images each kind of CleanVision's names, by our rules."""
        inspected = self.look()
        counts: dict[str, int] = {}
        pictures = {each.facts.path: each.shown.quality for each in inspected if each.shown is not None}
        for finding in quality_findings(pictures):
            counts[finding.rule] = counts.get(finding.rule, 0) + 1
        hashes = hashes_of(self.found.images, inspected, root=self.found.root, set_name="dataset")
        exact = len(hashes.paths) - len(set(hashes.pixel_digests))
        near = resembling(hashes.thumbnails, workers=self.workers)
        return counts | {"exact copies": exact, "near copies": len(near.first) - exact}

    def whole(self) -> None:
        found = replace(self.listing(), images=self.found.images)
        inspected = self.look()
        judge_files(found, inspected, images=RULES, counts=None)
        find_duplicates([hashes_of(found.images, inspected, root=found.root, set_name="dataset")], workers=self.workers)
        facts = set_facts_of(found.images, inspected, root=found.root)
        find_shortcuts(facts, alpha=0.01, level=LEVEL, rng=np.random.default_rng(42))

    def resize(self, pictures: Sequence[Image.Image]) -> None:
        def one(picture: Image.Image) -> None:
            picture.resize((NETWORK_PX, NETWORK_PX), Image.Resampling.BILINEAR)

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(one, pictures))


def peer(python: Path, folder: Path, workers: int) -> tuple[Side, dict[str, str]]:
    said = {"kinds": ""}

    def side() -> float:
        done = subprocess.run(
            [python, "-c", PEER_CODE, str(folder), str(workers)], capture_output=True, text=True, check=True
        )
        seconds, said["kinds"] = done.stdout.strip().splitlines()[-1].split("\t")
        return float(seconds)

    return side, said


def row(name: str, n: int, one: Sequence[float], other: Sequence[float]) -> str:
    a, b = (1e3 * float(np.median(seconds)) / n for seconds in (one, other))
    return f"| {name} | {a:.2f} | {b:.2f} | {ratio_of(one, other)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with one sub-folder per class")
    parser.add_argument("--images", type=int, default=500, help="so many, spread over the set (default: 500)")
    parser.add_argument("--pairs", type=int, default=8, help="pairs of each comparison (default: 8)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peers", default="build/peers/cleanvision", help='environment of CleanVision; "" for none')
    asked = parser.parse_args()
    classes = tuple(sorted(folder.name for folder in asked.data.iterdir() if folder.is_dir()))
    found = read_manifest(asked.data, name="dataset", classes=classes, workers=asked.workers)
    step = max(1, len(found.images) // asked.images)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gx.import_gx()
        folder = Path(place)
        for image in found.images[::step]:  # the same files for everybody, in a folder of their own
            (folder / image.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / image.path).write_bytes((found.root / image.path).read_bytes())
        work = Work(replace(found, root=folder, images=found.images[::step]), asked.workers)
        compare(work, asked.pairs, Path(asked.peers) if asked.peers else None)


def compare(work: Work, pairs: int, peers: Path | None) -> None:
    n = len(work.found.images)
    decode = timed(work.decode)
    print(f"{n} images, {work.workers} workers, {pairs} pairs; milliseconds an image are medians\n")
    print("| A against B | A, ms | B, ms | A / B with its interval |\n|---|---|---|---|", flush=True)
    print(row("control: decode / decode", n, *in_turn(decode, timed(work.decode), pairs=pairs)), flush=True)
    print(row("decode / pass", n, *in_turn(decode, timed(work.look), pairs=pairs)), flush=True)
    print(row("decode / kinds", n, *in_turn(decode, timed(work.kinds), pairs=pairs)), flush=True)
    print(row("decode / whole", n, *in_turn(decode, timed(work.whole), pairs=pairs)), flush=True)
    decoded = [Image.open(work.found.root / image.path).convert("RGB") for image in work.found.images]
    print(row("decode / resize", n, *in_turn(decode, timed(lambda: work.resize(decoded)), pairs=pairs)), flush=True)
    if peers is None:
        return
    side, said = peer(python_with(peers, {"cleanvision": PEER}), work.found.root, work.workers)
    print(row(f"{PEER} / kinds", n, *in_turn(side, timed(work.kinds), pairs=pairs)), flush=True)
    print(row(f"{PEER} / whole", n, *in_turn(side, timed(work.whole), pairs=pairs)), flush=True)
    print(f"\n{PEER} found {said['kinds']}\nours found {work.kinds()}")


if __name__ == "__main__":
    sys.exit(main())
