"""How far a score would move with other pictures of the same kind: percentile intervals by resampling pictures."""

from collections.abc import Callable

import numpy as np

from optophone.core.errors import DataError

_CHUNK = 4_000_000  # picture numbers drawn at a time


def bootstrap_interval(
    per_picture: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray],
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a score over pictures drawn again with replacement.

    Args:
        per_picture: (P, K) figures whose sum over pictures decides the score.
        score: (n, K) sums of P pictures each → (n,) scores.
        n_resamples: how many sets of P pictures are drawn.
        level: share of the resampled scores inside the interval.
        seed: of the drawing.

    Returns:
        Lower and upper end.

    Raises:
        DataError: no pictures.

    Source: Efron 1979; percentile method.
    """
    tail = (1 - level) / 2
    low, high = np.quantile(bootstrap_scores(per_picture, score, n_resamples, seed), [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_scores(
    per_picture: np.ndarray, score: Callable[[np.ndarray], np.ndarray], n_resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """(n_resamples,) scores over pictures drawn again; the arguments are those of `bootstrap_interval`.

    The same seed draws the same pictures, so that figures of two systems side by side are compared picture by picture.

    Raises:
        DataError: no pictures.
    """
    n_pictures = len(per_picture)
    if n_pictures == 0:
        raise DataError("No pictures to resample: there is no interval over nothing.")
    generator = np.random.default_rng(seed)
    n_at_once = max(1, _CHUNK // n_pictures)
    scores = []
    for first in range(0, n_resamples, n_at_once):
        n = min(n_at_once, n_resamples - first)
        scores.append(score(_draw_counts(generator, n, n_pictures) @ per_picture))
    return np.concatenate(scores)


def _draw_counts(generator: np.random.Generator, n: int, n_pictures: int) -> np.ndarray:
    """(n, P) float64: how often each picture comes in each of n drawn sets."""
    drawn = generator.integers(n_pictures, size=(n, n_pictures)) + n_pictures * np.arange(n)[:, None]
    return np.bincount(drawn.ravel(), minlength=n * n_pictures).reshape(n, n_pictures).astype(np.float64)
