"""How do time and memory of the search for copies grow with the pictures, what does its index miss, and what do others?

    python -m benchmarks copies_at_scale                                   # 10,000, 30,000 and 100,000, whole frames
    python -m benchmarks copies_at_scale --sizes 1000000                   # the same of a million
    python -m benchmarks copies_at_scale --ways landmarks --sizes 3000 10000
    python -m benchmarks copies_at_scale --sizes --recall 50000            # against exact search
    python -m benchmarks copies_at_scale --sizes --beside 10000            # beside faiss and imagededup

Everything starts from thumbnails that were made before, in a file that is mapped, not read. They are drawn ones (see
`duplicate_search`), harder to tell apart than real cells. The first of them are copies of others: in any of eight
poses, half of them cropped to 90 to 100 %, in other light, with noise. Each size is searched in a process of its own,
for its peak memory; mapped pages count in it.

--recall: of the pairs that the search reports when hashes are compared all against all (faiss's flat index, in place of
bands; every later step the same), how many does the search by bands report? The bound is exact, one-sided, 95 %.
--beside: processor time from hashes to pairs in reach, in turn (A B B A), on one core.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks._flat_search import IMAGEDEDUP, PEERS, FaissFlat
from benchmarks._peers import python_with
from benchmarks._ratios import LEVEL, ratio_of
from benchmarks.duplicate_search import drawn
from benchmarks.inspection import Side, in_turn
from harness.data.banding import Bits, banded_index, met, packed
from harness.data.recognition import recognised
from harness.data.resemblance import BANDING, MAX_DISTANCE, N_BITS, all_views, resembling
from harness.metrics.intervals import clopper_pearson_bounds

AT_ONCE, ONE_IN, ONE_IN_FOR_RECALL = 250, 500, 5
WAYS = {"whole frames": resembling, "landmarks": recognised}


# --- pictures -------------------------------------------------------------------------------------


def thumbnails_in(folder: Path, n: int, *, one_in: int, seed: int) -> tuple[Path, Path]:
    """Files of n thumbnails, and of the original of each of the first n // one_in; made where they are missing."""
    pictures, originals = (folder / f"{what}-{n}-{one_in}-{seed}.npy" for what in ("thumbnails", "originals"))
    if not originals.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, n, one_in])
        n_copies = n // one_in
        chosen = n_copies + rng.choice(n - n_copies, n_copies, replace=False)
        file = np.lib.format.open_memmap(pictures, mode="w+", dtype=np.uint8, shape=(n, 64, 64))
        for at in range(0, n, AT_ONCE):
            file[at : at + AT_ONCE] = drawn(min(AT_ONCE, n - at), np.random.default_rng([seed, at]))
        for row, original in enumerate(chosen):
            file[row] = copied(file[original], rng)
        file.flush()
        np.save(originals, chosen)
    return pictures, originals


def copied(thumbnail: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    pose = rng.integers(8)
    copy = np.rot90(thumbnail, pose % 4)[:, :: -1 if pose > 3 else 1]
    if rng.random() < 0.5:
        side = 64 * rng.uniform(0.9, 1)
        left, top = rng.uniform(0, 64 - side, 2)
        box = (left, top, left + side, top + side)
        resized = Image.fromarray(np.ascontiguousarray(copy)).resize((64, 64), Image.Resampling.BILINEAR, box=box)
        copy = np.asarray(resized)
    lit = rng.uniform(0.85, 1.1) * copy + rng.normal(0, rng.uniform(0, 2), copy.shape)
    return lit.round().clip(0, 255).astype(np.uint8)


# --- time and memory ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Search:
    """One search in a process of its own: seconds, GiB, copies planted, found, and other pairs reported."""

    way: str
    n: int
    wall_s: float
    cpu_s: float
    peak_gib: float
    planted: int
    found: int
    others: int


def searched(way: str, pictures: Path, originals: Path, *, workers: int) -> Search:
    thumbnails, chosen = np.load(pictures, mmap_mode="r"), np.load(originals)
    began, began_cpu = time.perf_counter(), time.process_time()
    found = WAYS[way](thumbnails, workers=workers)
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    of_copies = (found.first < len(chosen)) & (found.second == chosen[found.first.clip(0, len(chosen) - 1)])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30
    n_found = int(of_copies.sum())
    return Search(way, len(thumbnails), wall, cpu, peak, len(chosen), n_found, len(found.first) - n_found)


def in_a_process(way: str, n: int, scratch: Path, *, workers: int, seed: int) -> Search:
    files = thumbnails_in(scratch, n, one_in=ONE_IN, seed=seed)
    command = [sys.executable, "-m", "benchmarks", "copies_at_scale", "--one", way, *map(str, files)]
    done = subprocess.run([*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True, check=True)
    return Search(**json.loads(done.stdout))


def table(searches: list[Search]) -> str:
    head = "| by | pictures | wall, s | CPU, s | peak, GiB | planted found | other pairs |\n" + "| --- " * 7 + "|\n"
    return head + "\n".join(
        f"| {each.way} | {each.n:,} | {each.wall_s:.1f} | {each.cpu_s:.1f} | {each.peak_gib:.2f} | "
        f"{each.found:,}/{each.planted:,} | {each.others} |"
        for each in searches
    )


def exponents(searches: list[Search]) -> str:
    """By how much CPU time grows from each size to the next: n to the power of."""
    steps = [
        f"{one.n:,} to {other.n:,}: {math.log(other.cpu_s / one.cpu_s) / math.log(other.n / one.n):.2f}"
        for one, other in pairwise(searches)
    ]
    if len(searches) > 2:
        fitted = np.polyfit(*(np.log([getattr(each, name) for each in searches]) for name in ("n", "cpu_s")), 1)
        steps.append(f"fitted to all: {fitted[0]:.2f}")
    return f"exponent of CPU time, {searches[0].way}: " + "; ".join(steps)


# --- recall and peers -----------------------------------------------------------------------------


def pairs_of(found: Any) -> set[tuple[int, int]]:
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


def recall(n: int, scratch: Path, python: Path, *, workers: int, seed: int) -> str:
    """Of the pairs that exact search reports, how many are reported by bands."""
    pictures, _ = thumbnails_in(scratch, n, one_in=ONE_IN_FOR_RECALL, seed=seed)
    thumbnails = np.load(pictures, mmap_mode="r")
    flat = FaissFlat(python, max_distance=MAX_DISTANCE, threads=workers)
    began = time.process_time()
    by_bands = pairs_of(resembling(thumbnails, workers=workers))
    took, began = time.process_time() - began, time.process_time()
    exact = pairs_of(resembling(thumbnails, workers=workers, meet=flat))
    all_against_all = time.process_time() - began + flat.cpu_s
    flat.close()
    met_too = len(exact & by_bands)
    lower, _ = clopper_pearson_bounds(met_too, len(exact), level=LEVEL)
    return (
        f"{n:,} pictures: exact search reports {len(exact):,} pairs, bands report {met_too:,} of them: recall "
        f"{met_too / len(exact):.6f}, at least {lower:.6f}; pairs by bands alone: {len(by_bands - exact)}. "
        f"CPU: bands {took:.0f} s, exact {all_against_all:.0f} s"
    )


def beside(n: int, scratch: Path, python: Path, *, pairs: int, seed: int) -> str:
    """Processor seconds from hashes to pairs in reach: bands, faiss's flat index and imagededup, on one core."""
    pictures, _ = thumbnails_in(scratch, n, one_in=ONE_IN, seed=seed)
    thumbnails = np.load(pictures, mmap_mode="r")
    views = np.concatenate([hashed(thumbnails[at : at + AT_ONCE]) for at in range(0, n, AT_ONCE)])
    upright = views[:, 0]
    encoded = scratch / f"hashes-{n}.npy"
    np.save(encoded, packed(upright))
    reached = {}

    def bands(asked: Bits, name: str) -> Side:
        def side() -> float:
            began = time.process_time()
            index = banded_index(upright, BANDING)
            found = [len(met(index, some, max_distance=MAX_DISTANCE)[0]) for some in blocks(asked)]
            reached[name] = sum(found)
            return time.process_time() - began

        return side

    def faiss() -> float:
        flat = FaissFlat(python, max_distance=MAX_DISTANCE, threads=1)
        index = banded_index(upright, BANDING)
        found = [len(flat(index, some, max_distance=MAX_DISTANCE)[0]) for some in blocks(views.reshape(-1, N_BITS))]
        flat.close()
        reached["faiss"] = sum(found)
        return flat.cpu_s

    def imagededup() -> float:
        command = [python, "-c", IMAGEDEDUP, encoded, str(MAX_DISTANCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, reached["imagededup"] = done.stdout.split()[-2:]
        return float(seconds)

    by_views, by_upright = bands(views.reshape(-1, N_BITS), "bands, 112 views"), bands(upright, "bands, 1 view")
    lines = ["| one / other | CPU of one, s | of the other, s | ratio, 95 % interval |", "| --- " * 4 + "|"]
    for name, one, other in (
        ("control: bands / bands, 112 views", by_views, bands(views.reshape(-1, N_BITS), "bands, 112 views")),
        ("faiss flat / bands, 112 views", faiss, by_views),
        ("imagededup / bands, 1 view", imagededup, by_upright),
    ):
        a, b = in_turn(one, other, pairs=pairs)
        lines.append(f"| {name} | {np.median(a):.2f} | {np.median(b):.2f} | {ratio_of(a, b)} |")
    return "\n".join([f"{n:,} pictures, {pairs} pairs", *lines, f"pairs in reach, each with itself too: {reached}"])


def hashed(thumbnails: NDArray[np.uint8]) -> Bits:
    """(n, 112, 63) signs of every view, the upright whole frame first."""
    return np.asarray(all_views(thumbnails.astype(np.float32)).reshape(len(thumbnails), -1, N_BITS) > 0)


def blocks(bits: Bits) -> list[Bits]:
    return np.split(bits, range(2**16, len(bits), 2**16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 30_000, 100_000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["whole frames"])
    parser.add_argument("--recall", type=int, help="so many pictures against exact search")
    parser.add_argument("--beside", type=int, help="so many pictures beside faiss and imagededup")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of each comparison (default: 4)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="other pictures (default: 1)")
    parser.add_argument("--scratch", type=Path, default=Path("build/copies_at_scale"), help="4 KiB a picture")
    parser.add_argument("--peers", type=Path, default=Path("build/peers/copies_at_scale"), help="their environment")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        way, pictures, originals = asked.one
        print(json.dumps(asdict(searched(way, Path(pictures), Path(originals), workers=asked.workers))))
        return
    for way in asked.ways if asked.sizes else ():
        searches = [
            in_a_process(way, n, asked.scratch, workers=asked.workers, seed=asked.seed) for n in sorted(asked.sizes)
        ]
        print(table(searches), exponents(searches) if len(searches) > 1 else "", sep="\n", flush=True)
    if asked.recall:
        by = python_with(asked.peers, {"faiss": PEERS["faiss"]})
        print(recall(asked.recall, asked.scratch, by, workers=asked.workers, seed=asked.seed), flush=True)
    if asked.beside:
        by = python_with(asked.peers, PEERS)
        print(beside(asked.beside, asked.scratch, by, pairs=asked.pairs, seed=asked.seed), flush=True)


if __name__ == "__main__":
    main()
