"""Vector quantization with a codebook that follows the frames by moving averages, not by gradients."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError


@dataclass(frozen=True)
class QuantizerConfig:
    """How codebooks learn; the defaults are those of the public ResDAVEnet-VQ checkpoints.

    Args:
        decay: how much of the moving averages stays at each update.
        commitment: weight of the squared distance that draws frames to their codes.
        epsilon: smooths the masses, so that no code is divided by 0.
        initial_mass: frames that each code counts as having had at first.
        initial_std: of the normal distribution that the first codes are drawn from.
        non_negative: cut the first codes off at 0, where the frames come out of a ReLU.
        revive_below: a code whose mass falls below becomes a random frame of the batch; 0 leaves dead codes dead, as
            the original does.
    """

    decay: float = 0.99
    commitment: float = 1.0
    epsilon: float = 1e-8
    initial_mass: float = 1.0
    initial_std: float = 1.0
    non_negative: bool = False
    revive_below: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no codebook can learn with."""
        if not 0 <= self.decay < 1:
            raise ConfigurationError(f"quantizer: decay is {self.decay}; give a number from 0 to less than 1.")
        for name in ("commitment", "epsilon", "initial_std", "revive_below"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"quantizer: {name} is {getattr(self, name)}; it cannot be negative.")
        if self.initial_mass <= 0:
            raise ConfigurationError(f"quantizer: initial_mass is {self.initial_mass}; it must be positive.")


class Quantized(NamedTuple):
    """What a quantizer makes of N frames.

    Fields: frames (N, D) the nearest codes, through which gradients pass unchanged in training; units (N,) int64 ids of
    the codes; losses (N, D) weighted squared distances to them.
    """

    frames: Tensor
    units: Tensor
    losses: Tensor


class Quantizer(nn.Module):
    """Frames → nearest of K codes.

    Args:
        n_codes: K.
        dim: D, features of a frame.
        config: how the codes learn.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, "Neural Discrete Representation Learning", equation 3 and
    appendix A.1. Proof: tests/parity/test_resdavenet_vq.py
    """

    codes: Tensor
    sums: Tensor
    mass: Tensor

    def __init__(self, n_codes: int, dim: int, config: QuantizerConfig) -> None:
        super().__init__()
        self.config = config
        codes = torch.randn(n_codes, dim) * config.initial_std
        if config.non_negative:
            codes = codes.clamp(min=0)
        self.register_buffer("codes", codes)
        self.register_buffer("sums", codes * config.initial_mass)
        self.register_buffer("mass", torch.full((n_codes,), config.initial_mass))

    @property
    def n_codes(self) -> int:
        """K, the size of the codebook."""
        return self.codes.shape[0]

    def nearest(self, frames: Tensor) -> Tensor:
        """Ids (N,) of the codes nearest to `frames` (N, D)."""
        with torch.autocast(frames.device.type, enabled=False), torch.no_grad():
            return torch.addmm(self.codes.square().sum(1), frames.float(), self.codes.T, alpha=-2).argmin(1)

    def forward(self, frames: Tensor) -> Quantized:
        """Quantize `frames` (N, D); the codes do not move, see `update`."""
        units = self.nearest(frames)
        codes = self.codes[units].to(frames.dtype)
        losses = self.config.commitment * (codes - frames).square()
        return Quantized(frames + (codes - frames).detach() if self.training else codes, units, losses)

    @torch.no_grad()
    def update(self, frames: Tensor, units: Tensor) -> None:
        """Move every code towards the mean of the `frames` (N, D) that `units` (N,) gave it.

        All codes are rewritten from the averages, those without frames too.
        """
        frames, keep = frames.detach().float(), self.config.decay
        counts = torch.bincount(units, minlength=self.n_codes).to(self.mass.dtype)
        self.mass.mul_(keep).add_(counts, alpha=1 - keep)
        total = self.mass.sum()
        self.mass.add_(self.config.epsilon).mul_(total / (total + self.n_codes * self.config.epsilon))
        sums = torch.zeros_like(self.sums).index_add_(0, units, frames)
        self.sums.mul_(keep).add_(sums, alpha=1 - keep)
        self.codes.copy_(self.sums / self.mass[:, None])
        if self.config.revive_below > 0 and len(frames):
            self._revive(frames)

    def _revive(self, frames: Tensor) -> None:
        """Put codes that are hardly used where frames are (Dhariwal et al. 2020, "Jukebox", section 3.1)."""
        dead = torch.nonzero(self.mass < self.config.revive_below).flatten()
        if len(dead):
            chosen = frames[torch.randint(len(frames), (len(dead),)).to(frames.device)]
            self.codes[dead] = chosen
            self.sums[dead] = chosen * self.config.initial_mass
            self.mass[dead] = self.config.initial_mass


def perplexity(units: Tensor, n_codes: int) -> Tensor:
    """How many codes `units` (N,) use, each weighted by its share: 1 to `n_codes`, the exponential of the entropy."""
    share = torch.bincount(units, minlength=n_codes) / max(1, len(units))
    return torch.exp(-(share * (share + 1e-10).log()).sum())
