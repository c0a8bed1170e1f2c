"""WaveGlow: mel to wave through a chain of invertible flows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.vocoders.coupling_network import CouplingNetwork
from optophone.models.vocoders.invertible_convolution import InvertibleConvolution


@dataclass(frozen=True)
class WaveGlowConfig:
    """Sizes of a WaveGlow; the defaults are those of the public checkpoints of 256 channels.

    Args:
        n_mels: bands of a frame.
        n_flows: steps of the chain.
        n_group: consecutive samples that are the channels of one step.
        early_every, early_size: before every so many flows, so many channels leave the chain.
        n_layers, n_channels, kernel_size: of each coupling network.
        hop_length: samples of a frame, the stride of the upsampling.
        upsample_kernel_size: samples that a frame reaches.
        alternate_halves: every second flow moves the first half instead of the second, as the very first public model
            did; its tensors do not show it.
    """

    n_mels: int = 80
    n_flows: int = 12
    n_group: int = 8
    early_every: int = 4
    early_size: int = 2
    n_layers: int = 8
    n_channels: int = 256
    kernel_size: int = 3
    hop_length: int = 256
    upsample_kernel_size: int = 1024
    alternate_halves: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes that no WaveGlow has."""
        for name in ("n_mels", "n_flows", "early_every", "n_layers", "n_channels", "hop_length"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"WaveGlowConfig.{name} is {getattr(self, name)}; give at least 1.")
        if self.kernel_size % 2 == 0:
            raise ConfigurationError(f"WaveGlowConfig.kernel_size is {self.kernel_size}; give an odd number.")
        if self.n_group % 2 or self.early_size % 2 or self.early_size < 0:
            raise ConfigurationError("WaveGlowConfig: n_group and early_size are even, early_size not negative.")
        if self.n_remaining < 2:
            raise ConfigurationError(
                f"WaveGlowConfig: {len(self.early_flows)} early outputs of {self.early_size} leave nothing of "
                f"{self.n_group} channels; give fewer or smaller ones."
            )
        if self.upsample_kernel_size < self.hop_length:
            raise ConfigurationError("WaveGlowConfig: upsample_kernel_size is at least hop_length.")

    @property
    def early_flows(self) -> tuple[int, ...]:
        """The flows before which channels leave the chain."""
        return tuple(range(self.early_every, self.n_flows, self.early_every))

    @property
    def n_remaining(self) -> int:
        """Channels that stay in the chain to its end."""
        return self.n_group - self.early_size * len(self.early_flows)

    @property
    def flow_channels(self) -> tuple[int, ...]:
        """Channels of each flow."""
        return tuple(self.n_group - self.early_size * (k // self.early_every) for k in range(self.n_flows))


class WaveGlowOutput(NamedTuple):
    """What training needs, with T = N // n_group steps.

    Fields: z (B, n_group, T), early outputs in their order, then the rest; log_scales, one (B, H, T) per flow;
    log_dets, one scalar per flow, of its 1×1 convolution, summed over batch and steps.
    """

    z: Tensor
    log_scales: tuple[Tensor, ...]
    log_dets: tuple[Tensor, ...]


class WaveGlow(nn.Module):
    """Mel frames to samples, or samples to noise and how likely they are.

    Source: Prenger et al. 2019, "WaveGlow: A Flow-based Generative Network for Speech Synthesis".
    Proof: tests/parity/test_waveglow.py.
    """

    def __init__(self, config: WaveGlowConfig) -> None:
        super().__init__()
        self.config = config
        self.upsample = nn.ConvTranspose1d(
            config.n_mels, config.n_mels, config.upsample_kernel_size, stride=config.hop_length
        )
        self.mixings = nn.ModuleList(InvertibleConvolution(n_channels) for n_channels in config.flow_channels)
        self.couplings = nn.ModuleList(
            CouplingNetwork(
                n_channels // 2, config.n_mels * config.n_group, config.n_layers, config.n_channels, config.kernel_size
            )
            for n_channels in config.flow_channels
        )

    def forward(self, mel: Tensor, audio: Tensor) -> WaveGlowOutput:
        """The noise that would become `audio`.

        Args:
            mel: (B, M, frames) natural-log mel.
            audio: (B, N) samples that begin with the first frame, N at most frames * hop_length + upsample_kernel_size
                - hop_length; those beyond the last whole step are left out.
        """
        conditions = self._conditions(self.upsample(mel)[:, :, : audio.shape[1]])
        x = self._group(audio)
        assert conditions.shape[2] == x.shape[2], f"a mel of {mel.shape[2]} frames for {audio.shape[1]} samples"
        outputs, log_scales, log_dets = [], [], []
        for k in range(self.config.n_flows):
            if k in self.config.early_flows:
                early, x = x.tensor_split((self.config.early_size,), dim=1)
                outputs.append(early)
            x, log_det = self.mixings[k](x)
            read, moved = self._halves(x, k)
            shift, log_scale = self.couplings[k](read, conditions)
            x = self._join(read, torch.exp(log_scale) * moved + shift, k)
            log_scales.append(log_scale)
            log_dets.append(log_det)
        return WaveGlowOutput(torch.cat((*outputs, x), dim=1), tuple(log_scales), tuple(log_dets))

    @torch.no_grad()
    def infer(
        self,
        mel: Tensor,
        sigma: float = 1.0,
        noise: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The wave (B, N) of `mel` (B, M, frames), N = frames * hop_length without an incomplete last step.

        Args:
            mel: natural-log mel.
            sigma: standard deviation of the noise; .6 to .9 sound best, 0 is without randomness.
            noise: standard normal, in the order of use: (B, n_remaining, T), then (B, early_size, T) for each early
                output, from the last flow backwards; drawn when None.
            generator: to draw it from.
        """
        samples = mel.shape[2] * self.config.hop_length
        conditions = self._conditions(self.upsample(mel)[:, :, :samples])
        draws = iter(noise if noise is not None else self.draw_noise(conditions, generator))
        x = sigma * next(draws)
        for k in reversed(range(self.config.n_flows)):
            read, moved = self._halves(x, k)
            shift, log_scale = self.couplings[k](read, conditions)
            mixing = self.mixings[k]
            assert isinstance(mixing, InvertibleConvolution)
            x = mixing.inverse(self._join(read, (moved - shift) * torch.exp(-log_scale), k))
            if k in self.config.early_flows:
                x = torch.cat((sigma * next(draws), x), dim=1)
        return x.transpose(1, 2).reshape(x.shape[0], -1)

    def draw_noise(self, like: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Standard normal noise in the order of `infer`, for as many items and steps as `like` (B, _, T) has."""
        sizes = [self.config.n_remaining, *[self.config.early_size] * len(self.config.early_flows)]
        n_items, n_steps = like.shape[0], like.shape[2]
        return [
            torch.randn(n_items, size, n_steps, generator=generator, device=like.device, dtype=like.dtype)
            for size in sizes
        ]

    def _group(self, x: Tensor) -> Tensor:
        """Samples (B, N) as steps (B, n_group, T)."""
        n_group = self.config.n_group
        n_steps = x.shape[1] // n_group
        return x[:, : n_steps * n_group].reshape(x.shape[0], n_steps, n_group).transpose(1, 2)

    def _conditions(self, upsampled: Tensor) -> Tensor:
        """A mel at every sample (B, M, N) as conditions (B, M * n_group, T), channel band * n_group + position."""
        n_items, n_mels, n_samples = upsampled.shape
        steps = self._group(upsampled.reshape(n_items * n_mels, n_samples))
        return steps.reshape(n_items, n_mels * self.config.n_group, -1)

    def _halves(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The half that is read and the half that is moved of flow `k`."""
        first, second = x.chunk(2, dim=1)
        return (second, first) if self._swaps(k) else (first, second)

    def _join(self, read: Tensor, moved: Tensor, k: int) -> Tensor:
        """Undo `_halves`."""
        return torch.cat((moved, read) if self._swaps(k) else (read, moved), dim=1)

    def _swaps(self, k: int) -> bool:
        return self.config.alternate_halves and k % 2 == 1
