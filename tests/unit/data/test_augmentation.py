"""Random views of pictures: how far they go, and that they follow from their random numbers."""

import numpy as np
import pytest
import torch

from optophone.data.augmentation import AugmentationConfig, augment, resize

STILL = AugmentationConfig(min_area=1.0, max_stretch=1.0, flip=0.0, brightness=0.0)
WILD = AugmentationConfig(min_area=0.1, max_stretch=2.0, flip=0.5, brightness=0.5)


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(1)) * 255


def view(pictures: torch.Tensor, config: AugmentationConfig, size: int = 20, seed: int = 3) -> torch.Tensor:
    return augment(pictures, size, config, np.random.default_rng(seed))


@pytest.mark.parametrize("size", [8, 20, 31])
def test_shape_and_range_are_kept(pictures: torch.Tensor, size: int) -> None:
    extreme = torch.cat([pictures, torch.zeros(1, 3, 20, 20), torch.full((1, 3, 20, 20), 255.0)])
    for seed in range(10):
        views = view(extreme, WILD, size, seed)
        assert views.shape == (8, 3, size, size)
        assert views.dtype == torch.float32
        assert views.min() >= 0
        assert views.max() <= 255


def test_nothing_to_change_is_the_identity(pictures: torch.Tensor) -> None:
    torch.testing.assert_close(view(pictures, STILL), pictures, atol=1e-2, rtol=0)


def test_a_whole_picture_cannot_be_stretched(pictures: torch.Tensor) -> None:
    still = AugmentationConfig(min_area=1.0, max_stretch=1.33, flip=0.0, brightness=0.0)
    torch.testing.assert_close(view(pictures, still), pictures, atol=1e-2, rtol=0)


def test_a_flip_is_a_mirror_image(pictures: torch.Tensor) -> None:
    always = AugmentationConfig(1.0, 1.0, flip=1.0, brightness=0.0)
    torch.testing.assert_close(view(pictures, always), pictures.flip(-1), atol=1e-2, rtol=0)


def test_half_of_the_pictures_are_mirrored() -> None:
    ramp = torch.linspace(0, 255, 8).expand(400, 3, 8, 8)
    views = view(ramp, AugmentationConfig(1.0, 1.0, flip=0.5, brightness=0.0), 8)
    mirrored = (views[:, 0, 0, 0] > views[:, 0, 0, -1]).float().mean()
    assert 0.4 < mirrored < 0.6


def test_a_crop_keeps_the_least_area_and_stays_inside() -> None:
    """In a picture of coordinates the corners of a view say where it was cut."""
    n, size = 300, 64
    across = torch.linspace(0.5, size - 0.5, size).expand(n, 1, size, size)
    coordinates = torch.cat([across, across.transpose(2, 3), across], 1)
    config = AugmentationConfig(min_area=0.4, max_stretch=1.8, flip=0.0, brightness=0.0)
    views = view(coordinates, config, size)
    spans = views[:, :2].amax((2, 3)) - views[:, :2].amin((2, 3))
    width, height = (spans / (size - 1)).T
    assert (width * height).min() > 0.4 - 0.04
    assert (width * height).max() > 0.85
    assert (width * height).mean() < 0.8
    assert (width / height).max() <= 1.8 * 1.05
    assert (height / width).max() <= 1.8 * 1.05
    assert (width / height).std() > 0.1
    lefts = views[:, 0].amin((1, 2))
    assert lefts.max() > 5
    assert lefts.min() < 2


def test_colours_change_by_no_more_than_they_may() -> None:
    grey = torch.full((300, 3, 4, 4), 100.0)
    views = view(grey, AugmentationConfig(1.0, 1.0, 0.0, brightness=0.2), 4)
    levels = views.mean((1, 2, 3))
    assert levels.min() >= 80 - 1e-3
    assert levels.max() <= 120 + 1e-3
    assert levels.std() > 5
    torch.testing.assert_close(views.amax((1, 2, 3)), views.amin((1, 2, 3)))


def test_views_follow_from_the_random_numbers(pictures: torch.Tensor) -> None:
    assert torch.equal(view(pictures, WILD), view(pictures, WILD))
    assert not torch.equal(view(pictures, WILD), view(pictures, WILD, seed=4))
    assert not torch.equal(view(pictures[:1].expand(2, -1, -1, -1), WILD)[0], view(pictures[:2], WILD)[1])


def test_resizing(pictures: torch.Tensor) -> None:
    assert resize(pictures, 20) is pictures
    assert resize(pictures, 10).shape == (6, 3, 10, 10)
    torch.testing.assert_close(resize(torch.full((1, 3, 9, 9), 7.0), 5), torch.full((1, 3, 5, 5), 7.0))
    board = (torch.arange(32) % 2 * 255.0).expand(1, 3, 32, 32)
    middle = resize(board, 8)[..., 2:-2]
    assert (middle - 127.5).abs().max() < 20, "fine stripes become grey, not stripes"
