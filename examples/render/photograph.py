"""From linear light to a picture as a small camera makes it: focus, lens, sensor, tone."""

import numpy as np
from PIL import Image

from .noise import Array


def blur(picture: Array, radius: float) -> Array:
    """Blur (H, W) or (H, W, C) as a Gaussian of `radius` pixels (standard deviation), by three running means."""
    if radius < 0.3:
        return picture
    half = max(1, round(radius * 0.97))
    for axis in (0, 1):
        for _ in range(3):
            picture = _running_mean(picture, half, axis)
    return picture


def _running_mean(picture: Array, half: int, axis: int) -> Array:
    n = picture.shape[axis]
    padding = [(0, 0)] * picture.ndim
    padding[axis] = (half + 1, half)
    sums = np.moveaxis(np.cumsum(np.pad(picture, padding, mode="edge"), axis=axis, dtype=np.float64), axis, 0)
    return np.moveaxis((sums[-n:] - sums[:n]) / (2 * half + 1), 0, axis).astype(np.float32)


def defocus(picture: Array, radius: Array) -> Array:
    """Blur each pixel of (H, W, 3) by its own `radius` (H, W) pixels, between a few evenly blurred copies."""
    result = picture.copy()
    previous, previous_radius = picture, 0.0
    top = float(radius.max())
    step = 1.5
    while previous_radius < top:
        copy = blur(picture, step)
        share = np.clip((radius - previous_radius) / (step - previous_radius), 0, 1)[..., None]
        result = np.where(radius[..., None] > previous_radius, previous + share * (copy - previous), result)
        previous, previous_radius, step = copy, step, step * 2
    return result


def halve(picture: Array) -> Array:
    """Average blocks of 2 × 2 pixels."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return picture.reshape(height, 2, width, 2, 3).mean(axis=(1, 3))


def _lens(picture: Array) -> Array:
    """Darker corners, a faint glow around lights, and red and blue focused at slightly different sizes."""
    height, width = picture.shape[:2]
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    picture = picture * (1 - 0.13 * (x * x + y * y))[..., None]
    picture = picture + 0.05 * blur(np.clip(picture - 0.9, 0, None), width / 80)
    result = picture.copy()
    for channel, zoom in ((0, 1.0009), (2, 0.9991)):
        source = Image.fromarray(np.ascontiguousarray(picture[..., channel], np.float32))
        margin_x, margin_y = width * (1 - 1 / zoom) / 2, height * (1 - 1 / zoom) / 2
        box = (1 / zoom, 0, margin_x, 0, 1 / zoom, margin_y)
        result[..., channel] = np.asarray(
            source.transform((width, height), Image.Transform.AFFINE, box, Image.Resampling.BILINEAR)
        )
    result[:2], result[-2:], result[:, :2], result[:, -2:] = picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]
    return result


def develop(light: Array, rng: np.random.Generator, exposure: float = 1.0, grain: float = 0.008) -> Image.Image:
    """Turn linear light (2H, 2W, 3), drawn at twice the size, into an (H, W) picture.

    The highlights roll off, shadows keep a little less light than a straight line would give, and the noise is that of
    a sensor: stronger where there is less light, and slightly coloured.
    """
    picture = _lens(halve(np.clip(light, 0, 40).astype(np.float32)))
    value = 1 - np.exp(-1.25 * exposure * picture)
    value = np.clip(value, 0, 1) ** (1 / 2.2)
    value = value + 0.35 * value * (1 - value) * (2 * value - 1)
    grey = value.mean(axis=2, keepdims=True)
    value = grey + 1.12 * (value - grey)
    shape = value.shape[:2]
    noise = rng.normal(0, grain, (*shape, 1)) + rng.normal(0, 0.5 * grain, (*shape, 3))
    value = value + noise * (1.2 - 0.7 * value)
    return Image.fromarray((np.clip(value, 0, 1) * 255 + 0.5).astype(np.uint8))
