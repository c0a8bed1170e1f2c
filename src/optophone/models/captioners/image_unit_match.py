"""Which caption belongs to which picture: both as vectors, compared by their angle."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.models.captioners.region_mask import mean_region
from optophone.models.captioners.symbol_encoder import SymbolEncoder, SymbolEncoderConfig


class ImageUnitMatch(nn.Module):
    """The mean region and the whole caption, each as a vector of length 1.

    Args:
        n_symbols: V.
        region_dim: D.
        dim: features in which they are compared.
    """

    def __init__(self, n_symbols: int, region_dim: int, dim: int) -> None:
        super().__init__()
        self.picture = nn.Linear(region_dim, dim)
        self.caption = SymbolEncoder(SymbolEncoderConfig(n_symbols, out_dim=dim))

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, counted: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Vectors (B, dim) of pictures and (B', dim) of captions.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.
            ids: (B', S) symbols.
            counted: (B', S) true where a symbol counts.
        """
        pictures = self.picture(mean_region(regions, regions_mask))
        return F.normalize(pictures.float(), dim=-1), F.normalize(self.caption(ids, counted)[:, 0].float(), dim=-1)


def contrastive_loss(pictures: Tensor, captions: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding the partner among all captions, and among all pictures; their mean.

    Args:
        pictures, captions: (B, dim) of length 1, partners in the same row.
        temperature: by which the cosines are divided.

    Source: van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding", equation 4; in both
    directions as in Radford et al. 2021, section 2.3.
    """
    scores = pictures @ captions.T / temperature
    partners = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2
