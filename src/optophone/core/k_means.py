"""k-means: as many centres as wanted, near which all frames lie. Deterministic for a seed."""

from dataclasses import dataclass

import numpy as np

from optophone.core.errors import ConfigurationError, DataError

_BLOCK = 8192  # frames whose distances to all centres are in memory at once


@dataclass(frozen=True)
class KMeansConfig:
    """How centres are sought.

    Args:
        n_codes: K, the centres.
        n_seeding: frames among which the first centres are chosen; 0 for all.
        n_steps: mini-batches, drawn without repetition within each.
        batch_size: frames of a mini-batch.
        n_passes: passes over all frames at the end, after each of which every centre is the mean of its frames. They
            end sooner where no frame changes its centre.
        seed: of all that is drawn.
    """

    n_codes: int = 100
    n_seeding: int = 20000
    n_steps: int = 200
    batch_size: int = 4096
    n_passes: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what finds no centres."""
        if self.n_codes < 1 or self.batch_size < 1:
            raise ConfigurationError("k-means: n_codes and batch_size are at least 1.")
        if min(self.n_seeding, self.n_steps, self.n_passes) < 0:
            raise ConfigurationError("k-means: n_seeding, n_steps and n_passes cannot be negative.")


def fit_k_means(frames: np.ndarray, config: KMeansConfig) -> np.ndarray:
    """Centres (K, D) float32 of `frames` (N, D), which may be memory-mapped.

    Raises:
        DataError: fewer frames than centres, or values that are no numbers.

    Source: Arthur and Vassilvitskii 2007, "k-means++" (seeding); Sculley 2010, "Web-scale k-means clustering",
    algorithm 1 (mini-batches); Lloyd 1982 (passes).
    """
    assert frames.ndim == 2, f"frames have two axes, these {frames.shape}"
    if len(frames) < config.n_codes:
        raise DataError(f"k-means: {len(frames)} frames for {config.n_codes} units; give more speech or fewer units.")
    rng = np.random.default_rng(config.seed)
    n_seeding = min(len(frames), max(config.n_seeding or len(frames), config.n_codes))
    chosen = np.sort(rng.choice(len(frames), n_seeding, replace=False))
    centres = _seed(np.asarray(frames[chosen], np.float64), config.n_codes, rng)
    counts = np.zeros(config.n_codes)
    for _ in range(config.n_steps):
        batch = np.sort(rng.choice(len(frames), min(config.batch_size, len(frames)), replace=False))
        _mini_batch(np.asarray(frames[batch], np.float64), centres, counts)
    before = None
    for _ in range(config.n_passes):
        codes, centres = _whole_pass(frames, centres)
        if before is not None and np.array_equal(codes, before):
            break
        before = codes
    return centres.astype(np.float32)


def nearest(frames: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of `frames` (N, D): which of `centres` (K, D) is nearest, (N,) int64, and its squared distance, (N,)."""
    codes, distances = np.empty(len(frames), np.int64), np.empty(len(frames))
    centres = np.asarray(centres, np.float64)
    norms = np.square(centres).sum(1)
    for start in range(0, len(frames), _BLOCK):
        block = slice(start, start + _BLOCK)
        part = np.asarray(frames[block], np.float64)
        found = norms - 2.0 * (part @ centres.T)
        codes[block] = found.argmin(1)
        best = found[np.arange(len(part)), codes[block]] + np.square(part).sum(1)
        distances[block] = np.maximum(best, 0.0)
    return codes, distances


def _seed(frames: np.ndarray, n_codes: int, rng: np.random.Generator) -> np.ndarray:
    """First centres (K, D): each next one a frame drawn by its squared distance to those before."""
    if not np.isfinite(frames).all():
        raise DataError("k-means: the frames hold values that are no numbers (NaN or infinity).")
    centres = np.empty((n_codes, frames.shape[1]))
    centres[0] = frames[rng.integers(len(frames))]
    distances = np.square(frames - centres[0]).sum(1)
    for k in range(1, n_codes):
        total = distances.sum()
        # All frames are centres already where the total is 0: any will do.
        chosen = rng.choice(len(frames), p=distances / total) if total > 0 else rng.integers(len(frames))
        centres[k] = frames[chosen]
        np.minimum(distances, np.square(frames - centres[k]).sum(1), out=distances)
    return centres


def _mini_batch(batch: np.ndarray, centres: np.ndarray, counts: np.ndarray) -> None:
    """Move `centres` (K, D) towards their frames in `batch`, each as far as one frame among all it has had."""
    codes, _ = nearest(batch, centres)
    sums, added = _sums(batch, codes, len(centres))
    counts += added
    moved = added > 0
    centres[moved] += (sums[moved] - added[moved, None] * centres[moved]) / counts[moved, None]


def _whole_pass(frames: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N,) of all frames, and the means (K, D) of each code's frames; a code without any takes a far frame."""
    codes, distances = nearest(frames, centres)
    sums, counts = np.zeros_like(centres), np.zeros(len(centres))
    for start in range(0, len(frames), _BLOCK):
        block = slice(start, start + _BLOCK)
        part, added = _sums(np.asarray(frames[block], np.float64), codes[block], len(centres))
        sums += part
        counts += added
    means = sums / np.maximum(counts, 1)[:, None]
    empty = np.flatnonzero(counts == 0)
    means[empty] = frames[np.argsort(-distances, kind="stable")[: len(empty)]]
    return codes, means


def _sums(frames: np.ndarray, codes: np.ndarray, n_codes: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum (K, D) and number (K,) of the frames of each code."""
    sums = np.zeros((n_codes, frames.shape[1]))
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    sums[present] = np.add.reduceat(frames[order], starts)
    return sums, np.bincount(codes, minlength=n_codes).astype(np.float64)
