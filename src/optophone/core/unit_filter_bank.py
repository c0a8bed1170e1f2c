"""The log-mel front end of speech units: decibels below the loudest cell of the utterance, at 16 kHz.

Other than the mel that voices are trained on (`core.mel`): the mean is removed, high frequencies are raised, the window
is a symmetric Hamming window, power instead of magnitude, and levels are relative to the utterance. The conventions are
those that the public ResDAVEnet-VQ checkpoints were trained with.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from optophone.core.configuration import check_ranges
from optophone.core.errors import AudioError, ConfigurationError
from optophone.core.mel import MelSpec, mel_filter_bank, spectra_of_frames

LOUDEST_DB = 0.0  # the level that padding has: the loudest cell of an utterance, not silence
_SMALLEST_POWER = 1e-10  # what digital silence counts as, so that its logarithm is finite
_NO_NUMBERS = "the sound holds values that are no numbers (NaN or infinity): record or convert it again"
_BLOCK_FRAMES = 256  # so many frames fit the processor's cache together with their spectra


@dataclass(frozen=True)
class UnitFilterBankConfig:
    """How a wave is laid out for a unit encoder.

    Args:
        sample_rate: Hz of the wave.
        n_fft: samples of a frame, which is as long as its window: 25 ms.
        hop_length: samples from one frame to the next: 10 ms.
        n_mels: mel bands M.
        f_min: Hz where the lowest band begins; the highest ends at half the sample rate.
        pre_emphasis: share of the previous sample that is taken away from each.
        range_db: levels further below the maximum count as this far below.
    """

    sample_rate: int = 16000
    n_fft: int = 400
    hop_length: int = 160
    n_mels: int = 40
    f_min: float = 20.0
    pre_emphasis: float = 0.97
    range_db: float = 80.0

    def __post_init__(self) -> None:
        """Refuse what is no layout."""
        if self.n_fft % 2 or not 0 < self.hop_length < self.n_fft // 2:
            raise ConfigurationError(
                f"unit filter bank: n_fft is {self.n_fft} and hop_length {self.hop_length}; give an even n_fft and a "
                "hop_length below half of it."
            )
        if self.range_db <= 0 or not 0 <= self.pre_emphasis < 1:
            raise ConfigurationError("unit filter bank: range_db must be positive and pre_emphasis in 0..1.")
        check_ranges(self, {"range_db": (0, 10_000)}, "unit filter bank")
        _ = self.mel_spec

    @property
    def mel_spec(self) -> MelSpec:
        """The layout of the mel bands."""
        return MelSpec(
            self.sample_rate, self.n_fft, self.n_fft, self.hop_length, self.n_mels, self.f_min, self.sample_rate / 2
        )


class UnitFilterBank:
    """Wave → log-mel frames for unit encoders.

    Source: Harwath, Hsu and Glass 2020, "Learning Hierarchical Discrete Linguistic Units from Visually-Grounded
    Speech", section 3.1. Proof: tests/parity/test_resdavenet_fbank.py
    """

    def __init__(self, config: UnitFilterBankConfig | None = None) -> None:
        self.config = config or UnitFilterBankConfig()
        self.filters = mel_filter_bank(self.config.mel_spec)
        # Symmetric: the last sample of the window equals its first. `spectra_of_frames` wants the factor n_fft.
        self._window = np.hamming(self.config.n_fft) * self.config.n_fft

    def frames_for(self, n_samples: int) -> int:
        """Frames T of a wave of `n_samples`: one at its start, then one every hop."""
        return 1 + n_samples // self.config.hop_length

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """Levels (M, T) float32 of `wave` (N,) at `sample_rate`: decibels, 0 at the loudest cell, floored.

        T = `frames_for(N)`. A wave without any sound has 0 everywhere, for all its cells are the loudest.

        Raises:
            AudioError: the wave is not longer than half a frame, or holds what is no number.
        """
        powers, _ = self._whole(wave)
        return self._levels(powers, float(powers.max())).T.copy()

    def stream(
        self, blocks: Iterable[np.ndarray], mean: float = 0.0, maximum: float | None = None
    ) -> Iterator[np.ndarray]:
        """The frames of a wave that arrives in blocks, each as soon as its samples are there.

        Two facts of the whole utterance are not known while it is being spoken: the mean of its samples and the power
        of its loudest cell. Given both (see `mean_and_maximum`), the frames are exactly those of the whole wave.
        Otherwise the mean is taken as 0, which recordings without an offset have, and the maximum as the largest so
        far: frames that came before a louder one stay as they were, too loud by the difference.

        Args:
            blocks: (n,) each, of any size, at `sample_rate`.
            mean: of the samples of the utterance.
            maximum: power of the loudest cell of the utterance; None for the largest so far.

        Yields:
            (M, t) float32 decibels; together T = `frames_for(N)` frames.

        Raises:
            AudioError: the wave ends before half a frame, or holds what is no number.
        """
        loudest = _SMALLEST_POWER if maximum is None else maximum
        for powers in self._arriving_powers(blocks, mean):
            if maximum is None:
                loudest = max(loudest, float(powers.max()))
            yield self._levels(powers, loudest).T.copy()

    def mean_and_maximum(self, wave: np.ndarray) -> tuple[float, float]:
        """What `stream` wants to know of a whole utterance (N,): mean of its samples, power of its loudest cell."""
        powers, mean = self._whole(wave)
        return mean, float(powers.max())

    def _whole(self, wave: np.ndarray) -> tuple[np.ndarray, float]:
        """Mel powers (T, M) of a whole wave (N,), and the mean of its samples."""
        wave = np.asarray(wave, dtype=np.float64)
        assert wave.ndim == 1, f"a wave has one axis, this one {wave.shape}"
        if len(wave) <= self.config.n_fft // 2:
            raise AudioError(self._too_short(len(wave)))
        if not np.isfinite(wave).all():
            raise AudioError(_NO_NUMBERS)
        mean = float(wave.mean())
        flat = self._emphasized(wave - mean, 0.0)
        return self._powers(np.pad(flat, self.config.n_fft // 2, mode="reflect")), mean

    def _arriving_powers(self, blocks: Iterable[np.ndarray], mean: float) -> Iterator[np.ndarray]:
        """Powers (t, M) of the frames that each block completes; the edges are reflected as in the whole wave."""
        margin, hop = self.config.n_fft // 2, self.config.hop_length
        pending, last, has_edge = np.zeros(0), 0.0, False
        for block in blocks:
            centred = np.asarray(block, dtype=np.float64) - mean
            if not np.isfinite(centred).all():
                raise AudioError(_NO_NUMBERS)
            if len(centred) == 0:
                continue
            pending, last = np.concatenate((pending, self._emphasized(centred, last))), float(centred[-1])
            if not has_edge and len(pending) > margin:
                pending, has_edge = np.concatenate((pending[margin:0:-1], pending)), True
            n_frames = (len(pending) - 2 * margin) // hop + 1
            if has_edge and n_frames > 0:
                yield self._powers(pending)
                pending = pending[n_frames * hop :]
        if not has_edge:
            raise AudioError(self._too_short(len(pending)))
        # What remains is longer than half a frame, since a hop is shorter than half a frame.
        pending = np.concatenate((pending, pending[-2 : -margin - 2 : -1]))
        if len(pending) >= 2 * margin:
            yield self._powers(pending)

    def _emphasized(self, wave: np.ndarray, before: float) -> np.ndarray:
        """`wave` (n,) less its share of each previous sample; `before` is the one before the first."""
        return wave - self.config.pre_emphasis * np.concatenate(((before,), wave[:-1]))

    def _powers(self, padded: np.ndarray) -> np.ndarray:
        """Mel powers (T, M) float64 of a wave whose edges are there already."""
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.config.n_fft)[:: self.config.hop_length]
        powers = np.empty((len(frames), self.config.n_mels))
        for start in range(0, len(frames), _BLOCK_FRAMES):
            block = slice(start, start + _BLOCK_FRAMES)
            spectra = spectra_of_frames(frames[block] * self._window)
            powers[block] = (spectra.real**2 + spectra.imag**2) @ self.filters.T
        return powers

    def _levels(self, powers: np.ndarray, maximum: float) -> np.ndarray:
        """Decibels (T, M) float32 relative to `maximum`, not below the range."""
        levels = 10.0 * np.log10(np.maximum(powers, _SMALLEST_POWER) / max(maximum, _SMALLEST_POWER))
        return np.maximum(levels, -self.config.range_db).astype(np.float32)

    def _too_short(self, n_samples: int) -> str:
        needed = self.config.n_fft // 2 + 1
        return f"the sound has {n_samples} samples; units need at least {needed}: give a longer recording"


def pad_levels(levels: np.ndarray, n_frames: int) -> tuple[np.ndarray, int]:
    """Levels (M, T) as (M, n_frames), and how many of these are real: shorter ones end in 0 dB, longer ones are cut.

    For training alone, as the original does it: padding is the loudest level there is, and changes the units beside it.
    """
    kept = levels[:, :n_frames]
    missing = n_frames - kept.shape[1]
    return np.pad(kept, ((0, 0), (0, missing)), constant_values=LOUDEST_DB), kept.shape[1]
