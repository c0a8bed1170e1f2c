"""Distances between utterances, on signals whose distance is known."""

import sys

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.mel import MelSpec
from optophone.evaluation.mel_cepstrum import distortions, mel_cepstrum, warp
from optophone.evaluation.pitch import pitch
from optophone.evaluation.speech import (
    compare_pitch,
    compare_speech,
    intelligibility_of_copy,
    mean_of,
    quality_of_copy,
)

RATE = 22050
SPEC = MelSpec()


def harmonics(frequency: float | np.ndarray, seconds: float = 1.0) -> np.ndarray:
    """A buzz of ten harmonics of a frequency, or of a track of it."""
    n = round(seconds * RATE)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(frequency, n)) / RATE
    return sum(0.3 / k * np.sin(k * phase) for k in range(1, 11)).astype(np.float32)


@pytest.mark.parametrize("frequency", [82.4, 123.0, 220.0, 440.0])
def test_the_pitch_of_a_tone(frequency: float) -> None:
    for wave in (harmonics(frequency), np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)):
        found = pitch(wave, RATE)
        middle = found[8:-8]
        assert (middle > 0).all()
        np.testing.assert_allclose(middle, frequency, rtol=2e-3)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert (pitch(noise, RATE) > 0).mean() < 0.1
    assert not pitch(np.zeros(RATE, np.float32), RATE).any()
    found = pitch(np.concatenate([np.zeros(RATE // 2), harmonics(150.0, 0.5)]).astype(np.float32), RATE)
    assert not found[: len(found) // 2 - 4].any()


def test_a_pure_cepstral_difference_has_its_own_size() -> None:
    flat = np.zeros((80, 5))
    for m in (1, 5, 13):
        bent = flat + 0.3 * np.cos(np.pi * m * (np.arange(80) + 0.5) / 80)[:, None]
        cepstra = mel_cepstrum(bent)
        assert cepstra[m - 1] == pytest.approx(0.3)
        found = distortions(mel_cepstrum(flat), cepstra)[0, 0]
        # The root mean square of the difference over the bands, in decibels.
        assert found == pytest.approx(20 / np.log(10) * 0.3 / np.sqrt(2))
    louder = distortions(mel_cepstrum(flat), mel_cepstrum(flat + 1.0))
    assert louder == pytest.approx(0.0, abs=1e-6)  # loudness does not count


def test_the_path_is_the_cheapest() -> None:
    costs = np.ones((3, 4))
    costs[0, 0] = costs[1, 1] = costs[1, 2] = costs[2, 3] = 0
    assert warp(costs).tolist() == [[0, 0], [1, 1], [1, 2], [2, 3]]
    assert warp(np.ones((1, 3))).tolist() == [[0, 0], [0, 1], [0, 2]]


def test_a_wave_is_no_distance_from_itself_and_little_from_its_delay() -> None:
    glide = harmonics(np.linspace(120, 200, RATE))
    same = compare_speech(glide, glide, SPEC)
    assert same.mel_cepstral_distortion == pytest.approx(0, abs=1e-6)
    assert same.log_spectral_distance == same.voicing_error == 0
    assert same.pitch_error_hz == same.pitch_error_cents == 0
    assert same.pitch_correlation == pytest.approx(1)
    assert same.duration_ratio == pytest.approx(1)
    glide = glide[: 100 * (RATE // 100)]  # whole hundredths of a second, as silence is cut off
    quiet = np.zeros(20 * (RATE // 100), np.float32)
    early, late = np.concatenate([glide, quiet]), np.concatenate([quiet, glide])
    warped, unwarped = compare_speech(early, late, SPEC), compare_speech(early, late, SPEC, warped=False)
    assert warped.mel_cepstral_distortion < 0.01 < 0.3 < unwarped.mel_cepstral_distortion
    assert warped.duration_ratio == pytest.approx(1, abs=0.02)


def test_another_pitch_and_another_length_are_measured() -> None:
    low, high = harmonics(150.0), harmonics(165.0, 1.5)
    found = compare_speech(low, high, SPEC)
    assert found.pitch_error_hz == pytest.approx(15, abs=1)
    assert found.pitch_error_cents == pytest.approx(1200 * np.log2(1.1), abs=12)
    assert found.duration_ratio == pytest.approx(1.5, abs=0.02)
    assert found.mel_cepstral_distortion > 1
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    softer = compare_speech(noise, 0.1 * noise, SPEC, warped=False)
    assert softer.log_spectral_distance == pytest.approx(20, abs=0.01)
    assert softer.mel_cepstral_distortion == pytest.approx(0, abs=0.01)


def test_unvoiced_frames_and_what_was_not_measured() -> None:
    assert compare_pitch(np.array([0.0, 100.0]), np.array([100.0, 0.0])) == (None, None, None, 1.0)
    error, cents, correlation, voicing = compare_pitch(
        np.array([100.0, 110.0, 120.0, 0.0]), np.array([200.0, 190.0, 180.0, 0.0])
    )
    assert error == pytest.approx(np.sqrt((100**2 + 80**2 + 60**2) / 3))
    assert cents is not None
    assert correlation == pytest.approx(-1)
    assert voicing == 0
    assert mean_of([None, 2.0, None, 4.0]) == 3.0
    assert mean_of([None]) is None
    with pytest.raises(DataError, match="without samples"):
        compare_speech(np.zeros(0, np.float32), np.zeros(9, np.float32), SPEC)


def test_copies_are_judged_by_the_packages() -> None:
    generator = np.random.default_rng(0)
    envelope = np.abs(np.sin(2 * np.pi * 3 * np.arange(2 * RATE) / RATE))
    clean = harmonics(np.linspace(100, 220, 2 * RATE), 2.0) * envelope.astype(np.float32)
    noisy = clean + 0.3 * generator.standard_normal(len(clean)).astype(np.float32)
    pytest.importorskip("pystoi")
    assert intelligibility_of_copy(clean, clean, RATE) == pytest.approx(1, abs=1e-3)
    assert intelligibility_of_copy(clean, noisy, RATE) < 0.95
    pytest.importorskip("pesq")
    best, worse = quality_of_copy(clean, clean, RATE), quality_of_copy(clean, noisy, RATE)
    assert best is not None
    assert worse is not None
    assert best > 4.4 > worse


def test_a_missing_package_is_an_error_never_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystoi", None)
    with pytest.raises(ModuleNotFoundError):
        intelligibility_of_copy(np.ones(9), np.ones(9), RATE)
