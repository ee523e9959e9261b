"""How many images of a set look like none of the source's?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from harness.data.metadata import FileFacts
from harness.metrics.intervals import clopper_pearson_bounds
from harness.metrics.provenance_records import Outside

# What "most images lie outside" means, and what they lie outside of.
HALF, CENTRAL_SHARE = 0.5, 0.95
N_NEIGHBOURS = 5
FEWEST_FOR_REGION = math.ceil(CENTRAL_SHARE / (1 - CENTRAL_SHARE))  # 19: statistics of split conformal prediction


def outside_of(
    source: Sequence[FileFacts],
    reference: np.ndarray,
    other: Sequence[FileFacts],
    seen: np.ndarray,
    *,
    moved: float,
    by_class: bool,
    scaled_within: bool,
    level: float,
) -> Outside | None:
    """How many of the set lie further from the source than `CENTRAL_SHARE` of the source's own images do.

    Distance: to the fifth nearest image of the source, in numbers whitened by the source's covariance, so that a source
    of several batches may have several centres. Each image of the source is measured against the others, which is
    leave-one-out and not the split of exact conformal prediction: with hundreds of images the two agree, and no image
    is wasted.

    Args:
        source, other: the files of both sets; None is returned where the source has too few.
        reference, seen: (files, numbers) of each.
        moved: what a re-encoding moves such a number by: directions in which the source varies less do not blow it up.
        by_class: whether each image is compared with the source's of its own class.
        scaled_within: whether the covariance is that within classes.
    """
    labels = np.array([file.label for file in source])
    transform = _whitening(reference, labels if scaled_within else np.zeros(len(labels)), moved=moved)
    reference, seen = reference @ transform, seen @ transform
    outside = np.zeros(len(seen), dtype=bool)
    for label in sorted({file.label for file in other}) if by_class else [None]:
        asked = np.array([label in (None, file.label) for file in other])
        known = reference[labels == label] if label is not None else reference
        if len(known) <= FEWEST_FOR_REGION:
            known = reference  # too few of this class in the source: compare with all of it
        if len(known) <= FEWEST_FOR_REGION:
            return None
        tree = cKDTree(known)
        own = np.sort(tree.query(known, k=N_NEIGHBOURS + 1)[0][:, -1])  # the nearest of all is the image itself
        rank = math.ceil((len(known) + 1) * CENTRAL_SHARE)
        outside[asked] = tree.query(seen[asked], k=N_NEIGHBOURS)[0][:, -1] > own[rank - 1]
    shares: dict[str, list[bool]] = defaultdict(list)
    for file, is_out in zip(other, outside.tolist(), strict=True):
        shares[file.unit].append(is_out)  # images of one patient or slide share its lamp: they are counted once
    k, n = sum(sum(held) > HALF * len(held) for held in shares.values()), len(shares)
    return Outside(k, n, *clopper_pearson_bounds(k, n, level=level), level)


def _whitening(values: np.ndarray, labels: np.ndarray, *, moved: float) -> np.ndarray:
    within = np.vstack([values[labels == label] - values[labels == label].mean(axis=0) for label in np.unique(labels)])
    variances, directions = np.linalg.eigh(within.T @ within / len(within))
    return np.asarray(directions / np.sqrt(np.maximum(variances, moved**2)))
