"""What a WaveGlow is trained to make small: the negative log-likelihood of the audio."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.models.vocoders.waveglow import WaveGlowOutput


class WaveGlowLosses(NamedTuple):
    """Scalars per sample; `total` = noise - scales - mixing is the loss."""

    total: Tensor
    noise: Tensor
    scales: Tensor
    mixing: Tensor


class WaveGlowLoss(nn.Module):
    """Negative log-likelihood per sample in nats, less the constant ln(sigma √2π).

    Args:
        sigma: standard deviation that the noise is assumed to have.

    Source: Prenger et al. 2019, section 2. Proof: tests/parity/test_waveglow.py.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, output: WaveGlowOutput) -> WaveGlowLosses:
        """The loss of one batch and its terms."""
        n_samples = output.z.numel()
        noise = output.z.square().sum() / (2 * self.sigma**2) / n_samples
        scales = torch.stack([log_scale.sum() for log_scale in output.log_scales]).sum() / n_samples
        mixing = torch.stack(output.log_dets).sum() / n_samples
        return WaveGlowLosses(noise - scales - mixing, noise, scales, mixing)
