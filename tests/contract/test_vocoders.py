"""The same promises of every vocoder. A new member joins by one line in MEMBERS."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from optophone.core.bundle import open_bundle
from optophone.core.errors import AudioError
from optophone.core.griffin_lim import GriffinLim, GriffinLimConfig
from optophone.core.mel import MelSpec
from optophone.core.protocols import Vocoder
from optophone.export.import_facts import ImportFacts
from optophone.export.training_facts import TrainingFacts
from optophone.export.vocoder import TrainedVocoder, export_vocoder
from optophone.export.vocos import TrainedVocos, export_vocos
from optophone.models.vocoders.fast_waveglow import FastWaveGlow, FastWaveGlowConfig
from optophone.runtime.onnx_vocoder import OnnxVocoder
from tiny_vocoders import tiny_vocos, tiny_waveglow, write_inverse_stft_vocoder

SPEC = MelSpec(sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=3, f_max=4000.0)


@cache
def exported_waveglow() -> Vocoder:
    """A tiny WaveGlow as a bundle, denoiser included."""
    trained = TrainedVocoder(tiny_waveglow(), SPEC, ImportFacts("tiny", "waveglow", "tiny.pt", "0"))
    with tempfile.TemporaryDirectory() as folder:
        export_vocoder(trained, Path(folder), "fp32", [np.zeros((3, 60), np.float32)])
        return OnnxVocoder(open_bundle(Path(folder) / "fp32"))


@cache
def exported_vocos() -> Vocoder:
    """A tiny Vocos as a bundle."""
    trained = TrainedVocos(tiny_vocos(), SPEC, TrainingFacts("tiny", "tones", "0", "none"))
    with tempfile.TemporaryDirectory() as folder:
        export_vocos(trained, Path(folder), "fp32", [np.zeros((3, 60), np.float32)])
        return OnnxVocoder(open_bundle(Path(folder) / "fp32"))


@cache
def inverse_stft_vocoder() -> Vocoder:
    """A network at the rate of frames before an inverse transform, without states."""
    with tempfile.TemporaryDirectory() as folder:
        return OnnxVocoder(open_bundle(write_inverse_stft_vocoder(Path(folder) / "bundle", SPEC)))


MEMBERS: dict[str, Callable[[], Vocoder]] = {
    "griffin-lim": lambda: GriffinLim(SPEC, GriffinLimConfig(n_iterations=4)),
    "waveglow": lambda: FastWaveGlow(tiny_waveglow(), SPEC, FastWaveGlowConfig(stream_frames=8)),
    "waveglow bundle": exported_waveglow,
    "vocos bundle": exported_vocos,
    "inverse STFT bundle": inverse_stft_vocoder,
}


@pytest.fixture(params=MEMBERS)
def vocoder(request: pytest.FixtureRequest) -> Vocoder:
    return MEMBERS[request.param]()


@pytest.fixture
def mel() -> np.ndarray:
    return np.random.default_rng(0).normal(-2, 1, (3, 90)).astype(np.float32)


def test_a_wave_is_as_long_as_its_mel(vocoder: Vocoder, mel: np.ndarray) -> None:
    wave = vocoder.wave(mel)
    assert wave.shape == (90 * 16,)
    assert wave.dtype == np.float32
    assert np.abs(wave).max() <= 1
    assert wave.std() > 0.001
    assert vocoder.mel_spec == SPEC


def test_the_same_mel_sounds_the_same(vocoder: Vocoder, mel: np.ndarray) -> None:
    before = mel.copy()
    assert np.array_equal(vocoder.wave(mel), vocoder.wave(mel))
    assert np.array_equal(mel, before)


def test_too_loud_a_mel_stays_within_the_limits(vocoder: Vocoder, mel: np.ndarray) -> None:
    wave = vocoder.wave(mel + 60)
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() <= 1


@pytest.mark.parametrize("sizes", [[90], [0, 31, 0, 59], [10] * 9, [1] * 90])
def test_a_stream_is_as_long_as_the_wave_however_it_comes(vocoder: Vocoder, mel: np.ndarray, sizes: list[int]) -> None:
    chunks = np.split(mel, np.cumsum(sizes)[:-1], axis=1)
    portions = list(vocoder.stream(chunks))
    assert all(len(portion) > 0 and portion.dtype == np.float32 for portion in portions)
    joined = np.concatenate(portions)
    assert joined.shape == (90 * 16,)
    np.testing.assert_allclose(joined, np.concatenate(list(vocoder.stream([mel]))), atol=1e-4)


def test_sound_comes_before_the_mel_is_complete(vocoder: Vocoder, mel: np.ndarray) -> None:
    n_taken = 0

    def chunks():
        nonlocal n_taken
        for chunk in np.split(mel, 18, axis=1):
            n_taken += 1
            yield chunk

    next(vocoder.stream(chunks()))
    assert n_taken < 18


@pytest.mark.parametrize(("damage", "says"), [(lambda m: m[:2], "bands"), (lambda m: m * np.nan, "no numbers")])
def test_what_is_no_mel_is_refused(vocoder: Vocoder, mel: np.ndarray, damage: Callable, says: str) -> None:
    with pytest.raises(AudioError, match=says):
        vocoder.wave(damage(mel))
    with pytest.raises(AudioError, match=says):
        list(vocoder.stream([damage(mel)]))
