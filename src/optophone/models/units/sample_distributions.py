"""What the next sample of a wave may be: one of 256 companded levels, or a mixture of logistic distributions.

Each knows how an earlier sample enters the network, how probable a sample is under what the network says, and how to
draw one. The last is NumPy, for the loop that draws sample by sample.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

N_UNIFORMS = 2  # numbers that drawing a sample takes
_HALF_STEP = 1 / 65536  # half of a step of 16 bits
_SMALLEST_LOG_SCALE = -9.0  # 4 steps of 16 bits; narrower ones would make silence a reward without end


class SampleDistribution(Protocol):
    """What a `WaveNet` and `FastWaveNet` want of it."""

    n_outputs: int

    def embed(self, wave: Tensor) -> Tensor:
        """(B, C, N) what the network sees of samples `wave` (B, N)."""
        ...

    def log_prob(self, outputs: Tensor, wave: Tensor) -> Tensor:
        """(B, N) natural logarithms of the probabilities of `wave` (B, N) under `outputs` (B, n_outputs, N)."""
        ...

    def embedding(self) -> Callable[[np.ndarray], np.ndarray]:
        """`embed` of one sample each: (B,) → (B, C), from the weights as they are now."""
        ...

    def draw(self, outputs: np.ndarray, uniforms: np.ndarray, temperature: float) -> np.ndarray:
        """(B,) samples under `outputs` (B, n_outputs), from `uniforms` (B, 2) between 0 and 1.

        `temperature` 1 draws from the distribution, less from nearer to its peaks.
        """
        ...


class MuLawSamples(nn.Module):
    """One of 2^8 levels that lie closer where the wave is small; the network sees which.

    Args:
        n_channels: C.

    Source: van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio", section 2.2; ITU-T G.711.
    """

    n_levels = 256

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_outputs = self.n_levels
        self.embeddings = nn.Embedding(self.n_levels, n_channels)

    def embed(self, wave: Tensor) -> Tensor:
        """See `SampleDistribution`."""
        return self.embeddings(self.levels(wave)).transpose(1, 2)

    def log_prob(self, outputs: Tensor, wave: Tensor) -> Tensor:
        """See `SampleDistribution`; probabilities of levels."""
        return -functional.cross_entropy(outputs.float(), self.levels(wave), reduction="none")

    def embedding(self) -> Callable[[np.ndarray], np.ndarray]:
        """See `SampleDistribution`."""
        table, mu = self.embeddings.weight.detach().cpu().numpy(), self.n_levels - 1

        def embed(samples: np.ndarray) -> np.ndarray:
            companded = np.sign(samples) * np.log1p(mu * np.minimum(np.abs(samples), 1.0)) / math.log1p(mu)
            return table[np.floor((companded + 1) / 2 * mu + 0.5).astype(np.int64)]

        return embed

    def draw(self, outputs: np.ndarray, uniforms: np.ndarray, temperature: float) -> np.ndarray:
        """See `SampleDistribution`."""
        shares = _softmax(outputs / temperature).cumsum(1)
        level = np.minimum((shares < uniforms[:, :1]).sum(1), self.n_levels - 1)
        return self.samples(level)

    def levels(self, wave: Tensor) -> Tensor:
        """Ids int64 of the levels nearest to `wave` in -1..1, of any shape; 128 is silence."""
        mu = self.n_levels - 1
        companded = wave.sign() * torch.log1p(mu * wave.abs().clamp(max=1.0)) / math.log1p(mu)
        return ((companded + 1) / 2 * mu + 0.5).floor().long()

    def samples(self, levels: np.ndarray) -> np.ndarray:
        """The samples that `levels` stand for."""
        mu = self.n_levels - 1
        companded = 2 * levels / mu - 1
        return np.sign(companded) * np.expm1(np.abs(companded) * math.log1p(mu)) / mu


class LogisticSamples(nn.Module):
    """A mixture of logistic distributions over the 2^16 steps of a sample; the network sees its value.

    Args:
        n_channels: C.
        n_mixtures: logistic distributions.

    Source: Salimans et al. 2017, "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood",
    section 2.1; of 16-bit waves, van den Oord et al. 2018, "Parallel WaveNet", section 2.1.
    """

    def __init__(self, n_channels: int, n_mixtures: int) -> None:
        super().__init__()
        self.n_mixtures = n_mixtures
        self.n_outputs = 3 * n_mixtures
        self.line = nn.Linear(1, n_channels)

    def embed(self, wave: Tensor) -> Tensor:
        """See `SampleDistribution`."""
        return self.line(wave[:, :, None]).transpose(1, 2)

    def log_prob(self, outputs: Tensor, wave: Tensor) -> Tensor:
        """See `SampleDistribution`; probabilities of the steps that samples are rounded to.

        With a and b the ends of a step in units of the scale, σ(a) - σ(b) is computed as σ(a) σ(-b) (1 - e^(b - a)),
        which neither overflows nor cancels.
        """
        logits, means, log_scales = outputs.float().chunk(3, dim=1)
        log_scales = log_scales.clamp(min=_SMALLEST_LOG_SCALE)
        wave = (wave.float() / (2 * _HALF_STEP)).round().clamp(-32768, 32767)[:, None] * (2 * _HALF_STEP)
        above, below = ((wave + side - means) * torch.exp(-log_scales) for side in (_HALF_STEP, -_HALF_STEP))
        under, over = functional.logsigmoid(above), functional.logsigmoid(-below)
        width = torch.log(-torch.expm1(-2 * _HALF_STEP * torch.exp(-log_scales)))
        inside = torch.where(wave <= -1, under, torch.where(wave >= 1 - 2 * _HALF_STEP, over, under + over + width))
        return torch.logsumexp(functional.log_softmax(logits, dim=1) + inside, dim=1)

    def embedding(self) -> Callable[[np.ndarray], np.ndarray]:
        """See `SampleDistribution`."""
        weight, bias = (parameter.detach().cpu().numpy() for parameter in (self.line.weight, self.line.bias))
        return lambda samples: samples[:, None].astype(weight.dtype) * weight.T + bias

    def draw(self, outputs: np.ndarray, uniforms: np.ndarray, temperature: float) -> np.ndarray:
        """See `SampleDistribution`; on the grid of 16 bits."""
        logits, means, log_scales = np.split(outputs, 3, axis=1)
        chosen = (_softmax(logits / temperature).cumsum(1) < uniforms[:, :1]).sum(1)
        index = np.minimum(chosen, self.n_mixtures - 1)[:, None]
        mean, log_scale = (np.take_along_axis(values, index, 1)[:, 0] for values in (means, log_scales))
        u = uniforms[:, 1].clip(1e-5, 1 - 1e-5)
        scale = temperature * np.exp(np.maximum(log_scale, _SMALLEST_LOG_SCALE))
        sample = mean + scale * (np.log(u) - np.log1p(-u))
        return np.round(sample.clip(-1, 1 - 2 * _HALF_STEP) / (2 * _HALF_STEP)) * (2 * _HALF_STEP)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Shares (B, K) of `logits` (B, K)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
