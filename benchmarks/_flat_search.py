"""What copies are searched with elsewhere: faiss's flat index and imagededup, in an environment of their own."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.banding import BandedIndex, Bits, packed

Ints = NDArray[np.int64]
PEERS = {"faiss": "faiss-cpu==1.15.1", "imagededup": "imagededup==0.3.3.post2"}  # the second brings torch for CUDA
FAISS = """
import sys, time, numpy, faiss
faiss.omp_set_num_threads(int(sys.argv[1]))
radius = int(sys.argv[2]) + 1  # faiss's is strict
def received(stream):
    n = int.from_bytes(stream.read(8), "little")
    return numpy.frombuffer(stream.read(8 * n), numpy.uint8).reshape(-1, 8)
index = None
while sys.stdin.buffer.peek(1):
    hashes = received(sys.stdin.buffer)
    began = time.process_time()
    if index is None:
        index = faiss.IndexBinaryFlat(64)
        index.add(hashes)
        continue
    limits, _, target = index.range_search(hashes, radius)
    asked = numpy.repeat(numpy.arange(len(hashes)), numpy.diff(limits.astype(numpy.int64)))
    found = numpy.array([asked, target], dtype=numpy.int64)
    head = numpy.array([time.process_time() - began, found.shape[1]])
    sys.stdout.buffer.write(head.tobytes() + found.tobytes())
    sys.stdout.buffer.flush()
"""
IMAGEDEDUP = """
import sys, time, logging, numpy
from imagededup.methods import PHash
logging.disable()
hashes = numpy.load(sys.argv[1])
encodings = {str(row): f"{int(each):016x}" for row, each in enumerate(hashes)}
began = time.process_time()
found = PHash(verbose=False).find_duplicates(
    encoding_map=encodings, max_distance_threshold=int(sys.argv[2]), num_dist_workers=1
)
print(time.process_time() - began, sum(map(len, found.values())))
"""


class FaissFlat:
    """Looks up as `banding.met` does, but compares all with all, in a process of the peers' environment."""

    def __init__(self, python: Path, *, max_distance: int, threads: int) -> None:
        self.command = [str(python), "-c", FAISS, str(threads), str(max_distance)]
        self.max_distance = max_distance
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        self.cpu_s = 0.0

    def __call__(self, index: BandedIndex, bits: Bits, *, max_distance: int) -> tuple[Ints, Ints]:
        if max_distance != self.max_distance:
            raise ValueError(f"asked for a distance of {max_distance}, started for {self.max_distance}")
        with self.lock:
            if self.process is None:
                self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                self.send(index.hashes)
            self.send(packed(bits))
            seconds, n = np.frombuffer(self.read(16))
            self.cpu_s += float(seconds)
            asked, target = np.frombuffer(self.read(16 * int(n)), dtype=np.int64).reshape(2, -1)
        return asked, target

    def send(self, hashes: NDArray[np.uint64]) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(len(hashes).to_bytes(8, "little") + hashes.tobytes())
        self.process.stdin.flush()

    def read(self, n: int) -> bytes:
        assert self.process is not None and self.process.stdout is not None
        return self.process.stdout.read(n)

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate()
