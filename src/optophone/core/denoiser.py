"""The denoiser of a vocoder: what the network hums by itself is taken away from every frame."""

from collections.abc import Iterable, Iterator

import numpy as np

from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec, istft, stft

BIAS_FRAMES = 88  # of the original: the first spectrum of the wave of so many frames of zeros is the bias


class Denoiser:
    """Spectral subtraction of a constant magnitude spectrum. Holds constants only, so threads may share one.

    Args:
        bias: (n_fft // 2 + 1,) magnitudes of what the vocoder hums.
        spec: gives `n_fft`, `win_length` and `hop_length`.

    Source: the public WaveGlow's denoiser. Proof: tests/parity/test_denoiser.py.
    """

    def __init__(self, bias: np.ndarray, spec: MelSpec | None = None) -> None:
        self.spec = spec or MelSpec()
        self.bias = np.asarray(bias, dtype=np.float32)
        assert self.bias.shape == (self.spec.n_fft // 2 + 1,), self.bias.shape

    def __call__(self, wave: np.ndarray, strength: float = 0.1) -> np.ndarray:
        """The wave with `strength` times the bias subtracted from the magnitudes, which stay at 0 or above.

        Args:
            wave: (N,) longer than half of `n_fft`.
            strength: .1 is the original's default, .01 is common; 0 only goes through the transform.

        Returns:
            (N // hop_length * hop_length,) float32.

        Raises:
            AudioError: the wave is too short, or holds what is no number.
            ConfigurationError: a negative strength.
        """
        if strength < 0:
            raise ConfigurationError(f"denoiser: strength is {strength}; give 0 or more.")
        spectrum = stft(np.asarray(wave, dtype=np.float32), self.spec)
        magnitude = np.abs(spectrum)
        kept = np.maximum(magnitude - np.float32(strength) * self.bias[:, None], np.float32(0.0))
        # Scaling keeps the phase; a magnitude of 0 has none, and stays 0.
        scale = np.divide(kept, magnitude, out=np.zeros_like(kept), where=magnitude > 0)
        return istft(spectrum * scale, self.spec)

    def stream(self, waves: Iterable[np.ndarray], strength: float = 0.1) -> Iterator[np.ndarray]:
        """`self(wave)` in portions: a sample is settled when the `n_fft` samples after it are known.

        A wave too short for a spectrum, and the rest beyond the last whole hop, come out as they are.

        Args:
            waves: portions (n,) of any size.
            strength: as for a call.

        Yields:
            (n,) float32, n > 0; joined they are as long as the joined portions.
        """
        margin, hop_length = self.spec.n_fft, self.spec.hop_length
        held = np.zeros(0, dtype=np.float32)  # what is not settled, and before it what its frames reach back to
        n_before = 0  # samples of `held` that are settled
        for wave in waves:
            held = np.concatenate((held, np.asarray(wave, dtype=np.float32)))
            n_settled = (len(held) - margin) // hop_length * hop_length
            if n_settled - n_before < margin:  # a portion no longer than its margins is mostly repeated work
                continue
            yield self(held, strength)[n_before:n_settled]
            begin = max(0, n_settled - -(-margin // hop_length) * hop_length)  # frames begin where they did before
            held, n_before = held[begin:], n_settled - begin
        if len(held) > n_before:
            rest = held.copy()
            if len(held) > self.spec.n_fft // 2:
                denoised = self(held, strength)
                rest[: len(denoised)] = denoised
            yield rest[n_before:]
