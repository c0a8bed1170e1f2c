"""Spectrograms as other voices and rooms make them."""

from dataclasses import replace

import numpy as np
import pytest

from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec, band_centres, log_mel, mel_filter_bank
from optophone.data.mel_augmentation import MelAugmentationConfig, add_noise, augment_mel, mask, shift, stretch

SPEC = MelSpec()
NOTHING = MelAugmentationConfig(0, 0, 0, 0, 0, (10, 20), 0, 0, 0, 0)


def tone(hz: float, seconds: float = 0.5) -> np.ndarray:
    return log_mel(0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * 22050)) / 22050).astype(np.float32), SPEC)


def test_bands_are_centred_where_their_filters_are() -> None:
    bank = mel_filter_bank(MelSpec(n_mels=20))
    peaks = bank.argmax(1) * 22050 / 1024
    np.testing.assert_allclose(band_centres(MelSpec(n_mels=20)), peaks, atol=22)


def test_without_anything_it_stays() -> None:
    mel = tone(440)
    np.testing.assert_allclose(augment_mel(mel, SPEC, NOTHING, np.random.default_rng(0)), mel, atol=1e-5)


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.2])
def test_a_shifted_tone_is_the_tone_of_that_frequency(factor: float) -> None:
    shifted, true = shift(tone(1500), SPEC, factor), tone(1500 * factor)
    assert abs(int(shifted[:, 20].argmax()) - int(true[:, 20].argmax())) <= 1


def test_stretching_keeps_what_there_is() -> None:
    mel = np.concatenate([tone(300), tone(2000)], axis=1)
    longer = stretch(mel, 130)
    assert longer.shape == (80, 130)
    assert longer[:, 20].argmax() == mel[:, 10].argmax()
    assert longer[:, 110].argmax() == mel[:, -10].argmax()
    np.testing.assert_array_equal(stretch(mel, mel.shape[1]), mel)


def test_noise_fills_silence_and_leaves_speech() -> None:
    mel = np.concatenate([tone(440), np.full((80, 40), -11.5, np.float32)], axis=1)
    noisy = add_noise(mel, 30, np.random.default_rng(0))
    assert noisy.dtype == np.float32
    assert (noisy >= mel - 1e-4).all()
    assert noisy[:, -30:].mean() > mel[:, -30:].mean() + 2
    loudest = mel[:, 20].argmax()
    assert noisy[loudest, 20] == pytest.approx(mel[loudest, 20], abs=0.05)


def test_masks_are_small_and_at_the_mean() -> None:
    mel = np.random.default_rng(1).normal(0, 1, (80, 200)).astype(np.float32)
    config = replace(NOTHING, time_masks=2, time_mask=0.1, band_masks=1, band_mask=8)
    counts = [int((mask(mel, config, np.random.default_rng(seed)) != mel).sum()) for seed in range(20)]
    assert 0 < np.mean(counts) <= max(counts) <= 2 * 20 * 80 + 8 * 200
    assert len(set(counts)) > 10


def test_speech_is_not_made_faster_than_can_be_heard() -> None:
    config = replace(NOTHING, speed=0.5)
    lengths = [augment_mel(tone(440), SPEC, config, np.random.default_rng(seed), 38).shape[1] for seed in range(30)]
    assert min(lengths) == 38
    assert max(lengths) > 60


def test_the_same_numbers_make_the_same_voice() -> None:
    mel, config = tone(440), MelAugmentationConfig()
    first, again, other = (augment_mel(mel, SPEC, config, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
    assert np.isfinite(first).all()
    assert first.dtype == np.float32


@pytest.mark.parametrize("options", [{"speed": 1.0}, {"noise_db": (9.0, 1.0)}, {"tilt_db": -1.0}])
def test_what_cannot_be_drawn_is_refused(options: dict) -> None:
    with pytest.raises(ConfigurationError, match="augmentation"):
        MelAugmentationConfig(**options)
