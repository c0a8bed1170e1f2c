"""The denoiser: what its strength does, and what it refuses."""

import numpy as np
import pytest

from optophone.core.denoiser import Denoiser
from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.mel import MelSpec, stft
from optophone.models.vocoders.denoiser import build_denoiser
from tiny_vocoders import tiny_waveglow

SPEC = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=3)


def test_a_hum_goes_and_a_voice_stays() -> None:
    time = np.arange(2000) / 22050
    hum, voice = 0.1 * np.sin(2 * np.pi * 689 * time), 0.5 * np.sin(2 * np.pi * 5512 * time)
    bias = np.abs(stft(hum.astype(np.float32), SPEC))[:, 20]
    denoised = Denoiser(bias, SPEC)((hum + voice).astype(np.float32), 1.0)
    assert denoised.dtype == np.float32
    assert denoised.shape == (2000,)
    inner = slice(100, 1900)
    assert np.abs(denoised - voice)[inner].max() < 0.2 * np.abs(hum).max()


def test_no_strength_changes_nothing_but_the_length() -> None:
    wave = np.random.default_rng(0).standard_normal(1003).astype(np.float32)
    found = Denoiser(np.ones(33), SPEC)(wave, 0.0)
    assert found.shape == (992,)
    np.testing.assert_allclose(found, wave[:992], atol=1e-5)


@pytest.mark.parametrize("sizes", [[2000], [1] * 200 + [1800], [100] * 20, [0, 7, 1500, 493], [20], [33], [130]])
def test_a_stream_is_the_whole(sizes: list[int]) -> None:
    wave = np.random.default_rng(1).standard_normal(sum(sizes)).astype(np.float32)
    denoiser = Denoiser(np.linspace(5, 0, 33), SPEC)
    found = list(denoiser.stream(np.split(wave, np.cumsum(sizes)[:-1]), 0.5))
    assert all(len(portion) for portion in found)
    joined = np.concatenate(found)
    assert joined.shape == wave.shape
    expected = denoiser(wave, 0.5) if len(wave) > 32 else wave
    np.testing.assert_allclose(joined[: len(expected)], expected, atol=1e-5)
    assert np.array_equal(joined[len(expected) :], wave[len(expected) :])
    assert len(found) > 1 or len(sizes) == 1


def test_silence_stays_silent() -> None:
    assert not Denoiser(np.ones(33), SPEC)(np.zeros(500), 0.1).any()


def test_a_network_hums_always_the_same() -> None:
    first, second = (build_denoiser(tiny_waveglow(), SPEC).bias for _ in range(2))
    assert np.array_equal(first, second)
    assert first.max() > 0


def test_what_is_refused() -> None:
    denoiser = Denoiser(np.ones(33), SPEC)
    with pytest.raises(ConfigurationError, match="strength is -1"):
        denoiser(np.zeros(500), -1)
    with pytest.raises(AudioError, match="at least 33"):
        denoiser(np.zeros(20))
