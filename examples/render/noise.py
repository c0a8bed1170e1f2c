"""Smooth random fields over a plane: the raw material of sand, clouds, foam, grass and snow."""

from functools import lru_cache

import numpy as np

Array = np.ndarray
_PERIOD = 256  # cells before a field repeats; a power of two, so that wrapping is a bit mask
_CHUNK = 16384  # points at a time: their arrays stay in the processor's cache


@lru_cache(maxsize=64)
def _gradients(seed: int) -> tuple[Array, Array]:
    """Unit gradients on the lattice, two (256 * 256,) float32 arrays."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi, _PERIOD * _PERIOD)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def gradient_noise(x: Array, y: Array, seed: int) -> Array:
    """Noise of about -1..1 with features one unit wide, at the points (x, y) of any common shape."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    result = np.empty(flat_x.shape, np.float32)
    for first in range(0, len(result), _CHUNK):
        part = slice(first, first + _CHUNK)
        result[part] = _gradient_noise(flat_x[part], flat_y[part], seed)
    return result.reshape(x.shape)


def _gradient_noise(x: Array, y: Array, seed: int) -> Array:
    slope_x, slope_y = _gradients(seed)
    floor_x, floor_y = np.floor(x), np.floor(y)
    column, row = floor_x.astype(np.int32), floor_y.astype(np.int32)
    columns = column & (_PERIOD - 1), (column + 1) & (_PERIOD - 1)
    rows = (row & (_PERIOD - 1)) * _PERIOD, ((row + 1) & (_PERIOD - 1)) * _PERIOD
    dx, dy = x - floor_x, y - floor_y
    fade_x, fade_y = (t * t * t * (t * (t * 6 - 15) + 10) for t in (dx, dy))

    def corner(i: int, j: int) -> Array:
        index = rows[j] + columns[i]
        return slope_x.take(index) * (dx - i) + slope_y.take(index) * (dy - j)

    low, high = corner(0, 0), corner(0, 1)
    low += fade_x * (corner(1, 0) - low)
    high += fade_x * (corner(1, 1) - high)
    return np.float32(1.5) * (low + fade_y * (high - low))


def fractal_noise(
    x: Array, y: Array, seed: int, octaves: int = 5, gain: float = 0.5, footprint: Array | float = 0.0
) -> Array:
    """Octaves of `gradient_noise`, each twice as fine and `gain` times as strong, together about -1..1.

    Args:
        x: abscissae in units of the coarsest feature.
        y: ordinates, of the same shape.
        seed: which field.
        octaves: how many scales are added.
        gain: strength of an octave relative to the coarser one.
        footprint: size of a pixel in the same units; octaves finer than that fade out instead of flickering.
    """
    total: Array = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y)), np.float32)
    strength, frequency, sum_of_strengths = 1.0, 1.0, 0.0
    for octave in range(octaves):
        visible = np.clip(1.6 - 2 * frequency * footprint, 0, 1)
        if np.any(visible > 0):
            total = total + strength * visible * gradient_noise(
                x * frequency + 17.3 * octave, y * frequency, seed + octave
            )
        sum_of_strengths += strength
        strength *= gain
        frequency *= 2.03
    return total / sum_of_strengths * 1.5


def ridges(x: Array, y: Array, seed: int, octaves: int = 4) -> Array:
    """Sharp winding crests, 0..1 with 1 on the crest: the net that foam makes on water, the edges of rocks."""
    total: Array = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y)), np.float32)
    strength = 0.5
    for octave in range(octaves):
        total = total + strength * (1 - np.abs(gradient_noise(x * 2.1**octave, y * 2.1**octave, seed + octave))) ** 2
        strength *= 0.5
    return total


def smoothstep(low: Array | float, high: Array | float, value: Array) -> Array:
    """0 at or before `low`, 1 at or after `high` (which may be the smaller one), an S between them."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: Array, second: Array, share: Array | float) -> Array:
    """`first` where `share` is 0, `second` where it is 1. Fields (H, W) mix colours (3,) to (H, W, 3)."""
    first, second, share = np.asarray(first, np.float32), np.asarray(second, np.float32), np.asarray(share, np.float32)
    if share.ndim >= 1 and first.shape[-1:] == (3,) and share.shape[-1:] != (3,):
        share = share[..., None]
    return first + (second - first) * share
