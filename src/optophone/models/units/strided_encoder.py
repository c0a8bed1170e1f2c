"""The encoder of WaveNet-VQ: log-mel frames → one vector for each unit."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.units import cepstra
from optophone.models.units.cepstra import Cepstra


@dataclass(frozen=True)
class StridedEncoderConfig:
    """Sizes of a `StridedEncoder`; the defaults are those of the paper at 25 units a second.

    Args:
        n_mels: bands of a frame.
        range_db: levels are from -range_db to 0, as of `core.unit_filter_bank`.
        features: "mfcc" with slopes, or "log-mel" as it is.
        n_coefficients: of "mfcc".
        width: channels of every layer.
        n_front: convolutions over three frames before the strides.
        n_strides: convolutions over four frames, each of which halves the rate: 1 for units of 20 ms, 2 for 40 ms.
        n_middle: convolutions over three units after the strides.
        n_feed_forward: layers that see one unit each, the last ones.
    """

    n_mels: int = 40
    range_db: float = 80.0
    features: Literal["mfcc", "log-mel"] = "mfcc"
    n_coefficients: int = 13
    width: int = 768
    n_front: int = 2
    n_strides: int = 2
    n_middle: int = 2
    n_feed_forward: int = 4

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        if (
            min(self.n_mels, self.width, self.n_front) < 1
            or min(self.n_strides, self.n_middle, self.n_feed_forward) < 0
        ):
            raise ConfigurationError("encoder: give n_mels, width and n_front at least 1, the other counts 0 or more.")
        if not 1 <= self.n_coefficients <= self.n_mels:
            raise ConfigurationError(f"encoder: n_coefficients is {self.n_coefficients}; give 1 to {self.n_mels}.")
        if self.range_db <= 0:
            raise ConfigurationError(f"encoder: range_db is {self.range_db}; it must be positive.")

    @property
    def frames_per_unit(self) -> int:
        """Frames that become one unit."""
        return 2**self.n_strides

    @property
    def frames_around(self) -> tuple[int, int]:
        """Frames before and after its first one that a unit depends on."""
        first, last = -self.n_middle, self.n_middle
        for _ in range(self.n_strides):
            first, last = 2 * first - 1, 2 * last + 2
        margin = self.n_front + (cepstra.REACH if self.features == "mfcc" else 0)
        return margin - first, margin + last

    @property
    def reach(self) -> int:
        """Further units, before and after, that a unit depends on."""
        before, after = self.frames_around
        after -= self.frames_per_unit - 1
        return max(-(-before // self.frames_per_unit), -(-after // self.frames_per_unit))


class ResidualConvolution(nn.Module):
    """x + ReLU(convolution(x)), as long as `x`."""

    def __init__(self, n_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(n_channels, n_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → the same shape."""
        return x + self.convolution(x).relu()


class StridedConvolution(nn.Module):
    """ReLU of a convolution over four frames that takes every other place."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(n_channels, n_channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → (B, C, T // 2)."""
        return self.convolution(x).relu()


class StridedEncoder(nn.Module):
    """Log-mel frames → vectors for a quantizer, T // `frames_per_unit` of them.

    What is not valid is zero at every layer, as beyond the ends of a single utterance. So vectors of an utterance are
    the same alone and beside longer ones.

    Args:
        config: sizes.
        dim: D, features of a vector.

    Source: Chorowski et al. 2019, "Unsupervised speech representation learning using WaveNet autoencoders": all layers
    are rectified, and residual but for the strided ones and the first, which changes the width. Units of 20 ms see 16
    frames and units of 40 ms see 30, as there (more with slopes, which see neighbours themselves).
    """

    def __init__(self, config: StridedEncoderConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.cepstra = Cepstra(config.n_mels, config.n_coefficients) if config.features == "mfcc" else None
        n_features = config.n_mels if self.cepstra is None else self.cepstra.n_features
        self.first = nn.Conv1d(n_features, config.width, 3, padding=1)
        kernel_sizes = [3] * (config.n_front - 1), [3] * config.n_middle + [1] * config.n_feed_forward
        before, after = ([ResidualConvolution(config.width, size) for size in sizes] for sizes in kernel_sizes)
        strides = [StridedConvolution(config.width) for _ in range(config.n_strides)]
        self.layers = nn.ModuleList([*before, *strides, *after])
        self.last = nn.Conv1d(config.width, dim, 1)

    def forward(self, levels: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Vectors of a batch.

        Args:
            levels: (B, M, T) decibels, T at least `frames_per_unit`.
            mask: (B, T) true at valid frames, which are neighbours; they begin at a multiple of `frames_per_unit`.
                None for all.

        Returns:
            Vectors (B, D, S) and their mask (B, S), true where all frames of a unit are valid; None for None.
        """
        assert levels.shape[1] == self.config.n_mels, f"frames have {levels.shape[1]} bands, not {self.config.n_mels}"
        x = levels / (self.config.range_db / 4) + 4  # 0 is silence, as are the zeros beyond the ends
        if self.cepstra is not None:
            x = self.cepstra(x, mask)
        x = _kept(self.first(_kept(x, mask)).relu(), mask)
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, StridedConvolution) and mask is not None:
                mask = mask[:, : mask.shape[1] // 2 * 2].unflatten(1, (-1, 2)).all(2)
            x = _kept(x, mask)
        return self.last(x), mask


def _kept(x: Tensor, mask: Tensor | None) -> Tensor:
    """`x` (B, C, T) with zeros where `mask` (B, T) is false."""
    return x if mask is None else torch.where(mask[:, None], x, 0.0)
