"""Networks that tell spoken waves from true ones, for training vocoders against them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from optophone.models.verdict import Verdict, verdict_of


@dataclass(frozen=True)
class DiscriminatorsConfig:
    """How waves are looked at.

    Args:
        periods: samples a row, of the networks that see the wave folded into rows.
        period_channels: channels after each of their layers; HiFi-GAN has 32, 128, 512, 1024, 1024.
        transforms: samples of a frame, of the networks that see a spectrogram.
        transform_channels: their channels; Vocos has 32.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    period_channels: tuple[int, ...] = (16, 32, 64, 128, 128)
    transforms: tuple[int, ...] = (2048, 1024, 512)
    transform_channels: int = 8


class Discriminators(nn.Module):
    """Several networks, each with its own way of looking at a wave."""

    def __init__(self, config: DiscriminatorsConfig) -> None:
        super().__init__()
        periods = [PeriodDiscriminator(period, config.period_channels) for period in config.periods]
        transforms = [SpectrumDiscriminator(n_fft, config.transform_channels) for n_fft in config.transforms]
        self.members = nn.ModuleList([*periods, *transforms])

    def forward(self, wave: Tensor) -> list[Verdict]:
        """A verdict of each on waves (B, N)."""
        return [member(wave) for member in self.members]


class PeriodDiscriminator(nn.Module):
    """Sees samples that are `period` apart as neighbours.

    Source: Kong et al. 2020, "HiFi-GAN", section 2.3.
    """

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        widths = (1, *channels)
        last = len(channels) - 1
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(widths[i], widths[i + 1], (5, 1), (1 if i == last else 3, 1), (2, 0)))
            for i in range(len(channels))
        )
        self.end = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, wave: Tensor) -> Verdict:
        """The verdict on waves (B, N)."""
        wave = nn.functional.pad(wave, (0, -wave.shape[1] % self.period))
        return verdict_of(self.layers, self.end, wave.unflatten(1, (-1, self.period))[:, None])


class SpectrumDiscriminator(nn.Module):
    """Sees real and imaginary parts of a spectrogram as a picture.

    Source: Jang et al. 2021, "UnivNet", section 2.3, with complex spectra as in Défossez et al. 2022, "High Fidelity
    Neural Audio Compression", section 3.4.
    """

    window: Tensor

    def __init__(self, n_fft: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        shapes = [(2, (3, 9), (1, 1)), *[(channels, (3, 9), (1, 2))] * 3, (channels, (3, 3), (1, 1))]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(given, channels, kernel, stride, (kernel[0] // 2, kernel[1] // 2)))
            for given, kernel, stride in shapes
        )
        self.end = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, wave: Tensor) -> Verdict:
        """The verdict on waves (B, N)."""
        spectra = torch.stft(wave.float(), self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
        return verdict_of(self.layers, self.end, torch.view_as_real(spectra).permute(0, 3, 2, 1))
