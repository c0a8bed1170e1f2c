"""The mel spectrogram: lengths, edges, precision, errors, and the way back."""

from dataclasses import replace

import numpy as np
import pytest

from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.mel import MelSpec, analysis_window, frames_for, istft, log_mel, mel_filter_bank, overlap_add, stft

SPECS = [
    MelSpec(),
    MelSpec(sample_rate=16000, n_fft=400, win_length=320, hop_length=130, n_mels=20, f_min=60.0, f_max=7600.0),
    MelSpec(sample_rate=8000, n_fft=255, win_length=201, hop_length=64, n_mels=12, f_max=4000.0),
]


def _noise(n_samples: int, seed: int = 3) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


def _slow_magnitudes(wave: np.ndarray, spec: MelSpec) -> np.ndarray:
    """The definition, frame by frame and bin by bin."""
    padded = np.pad(wave.astype(np.float64), spec.n_fft // 2, mode="reflect")
    times = np.arange(spec.n_fft)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(spec.n_fft // 2 + 1), times) / spec.n_fft)
    starts = range(0, len(padded) - spec.n_fft + 1, spec.hop_length)
    return np.stack([np.abs(waves @ (analysis_window(spec) * padded[at : at + spec.n_fft])) for at in starts], axis=1)


@pytest.mark.parametrize("spec", SPECS)
def test_log_mel_follows_the_definition(spec: MelSpec) -> None:
    wave = _noise(3 * spec.n_fft + 17)
    wave[: spec.n_fft] = 0.0
    expected = np.log(np.maximum(mel_filter_bank(spec).astype(np.float64) @ _slow_magnitudes(wave, spec), spec.floor))
    np.testing.assert_allclose(log_mel(wave, spec), expected, atol=2e-5)


@pytest.mark.parametrize("spec", SPECS)
def test_frames_for_foretells_the_frames(spec: MelSpec) -> None:
    for n_samples in (spec.n_fft // 2 + 1, spec.n_fft, 7 * spec.hop_length + spec.n_fft, 5000):
        n_frames = frames_for(n_samples, spec)
        assert log_mel(_noise(n_samples), spec).shape == (spec.n_mels, n_frames)
        assert stft(_noise(n_samples), spec).shape == (spec.n_fft // 2 + 1, n_frames)
    assert frames_for(22050, MelSpec()) == 22050 // 256 + 1


def test_blocks_leave_no_seam() -> None:
    spec = SPECS[2]
    wave = _noise(64 * 700)
    whole = log_mel(wave, spec)
    part = log_mel(wave[64 * 200 :], spec)
    assert whole.shape[1] > 512
    np.testing.assert_allclose(whole[:, 210:], part[:, 10:], atol=1e-5)


def test_silence_is_the_logarithm_of_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(4000, np.float32), MelSpec()), np.log(1e-5), rtol=1e-6)


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    spec = MelSpec()
    wave = 0.5 * np.sin(2 * np.pi * 1000.0 * np.arange(22050) / spec.sample_rate)
    band = int(log_mel(wave, spec).mean(axis=1).argmax())
    frequencies = np.arange(spec.n_fft // 2 + 1) * spec.sample_rate / spec.n_fft
    filters = mel_filter_bank(spec)[band]
    assert abs(frequencies[filters.argmax()] - 1000.0) < 60.0


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_istft_gives_the_wave_back(spec: MelSpec, precision: type) -> None:
    wave: np.ndarray = _noise(4000).astype(precision)
    spectrum = stft(wave, spec)
    reached = (spectrum.shape[1] - 1) * spec.hop_length
    back = istft(spectrum, spec, length=len(wave))
    assert back.dtype == precision
    assert len(back) == len(wave)
    np.testing.assert_allclose(back[:reached], wave[:reached], atol=1e-5)
    assert len(istft(spectrum, spec)) == reached
    assert not istft(spectrum, spec, length=20000)[-10000:].any()


def test_overlap_add_adds_what_overlaps() -> None:
    total = overlap_add(np.ones((3, 5)), hop_length=2)
    np.testing.assert_array_equal(total, [1, 1, 2, 2, 3, 2, 2, 1, 1, 0])


@pytest.mark.parametrize("n_samples", [0, 1, 512])
def test_a_wave_shorter_than_the_padding_is_an_error(n_samples: int) -> None:
    with pytest.raises(AudioError, match=rf"{n_samples} samples.*at least 513"):
        log_mel(np.zeros(n_samples, np.float32), MelSpec())


def test_what_is_no_number_is_an_error() -> None:
    wave = _noise(2000)
    wave[77] = np.nan
    with pytest.raises(AudioError, match="no numbers"):
        log_mel(wave, MelSpec())


@pytest.mark.parametrize(
    "changes", [{"n_mels": 0}, {"win_length": 2048}, {"f_max": 12000.0}, {"f_min": 9000.0}, {"hop_length": -1}]
)
def test_impossible_layouts_are_refused(changes: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        replace(MelSpec(), **changes)


def test_constants_cannot_be_spoiled() -> None:
    with pytest.raises(ValueError, match="read-only"):
        mel_filter_bank(MelSpec())[0, 0] = 1.0
