"""Some of many, evenly spread."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def spread(items: Sequence[Any] | np.ndarray, n: int) -> list[Any]:
    """About `n` of `items`, evenly spread; arrays are copied out of their file."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int))
    return [np.array(items[i]) if isinstance(items, np.ndarray) else items[i] for i in chosen]
