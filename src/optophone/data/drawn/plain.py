"""Pictures with nothing on them: blank, gradients, stripes."""

import numpy as np
from PIL import Image

from optophone.data.drawn.canvas import Generator, Size, colour, dark, from_values, light, smooth_field, vivid, whole


def blank(generator: Generator, size: Size) -> Image.Image:
    """One colour, sometimes with the faint noise of a covered lens or a scanner."""
    base = [light, dark, colour, vivid][generator.integers(4)](generator)
    values = np.full((size[1], size[0], 3), base, np.float32)
    if generator.random() < 0.5:
        n_channels = int(generator.choice([1, 3]))
        values += generator.normal(0, generator.uniform(0.3, 4), (size[1], size[0], n_channels))
    return from_values(values)


def _ramp(generator: Generator, position: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) of positions 0..1 between two to four random colours."""
    stops = np.array([colour(generator) for _ in range(whole(generator, 2, 4))], np.float32)
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(position, at, stops[:, channel]) for channel in range(3)], axis=2)


def linear_gradient(generator: Generator, size: Size) -> Image.Image:
    """Colours that run into each other along a line."""
    rows, columns = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
    angle = generator.choice([0, np.pi / 2, generator.uniform(0, np.pi)])
    position = rows * np.sin(angle) + columns * np.cos(angle)
    position = (position - position.min()) / max(np.ptp(position), 1e-6)
    return from_values(_ramp(generator, position) + _grain(generator, size))


def radial_gradient(generator: Generator, size: Size) -> Image.Image:
    """Colours that run into each other around a point."""
    rows, columns = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
    centre = generator.uniform(0, 1, 2) if generator.random() < 0.6 else np.array([0.5, 0.5])
    distance = np.hypot(rows - centre[0], columns - centre[1])
    return from_values(_ramp(generator, distance / distance.max()) + _grain(generator, size))


def soft_blobs(generator: Generator, size: Size) -> Image.Image:
    """Clouds of colour without any edge, as behind the icons of a telephone."""
    cells = whole(generator, 2, 7)
    values = np.stack([smooth_field(generator, size, cells) for _ in range(3)], axis=2)
    return from_values(255 * values + _grain(generator, size))


def stripes(generator: Generator, size: Size) -> Image.Image:
    """Bands of plain colour: flags, fabrics, colour bars."""
    rows, columns = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
    angle = generator.choice([0, np.pi / 2, generator.uniform(0, np.pi)])
    n = whole(generator, 2, 14)
    colours = np.array([colour(generator) for _ in range(whole(generator, 2, n))], np.float32)
    band = np.floor((rows * np.sin(angle) + columns * np.cos(angle)) * n).astype(int)
    return from_values(colours[band % len(colours)])


def _grain(generator: Generator, size: Size) -> np.ndarray:
    """Noise over a smooth picture, so that smoothness alone does not give it away; none half of the time."""
    if generator.random() < 0.5:
        return np.zeros((size[1], size[0], 1))
    return generator.normal(0, generator.uniform(0.5, 14), (size[1], size[0], int(generator.choice([1, 3]))))
