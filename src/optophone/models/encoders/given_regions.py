"""The encoder of captioners that read regions which were computed elsewhere: it hands them on."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class GivenRegionsConfig:
    """What a captioner without an encoder of its own reads.

    Args:
        n_features: D, the features of a region.
    """

    n_features: int

    def grid_for(self, height: int, width: int) -> None:
        """Regions of a detector lie in no grid."""
        return None


class GivenRegions(nn.Module):
    """Regions (B, R, D) → the same regions."""

    def __init__(self, config: GivenRegionsConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, regions: Tensor) -> Tensor:
        """Regions (B, R, D) as they are."""
        return regions
