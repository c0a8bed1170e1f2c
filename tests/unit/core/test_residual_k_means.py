"""Residual k-means: every level leaves less."""

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.k_means import KMeansConfig, nearest
from optophone.core.residual_k_means import fit_residual_k_means

CONFIG = KMeansConfig(n_codes=8, n_steps=20, n_passes=3)


def left_over(frames: np.ndarray, levels: np.ndarray) -> list[float]:
    found, left = [], frames.copy()
    for centres in levels:
        left = left - centres[nearest(left, centres)[0]]
        found.append(float(np.square(left).mean()))
    return found


def test_every_level_leaves_less() -> None:
    frames = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    levels = fit_residual_k_means(frames, 3, CONFIG)
    assert levels.shape == (3, 8, 4)
    assert levels.dtype == np.float32
    errors = left_over(frames, levels)
    assert float(np.square(frames).mean()) > 1.5 * errors[0] > 2.2 * errors[1] > 3 * errors[2]


def test_sums_of_centres_are_found_again() -> None:
    rng = np.random.default_rng(1)
    coarse, fine = rng.normal(0, 10, (8, 3)), rng.normal(0, 0.3, (8, 3))
    frames = (coarse[rng.integers(8, size=2000)] + fine[rng.integers(8, size=2000)]).astype(np.float32)
    assert left_over(frames, fit_residual_k_means(frames, 2, CONFIG))[1] < 0.02


def test_it_is_the_same_each_time_and_leaves_its_input_alone() -> None:
    frames = np.random.default_rng(2).normal(size=(100, 2)).astype(np.float32)
    before = frames.copy()
    np.testing.assert_array_equal(fit_residual_k_means(frames, 2, CONFIG), fit_residual_k_means(frames, 2, CONFIG))
    np.testing.assert_array_equal(frames, before)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(DataError, match="4 frames for 8"):
        fit_residual_k_means(np.zeros((4, 2), np.float32), 2, CONFIG)
