"""What does a classifier gain by 25, 50 or 100 labelled cells of another laboratory, and by which way to adapt it?

    python -m benchmarks adaptation --data DIR --sets DIR/jtsc DIR/bccd --protocol FILE [--model FILE] [--out JSON]

The classifier is that of the protocol's training on --data (kept below --reports), or the file that --model names. For
every set, number of cells and draw the cells are drawn as a run draws them; each way adapts the classifier as it was to
them, and the cells that were not drawn are counted. "chosen" is the way that cross-validation on the drawn cells alone
takes. docs/other-laboratories.md has the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks._trained import WORKERS, run_of
from harness.core.progress import Report, TerminalProgress, silent
from harness.data.drawing import candidates_of, copies_inside, draw_cells
from harness.data.inspection import hash_images
from harness.data.leakage import find_duplicates
from harness.data.manifest import read_manifest
from harness.data.records import CellImage, Manifest, labels_of
from harness.metrics.intervals import clopper_pearson_bounds
from harness.model.adapting import WAYS, cross_validated, possible_ways
from harness.model.classifier import Classifier, Machine
from harness.model.devices import choose_device
from harness.model.images import images_of
from harness.model.model_file import read_model
from harness.protocol.file import read_protocol
from harness.protocol.records import Protocol
from harness.run.stages.model import classifier

LEVEL = 0.95
CHOSEN = "chosen"


@dataclass(frozen=True, slots=True)
class Found:
    """One draw of one set. right: way -> class -> cells right, of `n`, class -> cells; chosen: by cross-validation."""

    set: str
    cells: int
    seed: int
    drawn: Mapping[str, int]
    n: Mapping[str, int]
    right: Mapping[str, Mapping[str, int]]
    scores: Mapping[str, int]
    chosen: str


def opened(protocol: Protocol, asked: argparse.Namespace, progress: Report) -> Classifier:
    if asked.model is not None:
        device = choose_device(asked.device).type
        machine = Machine(device, protocol.throughput.batch_size, WORKERS, progress)
        return read_model(asked.model, protocol, trusted=()).open(machine)
    run = run_of(protocol, data=asked.data, reports=asked.reports, progress=progress, device=asked.device)
    return run(classifier)


def measured(
    door: Classifier, found: Manifest, protocol: Protocol, *, sizes: list[int], draws: list[int], asked: list[str]
) -> Iterator[Found]:
    """Every draw of every size; what a way is given of an image is made once."""
    rules = next((plan.images for plan in protocol.external if plan.name == found.name), protocol.dataset.images)
    hashes = hash_images(found.images, found.root, set_name=found.name, rules=rules, workers=WORKERS, progress=silent)
    copies = [*copies_inside(find_duplicates((hashes,), workers=WORKERS), found.name)]
    images = images_of(found.images, found.root, formats=rules.formats)
    labels = labels_of(found.images, found.classes)
    for seed in draws:
        possible, _ = possible_ways(door, seed=seed)
        ways = {name: way for name, way in possible.items() if name in asked}
        shown = {name: way.prepare(images) for name, way in ways.items()}
        for n in sizes:
            drawn = {cell.path for cell in draw_cells(candidates_of(found.images), copies, n=n, seed=seed)}
            # In the order of their content, as a run has them.
            order = sorted(range(len(found.images)), key=lambda row: found.images[row].sha256)
            mine = np.array([row for row in order if found.images[row].path in drawn])
            others = np.array([row for row in order if found.images[row].path not in drawn])
            right, scores = {}, {}
            for name, way in ways.items():
                told = way.fit(shown[name][mine], labels[mine], shown[name][others])
                right[name] = by_class(found.images, others, told.argmax(axis=1) == labels[others])
                scores[name] = cross_validated(way.fit, shown[name][mine], labels[mine], seed=seed)
            yield Found(
                found.name,
                n,
                seed,
                by_class(found.images, mine, np.ones(len(mine), dtype=bool)),
                by_class(found.images, others, np.ones(len(others), dtype=bool)),
                right,
                scores,
                max(scores, key=lambda name: scores[name]),
            )


def by_class(images: tuple[CellImage, ...], rows: np.ndarray, counted: np.ndarray) -> dict[str, int]:
    labels = [images[row].label for row in rows.tolist()]
    return {
        label: sum(ok for each, ok in zip(labels, counted.tolist(), strict=True) if each == label)
        for label in sorted(set(labels))
    }


def told(found: Found) -> str:
    """One line: percent right of the cells that were not drawn, way by way."""
    n = sum(found.n.values())
    shares = " ".join(f"{100 * sum(of.values()) / n:>11.1f}" for of in found.right.values())
    right = sum(found.right[found.chosen].values())
    lower, _ = clopper_pearson_bounds(right, n, level=LEVEL)
    chosen = f"{found.chosen} {right}/{n}, at least {100 * lower:.1f}"
    return f"{found.set:<8} {found.cells:>5} {found.seed:>5} {shares}  {chosen}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the cells that it is trained on")
    parser.add_argument("--sets", type=Path, nargs="+", required=True, help="folders of other laboratories' cells")
    parser.add_argument("--protocol", type=Path, required=True, help="of the training, and of how files are shown")
    parser.add_argument("--model", type=Path, help="a trained file, as `pytest suites/ --model` takes it")
    parser.add_argument("--cells", type=int, nargs="+", default=[25, 50, 100])
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="seeds of the draws")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="whose stages are kept and reused")
    parser.add_argument("--out", type=Path, help="a JSON file for every single number")
    asked = parser.parse_args()
    progress = TerminalProgress(sys.stderr, live=sys.stderr.isatty())
    protocol = read_protocol(asked.protocol)
    door = opened(protocol, asked, progress)
    kept: list[dict[str, object]] = []
    print(
        f"{'set':<8} {'cells':>5} {'draw':>5} "
        + " ".join(f"{way:>11}" for way in WAYS if way in asked.ways)
        + f"  {CHOSEN}"
    )
    for folder in asked.sets:
        found = read_manifest(
            folder,
            name=folder.name,
            classes=protocol.dataset.classes,
            workers=WORKERS,
            names=protocol.names_in(folder.name),
        )
        for each in measured(door, found, protocol, sizes=asked.cells, draws=asked.draws, asked=asked.ways):
            print(told(each), flush=True)
            kept.append(asdict(each))
            if asked.out is not None:  # after each: on a slow machine a fine-tuning takes minutes
                asked.out.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
