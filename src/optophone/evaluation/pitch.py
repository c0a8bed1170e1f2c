"""Fundamental frequency of a voice, frame by frame, by YIN."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PitchConfig:
    """How pitch is found.

    Args:
        min_hz, max_hz: where it is looked for.
        threshold: of the normalised difference function; frames without a dip below are unvoiced. At 0.2 pitches are
            right but frames that a vocoder without phases blurs count as unvoiced; at 0.3 fewer do, and octaves are
            mistaken.
        min_level_db: relative to the loudest frame; quieter frames are unvoiced.
        frame_s: seconds between frames.
    """

    min_hz: float = 60.0
    max_hz: float = 500.0
    threshold: float = 0.2
    min_level_db: float = -40.0
    frame_s: float = 256 / 22050


def pitch(wave: np.ndarray, sample_rate: int, config: PitchConfig | None = None) -> np.ndarray:
    """Fundamental frequency in Hz (T,) of frames whose middles are `frame_s` apart; 0 where unvoiced.

    Args:
        wave: (N,) samples, N > 0.
        sample_rate: Hz.
        config: how it is found.

    Returns:
        (1 + N // hop,) float64, hop being `frame_s` in samples.

    Source: de Cheveigné & Kawahara 2002 (YIN), steps 2 to 5.
    """
    config = config or PitchConfig()
    hop = max(1, round(config.frame_s * sample_rate))
    longest = int(np.ceil(sample_rate / config.min_hz))
    shortest = max(2, int(sample_rate / config.max_hz))
    padded = np.pad(np.asarray(wave, dtype=np.float64), (longest, longest + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * longest)[::hop][: 1 + len(wave) // hop]
    power = np.square(frames).mean(axis=1)
    found = np.zeros(len(frames))
    loud = np.flatnonzero(power > max(power.max() * 10 ** (config.min_level_db / 10), 1e-12))
    for begin in range(0, len(loud), 256):  # bounded memory
        chosen = loud[begin : begin + 256]
        found[chosen] = _periods(frames[chosen], longest, shortest, config.threshold)
    return np.divide(sample_rate, found, out=np.zeros(len(found)), where=found > 0)


def _periods(frames: np.ndarray, longest: int, shortest: int, threshold: float) -> np.ndarray:
    """Periods (F,) in samples of frames (F, 2 L); 0 where there is none."""
    size = 1 << (3 * longest - 1).bit_length()
    spectra = np.fft.rfft(frames, size)
    heads = np.fft.rfft(frames[:, :longest], size)
    products = np.fft.irfft(spectra * heads.conj(), size)[:, : longest + 1]
    sums = np.concatenate((np.zeros((len(frames), 1)), np.cumsum(np.square(frames), axis=1)), axis=1)
    lags = np.arange(longest + 1)
    energies = sums[:, lags + longest] - sums[:, lags]
    difference = np.maximum(energies[:, :1] + energies - 2.0 * products, 0.0)
    means = np.cumsum(difference[:, 1:], axis=1) / lags[1:]
    normalised = np.ones_like(difference)
    np.divide(difference[:, 1:], means, out=normalised[:, 1:], where=means > 1e-12)
    return np.array([_first_dip(row, shortest, threshold) for row in normalised])


def _first_dip(row: np.ndarray, shortest: int, threshold: float) -> float:
    """The lag of the first dip below `threshold`, between samples; 0 where there is none."""
    below = np.flatnonzero(row[shortest:-1] < threshold)
    if not len(below):
        return 0.0
    lag = int(below[0]) + shortest
    while lag + 2 < len(row) and row[lag + 1] < row[lag]:
        lag += 1
    before, here, after = row[lag - 1], row[lag], row[lag + 1]
    bend = before - 2.0 * here + after
    return lag + (0.5 * (before - after) / bend if bend > 0 else 0.0)
