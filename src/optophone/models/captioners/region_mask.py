"""How padded regions are kept out of sums over regions."""

from torch import Tensor

# Finite, so that a picture without any valid region gives uniform weights instead of NaN.
EXCLUDED = -1e9


def region_bias(regions: Tensor, regions_mask: Tensor | None) -> Tensor:
    """The number to add to attention scores: 0 for valid regions, a very negative one for padding.

    Args:
        regions: (B, R, D).
        regions_mask: (B, R) true where valid, or None when all are.

    Returns:
        (B, R) float32.
    """
    bias = regions.new_zeros(regions.shape[:2]).float()
    return bias if regions_mask is None else bias.masked_fill(~regions_mask, EXCLUDED)


def mean_region(regions: Tensor, regions_mask: Tensor | None) -> Tensor:
    """The mean (B, D) of the valid ones among regions (B, R, D)."""
    if regions_mask is None:
        return regions.mean(1)
    weights = regions_mask.to(regions.dtype).unsqueeze(-1)
    return (regions * weights).sum(1) / weights.sum(1).clamp(min=1)


def region_weights(regions: Tensor, regions_mask: Tensor | None) -> Tensor:
    """What each region counts in a mean: 1 / n for the n valid ones of a picture, 0 for padding.

    Args:
        regions: (B, R, D).
        regions_mask: (B, R) true where valid, or None when all are.

    Returns:
        (B, R) float32; all 0 for a picture without any valid region.
    """
    counted = regions.new_ones(regions.shape[:2]).float()
    if regions_mask is not None:
        counted = counted * regions_mask
    return counted / counted.sum(1, keepdim=True).clamp(min=1)
