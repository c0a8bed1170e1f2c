"""Pictures as tensors."""

import numpy as np
import torch
from torch import Tensor

from optophone.core.picture import PictureSpec, resize_picture


def resized(pictures: np.ndarray, spec: PictureSpec) -> np.ndarray:
    """(B, H, W, 3) uint8 → (B, height, width, 3) uint8, by the resizing that the runtime uses."""
    if pictures.shape[1:3] == (spec.height, spec.width):
        return pictures
    return np.stack([resize_picture(picture, spec) for picture in pictures])


def as_batch(pictures: np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W) float, 0..255."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float()


def normalize(pictures: Tensor, spec: PictureSpec) -> Tensor:
    """(B, 3, H, W) float 0..255 → what `core.picture.normalize_picture` gives for one picture, batched."""
    mean = torch.tensor(spec.mean).view(1, 3, 1, 1)
    std = torch.tensor(spec.std).view(1, 3, 1, 1)
    return (pictures / 255 - mean) / std
