"""The residual audio network, with quantizers between its stages."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.units.jitter import CENTRED, TemporalJitter
from optophone.models.units.quantizer import Quantizer, QuantizerConfig

N_POSITIONS = 5  # where a quantizer can stand: after the stem and after each of four stages
_JITTERED = (1, 2)  # positions that jitter follows, with or without a quantizer


@dataclass(frozen=True)
class ResDAVEnetConfig:
    """Sizes of a `ResDAVEnet`; the defaults are those of the public checkpoints with quantizers 2 and 3.

    Args:
        n_mels: bands of a frame.
        blocks: residual blocks of each of the four stages.
        widths: channels after the stem and after each stage.
        kernel_size: frames that each convolution of a block sees, odd.
        quantizers: positions 1–5 that have a quantizer, rising: 1 after the stem, 2–5 after a stage. A unit lasts
            10 ms at position 1 and twice as long at each later one.
        n_codes: size of the codebook of each of `quantizers`.
        quantizer: how codebooks learn.
        jitter: probability that a frame is replaced by either neighbour, after positions 1 and 2, in training.
        jitter_offsets: frames from which it is taken: (-1, 0, 1), or (0, 1, 2) as in the original.
    """

    n_mels: int = 40
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    widths: tuple[int, int, int, int, int] = (128, 256, 256, 512, 1024)
    kernel_size: int = 9
    quantizers: tuple[int, ...] = (2, 3)
    n_codes: tuple[int, ...] = (1024, 1024)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    jitter: float = 0.12
    jitter_offsets: tuple[int, int, int] = CENTRED

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        if self.kernel_size % 2 == 0:
            raise ConfigurationError(f"resdavenet: kernel_size is {self.kernel_size}; give an odd number.")
        if min(self.blocks) < 1 or min(self.widths) < 1 or self.n_mels < 1:
            raise ConfigurationError("resdavenet: each stage needs a block and a width, and a frame a band.")
        if list(self.quantizers) != sorted(set(self.quantizers) & set(range(1, N_POSITIONS + 1))):
            raise ConfigurationError(f"resdavenet: quantizers are {list(self.quantizers)}; give rising positions 1-5.")
        if len(self.n_codes) != len(self.quantizers) or min(self.n_codes, default=1) < 1:
            raise ConfigurationError("resdavenet: give n_codes one positive number for each of quantizers.")
        if not 0 <= self.jitter <= 0.5:
            raise ConfigurationError(f"resdavenet: jitter is {self.jitter}; give a probability from 0 to 0.5.")


class Position(NamedTuple):
    """What is before and after one of the five positions, T of its own.

    Fields: before, after (B, C, T), the same tensor without a quantizer; units (B, T) int64 and loss, the mean over
    valid frames and features, None without a quantizer; lengths (B,) valid frames.
    """

    before: Tensor
    after: Tensor
    units: Tensor | None
    loss: Tensor | None
    lengths: Tensor


class ResDAVEnetOutput(NamedTuple):
    """What the network makes of a batch.

    Fields: frames (B, D, T) of the last position; lengths (B,) valid ones of these; positions, all five in order.
    """

    frames: Tensor
    lengths: Tensor
    positions: tuple[Position, ...]


class SpeechBlock(nn.Module):
    """Two convolutions over time around a shortcut (He et al. 2016, figure 5 left)."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(n_in, n_out, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(n_out)
        self.conv2 = nn.Conv1d(n_out, n_out, kernel_size, 1, kernel_size // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(n_out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv1d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm1d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → (B, C', ceil(T / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + shortcut).relu()


class ResDAVEnet(nn.Module):
    """Log-mel frames → features of speech, quantized on the way.

    Source: Harwath, Hsu and Glass 2020, "Learning Hierarchical Discrete Linguistic Units from Visually-Grounded
    Speech", sections 3.1 and 3.2. Proof: tests/parity/test_resdavenet_vq.py
    """

    def __init__(self, config: ResDAVEnetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.n_mels, config.widths[0], 1, bias=False)
        self.bn1 = nn.BatchNorm1d(config.widths[0])
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    SpeechBlock(n_in if i == 0 else n_out, n_out, config.kernel_size, 2 if i == 0 else 1)
                    for i in range(n_blocks)
                )
            )
            for n_in, n_out, n_blocks in zip(config.widths, config.widths[1:], config.blocks, strict=False)
        )
        self.quantizers = nn.ModuleDict(
            {
                str(position): Quantizer(n_codes, config.widths[position - 1], config.quantizer)
                for position, n_codes in zip(config.quantizers, config.n_codes, strict=True)
            }
        )
        self.jitter = TemporalJitter(config.jitter, config.jitter_offsets)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.normal_(module.weight, 0, math.sqrt(2 / (module.kernel_size[0] * module.out_channels)))

    @property
    def n_features(self) -> int:
        """D, the features of a frame of the last position."""
        return self.config.widths[-1]

    def forward(
        self, levels: Tensor, n_frames: Tensor | None = None, jitter_draws: tuple[Tensor, ...] | None = None
    ) -> ResDAVEnetOutput:
        """Features and units of a batch. Codebooks do not move, see `update_codebooks`.

        Args:
            levels: (B, M, T) decibels of `core.unit_filter_bank`, padded with 0 dB. Padding is seen by convolutions,
                batch norms and quantizers, so that it changes units beside it; losses and updates leave it out.
            n_frames: (B,) valid frames; None for all.
            jitter_draws: (T,) and (T',) instead of random ones, see `TemporalJitter`.
        """
        assert levels.shape[1] == self.config.n_mels, f"frames have {levels.shape[1]} bands, not {self.config.n_mels}"
        positions: list[Position] = []
        x = self.bn1(self.conv1(levels)).relu()
        for number in range(1, N_POSITIONS + 1):
            if number > 1:
                x = self.stages[number - 2](x)
            lengths = torch.full(x.shape[:1], x.shape[2], device=x.device)
            if n_frames is not None:
                lengths = pooled_lengths(n_frames.to(x.device), levels.shape[2], x.shape[2])
            positions.append(self._position(number, x, lengths))
            x = positions[-1].after
            if number in _JITTERED:
                x = self.jitter(x, None if jitter_draws is None else jitter_draws[number - 1])
        return ResDAVEnetOutput(x, positions[-1].lengths, tuple(positions))

    @torch.no_grad()
    def units(self, levels: Tensor, position: int) -> Tensor:
        """Units (S,) int64 at `position` of one utterance, `levels` (M, T) without padding; runs are not collapsed.

        S = T // round(T / W), W = ceil(T / 2^(position - 1)), at least 1. Call it in evaluation mode.
        """
        assert not self.training, "units are those of evaluation"
        assert str(position) in self.quantizers, f"there is no quantizer at position {position}"
        x = self.bn1(self.conv1(levels[None])).relu()
        for number in range(1, position + 1):
            if number > 1:
                x = self.stages[number - 2](x)
            if str(number) in self.quantizers and number < position:
                x = self._position(number, x, torch.tensor([x.shape[2]], device=x.device)).after
        n_units = max(1, levels.shape[1] // round(levels.shape[1] / x.shape[2]))
        return self._quantizer(position).nearest(x[0].T)[:n_units]

    def update_codebooks(self, output: ResDAVEnetOutput) -> None:
        """Move all codebooks towards the valid frames of `output`, as after every step of training."""
        for number, position in enumerate(output.positions, 1):
            if position.units is not None:
                mask = _mask(position)
                frames = position.before.detach().transpose(1, 2)[mask]
                self._quantizer(number).update(frames, position.units[mask])

    def valid_units(self, output: ResDAVEnetOutput, position: int) -> Tensor:
        """Units at `position` of all valid frames of a batch, the utterances one after another."""
        found = output.positions[position - 1]
        assert found.units is not None, f"there is no quantizer at position {position}"
        return found.units[_mask(found)]

    def _quantizer(self, position: int) -> Quantizer:
        quantizer = self.quantizers[str(position)]
        assert isinstance(quantizer, Quantizer)
        return quantizer

    def _position(self, number: int, x: Tensor, lengths: Tensor) -> Position:
        """Quantize `x` (B, C, T) where position `number` has a quantizer."""
        if str(number) not in self.quantizers:
            return Position(x, x, None, None, lengths)
        frames = x.transpose(1, 2)
        quantized = self._quantizer(number)(frames.flatten(0, 1))
        after = quantized.frames.view_as(frames).transpose(1, 2)
        units = quantized.units.view(frames.shape[:2])
        found = Position(x, after, units, None, lengths)
        losses = quantized.losses.view_as(frames)[_mask(found)]
        return found._replace(loss=losses.mean() if len(losses) else losses.sum())


def pooled_lengths(n_frames: Tensor, n_in: int, n_out: int) -> Tensor:
    """Valid frames (B,) of `n_frames` (B,) once `n_in` frames have become `n_out`: whole ones, by a rounded ratio."""
    return n_frames // round(n_in / n_out)


def _mask(position: Position) -> Tensor:
    """(B, T) bool, true at valid frames."""
    return torch.arange(position.before.shape[2], device=position.before.device) < position.lengths[:, None]
