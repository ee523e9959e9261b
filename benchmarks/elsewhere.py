"""How many cells of other laboratories does a recipe have right, seed by seed?

    python -m benchmarks elsewhere --data DIR --sets DIR/jtsc DIR/bccd --seeds 1 2 3 [--reports DIR] PROTOCOL

The protocol's training is run with each seed on its train part (or taken from --reports, where it was run before);
every cell of each set is counted, copies among them, too. For sets that are declared as development sets: it records
no look.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks._trained import WORKERS, run_of, with_seed
from harness.core.progress import TerminalProgress
from harness.data.manifest import read_manifest
from harness.data.records import labels_of
from harness.model.images import images_of
from harness.protocol.file import read_protocol
from harness.run.stages.model import classifier


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the cells that it is trained on")
    parser.add_argument("--sets", type=Path, nargs="+", required=True, help="folders of other laboratories' cells")
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="training seeds")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="whose stages are kept and reused")
    parser.add_argument("protocol", type=Path)
    asked = parser.parse_args()
    progress = TerminalProgress(sys.stderr, live=sys.stderr.isatty())
    protocol = read_protocol(asked.protocol)
    classes = protocol.dataset.classes
    print(f"{'set':<20} {'seed':>4} {'right':>9} {'percent':>7}  " + " ".join(f"{name:>11}" for name in classes))
    for seed in asked.seeds:
        door = run_of(with_seed(protocol, seed), data=asked.data, reports=asked.reports, progress=progress)(classifier)
        for folder in asked.sets:
            found = read_manifest(folder, name=folder.name, classes=classes, workers=WORKERS)
            formats = protocol.image_rules(folder.name).formats
            told = door.predict_proba(images_of(found.images, found.root, formats=formats)).argmax(axis=1)
            labels = labels_of(found.images, classes)
            n, right = (np.bincount(each, minlength=len(classes)) for each in (labels, labels[told == labels]))
            by_class = " ".join(f"{f'{k}/{of}':>11}" for k, of in zip(right, n, strict=True))
            share = 100 * right.sum() / n.sum()
            print(f"{found.name:<20} {seed:>4} {f'{right.sum()}/{n.sum()}':>9} {share:>7.1f}  {by_class}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
