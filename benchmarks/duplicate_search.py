"""How many planted duplicates are found, how many are made up, and how long does it take?

    python benchmarks/duplicate_search.py                  # 100,000 synthetic thumbnails
    python benchmarks/duplicate_search.py --data DIR       # real cells: a folder with one sub-folder per class

With --data every image of the folder is hashed and searched, duplicates of fifty of them are planted in every way, and
all of it is searched at once for false alarms. Bounds are exact (Clopper-Pearson), one-sided at 95 %. Exits 1 if a pair
of different cells was reported, or if the synthetic search missed a planted pair or reported another.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.core.progress import silent
from harness.data.hashing import ImageHashes, hash_pictures
from harness.data.inspection import hash_images
from harness.data.leakage import find_duplicates
from harness.data.manifest import read_manifest
from harness.metrics.intervals import clopper_pearson_bounds
from harness.protocol.datasets import ImageRules

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # fixtures are not installed, only the harness is
from fixtures.duplicates import BEYOND, PLANTS, measure_detector

LEVEL, SEED, N_PLANTED_IN = 0.95, 20_260, 50
RULES = ImageRules(formats=("JPEG", "PNG"), min_side_px=1, max_side_px=4096)


def peak_gib() -> float:
    """Most memory that the process ever held. Linux counts in KiB, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**30


# --- synthetic ----------------------------------------------------------------------------------


def synthetic(n: int) -> tuple[ImageHashes, int]:
    """Thumbnails of a dark disc in the middle on clouds, harder to tell apart than real cells; 1 in 500 planted.

    A planted one is a mirrored copy with noise of one grey level, at the end of the list.
    """
    rng = np.random.default_rng(SEED)
    n_planted = n // 500
    thumbnails = np.empty((n, 64, 64), dtype=np.uint8)
    for at in range(0, n - n_planted, 250):
        thumbnails[at : min(at + 250, n - n_planted)] = drawn(min(250, n - n_planted - at), rng)
    copies = thumbnails[rng.choice(n - n_planted, n_planted, replace=False), :, ::-1]
    noisy = copies + rng.normal(0, 1, copies.shape)
    thumbnails[n - n_planted :] = noisy.round().clip(0, 255)
    names = tuple(f"{number:07}" for number in range(n))
    sizes = np.full((n, 2), 360, dtype=np.int64)
    return ImageHashes("synthetic", names, ("cell",) * n, names, names, sizes, thumbnails), n_planted


def drawn(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 64, 64) grey levels, 0 to 255: a dark disc near the middle, on clouds."""
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64)[None])
    frequency[0, 0] = np.inf
    clouds = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((n, 64, 64))) * frequency**-1.5, s=(64, 64))
    clouds /= clouds.std(axis=(1, 2), keepdims=True)
    at = (np.arange(64) - 31.5) / 64
    middle, radius, depth = rng.normal(0, 0.04, (n, 2)), rng.uniform(0.2, 0.36, n), rng.uniform(40, 90, n)
    away = np.hypot(at[None, :, None] - middle[:, :1, None], at[None, None] - middle[:, 1:, None])
    disc = 1 / (1 + np.exp((away - radius[:, None, None]) / 0.02))
    return np.clip(200 + 22 * clouds - depth[:, None, None] * disc, 0, 255)


def run_synthetic(n: int, workers: int) -> bool:
    hashes, n_planted = synthetic(n)
    print(f"{n:,} synthetic thumbnails ({hashes.thumbnails.nbytes / 2**20:.0f} MiB), peak so far {peak_gib():.2f} GiB")
    began, began_cpu = time.perf_counter(), time.process_time()
    pairs = find_duplicates([hashes], workers=workers)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    found = sum(int(pair.second.path) >= n - n_planted and pair.detail > 0.9 for pair in pairs)
    print(f"searched in {seconds:.1f} s with {workers} threads ({cpu:.1f} s of CPU), peak {peak_gib():.2f} GiB")
    print(f"planted {n_planted}, found {found}; other pairs reported: {len(pairs) - found}")
    return len(pairs) == found == n_planted


# --- real ---------------------------------------------------------------------------------------


def run_real(folder: Path, workers: int) -> bool:
    classes = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    manifest = read_manifest(folder, name=folder.name, classes=classes, workers=workers)
    n = len(manifest.images)
    began = time.perf_counter()
    hashes = hash_images(manifest.images, folder, set_name=folder.name, rules=RULES, workers=workers, progress=silent)
    hashed = time.perf_counter()
    pairs = find_duplicates([hashes], workers=workers)
    done = time.perf_counter()
    print(
        f"{n:,} images: read, decoded and hashed {hashed - began:.2f} s, searched {done - hashed:.2f} s, together "
        f"{done - began:.2f} s with {workers} threads; peak {peak_gib():.2f} GiB"
    )
    print(f"pairs within the set: {len(pairs)}")
    for pair in pairs:
        print(f"  {pair}")
    # Thresholds were looked for on every fiftieth image from the first; these lie half way between.
    step = max(1, n // N_PLANTED_IN)
    chosen = manifest.images[step // 2 :: step][:N_PLANTED_IN]
    pictures = {image.path: Image.open(folder / image.path).convert("RGB") for image in chosen}
    print_table(pictures, workers)
    return no_false_alarm(hashes, pictures, workers)


def print_table(pictures: dict[str, Image.Image], workers: int) -> None:
    for title, plants in (("planted", PLANTS), ("beyond what it is made for", BEYOND)):
        record = measure_detector(pictures, workers=workers, plants=plants)
        print(f"\n| {title} | found | recall, lower bound | right pose |\n| --- | --- | --- | --- |")
        for row in record.rows:
            lower, _ = clopper_pearson_bounds(row.found, row.planted, level=LEVEL)
            print(f"| {row.transform} | {row.found}/{row.planted} | {lower:.3f} | {row.named} |")
        print(f"\npairs of different originals reported: {len(record.false_alarms)}")


def no_false_alarm(hashes: ImageHashes, pictures: dict[str, Image.Image], workers: int) -> bool:
    """Everything at once: all images and all planted copies, each pair of different origin a chance of an alarm."""
    names = list(pictures)
    sets, origin = [hashes], {(hashes.set, path): path for path in hashes.paths}
    for plant in (*PLANTS, *BEYOND):
        sets.append(hash_pictures([plant.make(pictures[name]) for name in names], set_name=plant.name, label="any"))
        origin |= {(plant.name, path): name for path, name in zip(sets[-1].paths, names, strict=True)}
    known = {(pair.first.path, pair.second.path) for pair in find_duplicates([hashes], workers=workers)}
    alarms = []
    for pair in find_duplicates(sets, workers=workers):
        ends = sorted(origin[image.set, image.path] for image in (pair.first, pair.second))
        if ends[0] != ends[1] and tuple(ends) not in known:
            alarms.append(pair)
    n = len(origin)
    same = len(names) * (len(sets) - 1) * len(sets) // 2
    n_pairs = n * (n - 1) // 2 - same
    _, upper = clopper_pearson_bounds(len(alarms), n_pairs, level=LEVEL)
    print(
        f"\nall {n:,} images and copies at once: {len(alarms)} false alarms among {n_pairs:,} pairs of different "
        f"cells (upper bound {upper:.1e}, if pairs were independent)"
    )
    for pair in alarms:
        print(f"  {pair}")
    return not alarms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=100_000, help="how many synthetic thumbnails")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.data is not None:
        return 0 if run_real(arguments.data, arguments.workers) else 1
    return 0 if run_synthetic(arguments.images, arguments.workers) else 1


if __name__ == "__main__":
    sys.exit(main())
