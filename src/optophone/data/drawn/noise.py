"""Noise of many kinds."""

import numpy as np
from PIL import Image

from optophone.data.drawn.canvas import Generator, Size, colour, from_values, smooth_field, whole


def white_noise(generator: Generator, size: Size) -> Image.Image:
    """Independent grains of 1 to 12 pixels, grey or coloured, uniform, normal or two-valued."""
    grain = int(generator.choice([1, 1, 1, 2, 3, 6, 12]))
    shape = (size[1] // grain + 1, size[0] // grain + 1, int(generator.choice([1, 3])))
    kind = generator.integers(3)
    values: np.ndarray
    if kind == 0:
        values = generator.uniform(0, 255, shape)
    elif kind == 1:
        values = generator.normal(generator.uniform(60, 190), generator.uniform(15, 70), shape)
    else:
        values = 255.0 * (generator.random(shape) < generator.uniform(0.2, 0.8))
    values = np.repeat(np.repeat(values, grain, axis=0), grain, axis=1)[: size[1], : size[0]]
    return from_values(np.broadcast_to(values, (size[1], size[0], 3)))


def _power_noise(generator: Generator, size: Size, exponent: float) -> np.ndarray:
    """(H, W) noise whose amplitude falls with frequency to the power `exponent`; mean 0, deviation 1."""
    rows, columns = np.meshgrid(np.fft.fftfreq(size[1]), np.fft.rfftfreq(size[0]), indexing="ij")
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(size))
    spectrum = np.fft.rfft2(generator.normal(size=(size[1], size[0]))) / frequency**exponent
    values = np.fft.irfft2(spectrum, s=(size[1], size[0]))
    return (values - values.mean()) / max(values.std(), 1e-9)


def pink_noise(generator: Generator, size: Size) -> Image.Image:
    """Noise with the falling spectrum that photographs have too, in grey."""
    contrast, level = generator.uniform(15, 70), generator.uniform(70, 185)
    return from_values(level + contrast * _power_noise(generator, size, generator.uniform(0.4, 2.2)))


def coloured_noise(generator: Generator, size: Size) -> Image.Image:
    """The same, each channel for itself."""
    exponent, contrast = generator.uniform(0.3, 2.0), generator.uniform(15, 70)
    channels = [generator.uniform(60, 190) + contrast * _power_noise(generator, size, exponent) for _ in range(3)]
    return from_values(np.stack(channels, axis=2))


def salt_and_pepper(generator: Generator, size: Size) -> Image.Image:
    """Single black and white dots on one colour."""
    values = np.full((size[1], size[0], 3), colour(generator), np.float32)
    chance = generator.random((size[1], size[0]))
    share = generator.uniform(0.005, 0.3)
    values[chance < share / 2] = 0
    values[chance > 1 - share / 2] = 255
    return from_values(values)


def television_static(generator: Generator, size: Size) -> Image.Image:
    """Noise drawn out along the lines of a screen, with darker lines between them."""
    grain = whole(generator, 1, 6)
    values = generator.random((size[1], size[0] // grain + 1)) * generator.uniform(120, 255)
    values = np.repeat(values, grain, axis=1)[:, : size[0]]
    values[:: whole(generator, 2, 4)] *= generator.uniform(0.4, 0.95)
    if generator.random() < 0.5:
        values *= 0.6 + 0.6 * smooth_field(generator, (1, size[1]), 6)
    return from_values(values)


def clouds(generator: Generator, size: Size) -> Image.Image:
    """Several sizes of smooth noise on top of each other, between two colours."""
    octaves = [smooth_field(generator, size, 3 * 2**i) * 0.55**i for i in range(whole(generator, 3, 7))]
    field = np.sum(octaves, axis=0)
    field = (field - field.min()) / max(float(np.ptp(field)), 1e-6)
    first, second = np.array(colour(generator)), np.array(colour(generator))
    return from_values(first + field[:, :, None] * (second - first))
