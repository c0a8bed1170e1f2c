"""The denoiser of WaveGlow: what the vocoder hums by itself is taken away from every frame."""

import numpy as np
import torch

from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec, istft, stft
from optophone.models.vocoders.waveglow import WaveGlow

BIAS_FRAMES = 88  # of the original; its first spectrum is the bias


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


def build_denoiser(model: WaveGlow, spec: MelSpec | None = None) -> Denoiser:
    """The denoiser of `model`: its bias is the first spectrum of the wave of a mel of zeros, without noise."""
    spec = spec or MelSpec(n_mels=model.config.n_mels)
    parameter = next(model.parameters())
    silence = torch.zeros(1, model.config.n_mels, BIAS_FRAMES, dtype=parameter.dtype, device=parameter.device)
    wave = model.infer(silence, sigma=0.0)[0].float().cpu().numpy()
    return Denoiser(np.abs(stft(wave, spec)[:, 0]), spec)
