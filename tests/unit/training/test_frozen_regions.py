"""Regions under a frozen encoder: what each view shows, and when they are computed again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from optophone.core.vocabulary import build_words
from optophone.data.augmentation import AugmentationConfig
from optophone.data.captioned_pictures import CaptionedPictures, CaptionedPicturesConfig
from optophone.data.pictures import as_batch, normalize
from optophone.models.encoders.residual_grid import ResidualGrid, ResidualGridConfig
from optophone.training.frozen_regions import BATCH, compute_regions

N, SIZE = BATCH + 3, 16
CONFIG = CaptionedPicturesConfig("", sizes=((0, SIZE),), size=SIZE)
PICTURES = np.random.default_rng(3).integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)


class Pixels(nn.Module):
    """An encoder whose regions are the pixels; counts how often it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.n_pictures = 0

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.n_pictures += len(pictures)
        return pictures.flatten(2).transpose(1, 2) * self.scale


def source(pictures: np.ndarray = PICTURES, config: CaptionedPicturesConfig = CONFIG) -> CaptionedPictures:
    return CaptionedPictures(pictures, [[[4, 2]]] * len(pictures), build_words(["dog"]), config)


def pixels(pictures: np.ndarray) -> torch.Tensor:
    return normalize(as_batch(pictures), source().spec).flatten(2).transpose(1, 2)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "regions"
    assert all(path.suffix == ".safetensors" for path in (tmp_path / "regions").iterdir())


def test_views_are_the_picture_its_mirror_image_and_random_ones(cache: Path) -> None:
    regions = compute_regions(Pixels(), source(), 4, cache)
    assert regions.shape == (4, N, SIZE * SIZE, 3)
    assert regions.dtype == torch.bfloat16
    found = regions.float()
    torch.testing.assert_close(found[0], pixels(PICTURES), atol=0.02, rtol=0.01)
    torch.testing.assert_close(found[1], pixels(PICTURES[:, :, ::-1]), atol=0.02, rtol=0.01)
    for one, other in ((0, 2), (1, 2), (2, 3)):
        assert (found[one] - found[other]).abs().mean() > 0.1


def test_each_picture_has_its_own_random_view(cache: Path) -> None:
    alike = np.broadcast_to(PICTURES[0], PICTURES.shape)
    views = compute_regions(Pixels(), source(alike), 3, cache)[2].float().flatten(1)
    assert len(torch.unique(views, dim=0)) == N


def test_larger_pictures_are_resized(cache: Path) -> None:
    grey = np.full((2, 24, 24, 3), 90, dtype=np.uint8)
    regions = compute_regions(Pixels(), source(grey), 1, cache)
    torch.testing.assert_close(regions[0].float(), pixels(grey[:, :SIZE, :SIZE]), atol=0.02, rtol=0.01)


def test_the_cache_is_reused(cache: Path) -> None:
    encoder = Pixels()
    first = compute_regions(encoder, source(), 2, cache)
    assert encoder.n_pictures == 2 * N
    assert torch.equal(compute_regions(encoder, source(), 2, cache), first)
    assert encoder.n_pictures == 2 * N


def test_regions_of_two_encoders_are_kept_side_by_side(cache: Path) -> None:
    one, other = Pixels(), Pixels()
    with torch.no_grad():
        other.scale.fill_(2.0)
    compute_regions(one, source(), 1, cache)
    compute_regions(other, source(), 1, cache)
    compute_regions(one, source(), 1, cache)
    assert one.n_pictures == N
    assert len(list(cache.iterdir())) == 2


def test_regions_are_computed_again_when_anything_changes(cache: Path) -> None:
    encoder = Pixels()
    changed = PICTURES.copy()
    changed[N - 1, 0, 0, 0] ^= 255
    compute_regions(encoder, source(), 2, cache)
    other = replace(CONFIG, augmentation=AugmentationConfig(0.9))
    for pictures, config, n_views in ((PICTURES, other, 2), (PICTURES, CONFIG, 3), (changed, CONFIG, 3)):
        encoder.n_pictures = 0
        compute_regions(encoder, source(pictures, config), n_views, cache)
        assert encoder.n_pictures == n_views * N
    encoder.n_pictures = 0
    with torch.no_grad():
        encoder.scale.fill_(2.0)
    regions = compute_regions(encoder, source(changed), 3, cache)
    assert encoder.n_pictures == 3 * N
    torch.testing.assert_close(regions[0].float(), 2 * pixels(changed), atol=0.04, rtol=0.01)


def test_statistics_of_the_encoder_count_too(cache: Path) -> None:
    encoder = ResidualGrid(ResidualGridConfig((4,), (1,)))
    first = compute_regions(encoder, source(), 1, cache)
    with torch.no_grad():
        encoder.stem[1].running_mean.add_(1.0)  # type: ignore[operator]
    assert not torch.equal(compute_regions(encoder, source(), 1, cache), first)


def test_no_gradient_reaches_the_encoder(cache: Path) -> None:
    assert not compute_regions(Pixels(), source(), 1, cache).requires_grad
