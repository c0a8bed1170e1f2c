"""The vocoder without training: the mel comes back, a stream equals a whole, nothing clicks."""

from pathlib import Path

import numpy as np
import pytest

from optophone.core.audio import read_wave
from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.griffin_lim import GriffinLim, GriffinLimConfig, limit_peaks
from optophone.core.mel import MelSpec, log_mel, mel_filter_bank, stft

ODD_SPEC = MelSpec(sample_rate=16000, n_fft=400, win_length=320, hop_length=130, n_mels=20, f_max=7600.0)


def _voice(duration_s: float = 1.2, sample_rate: int = 22050) -> np.ndarray:
    """A gliding buzz with two formants and a pause, as near to a voice as ten lines come."""
    times = np.arange(int(duration_s * sample_rate)) / sample_rate
    pitch = 120.0 + 30.0 * np.sin(2 * np.pi * 1.3 * times)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    wave = np.zeros_like(times)
    for harmonic in range(1, 40):
        hz = harmonic * 120.0
        level = np.exp(-(((hz - 600) / 300) ** 2)) + 0.5 * np.exp(-(((hz - 1900) / 400) ** 2)) + 0.02
        wave += level * np.sin(harmonic * phase)
    wave *= 0.12 * (np.abs(times - 0.6) > 0.08)
    return (wave + 0.001 * np.random.default_rng(1).standard_normal(len(times))).astype(np.float32)


def _chunks(mel: np.ndarray, size: int) -> list[np.ndarray]:
    return [mel[:, start : start + size] for start in range(0, mel.shape[1], size)]


def _distance(wave: np.ndarray, mel: np.ndarray, spec: MelSpec) -> float:
    """Mean absolute difference in ln units between the mel of `wave` and `mel`."""
    return float(np.abs(log_mel(wave, spec)[:, : mel.shape[1]] - mel).mean())


@pytest.fixture(scope="module")
def mel() -> np.ndarray:
    return log_mel(_voice(), MelSpec())


def test_magnitudes_have_the_bands_asked_for(mel: np.ndarray) -> None:
    magnitudes = GriffinLim().magnitudes(mel)
    assert magnitudes.min() >= 0.0
    bands = np.log(np.maximum(mel_filter_bank(MelSpec()) @ magnitudes.T, 1e-5))
    assert np.abs(bands - mel).mean() < 0.01


def test_the_mel_comes_back(mel: np.ndarray) -> None:
    vocoder = GriffinLim()
    wave = vocoder.wave(mel)
    assert wave.dtype == np.float32
    assert wave.shape == (mel.shape[1] * 256,)
    assert np.abs(wave).max() <= 1.0
    assert _distance(wave, mel, MelSpec()) < 0.15


def test_more_rounds_and_momentum_come_nearer(mel: np.ndarray) -> None:
    def error(n_iterations: int, momentum: float) -> float:
        vocoder = GriffinLim(config=GriffinLimConfig(n_iterations=n_iterations, momentum=momentum))
        target = vocoder.magnitudes(mel)
        heard = np.abs(stft(vocoder.wave(mel), MelSpec()))[:, : len(target)].T
        return float(np.linalg.norm(heard - target) / np.linalg.norm(target))

    assert error(40, 0.99) < 0.9 * error(40, 0.0) < 0.9 * error(3, 0.0)


def test_the_same_mel_sounds_the_same(mel: np.ndarray) -> None:
    first, again = GriffinLim().wave(mel), GriffinLim().wave(mel)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - GriffinLim(config=GriffinLimConfig(seed=1)).wave(mel)).max() > 1e-3


@pytest.mark.parametrize("size", [1, 7, 33, 10_000])
def test_a_stream_is_as_long_and_as_near_as_the_whole(mel: np.ndarray, size: int) -> None:
    vocoder = GriffinLim()
    chunks = list(vocoder.stream(_chunks(mel, size)))
    assert len(chunks) > 2
    assert all(chunk.dtype == np.float32 and chunk.ndim == 1 and len(chunk) for chunk in chunks)
    joined = np.concatenate(chunks)
    assert joined.shape == vocoder.wave(mel).shape
    assert _distance(joined, mel, MelSpec()) < 0.15


@pytest.mark.parametrize("spec", [MelSpec(), ODD_SPEC, MelSpec(n_fft=512, win_length=512, hop_length=512, n_mels=40)])
@pytest.mark.parametrize("n_frames", [0, 1, 2, 23, 24, 25, 64, 90])
def test_lengths_hold_for_any_layout(spec: MelSpec, n_frames: int) -> None:
    vocoder = GriffinLim(spec, GriffinLimConfig(n_iterations=2))
    mel = np.random.default_rng(0).uniform(-9.0, -3.0, (spec.n_mels, n_frames)).astype(np.float32)
    assert vocoder.wave(mel).shape == (n_frames * spec.hop_length,)
    assert sum(len(chunk) for chunk in vocoder.stream(_chunks(mel, 5))) == n_frames * spec.hop_length


def test_other_layouts_come_back_too() -> None:
    mel = log_mel(_voice(sample_rate=16000), ODD_SPEC)
    vocoder = GriffinLim(ODD_SPEC)
    assert _distance(vocoder.wave(mel), mel, ODD_SPEC) < 0.2
    assert _distance(np.concatenate(list(vocoder.stream(_chunks(mel, 9)))), mel, ODD_SPEC) < 0.2


def test_the_first_chunk_comes_after_a_bounded_look_ahead(mel: np.ndarray) -> None:
    config = GriffinLimConfig(n_iterations=2)
    taken = 0

    def frames():
        nonlocal taken
        for index in range(mel.shape[1]):
            taken += 1
            yield mel[:, index : index + 1]

    stream = GriffinLim(config=config).stream(frames())
    next(stream)
    assert taken == config.first_frames + config.look_ahead_frames
    next(stream)
    assert taken == config.first_frames + config.chunk_frames + config.look_ahead_frames


def test_seams_do_not_click(mel: np.ndarray) -> None:
    """Around a seam the second difference, where a click would show, is no larger than elsewhere."""
    chunks = list(GriffinLim().stream(_chunks(mel, 8)))
    bends = np.abs(np.diff(np.concatenate(chunks), n=2))
    seams = np.cumsum([len(chunk) for chunk in chunks])[:-1]
    assert len(seams) >= 2
    assert max(bends[seam - 3 : seam + 2].max() for seam in seams) < np.percentile(bends, 99.9)


def test_a_mel_gone_astray_stays_within_bounds() -> None:
    wave = GriffinLim(config=GriffinLimConfig(n_iterations=3)).wave(np.full((80, 30), 500.0, np.float32))
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() <= 1.0


def test_silence_stays_silent() -> None:
    assert np.abs(GriffinLim().wave(np.full((80, 30), np.log(1e-5)))).max() < 1e-4


def test_wrong_bands_and_what_is_no_number_are_errors() -> None:
    vocoder = GriffinLim()
    with pytest.raises(AudioError, match=r"80 bands.*\(16, 5\)"):
        vocoder.wave(np.zeros((16, 5), np.float32))
    with pytest.raises(AudioError, match="no numbers"):
        list(vocoder.stream([np.full((80, 4), np.nan, np.float32)]))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="chunk_frames"):
        GriffinLimConfig(chunk_frames=0)
    with pytest.raises(ConfigurationError, match="momentum"):
        GriffinLimConfig(momentum=-0.5)


def test_the_limiter_bends_only_peaks() -> None:
    wave = np.linspace(-3.0, 3.0, 601, dtype=np.float32)
    bent = limit_peaks(wave)
    quiet = np.abs(wave) <= 0.9
    np.testing.assert_array_equal(bent[quiet], wave[quiet])
    assert np.abs(bent).max() <= 1.0
    assert (np.diff(bent) >= 0.0).all()


@pytest.mark.shared_data
def test_real_speech_comes_back(shared_dir: Path) -> None:
    clips = sorted((shared_dir / "data/ljspeech/LJSpeech-1.1/wavs").glob("*.flac"))[:3]
    assert clips
    vocoder = GriffinLim()
    for clip in clips:
        wave, sample_rate = read_wave(clip)
        assert sample_rate == 22050
        mel = log_mel(wave[: 3 * sample_rate], MelSpec())
        assert _distance(vocoder.wave(mel), mel, MelSpec()) < 0.12
        assert _distance(np.concatenate(list(vocoder.stream(_chunks(mel, 20)))), mel, MelSpec()) < 0.12
