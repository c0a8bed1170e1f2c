"""A convolution over time followed by batch normalization: the block of the encoder and of the postnet."""

import torch
from torch import Tensor, nn


class NormedConvolution(nn.Module):
    """Conv1d that keeps the length, then BatchNorm1d. The activation and dropout are the caller's.

    Args:
        n_in, n_out: channels.
        kernel_size: odd, so that the length stays.
        activation: what follows, for the gain of the Xavier initialization ("relu", "tanh" or "linear").
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int, activation: str) -> None:
        super().__init__()
        assert kernel_size % 2 == 1, "an even kernel would change the length"
        self.convolution = nn.Conv1d(n_in, n_out, kernel_size, padding=kernel_size // 2)
        self.norm = nn.BatchNorm1d(n_out)
        nn.init.xavier_uniform_(self.convolution.weight, gain=nn.init.calculate_gain(activation))  # type: ignore[arg-type]

    def forward(self, x: Tensor, x_mask: Tensor | None) -> Tensor:
        """Convolve and normalize `x` (B, n_in, T) to (B, n_out, T).

        `x_mask` (B, 1, T) bool zeroes padded positions first, so that an item sees beyond its end what it would see
        alone: zeros. None leaves them.
        """
        if x_mask is not None:
            x = x.masked_fill(~x_mask, 0.0)
        return self.norm(self.convolution(x))


def valid_mask(lengths: Tensor, size: int) -> Tensor:
    """(B, size) bool, true at positions below each of `lengths` (B,)."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
