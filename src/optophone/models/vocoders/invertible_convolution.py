"""The invertible 1×1 convolution that mixes the channels of a flow."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class InvertibleConvolution(nn.Module):
    """A square matrix over the channels, the same at every step; a random rotation to begin with.

    Args:
        n_channels: rows and columns C of the matrix.

    Source: Kingma & Dhariwal 2018, "Glow: Generative Flow with Invertible 1x1 Convolutions", section 3.2.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(n_channels, n_channels))[0]
        rotation[:, 0] *= torch.linalg.det(rotation).sign()  # the determinant of a reflection has no logarithm
        self.weight = nn.Parameter(rotation[:, :, None].contiguous())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mix `x` (B, C, T); also the log-determinant of that, summed over batch and steps: a scalar."""
        n_steps = x.shape[0] * x.shape[2]
        return functional.conv1d(x, self.weight), n_steps * torch.linalg.slogdet(self.weight[:, :, 0].float())[1]

    def inverse(self, x: Tensor) -> Tensor:
        """Undo `forward` on `x` (B, C, T)."""
        return functional.conv1d(x, self.inverse_matrix()[:, :, None].to(x.dtype))

    def inverse_matrix(self) -> Tensor:
        """W⁻¹ (C, C), found in double precision: a dozen numbers cost nothing and every sample passes through it."""
        return torch.linalg.inv(self.weight[:, :, 0].double()).to(self.weight.dtype)
