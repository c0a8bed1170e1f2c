"""The front end of speech units, beyond what the reference fixes."""

import numpy as np
import pytest

from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig, pad_levels


@pytest.fixture(scope="module")
def bank() -> UnitFilterBank:
    return UnitFilterBank()


def speech(n_samples: int, seed: int = 0) -> np.ndarray:
    """Noise that swells and falls, with an offset."""
    random, time = np.random.default_rng(seed), np.arange(n_samples) / 16000
    return (0.1 + random.normal(0, 0.2, n_samples) * (1 + np.sin(9 * time))).astype(np.float32)


def test_levels_lie_within_the_range_and_one_is_the_loudest(bank: UnitFilterBank) -> None:
    levels = bank(np.concatenate((np.zeros(3000, np.float32), speech(5000))))
    assert levels.max() == 0
    assert levels.min() == -80
    assert levels.shape == (40, 1 + 8000 // 160)


def test_levels_do_not_know_gain_nor_offset(bank: UnitFilterBank) -> None:
    wave = speech(4000).astype(np.float64)
    np.testing.assert_allclose(bank(wave * 0.05 + 0.3), bank(wave), atol=1e-3)


def test_a_tone_is_loudest_in_its_band(bank: UnitFilterBank) -> None:
    tone = np.sin(2 * np.pi * 2000 * np.arange(8000) / 16000)
    centres = bank.filters @ (np.arange(201) * 40.0) / bank.filters.sum(1)
    loudest = bank(tone).mean(1).argmax()
    assert abs(centres[loudest] - 2000) == np.abs(centres - 2000).min()


def test_silence_is_loudest_everywhere(bank: UnitFilterBank) -> None:
    assert (bank(np.zeros(1000)) == 0).all()


@pytest.mark.parametrize("n_samples", [201, 320, 399, 1600, 4321])
@pytest.mark.parametrize("size", [1, 160, 500, 10000])
def test_a_stream_that_knows_mean_and_maximum_equals_the_whole(bank: UnitFilterBank, n_samples: int, size: int) -> None:
    wave = speech(n_samples)
    mean, maximum = bank.mean_and_maximum(wave)
    blocks = [wave[start : start + size] for start in range(0, n_samples, size)]
    np.testing.assert_allclose(np.concatenate(list(bank.stream(blocks, mean, maximum)), 1), bank(wave), atol=1e-4)


def test_a_stream_gives_frames_early_and_never_louder_than_so_far(bank: UnitFilterBank) -> None:
    wave = speech(16000) - 0.1
    given = []

    def blocks():
        for start in range(0, 16000, 400):
            given.append(start)
            yield wave[start : start + 400]

    stream = bank.stream(blocks())
    first = next(stream)
    assert len(given) == 1
    levels = np.concatenate([first, *stream], 1)
    assert levels.shape == bank(wave).shape
    assert levels.max() == 0
    # After the loudest frame only the mean is still not known.
    loudest = int(bank(wave).max(0).argmax())
    np.testing.assert_allclose(levels[:, loudest + 3 :], bank(wave)[:, loudest + 3 :], atol=0.5)


def test_what_is_no_speech_is_refused(bank: UnitFilterBank) -> None:
    with pytest.raises(AudioError, match="200 samples"):
        bank(np.zeros(200))
    with pytest.raises(AudioError, match="200 samples"):
        list(bank.stream([np.zeros(100), np.zeros(0), np.zeros(100)]))
    bad = speech(1000)
    bad[10] = np.nan
    with pytest.raises(AudioError, match="no numbers"):
        bank(bad)
    with pytest.raises(AudioError, match="no numbers"):
        list(bank.stream([bad]))


@pytest.mark.parametrize("options", [{"hop_length": 200}, {"n_fft": 401}, {"range_db": 0.0}, {"f_min": 9000.0}])
def test_impossible_layouts_are_refused(options: dict) -> None:
    with pytest.raises(ConfigurationError):
        UnitFilterBankConfig(**options)


def test_padding_is_the_loudest_level_and_long_speech_is_cut() -> None:
    levels = np.full((2, 5), -7, np.float32)
    padded, n_frames = pad_levels(levels, 8)
    assert n_frames == 5
    assert (padded[:, :5] == -7).all()
    assert (padded[:, 5:] == 0).all()
    cut, n_frames = pad_levels(levels, 3)
    assert (cut.shape, n_frames) == ((2, 3), 3)
