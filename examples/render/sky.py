"""The sky: a gradient from the horizon up, with clouds that shrink towards the horizon."""

import numpy as np

from .noise import Array, fractal_noise, mix, smoothstep


def sky_light(
    across: Array, up: Array, seed: int, cover: float, zenith: Array, horizon: Array, scale: float = 0.5
) -> Array:
    """Linear light (..., 3) of the sky in the directions (across, up, 1).

    Args:
        across: x / z of the directions.
        up: y / z, positive above the horizon.
        seed: which clouds.
        cover: 0 for a clear sky, 1 for a closed one.
        zenith: colour high up.
        horizon: colour at the horizon.
        scale: size of the clouds, larger is finer.
    """
    up = np.maximum(up, 0)
    light = mix(horizon, zenith, np.clip(1 - np.exp(-4.5 * up), 0, 1))
    distance = 1 / (up + 0.12)
    x, y = across * distance * scale, distance * scale * 1.6
    footprint = 0.004 * distance * distance * scale
    density = fractal_noise(x, y, seed, octaves=6, gain=0.55, footprint=footprint)
    towards_sun = fractal_noise(x - 0.18, y - 0.22, seed, octaves=4, gain=0.55, footprint=footprint)
    thickness = smoothstep(0.55 - cover, 1.15 - cover, density)
    lit = np.clip(0.62 + 0.9 * (density - towards_sun) - 0.25 * thickness, 0.3, 1.0)
    cloud = mix(np.array([0.62, 0.68, 0.76]), np.array([1.35, 1.33, 1.3]), lit)
    return mix(light, mix(cloud, horizon, np.clip(0.85 - 6 * up, 0, 0.85)), 0.92 * thickness)
