"""Residual quantization: each level of centres says what those above it left over."""

from dataclasses import replace

import numpy as np

from optophone.core.k_means import KMeansConfig, fit_k_means, nearest


def fit_residual_k_means(frames: np.ndarray, n_levels: int, config: KMeansConfig) -> np.ndarray:
    """Centres (L, K, D) float32 of `frames` (N, D): those of the frames, then of what is left of them, and so on.

    Args:
        n_levels: L.
        config: of every level; each has a seed of its own.

    Raises:
        DataError: fewer frames than centres, or values that are no numbers.

    Source: Juang and Gray 1982, "Multiple stage vector quantization for speech coding".
    """
    assert n_levels >= 1
    left = np.array(frames, np.float32)
    levels = []
    for level in range(n_levels):
        centres = fit_k_means(left, replace(config, seed=config.seed + level))
        left -= centres[nearest(left, centres)[0]]
        levels.append(centres)
    return np.stack(levels)
