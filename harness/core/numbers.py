"""Numbers that come from code which is not ours, as the one kind of array that is computed with and digested."""

from __future__ import annotations

import numpy as np

SUMS_TO_ONE = 1e-6  # how far the sum of a row of probabilities may miss 1: a softmax in float32 misses it


def real_numbers(found: object) -> np.ndarray:
    """A copy as float64 in C order; what is float64 already keeps its bits.

    Raises:
        ValueError: not an array of real numbers; the message completes a sentence that begins with "it is".
    """
    try:
        given = np.asarray(found)
    except (TypeError, ValueError, RuntimeError) as error:  # uneven lists; a tensor on a device, or with gradients
        raise ValueError(f"no array of real numbers ({type(found).__name__}: {error})") from None
    if given.dtype.kind not in "fiu":
        raise ValueError(f"no array of real numbers ({type(found).__name__} of {given.dtype})")
    return np.array(given, dtype=np.float64, order="C")
