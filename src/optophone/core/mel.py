"""The spectrogram: one definition for training, evaluation and the runtime, in NumPy.

The layout is that of the public Tacotron 2 and WaveGlow checkpoints (Shen et al. 2018, section 2.2): magnitudes of a
short-time Fourier transform with a periodic Hann window and reflected edges, mel bands after Slaney, natural logarithm.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from optophone.core.configuration import check_ranges
from optophone.core.errors import AudioError, ConfigurationError

_RANGES: dict[str, tuple[float, float]] = {
    "sample_rate": (1, 768_000),
    "n_fft": (1, 65536),
    "hop_length": (1, 65536),
    "n_mels": (1, 4096),
    "floor": (1e-30, 1.0),
}
_BLOCK_FRAMES = 256  # so many frames fit the processor's cache together with their spectra


@dataclass(frozen=True)
class MelSpec:
    """How a wave is laid out as a mel spectrogram; two parts compose only when theirs are equal.

    Args:
        sample_rate: Hz of the wave.
        n_fft: samples of one transform.
        win_length: samples of the window, at most `n_fft`, in the middle of it.
        hop_length: samples from one frame to the next.
        n_mels: mel bands M.
        f_min: Hz where the lowest band begins.
        f_max: Hz where the highest band ends, at most half the sample rate.
        floor: magnitudes below count as this much, so that the logarithm of silence is finite.
    """

    sample_rate: int = 22050
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 256
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float = 8000.0
    floor: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "floor"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"mel: {name} is {getattr(self, name)}; it must be positive")
        check_ranges(self, _RANGES, "mel")
        if self.win_length > self.n_fft:
            raise ConfigurationError(f"mel: win_length {self.win_length} must not exceed n_fft {self.n_fft}")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ConfigurationError(
                f"mel: f_min {self.f_min} and f_max {self.f_max} must rise within 0..{self.sample_rate / 2}"
            )


def frames_for(n_samples: int, spec: MelSpec) -> int:
    """Frames T of the spectrogram of a wave of `n_samples`: one at its start, then one every hop."""
    return (n_samples + 2 * (spec.n_fft // 2) - spec.n_fft) // spec.hop_length + 1


@lru_cache(maxsize=16)
def mel_filter_bank(spec: MelSpec) -> np.ndarray:
    """Triangular filters (M, n_fft // 2 + 1) float32 of equal area, read-only.

    Source: Slaney 1998, Auditory Toolbox: the scale is linear below 1000 Hz (200/3 Hz a mel), logarithmic above
    (27 mels for a factor of 6.4), and every triangle is divided by half its width in Hz.
    """
    bins = np.arange(spec.n_fft // 2 + 1) * (spec.sample_rate / spec.n_fft)
    low, high = _hz_to_mel(np.array([spec.f_min, spec.f_max]))
    edges = _mel_to_hz(np.linspace(low, high, spec.n_mels + 2))
    widths = np.diff(edges)
    rising = (bins - edges[:-2, None]) / widths[:-1, None]
    falling = (edges[2:, None] - bins) / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    bank = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    bank.flags.writeable = False
    return bank


def band_centres(spec: MelSpec) -> np.ndarray:
    """Frequencies (M,) in Hz at which the bands are centred."""
    low, high = _hz_to_mel(np.array([spec.f_min, spec.f_max]))
    return _mel_to_hz(np.linspace(low, high, spec.n_mels + 2))[1:-1]


def _hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Slaney's scale: 15 mels at 1000 Hz."""
    above = 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """The inverse of `_hz_to_mel`."""
    above = 1000.0 * np.exp((np.maximum(mel, 15.0) - 15.0) * np.log(6.4) / 27.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, above)


@lru_cache(maxsize=16)
def analysis_window(spec: MelSpec) -> np.ndarray:
    """Periodic Hann window (n_fft,) float64, zero outside its `win_length` samples, read-only."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(spec.win_length) / spec.win_length)
    window = np.zeros(spec.n_fft)
    start = (spec.n_fft - spec.win_length) // 2
    window[start : start + spec.win_length] = hann
    window.flags.writeable = False
    return window


def spectra_of_frames(frames: np.ndarray) -> np.ndarray:
    """Transform frames (T, n_fft), **already multiplied by n_fft**, into spectra (T, n_fft // 2 + 1), precision kept.

    NumPy 2 computes an unscaled float32 transform in long double, eight times slower than the scaled one; hence the
    factor, which belongs into the window.
    """
    return np.fft.rfft(frames, axis=-1, norm="forward")


def log_mel(wave: np.ndarray, spec: MelSpec) -> np.ndarray:
    """The mel spectrogram of a wave.

    Args:
        wave: (N,) in -1..1 at `spec.sample_rate`, longer than half of `n_fft`.
        spec: the layout.

    Returns:
        (M, T) float32, natural logarithm of magnitudes, T = `frames_for(N, spec)`.

    Raises:
        AudioError: the wave is too short, or holds what is no number.

    Source: Shen et al. 2018, section 2.2. Proof: tests/parity/test_tacotron_mel.py
    """
    # float64: a cell far below the loudest of its frame would otherwise carry that one's rounding error.
    frames = _frames(np.asarray(wave, dtype=np.float64), spec)
    window = analysis_window(spec) * spec.n_fft
    bank = mel_filter_bank(spec).T
    mel = np.empty((len(frames), spec.n_mels), dtype=np.float32)
    for start in range(0, len(frames), _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        magnitudes = np.abs(spectra_of_frames(frames[block] * window))
        np.matmul(magnitudes.astype(np.float32), bank, out=mel[block])
    np.maximum(mel, np.float32(spec.floor), out=mel)
    return np.ascontiguousarray(np.log(mel, out=mel).T)


def stft(wave: np.ndarray, spec: MelSpec) -> np.ndarray:
    """Short-time spectra of a wave with reflected edges.

    Args:
        wave: (N,) float32 or float64, longer than half of `n_fft`.
        spec: the layout.

    Returns:
        (n_fft // 2 + 1, T) complex64 or complex128, the precision of the wave.

    Raises:
        AudioError: the wave is too short, or holds what is no number.
    """
    wave = np.asarray(wave)
    if wave.dtype not in (np.float32, np.float64):
        wave = wave.astype(np.float32)
    frames = _frames(wave, spec)
    window = (analysis_window(spec) * spec.n_fft).astype(wave.dtype)
    spectra = np.empty((len(frames), spec.n_fft // 2 + 1), dtype=np.result_type(wave.dtype, np.complex64))
    for start in range(0, len(frames), _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        spectra[block] = spectra_of_frames(frames[block] * window)
    return spectra.T


def istft(spectrum: np.ndarray, spec: MelSpec, length: int | None = None) -> np.ndarray:
    """The wave whose short-time spectra are nearest to `spectrum` in the sense of least squares.

    Args:
        spectrum: (n_fft // 2 + 1, T) complex.
        spec: the layout.
        length: samples N to return; (T - 1) * hop_length when None.

    Returns:
        (N,) float32 or float64, the precision of the spectrum; zero where no frame reaches.

    Source: Griffin & Lim 1984, equation 6.
    """
    n_frames = spectrum.shape[1]
    length = (n_frames - 1) * spec.hop_length if length is None else length
    frames = np.fft.irfft(spectrum.T, spec.n_fft, axis=-1)
    window = analysis_window(spec)
    total = overlap_add(frames * window.astype(frames.dtype), spec.hop_length)
    weight = overlap_add(np.broadcast_to(np.square(window), (n_frames, spec.n_fft)), spec.hop_length)
    reached = weight > 1e-8
    total[reached] /= weight[reached].astype(total.dtype)
    total[~reached] = 0.0
    wave = np.zeros(length, dtype=total.dtype)
    part = total[spec.n_fft // 2 :][:length]
    wave[: len(part)] = part
    return wave


def overlap_add(frames: np.ndarray, hop_length: int) -> np.ndarray:
    """Add frames (T, W) into one signal, each `hop_length` samples after the last.

    Returns:
        (K,) with K = T * hop_length + (W rounded up to whole hops) - hop_length.
    """
    n_frames, width = frames.shape
    n_hops = -(-width // hop_length)
    total = np.zeros((n_frames + n_hops - 1, hop_length), dtype=frames.dtype)
    for index in range(n_hops):
        part = frames[:, index * hop_length : (index + 1) * hop_length]
        total[index : index + n_frames, : part.shape[1]] += part
    return total.reshape(-1)


def _frames(wave: np.ndarray, spec: MelSpec) -> np.ndarray:
    """Overlapping frames (T, n_fft) of a wave (N,) with reflected edges: a view that copies only the padded wave."""
    assert wave.ndim == 1, f"a wave has one axis, this one {wave.shape}"
    margin = spec.n_fft // 2
    if len(wave) <= margin:
        raise AudioError(
            f"the sound has {len(wave)} samples; a spectrogram needs at least {margin + 1} "
            f"({(margin + 1) / spec.sample_rate:.3f} s): give a longer recording"
        )
    if not np.isfinite(wave).all():
        raise AudioError("the sound holds values that are no numbers (NaN or infinity): record or convert it again")
    padded = np.pad(wave, margin, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop_length]
