"""What does `--engine dask` cost and give: how soon are workers there, how fast on 1, 2 and 4, how many bytes an image?

    python -m benchmarks workers --data DIR       # a folder with one sub-folder per class

Everything runs on this machine, over the loopback: a scheduler, and workers of one thread. The decode pass of the same
files runs here with one thread and on the workers, in turn; the ratio of each pair is of work that shared the machine
alike, with Student's t on the logarithms. The control compares local with itself. More workers than cores show what the
engine costs, not what more machines give.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from benchmarks._ratios import LEVEL, ratio_of
from harness.core.mapping import readable_sample
from harness.data.inspection import Inspected, Inspection, inspect_files
from harness.data.manifest import read_manifest
from harness.protocol.datasets import ImageRules
from harness.run.workers import Dask
from tests.dask_cluster import cluster

RULES = ImageRules(formats=("JPEG", "PNG"), min_side_px=1, max_side_px=4096)
WORKERS = (1, 2, 4)
# Of a task's numbers this one is small, so that four workers have something to do of a few hundred images.
AT_ONCE = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=4)
    asked = parser.parse_args()
    root = asked.data.absolute()
    classes = tuple(sorted(folder.name for folder in root.iterdir() if folder.is_dir()))
    tracemalloc.start()
    listed = read_manifest(root, name="dataset", classes=classes, workers=1).images
    images = listed[:: max(1, len(listed) // asked.images)][: asked.images]
    print(f"memory of the manifest: {tracemalloc.get_traced_memory()[0] / len(listed):,.0f} bytes an image")
    tracemalloc.stop()
    sample = readable_sample((root / image.path, image.sha256) for image in images)

    def local() -> list[Inspected]:
        return list(inspect_files(images, root, rules=RULES, workers=1))

    def seconds(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    tracemalloc.start()
    held = local()
    print(f"memory of what the pass keeps: {tracemalloc.get_traced_memory()[0] / len(held):,.0f} bytes an image")
    tracemalloc.stop()
    print(f"{len(images)} of {len(listed)} images, intervals of {LEVEL:.0%}")
    began = time.process_time()
    read_manifest(root, name="dataset", classes=classes, workers=1)
    print(f"processor time of the manifest: {(time.process_time() - began) / len(listed) * 1000:.2f} ms an image")
    began = time.process_time()
    shown = local()
    print(f"processor time of the pass here: {(time.process_time() - began) / len(images) * 1000:.2f} ms an image")
    print(f"bytes of a file: {sum(image.n_bytes for image in listed) / len(listed):,.0f}")
    print(f"bytes that come back: {len(pickle.dumps(shown)) / len(images):,.0f} an image")
    print(f"bytes that are sent: {len(pickle.dumps(images)) / len(images):,.0f} an image")
    first, again = zip(*((seconds(local), seconds(local)) for _ in range(asked.pairs)), strict=True)
    print(f"control (A/A), local: {ratio_of(first, again)}")
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), allowed_failures=3) as dask:
        by = Dask(dask.address, at_once=AT_ONCE)

        def spread(n: int) -> list[tuple[Inspected, ...]]:
            return by.map(
                Inspection(root, RULES), images[:n], label="x", multiple=1, sample=sample, done=lambda done: None
            )

        for n in WORKERS:
            started = [seconds(dask.start) for _ in range(n - len(dask.workers))]
            print(f"{n} workers: one more is there after {', '.join(f'{each:.1f}' for each in started)} s")
            print(f"  first slice on them, the question what they are among it: {seconds(lambda: spread(1)):.2f} s")
            print(f"  one image, once they are known: {seconds(lambda: spread(1)):.2f} s")
            pairs = []
            for number in range(asked.pairs):
                there, here = (lambda: spread(len(images))), local
                took = [seconds(each) for each in ((there, here) if number % 2 else (here, there))]
                pairs.append(took if number % 2 else took[::-1])
            theirs, ours = zip(*pairs, strict=True)
            rate = len(images) / (sum(theirs) / len(theirs))
            print(f"  throughput over local, one thread: {ratio_of(ours, theirs)} ({rate:.0f} images/s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
