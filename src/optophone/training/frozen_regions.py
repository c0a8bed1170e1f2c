"""Regions of all training pictures under a frozen encoder, computed once."""

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from optophone.core.picture import PictureSpec
from optophone.data.augmentation import AugmentationConfig, augment
from optophone.data.pictures import as_batch, normalize, resized
from optophone.data.sharded_pictures import Pictures
from optophone.training.half_precision import processor_autocast
from optophone.training.weights import save_tensors

BATCH = 50


class Views(Protocol):
    """How pictures are shown in training."""

    @property
    def size(self) -> int:
        """Pixels of a side."""
        ...

    @property
    def augmentation(self) -> AugmentationConfig:
        """How random views differ."""
        ...


class ViewedPictures(Protocol):
    """A data set of pictures, whatever belongs to them."""

    spec: PictureSpec

    @property
    def pictures(self) -> Pictures:
        """All of them."""
        ...

    @property
    def config(self) -> Views:
        """How they are shown."""
        ...

    def __len__(self) -> int:
        """n pictures."""
        ...


@torch.no_grad()
def compute_regions(encoder: nn.Module, source: ViewedPictures, n_views: int, folder: Path) -> Tensor:
    """Regions (views, n, R, D) bfloat16: of the pictures as they are, mirrored, then randomly changed.

    Args:
        encoder: pictures (B, 3, H, W) → regions (B, R, D).
        source: the pictures and their augmentation.
        n_views: at least 1.
        folder: where they are kept, in a file of their own for each encoder, set of pictures and number of views:
            trainings that look through the same eyes share it.
    """
    fingerprint = _fingerprint(encoder, source, n_views)
    cache = folder / f"{fingerprint}.safetensors"
    if cache.is_file():
        with safe_open(cache, "pt") as file:
            return file.get_tensor("regions")
    encoder.eval()
    views = []
    for view in range(n_views):
        parts = []
        for first in range(0, len(source), BATCH):
            packed = resized(source.pictures[first : first + BATCH], source.spec)
            pictures = _view(as_batch(packed), view, first, source)
            with processor_autocast():
                parts.append(encoder(pictures.contiguous(memory_format=torch.channels_last)).bfloat16())
        views.append(torch.cat(parts))
        print(f"regions of view {view + 1} of {n_views}", flush=True)
    regions = torch.stack(views)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors({"regions": regions}, cache)
    return regions


def _view(pictures: Tensor, view: int, first: int, source: ViewedPictures) -> Tensor:
    config = source.config
    if view == 1:
        pictures = pictures.flip(-1)
    elif view > 1:
        pictures = augment(pictures, config.size, config.augmentation, np.random.default_rng((view, first)))
    return normalize(pictures, source.spec)


def _fingerprint(encoder: nn.Module, source: ViewedPictures, n_views: int) -> str:
    """Changes whenever the regions would."""
    digest = hashlib.sha256(f"{n_views} {len(source)} {source.config.size} {source.config.augmentation}".encode())
    for first in range(0, len(source), BATCH):
        digest.update(np.ascontiguousarray(source.pictures[first : first + BATCH]).data)
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
