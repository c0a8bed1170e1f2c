"""Samples from spectra: the inverse of the transform that mels are made with."""

import numpy as np
import pytest
import torch

from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec, stft
from optophone.models.vocoders.inverse_transform import InverseTransform


@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 16), (96, 16), (64, 8)])
def test_it_undoes_the_transform(n_fft: int, hop_length: int) -> None:
    spec = MelSpec(8000, n_fft, n_fft, hop_length, 4, 0.0, 4000.0)
    wave = np.random.default_rng(0).normal(0, 0.1, 20 * hop_length)
    spectra = torch.from_numpy(stft(wave, spec).T)[None]
    found = InverseTransform(n_fft, hop_length)(spectra.real.float(), spectra.imag.float())[0].numpy()
    assert found.shape == (21 * hop_length,)
    inside = slice(n_fft, 20 * hop_length - n_fft)
    np.testing.assert_allclose(found[inside], wave[inside], atol=1e-6)


def test_a_frame_sounds_around_its_own_sample() -> None:
    inverse = InverseTransform(64, 16)
    real = torch.zeros(1, 9, 33)
    real[0, 4] = 1.0  # an impulse in the middle of the frame's window after a turn by half: see below
    real[0, 4, 1::2] = -1.0
    wave = inverse(real, torch.zeros_like(real))[0]
    assert int(wave.abs().argmax()) == 4 * 16
    assert not wave[: 4 * 16 - 32].any()
    assert not wave[4 * 16 + 32 :].any()


def test_the_matrix_is_the_transform() -> None:
    inverse = InverseTransform(64, 16)
    real, imaginary = torch.randn(2, 2, 7, 33)
    product = inverse.overlap_add(torch.cat((real, imaginary), dim=2) @ inverse.matrix())
    torch.testing.assert_close(product, inverse(real, imaginary), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 24), (64, 32), (80, 16)])
def test_frames_that_do_not_join_are_refused(n_fft: int, hop_length: int) -> None:
    with pytest.raises(ConfigurationError, match="hop_length"):
        InverseTransform(n_fft, hop_length)
