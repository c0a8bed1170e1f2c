"""Runs of speech units: a unit that lasts is written once, with or without how long it lasts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Runs(NamedTuple):
    """Units without repetition.

    Fields: units (R,) int64, no two neighbours alike; lengths (R,) int64 frames of each, at least 1. Both together lose
    nothing; the units alone, which is what captioners learn to write, lose the durations.
    """

    units: np.ndarray
    lengths: np.ndarray


def collapse(units: np.ndarray | Sequence[int]) -> Runs:
    """The runs of `units` (S,), one per frame. `expand` of both fields gives the units back."""
    units = np.asarray(units, dtype=np.int64)
    assert units.ndim == 1, f"units have one axis, these {units.shape}"
    if len(units) == 0:
        return Runs(units.copy(), units.copy())
    starts = np.concatenate(([0], np.flatnonzero(units[1:] != units[:-1]) + 1))
    return Runs(units[starts], np.diff(starts, append=len(units)))


def expand(units: np.ndarray | Sequence[int], lengths: np.ndarray | Sequence[int] | int = 1) -> np.ndarray:
    """Units (S,) int64, one per frame: each of `units` (R,) as often as `lengths`, (R,) or one for all, says."""
    units = np.asarray(units, dtype=np.int64)
    lengths = np.asarray(lengths, dtype=np.int64)
    assert lengths.ndim == 0 or lengths.shape == units.shape, "one length per run"
    assert (lengths >= 0).all(), "a run cannot last less than no frame"
    return np.repeat(units, lengths)
