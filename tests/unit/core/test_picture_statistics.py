"""Statistics of pictures: always as many, always finite, and telling what they should."""

import numpy as np
import pytest

from optophone.core.picture_statistics import picture_statistics

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (7, 3), (48, 48), (95, 97), (300, 1000), (1600, 1700)])
def test_any_size_gives_as_many_finite_numbers(shape: tuple[int, int]) -> None:
    for picture in (np.zeros((*shape, 3), np.uint8), GENERATOR.integers(0, 256, (*shape, 3)).astype(np.uint8)):
        found = picture_statistics(picture)
        assert found.dtype == np.float32
        assert found.shape == (176,)
        assert np.isfinite(found).all()


def test_the_same_picture_gives_the_same_numbers() -> None:
    picture = GENERATOR.integers(0, 256, (120, 90, 3)).astype(np.uint8)
    np.testing.assert_array_equal(picture_statistics(picture), picture_statistics(picture.copy()))


def test_the_picture_is_left_alone() -> None:
    picture = GENERATOR.integers(0, 256, (40, 200, 3)).astype(np.uint8)
    before = picture.copy()
    picture_statistics(picture)
    np.testing.assert_array_equal(picture, before)


def test_equal_neighbours_and_hard_edges_are_counted() -> None:
    """The first numbers are the shares of steps of at most 0, 1, 3, 6, 12, 24, 48 and 96 levels."""
    checkers = np.kron(np.indices((24, 24)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2) * 255
    steps = picture_statistics(checkers.astype(np.uint8))[:8]
    assert np.ptp(steps) == 0
    assert 0.85 < steps[0] < 0.9
    noise = picture_statistics(GENERATOR.integers(0, 256, (200, 200, 3)).astype(np.uint8))[:8]
    assert noise[0] < 0.02
    assert noise[7] > 0.6
