"""Tempo without pitch."""

import numpy as np
import pytest

from optophone.core.errors import AudioError
from optophone.core.time_stretch import stretch_stream, time_stretch

SPEEDS = [0.25, 0.5, 0.8, 0.97, 1.1, 1.5, 2.0, 3.3, 4.0]


def _tone(hz: float, duration_s: float, sample_rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(duration_s * sample_rate)) / sample_rate)).astype(np.float32)


def _frequency(wave: np.ndarray, sample_rate: int) -> float:
    """Hz of the strongest partial, between bins by a parabola through the logarithms."""
    spectrum = np.log(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) + 1e-12)
    peak = int(spectrum.argmax())
    left, middle, right = spectrum[peak - 1 : peak + 2]
    return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * sample_rate / len(wave)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize(("hz", "sample_rate"), [(110.0, 22050), (440.0, 22050), (1000.0, 16000)])
def test_pitch_stays_and_duration_follows(speed: float, hz: float, sample_rate: int) -> None:
    wave = _tone(hz, 2.0, sample_rate)
    stretched = time_stretch(wave, speed, sample_rate)
    assert stretched.dtype == np.float32
    assert len(stretched) == round(len(wave) / speed)
    margin = len(stretched) // 10
    assert _frequency(stretched[margin:-margin], sample_rate) == pytest.approx(hz, rel=0.01)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.5, 2.0])
def test_a_steady_tone_stays_steady(speed: float) -> None:
    """Frames laid out of phase would beat: the level would sink where they overlap."""
    stretched = time_stretch(_tone(200.0, 1.0, 22050), speed, 22050)
    middle = stretched[2000:-2000]
    periods = middle[: len(middle) // 441 * 441].reshape(-1, 441)
    levels = np.sqrt(np.square(periods).mean(axis=1))
    assert levels.min() > 0.97 * levels.max()


def test_events_move_with_the_tempo() -> None:
    wave = np.zeros(22050, np.float32)
    wave[11025:11525] = _tone(700.0, 1.0, 22050)[:500]
    for speed in (0.5, 2.0):
        stretched = time_stretch(wave, speed, 22050)
        centre = np.average(np.arange(len(stretched)), weights=np.square(stretched))
        assert abs(centre - 11275 / speed) < 0.035 * 22050


def test_speed_one_returns_the_wave_itself() -> None:
    wave = _tone(300.0, 0.1, 22050)
    assert time_stretch(wave, 1.0, 22050) is wave
    assert [part is wave for part in stretch_stream([wave], 1.0, 22050)] == [True]


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.3, 4.0])
@pytest.mark.parametrize("size", [1, 500, 3001])
def test_a_stream_gives_the_same_samples(speed: float, size: int) -> None:
    wave = (_tone(180.0, 0.4, 8000) + 0.1 * np.random.default_rng(0).standard_normal(3200)).astype(np.float32)
    parts = list(stretch_stream([wave[at : at + size] for at in range(0, len(wave), size)], speed, 8000))
    assert all(len(part) for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), time_stretch(wave, speed, 8000))


def test_a_stream_does_not_wait_for_the_end() -> None:
    taken = 0

    def waves():
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield _tone(180.0, 0.05, 22050)

    next(stretch_stream(waves(), 1.5, 22050))
    assert taken <= 3


@pytest.mark.parametrize("n_samples", [0, 1, 30, 700])
@pytest.mark.parametrize("speed", [0.3, 1.7])
def test_short_waves_keep_their_length(n_samples: int, speed: float) -> None:
    assert len(time_stretch(np.full(n_samples, 0.1, np.float32), speed, 22050)) == round(n_samples / speed)


def test_silence_stays_silent() -> None:
    assert not time_stretch(np.zeros(9000, np.float32), 1.4, 22050).any()


@pytest.mark.parametrize("speed", [0.0, -1.0, 0.2, 4.5, float("nan")])
def test_a_speed_out_of_range_is_an_error(speed: float) -> None:
    with pytest.raises(AudioError, match=r"0\.25 to 4"):
        time_stretch(np.zeros(100, np.float32), speed, 22050)
