"""What a captioner looks at where there is no picture."""

import torch
from torch import Tensor, nn


class NoPicture(nn.Module):
    """A single learned region, in the place of all regions of a picture.

    Args:
        region_dim: D, features of a region.
    """

    def __init__(self, region_dim: int) -> None:
        super().__init__()
        self.region = nn.Parameter(torch.randn(1, 1, region_dim) * 0.02)

    def forward(self, n: int) -> Tensor:
        """Regions (n, 1, D), all the same."""
        return self.region.expand(n, -1, -1)
