"""Cepstra and their slopes, against loops."""

import math

import torch

from optophone.models.units.cepstra import REACH, Cepstra


def slopes(x: torch.Tensor) -> torch.Tensor:
    """Regression over two frames either side of (C, T), edges going on."""
    found, last = torch.zeros_like(x), x.shape[1] - 1
    for t in range(x.shape[1]):
        for n in (1, 2):
            found[:, t] += n * (x[:, min(t + n, last)] - x[:, max(t - n, 0)]) / 10
    return found


def test_coefficients_and_slopes_equal_loops() -> None:
    levels = torch.randn(8, 11, generator=torch.Generator().manual_seed(0))
    found = Cepstra(8, 4)(levels[None])[0]
    for k in range(4):
        expected = sum(levels[m] * math.cos(math.pi * k * (m + 0.5) / 8) for m in range(8))
        torch.testing.assert_close(found[k], expected * math.sqrt((1 if k == 0 else 2) / 8))
    torch.testing.assert_close(found[4:8], slopes(found[:4]))
    torch.testing.assert_close(found[8:], slopes(found[4:8]))


def test_all_coefficients_lose_nothing() -> None:
    basis = Cepstra(6, 6).basis
    torch.testing.assert_close(basis @ basis.T, torch.eye(6))


def test_frames_that_are_not_valid_are_not_seen() -> None:
    cepstra, levels = Cepstra(8, 3), torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(2, 20, dtype=torch.bool)
    mask[0, 4:15] = mask[1, :9] = True
    found = cepstra(levels, mask)
    torch.testing.assert_close(found[0, :, 4:15], cepstra(levels[:1, :, 4:15])[0])
    torch.testing.assert_close(found[1, :, :9], cepstra(levels[1:, :, :9])[0])
    assert cepstra(levels, torch.zeros(2, 20, dtype=torch.bool)).isfinite().all()


def test_slopes_reach_as_far_as_is_said() -> None:
    cepstra, levels = Cepstra(8, 3), torch.zeros(1, 8, 21)
    moved = levels.clone()
    moved[0, :, 10] = 1
    touched = (cepstra(moved) - cepstra(levels))[0].abs().amax(0).nonzero().flatten()
    assert touched.tolist() == list(range(10 - REACH, 10 + REACH + 1))
