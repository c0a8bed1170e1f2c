"""How far arrays of a graph are from the tensors of the model."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor


def worse(first: float, second: float) -> float:
    """The larger difference; NaN where one is NaN, which Python's `max` may drop."""
    return float(np.maximum(first, second))


def largest_difference(found: Sequence[np.ndarray], expected: Sequence[Tensor]) -> float:
    """The largest difference of all arrays, relative to the largest expected value of each where that is above 1.

    NaN where a graph made no number.
    """
    worst = 0.0
    for mine, tensor in zip(found, expected, strict=True):
        theirs = tensor.numpy()
        assert mine.shape == theirs.shape, (mine.shape, theirs.shape)
        if theirs.size:
            scale = max(1.0, float(np.abs(theirs).max()))
            worst = worse(worst, np.abs(mine.astype(np.float64) - theirs).max() / scale)
    return worst
