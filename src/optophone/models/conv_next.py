"""The layer of networks that go along frames without recurrence."""

import torch
from torch import Tensor, nn


class ConvNeXtLayer(nn.Module):
    """A convolution along the frames of each feature, then two products along the features of each frame.

    Args:
        dim, hidden_dim: features of a frame between and inside layers.
        kernel_size: frames that the convolution sees, odd.
        scale: of what the layer adds, at first; 1 / n for each of n layers.
        dropout: on what is added.

    Source: Liu et al. 2022, "A ConvNet for the 2020s", section 2; in one dimension as in Siuzdak 2023, section 3.2.
    """

    def __init__(self, dim: int, hidden_dim: int, kernel_size: int, scale: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.widen = nn.Linear(dim, hidden_dim)
        self.narrow = nn.Linear(hidden_dim, dim)
        self.scale = nn.Parameter(torch.full((dim,), scale))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, D) → (B, T, D); what lies where `mask` (B, T) is false is not seen."""
        shown = x if mask is None else x.masked_fill(~mask[:, :, None], 0.0)
        seen = self.norm(self.convolution(shown.transpose(1, 2)).transpose(1, 2))
        return x + self.dropout(self.scale * self.narrow(nn.functional.gelu(self.widen(seen))))
