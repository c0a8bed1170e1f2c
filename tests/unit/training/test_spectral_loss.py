"""Distances of spectrograms."""

import numpy as np
import pytest
import torch

from optophone.core.mel import log_mel
from optophone.training.spectral_loss import SpectralLoss, SpectralLossConfig
from tiny_datasets import MEL

LOSS = SpectralLoss(SpectralLossConfig((256, 64), mel_weight=2.0, spectrum_weight=3.0), MEL)


def waves() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(2, 2048, generator=generator), 0.1 * torch.randn(2, 2048, generator=generator)


def test_its_mel_is_the_mel() -> None:
    wave, _ = waves()
    found = LOSS.log_mel(wave)[0].numpy()
    np.testing.assert_allclose(found, log_mel(wave[0].numpy(), MEL), atol=1e-4)


def test_nothing_between_equals() -> None:
    wave, _ = waves()
    assert float(LOSS(wave, wave).total) == pytest.approx(0.0, abs=1e-6)


def test_the_terms_and_their_weights() -> None:
    losses = LOSS(*waves())
    expected = 2.0 * losses.mel + 3.0 * (losses.convergence + losses.log_magnitude)
    torch.testing.assert_close(losses.total, expected)
    assert min(losses.mel, losses.convergence, losses.log_magnitude) > 0.1


def test_twice_as_loud() -> None:
    """Half of the truth is missing: convergence .5, and ln 2 in every cell above the floor."""
    wave, _ = waves()
    losses = LOSS(0.5 * wave, wave)
    assert float(losses.convergence) == pytest.approx(0.5, abs=1e-4)
    assert float(losses.log_magnitude) == pytest.approx(np.log(2), abs=1e-3)
    assert float(losses.mel) == pytest.approx(np.log(2), abs=1e-3)


def test_silence_has_a_gradient() -> None:
    silent = torch.zeros(1, 1024, requires_grad=True)
    LOSS(silent, waves()[0][:1, :1024]).total.backward()
    assert silent.grad is not None
    assert bool(silent.grad.isfinite().all())
