"""The vocoder that needs no training: the phase that fits best to the magnitudes of a mel spectrogram."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from optophone.core.configuration import check_ranges
from optophone.core.errors import AudioError
from optophone.core.mel import MelSpec, analysis_window, mel_filter_bank, overlap_add, spectra_of_frames

_RANGES: dict[str, tuple[float, float]] = {
    "n_iterations": (1, 10_000),
    "momentum": (0, 100),
    "n_mel_updates": (0, 10_000),
    "first_frames": (1, 1_000_000),
    "chunk_frames": (1, 1_000_000),
    "look_ahead_frames": (0, 1_000_000),
    "seed": (0, 2**63),
}
_KNEE = 0.9  # up to here the limiter leaves samples as they are


@dataclass(frozen=True)
class GriffinLimConfig:
    """How long to look for the phase, and in which portions while streaming.

    Args:
        n_iterations: rounds of fast Griffin-Lim; 60 reach within 3 % of the error of 100.
        momentum: α of Perraudin et al. 2013; .99 is their advice, 0 gives the plain algorithm.
        n_mel_updates: multiplicative updates from mel bands to magnitudes; 20 leave an error of 1e-4 in ln units.
        first_frames: frames of the first portion of a stream: small, so that it comes early.
        chunk_frames: frames of every later portion.
        look_ahead_frames: frames after a portion that are searched together with it and may change later.
        seed: of the phase to begin with.
    """

    n_iterations: int = 60
    momentum: float = 0.99
    n_mel_updates: int = 20
    first_frames: int = 16
    chunk_frames: int = 40
    look_ahead_frames: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES, "griffin-lim")


class GriffinLim:
    """Mel → wave by fast Griffin-Lim (a `Vocoder`). Holds constants only, so threads may share one.

    Args:
        spec: layout of the mels.
        config: effort and portions.

    Source: Perraudin, Balazs & Søndergaard 2013, algorithm 2.
    """

    name = "griffin-lim"

    def __init__(self, spec: MelSpec | None = None, config: GriffinLimConfig | None = None) -> None:
        self.mel_spec = spec or MelSpec()
        self.config = config or GriffinLimConfig()
        window = analysis_window(self.mel_spec)
        self._bank = mel_filter_bank(self.mel_spec)
        self._synthesis_window = window.astype(np.float32)
        self._analysis_window = (window * self.mel_spec.n_fft).astype(np.float32)
        self._window_power = np.square(window).astype(np.float32)
        # No wave within -1..1 is louder in any band; a mel above comes from a network gone astray.
        self._loudest = np.log(self._bank.sum(axis=1).max() * window.sum())

    def wave(self, mel: np.ndarray) -> np.ndarray:
        """The wave of a whole utterance.

        Args:
            mel: (M, T) natural-log magnitude, laid out by `mel_spec`.

        Returns:
            (T * hop_length,) float32 in -1..1, the same for the same mel.

        Raises:
            AudioError: another number of bands, or values that are no numbers.
        """
        magnitudes = self.magnitudes(mel)
        utterance = _Utterance(self)
        utterance.hear(magnitudes)
        return np.concatenate([utterance.speak(len(magnitudes)), utterance.finish()])

    def stream(self, mels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The wave in portions, each as soon as `look_ahead_frames` after it are known.

        What was spoken is never changed: the search for later frames holds it fixed, and frames overlap across
        portions, so there is no seam. The phase of the frames looked ahead at is where their own search begins.

        Args:
            mels: chunks (M, t) of any size, also empty ones; the sizes make no difference beyond rounding.

        Yields:
            (n,) float32, n > 0; together as long as `wave` of the joined mel.

        Raises:
            AudioError: another number of bands, or values that are no numbers.
        """
        utterance = _Utterance(self)
        portion, look_ahead = self.config.first_frames, self.config.look_ahead_frames
        for mel in mels:
            utterance.hear(self.magnitudes(mel))
            while utterance.n_waiting >= portion + look_ahead:
                wave = utterance.speak(portion, look_ahead)
                portion = self.config.chunk_frames
                if len(wave):
                    yield wave
        rest = utterance.speak(utterance.n_waiting)
        wave = np.concatenate([rest, utterance.finish()])
        if len(wave):
            yield wave

    def magnitudes(self, mel: np.ndarray) -> np.ndarray:
        """Magnitudes (T, n_fft // 2 + 1) float32 whose mel bands are `mel` (M, T), by multiplicative updates.

        They minimise the generalised Kullback-Leibler divergence, which weighs quiet bands as well as loud ones, and
        begin with each band spread over its filter: on speech nearer to the truth than a clipped pseudo-inverse
        (spectral convergence .22 against .27).

        Source: Lee & Seung 2000, equation 5.
        """
        mel = np.asarray(mel)
        if mel.ndim != 2 or mel.shape[0] != self.mel_spec.n_mels:
            raise AudioError(f"a mel of {self.mel_spec.n_mels} bands was expected, but its shape is {mel.shape}")
        if not np.isfinite(mel).all():
            raise AudioError("the mel holds values that are no numbers (NaN or infinity): check the model that made it")
        target = np.exp(np.minimum(mel, self._loudest)).astype(np.float32).T
        bank = self._bank
        tiny = np.float32(1e-12)
        result = target @ (bank / np.maximum(bank.sum(axis=1) @ bank, tiny))
        per_bin = 1.0 / np.maximum(bank.sum(axis=0), tiny)
        for _ in range(self.config.n_mel_updates):
            result *= (target / np.maximum(result @ bank.T, tiny)) @ bank * per_bin
        return result

    def refine(self, spectra: np.ndarray, magnitudes: np.ndarray) -> None:
        """Improve the phases of the last rows of `spectra` in place; the rows before them stay as they are.

        Args:
            spectra: (K + T, n_fft // 2 + 1) complex64, the K fixed rows first.
            magnitudes: (T, n_fft // 2 + 1) float32 of the rows to improve.
        """
        n_fixed = len(spectra) - len(magnitudes)
        hop, n_fft = self.mel_spec.hop_length, self.mel_spec.n_fft
        inverse_weight = invert_weight(self.weight(len(spectra)))
        previous: np.ndarray | None = None
        for _ in range(self.config.n_iterations):
            wave = overlap_add(self.frames(spectra), hop)
            wave *= inverse_weight
            heard = np.lib.stride_tricks.sliding_window_view(wave, n_fft)[::hop][n_fixed : len(spectra)]
            consistent = spectra_of_frames(heard * self._analysis_window)
            ahead = consistent
            if previous is not None:
                ahead = consistent + np.float32(self.config.momentum) * (consistent - previous)
            previous = consistent
            np.multiply(ahead, magnitudes / np.maximum(np.abs(ahead), np.float32(1e-9)), out=spectra[n_fixed:])

    def frames(self, spectra: np.ndarray) -> np.ndarray:
        """Windowed frames (T, n_fft) float32 of spectra (T, n_fft // 2 + 1)."""
        frames = np.fft.irfft(spectra, self.mel_spec.n_fft, axis=-1)
        frames *= self._synthesis_window
        return frames

    def weight(self, n_frames: int) -> np.ndarray:
        """What `n_frames` frames of ones become when analysed and synthesised: the divisor after `overlap_add`."""
        power = np.broadcast_to(self._window_power, (n_frames, self.mel_spec.n_fft))
        return overlap_add(power, self.mel_spec.hop_length)


def invert_weight(weight: np.ndarray) -> np.ndarray:
    """Reciprocal of summed window power, at most 20: what only the rim of one window reached is rather faded."""
    return 1.0 / np.maximum(weight, np.float32(0.05))


def limit_peaks(wave: np.ndarray) -> np.ndarray:
    """Bend samples beyond ±.9 smoothly so that all stay within ±1; one by one, hence alike in a stream."""
    size = np.abs(wave)
    if size.max(initial=0.0) <= _KNEE:
        return wave
    bent = _KNEE + (1.0 - _KNEE) * np.tanh((size - _KNEE) / (1.0 - _KNEE))
    return np.where(size <= _KNEE, wave, np.copysign(bent, wave)).astype(np.float32)


class _Utterance:
    """One utterance on its way: what was spoken, what waits, and the samples that overlap the two."""

    def __init__(self, vocoder: GriffinLim) -> None:
        spec = vocoder.mel_spec
        n_bins = spec.n_fft // 2 + 1
        n_overlaps = -(-spec.n_fft // spec.hop_length) - 1
        self._vocoder = vocoder
        self._generator = np.random.default_rng(vocoder.config.seed)
        self._n_overlaps = n_overlaps
        self._spoken = np.zeros((0, n_bins), dtype=np.complex64)  # the last rows that overlap with what comes
        self._spectra = np.zeros((0, n_bins), dtype=np.complex64)  # of the frames that wait, phases so far
        self._magnitudes = np.zeros((0, n_bins), dtype=np.float32)
        self._tail = np.zeros((2, n_overlaps * spec.hop_length), dtype=np.float32)  # sum and weight, unfinished
        self._to_skip = spec.n_fft // 2  # the first frame is centred on the first sample
        self._n_owed = 0

    @property
    def n_waiting(self) -> int:
        """Frames heard but not spoken."""
        return len(self._magnitudes)

    def hear(self, magnitudes: np.ndarray) -> None:
        """Take in further frames (T, n_fft // 2 + 1) with a random phase, the same however they are chunked."""
        turns = self._generator.random(magnitudes.shape, dtype=np.float32)
        spectra = magnitudes * np.exp(np.complex64(2j * np.pi) * turns)
        self._magnitudes = np.concatenate([self._magnitudes, magnitudes])
        self._spectra = np.concatenate([self._spectra, spectra])

    def speak(self, n_frames: int, n_ahead: int = 0) -> np.ndarray:
        """Settle the first `n_frames` that wait, `n_ahead` more in view; return the samples (n,) now finished."""
        if n_frames == 0:
            return np.zeros(0, dtype=np.float32)
        n_fixed = len(self._spoken)
        window = np.concatenate([self._spoken, self._spectra[: n_frames + n_ahead]])
        self._vocoder.refine(window, self._magnitudes[: n_frames + n_ahead])
        self._spectra[n_frames : n_frames + n_ahead] = window[n_fixed + n_frames :]
        self._spectra, self._magnitudes = self._spectra[n_frames:], self._magnitudes[n_frames:]
        settled = window[: n_fixed + n_frames]
        self._spoken = settled[max(0, len(settled) - self._n_overlaps) :]
        return self._add(settled[n_fixed:])

    def _add(self, spectra: np.ndarray) -> np.ndarray:
        """Lay settled frames (T, n_fft // 2 + 1) onto the tail and cut off what is finished."""
        hop_length = self._vocoder.mel_spec.hop_length
        sums = overlap_add(self._vocoder.frames(spectra), hop_length)
        total = np.stack([sums, self._vocoder.weight(len(spectra))])
        total[:, : self._tail.shape[1]] += self._tail
        n_done = len(spectra) * hop_length
        self._n_owed += n_done
        self._tail = total[:, n_done:]
        return self._emit(total[:, :n_done])

    def finish(self) -> np.ndarray:
        """The samples (n,) still owed after the last frame."""
        rest = np.zeros((2, max(self._n_owed + self._to_skip, self._tail.shape[1])), dtype=np.float32)
        rest[:, : self._tail.shape[1]] = self._tail
        return self._emit(rest)

    def _emit(self, total: np.ndarray) -> np.ndarray:
        """Samples from sums and weights (2, n), less those before the start and beyond the end."""
        skipped = min(self._to_skip, total.shape[1])
        self._to_skip -= skipped
        sums, weights = total[:, skipped:][:, : self._n_owed]
        self._n_owed -= len(sums)
        return limit_peaks(sums * invert_weight(weights))
