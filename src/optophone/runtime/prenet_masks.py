"""Dropout that stays on while a voice speaks, from a seed."""

from collections.abc import Iterator

import numpy as np

_BLOCK = 64  # decoder steps whose masks are drawn at once


def prenet_masks(size: int, seed: int, dropout: bool = True) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two masks (1, size) for every step: 0 or 2 with equal chance, or ones where dropout is off."""
    generator = np.random.default_rng(seed)
    shape = (_BLOCK, 2, 1, size)
    while True:
        if dropout:
            block = generator.integers(0, 2, shape, dtype=np.uint8).astype(np.float32) * 2
        else:
            block = np.ones(shape, dtype=np.float32)
        for masks in block:
            yield masks[0], masks[1]
