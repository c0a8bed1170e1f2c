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
