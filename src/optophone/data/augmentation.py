"""Random crops, flips and colours for batches of pictures."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class AugmentationConfig:
    """How far a picture is changed.

    Args:
        min_area: smallest part of the picture's area that a crop keeps, 0..1; 1 leaves it whole.
        max_stretch: a crop's aspect ratio lies within 1/max_stretch..max_stretch of the picture's.
        flip: probability of a mirror image.
        brightness: the largest relative change of brightness, and of contrast and saturation.
    """

    min_area: float = 0.35
    max_stretch: float = 1.33
    flip: float = 0.5
    brightness: float = 0.3


class Among(NamedTuple):
    """Which places of a batch of `n` pictures are at hand."""

    n: int
    places: slice


def augment(
    pictures: Tensor, size: int, config: AugmentationConfig, rng: np.random.Generator, among: Among | None = None
) -> Tensor:
    """Random views of `pictures`.

    Args:
        pictures: (B, 3, H, W) float, 0..255.
        size: height and width of the result in pixels.
        config: how far to go.
        rng: source of all randomness.
        among: of which batch `pictures` are a part: each then looks as it would in the whole.

    Returns:
        (B, 3, size, size) float, 0..255.
    """
    among = among or Among(len(pictures), slice(None))
    views = _crop(pictures, size, config, rng, among)
    if config.brightness > 0:
        views = _change_colours(views, config.brightness, rng, among)
    return views


def resize(pictures: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) → (B, 3, size, size), antialiased; unchanged where the size is right already."""
    if pictures.shape[-2:] == (size, size):
        return pictures
    return F.interpolate(pictures, (size, size), mode="bilinear", antialias=True, align_corners=False)


def _crop(pictures: Tensor, size: int, config: AugmentationConfig, rng: np.random.Generator, among: Among) -> Tensor:
    """Crops as one affine sampling of the whole batch: far faster than a crop and a resize for each picture."""
    n = among.n
    area = rng.uniform(config.min_area, 1.0, n)
    stretch = np.exp(rng.uniform(-1, 1, n) * np.log(config.max_stretch) * 0.5)
    height = np.minimum(np.sqrt(area) * stretch, 1.0)
    width = np.minimum(np.sqrt(area) / stretch, 1.0)
    # Where the picture's edge cut a stretched crop, the other side makes up for it.
    height = np.minimum(np.maximum(height, config.min_area / width), 1.0)
    width = np.maximum(width, config.min_area / height)
    mirror = np.where(rng.random(n) < config.flip, -1.0, 1.0)
    theta = np.zeros((n, 2, 3), dtype=np.float32)
    theta[:, 0, 0] = width * mirror
    theta[:, 1, 1] = height
    theta[:, 0, 2] = rng.uniform(-1, 1, n) * (1 - width)
    theta[:, 1, 2] = rng.uniform(-1, 1, n) * (1 - height)
    grid = F.affine_grid(torch.from_numpy(theta[among.places]), [len(pictures), 3, size, size], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _change_colours(pictures: Tensor, amount: float, rng: np.random.Generator, among: Among) -> Tensor:
    """Random brightness, contrast and saturation, each by a factor of 1 ± amount."""
    factors = rng.uniform(1 - amount, 1 + amount, (3, among.n, 1, 1, 1)).astype(np.float32)[:, among.places]
    brightness, contrast, saturation = torch.from_numpy(factors)
    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (pictures - grey) * saturation
    level = grey.mean((2, 3), keepdim=True)
    return ((pictures - level) * contrast + level * brightness).clamp(0, 255)
