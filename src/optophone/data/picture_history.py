"""What happens to pictures before somebody asks what they show: scaled, cut, compressed, blurred, turned grey, framed.

Photographs and drawings go through the same, so that a detector learns what they are and not how they were stored.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

Generator = np.random.Generator
Change = Callable[[Image.Image, Generator], Image.Image]
_LARGEST = 1600  # pixels a side


def with_history(image: Image.Image, generator: Generator, is_photograph: bool) -> Image.Image:
    """An RGB image as it may arrive; one time in five unchanged.

    Args:
        image: RGB.
        generator: decides what happens.
        is_photograph: photographs may also be dark, pale or grainy; a drawing that is, is a different drawing.
    """
    if generator.random() < 0.2:
        return image
    image = _scale(image, generator, 3.5 if is_photograph else 2.2)
    changes: list[tuple[float, Change]] = [(0.15, _cut), (0.12, _blur), (0.12, _grey), (0.05, _sepia)]
    if is_photograph:
        changes += [(0.25, _expose), (0.2, _contrast), (0.1, _grain), (0.05, _frame)]
    for chance, change in changes:
        if generator.random() < chance:
            image = change(image, generator)
    if generator.random() < 0.6:
        image = _compress(image, generator)
    if generator.random() < 0.25:
        image = _scale(image, generator, 2.2)
    return image


def _scale(image: Image.Image, generator: Generator, largest: float) -> Image.Image:
    factor = float(np.exp(generator.uniform(np.log(0.25), np.log(largest))))
    factor = min(max(factor, 48 / min(image.size)), _LARGEST / max(image.size))
    size = (max(8, round(image.width * factor)), max(8, round(image.height * factor)))
    ways = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.NEAREST)
    return image.resize(size, ways[int(generator.choice(4, p=(0.45, 0.25, 0.25, 0.05)))])


def _cut(image: Image.Image, generator: Generator) -> Image.Image:
    share = generator.uniform(0.5, 1, 2)
    width, height = max(8, round(image.width * share[0])), max(8, round(image.height * share[1]))
    left = int(generator.integers(image.width - width + 1))
    top = int(generator.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _blur(image: Image.Image, generator: Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(generator.uniform(0.4, 0.006 * max(image.size) + 0.5)))


def _grey(image: Image.Image, generator: Generator) -> Image.Image:
    return image.convert("L").convert("RGB")


def _sepia(image: Image.Image, generator: Generator) -> Image.Image:
    return ImageOps.colorize(image.convert("L"), black=(30, 20, 10), white=(255, 240, 210))


def _expose(image: Image.Image, generator: Generator) -> Image.Image:
    """Night or glare: values to a power, then scaled."""
    gamma = float(np.exp(generator.uniform(-1.0, 1.0)))
    gain = generator.uniform(0.2, 1.0) if gamma > 1 else generator.uniform(1.0, 2.2)
    table = np.clip(255 * gain * (np.arange(256) / 255) ** gamma, 0, 255).astype(np.uint8)
    return image.point(list(table) * 3)


def _contrast(image: Image.Image, generator: Generator) -> Image.Image:
    """Fog or hard light, pale or strong colours."""
    image = ImageEnhance.Contrast(image).enhance(generator.uniform(0.25, 1.6))
    return ImageEnhance.Color(image).enhance(generator.uniform(0.3, 1.6))


def _grain(image: Image.Image, generator: Generator) -> Image.Image:
    values = np.asarray(image, np.float32)
    noise = generator.normal(0, generator.uniform(2, 18), (*values.shape[:2], int(generator.choice([1, 3]))))
    return Image.fromarray(np.clip(values + noise, 0, 255).astype(np.uint8))


def _frame(image: Image.Image, generator: Generator) -> Image.Image:
    """A plain border around, or bars on two sides."""
    level = int(generator.choice([0, 255, 128]))
    x, y = (round(share * min(image.size)) for share in generator.uniform(0, 0.3, 2))
    return ImageOps.expand(image, (x, y, x, y), fill=(level, level, level))


def _compress(image: Image.Image, generator: Generator) -> Image.Image:
    """Through JPEG, WebP or a palette of 256 colours, as in a GIF."""
    kind = generator.random()
    if kind > 0.93:
        return image.quantize(256).convert("RGB")
    buffer = io.BytesIO()
    if kind > 0.8:
        image.save(buffer, "WEBP", quality=int(generator.integers(30, 96)))
    else:
        image.save(buffer, "JPEG", quality=int(generator.integers(30, 96)))
    return Image.open(buffer).convert("RGB")
