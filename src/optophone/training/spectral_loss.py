"""How far the spectrograms of spoken waves are from those of the true ones."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.mel import MelSpec, mel_filter_bank

_SMALLEST = 1e-5


@dataclass(frozen=True)
class SpectralLossConfig:
    """What is compared.

    Args:
        transforms: samples of the frames of each spectrogram; hops are a quarter.
        mel_weight: of the mean absolute difference of natural-log mels.
        spectrum_weight: of the spectral convergence and the difference of log magnitudes.
    """

    transforms: tuple[int, ...] = (2048, 1024, 512, 256)
    mel_weight: float = 15.0
    spectrum_weight: float = 2.5


class SpectralLosses(NamedTuple):
    """Scalars: the weighted sum, and its terms before the weights."""

    total: Tensor
    mel: Tensor
    convergence: Tensor
    log_magnitude: Tensor


class SpectralLoss(nn.Module):
    """Differences of spectrograms at several resolutions, and of the mel.

    Source: Yamamoto et al. 2020, "Parallel WaveGAN", equations 5 to 8; mel: Kong et al. 2020, "HiFi-GAN", equation 3.
    """

    bank: Tensor

    def __init__(self, config: SpectralLossConfig, spec: MelSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.register_buffer("bank", torch.from_numpy(mel_filter_bank(spec).copy()), persistent=False)

    def forward(self, spoken: Tensor, true: Tensor) -> SpectralLosses:
        """The losses of waves (B, N) against the true ones (B, N)."""
        pairs = [self._spectra(spoken, true, n_fft) for n_fft in self.config.transforms]
        convergence = torch.stack([_convergence(*pair) for pair in pairs]).mean()
        log_magnitude = torch.stack([(a.log() - b.log()).abs().mean() for a, b in pairs]).mean()
        mel = (self.log_mel(spoken) - self.log_mel(true)).abs().mean()
        config = self.config
        total = config.mel_weight * mel + config.spectrum_weight * (convergence + log_magnitude)
        return SpectralLosses(total, mel, convergence, log_magnitude)

    def log_mel(self, wave: Tensor) -> Tensor:
        """The mel (B, M, T) of waves (B, N), as `core.mel.log_mel` has it."""
        spec = self.spec
        magnitudes = _magnitudes(wave, spec.n_fft, spec.hop_length, spec.win_length)
        return (self.bank @ magnitudes).clamp(min=spec.floor).log()

    @staticmethod
    def _spectra(spoken: Tensor, true: Tensor, n_fft: int) -> tuple[Tensor, Tensor]:
        both = _magnitudes(torch.cat((spoken, true)), n_fft, n_fft // 4, n_fft)
        spoken, true = both.chunk(2)
        return spoken, true


def _magnitudes(wave: Tensor, n_fft: int, hop_length: int, win_length: int) -> Tensor:
    """(B, n_fft // 2 + 1, T), at least `_SMALLEST`; differentiable at silence."""
    window = torch.hann_window(win_length, device=wave.device)
    spectra = torch.stft(wave.float(), n_fft, hop_length, win_length, window, return_complex=True)
    power = spectra.real.square() + spectra.imag.square()
    return power.clamp(min=_SMALLEST**2).sqrt()


def _convergence(spoken: Tensor, true: Tensor) -> Tensor:
    return (true - spoken).norm() / true.norm().clamp(min=_SMALLEST)
