"""Symbols laid out in time: how many frames each lasts, and what a frame knows of its place."""

from typing import NamedTuple

import numpy as np

PLACE_FEATURES = 3
_USUAL_FRAMES = 8.0  # so many frames are about as long as a letter


class Places(NamedTuple):
    """Where frames stand: symbols (T,) int64 and features (T, 3) float32 (how far into the symbol, how far from its
    middle, how long it is)."""

    symbols: np.ndarray
    features: np.ndarray


def whole_durations(durations: np.ndarray) -> np.ndarray:
    """Whole frames (S,) int64 for fractions of frames (S,), 0 or more: the ends of symbols are rounded, not their
    lengths, so nothing is lost or gained on the way. At least one frame in all."""
    ends = np.round(np.cumsum(np.maximum(durations, 0.0))).astype(np.int64)
    if len(ends) and ends[-1] == 0:
        ends[-1] = 1
    return np.diff(ends, prepend=0)


def place_frames(durations: np.ndarray) -> Places:
    """The places of all frames of symbols that last `durations` (S,) whole frames."""
    symbols = np.repeat(np.arange(len(durations)), durations)
    starts = np.cumsum(durations) - durations
    lengths = durations[symbols]
    within = (np.arange(len(symbols)) - starts[symbols] + 0.5) / np.maximum(lengths, 1)
    features = np.stack((within, 2 * np.abs(within - 0.5), lengths / _USUAL_FRAMES), axis=1)
    return Places(symbols, features.astype(np.float32))


def monotonic_durations(log_probs: np.ndarray) -> np.ndarray:
    """Whole frames (S,) int64 of each symbol on the likeliest way through them, in order and leaving none out.

    Where there are fewer frames than symbols there is no such way, and all symbols last equally long.

    Args:
        log_probs: (T, S) how likely each frame belongs to each symbol.

    Source: Viterbi's algorithm over a chain without jumps; Kim et al. 2020, "Glow-TTS", algorithm 1.
    """
    n_frames, n_symbols = log_probs.shape
    if n_frames < n_symbols:
        return whole_durations(np.full(n_symbols, n_frames / n_symbols))
    best = np.full(n_symbols, -np.inf)
    best[0] = log_probs[0, 0]
    came_on = np.zeros((n_frames, n_symbols), dtype=bool)
    for t in range(1, n_frames):
        before = np.concatenate(([-np.inf], best[:-1]))
        came_on[t] = before > best
        best = np.maximum(before, best) + log_probs[t]
    durations = np.zeros(n_symbols, dtype=np.int64)
    symbol = n_symbols - 1
    for t in range(n_frames - 1, -1, -1):
        durations[symbol] += 1
        symbol -= int(came_on[t, symbol])
    return durations


def expected_durations(log_probs: np.ndarray) -> np.ndarray:
    """Fractions of frames (S,) float64 that each symbol lasts on average over all ways through them, in order and
    leaving none out; every way counts as much as it is likely. They add up to the frames.

    Where there are fewer frames than symbols there is no such way, and all symbols last equally long.

    Args:
        log_probs: (T, S) how likely each frame belongs to each symbol.

    Source: the forward-backward algorithm (Baum et al. 1970) over a chain without jumps.
    """
    n_frames, n_symbols = log_probs.shape
    if n_frames < n_symbols:
        return np.full(n_symbols, n_frames / n_symbols)
    nothing = np.array([-np.inf])
    reached, left = (np.full((n_frames, n_symbols), -np.inf) for _ in range(2))
    reached[0, 0], left[-1, -1] = log_probs[0, 0], 0.0
    for t in range(1, n_frames):
        come = np.logaddexp(reached[t - 1], np.concatenate((nothing, reached[t - 1, :-1])))
        reached[t] = come + log_probs[t]
    for t in range(n_frames - 2, -1, -1):
        ahead = left[t + 1] + log_probs[t + 1]
        left[t] = np.logaddexp(ahead, np.concatenate((ahead[1:], nothing)))
    both = reached + left
    shares = np.exp(both - both.max(axis=1, keepdims=True))
    return (shares / shares.sum(axis=1, keepdims=True)).sum(axis=0)
