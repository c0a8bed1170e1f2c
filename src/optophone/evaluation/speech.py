"""How far one utterance is from another of the same words: spectrum, pitch, voicing, length, and the whole of it."""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.audio import resample
from optophone.core.errors import DataError
from optophone.core.mel import MelSpec, log_mel
from optophone.evaluation.mel_cepstrum import distortions, mel_cepstrum, warp
from optophone.evaluation.pitch import PitchConfig, pitch
from optophone.evaluation.voice import speech_duration

_PESQ_RATE = 16000


@dataclass(frozen=True)
class SpeechDistance:
    """Two utterances compared; None is what cannot be measured, such as pitch where both are nowhere voiced.

    Args:
        mel_cepstral_distortion: dB, mean along the path of least distortion.
        log_spectral_distance: dB, root mean square over the mel bands, mean along the same path; loudness counts.
        pitch_error_hz, pitch_error_cents: root mean square over frames that are voiced in both.
        pitch_correlation: Pearson's, over the same frames.
        voicing_error: share of frames that are voiced in one alone.
        duration_ratio: length of the other over the reference, silence at the ends left out.
        stoi, pesq: of a copy, sample by sample; None otherwise.
    """

    mel_cepstral_distortion: float
    log_spectral_distance: float
    pitch_error_hz: float | None
    pitch_error_cents: float | None
    pitch_correlation: float | None
    voicing_error: float
    duration_ratio: float | None
    stoi: float | None = None
    pesq: float | None = None


def compare_speech(reference: np.ndarray, other: np.ndarray, spec: MelSpec, warped: bool = True) -> SpeechDistance:
    """Compare two waves (N,) at `spec.sample_rate` that say the same words.

    Args:
        reference: what was recorded.
        other: what was made.
        spec: layout of the spectra.
        warped: whether silence at the ends is left out and time stretched for the best fit; False for a copy, frame by
            frame.

    Raises:
        DataError: a wave without samples.
    """
    if not (len(reference) and len(other)):
        raise DataError("a wave without samples cannot be compared; leave it out.")
    length = speech_duration(reference, spec.sample_rate)
    ratio = speech_duration(other, spec.sample_rate) / length if length else None
    if warped:
        reference, other = audible(reference, spec.sample_rate), audible(other, spec.sample_rate)
    mels = [log_mel(wave, spec).astype(np.float64) for wave in (reference, other)]
    costs = distortions(mel_cepstrum(mels[0]), mel_cepstrum(mels[1]))
    n_both = min(costs.shape)
    path = warp(costs) if warped else np.stack([np.arange(n_both)] * 2, axis=1)
    first, second = path.T
    difference = 20.0 / math.log(10.0) * (mels[0][:, first] - mels[1][:, second])
    config = PitchConfig(frame_s=spec.hop_length / spec.sample_rate)
    heights = [_fitted(pitch(wave, spec.sample_rate, config), mel.shape[1]) for wave, mel in zip(
        (reference, other), mels, strict=True)]  # fmt: skip
    error_hz, error_cents, correlation, voicing = compare_pitch(heights[0][first], heights[1][second])
    return SpeechDistance(
        mel_cepstral_distortion=float(costs[first, second].mean()),
        log_spectral_distance=float(np.sqrt(np.square(difference).mean(axis=0)).mean()),
        pitch_error_hz=error_hz,
        pitch_error_cents=error_cents,
        pitch_correlation=correlation,
        voicing_error=voicing,
        duration_ratio=ratio,
    )


def audible(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """A wave (N,) without the silence at its ends, which is 40 dB quieter than its loudest 10 ms."""
    size = max(1, sample_rate // 100)
    power = np.square(np.pad(wave, (0, -len(wave) % size)).astype(np.float64)).reshape(-1, size).mean(axis=1)
    heard = np.flatnonzero(power > power.max() * 1e-4)
    return wave[heard[0] * size : (heard[-1] + 1) * size] if len(heard) else wave


def compare_pitch(reference: np.ndarray, other: np.ndarray) -> tuple[float | None, float | None, float | None, float]:
    """Pitch error in Hz and in cents, correlation, and voicing error of two tracks (P,), frame by frame; 0 unvoiced."""
    voicing = float(((reference > 0) != (other > 0)).mean())
    both = (reference > 0) & (other > 0)
    if not both.any():
        return None, None, None, voicing
    a, b = reference[both], other[both]
    error = float(np.sqrt(np.square(a - b).mean()))
    cents = float(np.sqrt(np.square(1200.0 * np.log2(b / a)).mean()))
    varied = len(a) > 2 and a.std() > 1e-6 and b.std() > 1e-6
    return error, cents, float(np.corrcoef(a, b)[0, 1]) if varied else None, voicing


def intelligibility_of_copy(reference: np.ndarray, copy: np.ndarray, sample_rate: int) -> float:
    """Short-time objective intelligibility, 0..1, of a copy (N,) that is aligned with its reference (N,).

    Raises:
        ModuleNotFoundError: pystoi is not installed.

    Source: Taal et al. 2011.
    """
    stoi = importlib.import_module("pystoi").stoi
    n = min(len(reference), len(copy))
    return float(stoi(reference[:n], copy[:n], sample_rate, extended=False))


def quality_of_copy(reference: np.ndarray, copy: np.ndarray, sample_rate: int) -> float | None:
    """Wide-band PESQ, about 1..4.6, of a copy (N,) that is aligned with its reference; None where it hears no speech.

    Raises:
        ModuleNotFoundError: pesq is not installed.

    Source: ITU-T P.862.2.
    """
    module = importlib.import_module("pesq")
    n = min(len(reference), len(copy))
    waves = [resample(wave[:n], sample_rate, _PESQ_RATE) for wave in (reference, copy)]
    try:
        return float(module.pesq(_PESQ_RATE, *waves, "wb"))
    except module.PesqError:
        return None


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of those that were measured; None where none was."""
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else None


def _fitted(track: np.ndarray, n_frames: int) -> np.ndarray:
    """A track (T,) cut or filled with unvoiced frames to `n_frames`."""
    return np.pad(track, (0, max(0, n_frames - len(track))))[:n_frames]
