"""Regions that know each other, and the picture as a whole, by a stack of X-Linear attention blocks."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.models.captioners.x_linear_attention import XLinearAttention, XLinearConfig
from optophone.models.linear import Linear


@dataclass(frozen=True)
class XLinearEncoderConfig:
    """Sizes and options of an `XLinearEncoder`.

    Args:
        attention: of every block.
        region_dim: features per region as they come.
        n_blocks: attention blocks; 0 leaves embedded regions and their mean.
        region_dropout: on the embedded regions.
        mixing_dropout: on what a block adds to each region.
        feed_forward_dim: inner features of a feed-forward layer behind every block; 0 for none. X-LAN has none,
            X-Transformer has, and normalises the embedded regions.
        feed_forward_dropout: twice inside each of these.
    """

    attention: XLinearConfig
    region_dim: int
    n_blocks: int
    region_dropout: float
    mixing_dropout: float
    feed_forward_dim: int = 0
    feed_forward_dropout: float = 0.0


class FeedForward(nn.Module):
    """Two linear layers around a ReLU, added and then normalised (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, dim: int, inner_dim: int, dropout: float) -> None:
        super().__init__()
        self.enter = Linear(dim, inner_dim)
        self.leave = Linear(inner_dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) → (..., D)."""
        return self.norm(x + self.dropout(self.leave(self.dropout(self.enter(x).relu()))))


class Mixing(nn.Module):
    """A global vector told to every region: LN(x + Dropout(ReLU(W [g; x]))).

    W is kept as its two halves, so that the global vector is multiplied once, not once per region.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.from_global = Linear(dim, dim)
        self.from_region = Linear(dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        """Regions x (B, R, D), global vectors g (B, 1, D) or one for each (B, R, D) → (B, R, D)."""
        return self.norm(x + self.dropout((self.from_region(x) + self.from_global(g)).relu()))


class XLinearEncoderBlock(nn.Module):
    """Attend with the global vector, then tell every region what was found."""

    def __init__(self, config: XLinearEncoderConfig) -> None:
        super().__init__()
        dim = config.attention.dim
        self.attention = XLinearAttention(config.attention)
        self.mixing = Mixing(dim, config.mixing_dropout)
        self.feed_forward: nn.Module = nn.Identity()
        if config.feed_forward_dim:
            self.feed_forward = FeedForward(dim, config.feed_forward_dim, config.feed_forward_dropout)

    def forward(self, g: Tensor, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """g (B, 1, D), regions x (B, R, D) and what they count (B, 1, R) → g, x."""
        g, _ = self.attention(g, self.attention.keys_values(x), weights)
        return g, self.feed_forward(self.mixing(x, g))


class EncodedPicture(NamedTuple):
    """The picture as a whole (B, D) and its regions (B, R, D); those of padding mean nothing."""

    whole: Tensor
    regions: Tensor


class XLinearEncoder(nn.Module):
    """Embedded regions, then blocks of X-Linear attention whose query is the global vector of the block before.

    The first global vector is the mean of the valid embedded regions; the picture as a whole is made of the global
    vectors of all blocks. Padding never reaches a valid region: it has no weight wherever regions are summed.

    Source: Pan et al. 2020, "X-Linear Attention Networks for Image Captioning", section 3.3.
    """

    def __init__(self, config: XLinearEncoderConfig) -> None:
        super().__init__()
        dim = config.attention.dim
        self.alpha = config.attention.alpha
        self.embedding = Linear(config.region_dim, dim)
        self.embedding_norm = nn.LayerNorm(dim) if config.feed_forward_dim else nn.Identity()
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.blocks = nn.ModuleList(XLinearEncoderBlock(config) for _ in range(config.n_blocks))
        self.projection = Linear((config.n_blocks + 1) * dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, regions: Tensor, weights: Tensor) -> EncodedPicture:
        """Regions (B, R, region_dim) and what each counts in a mean (B, R), 0 for padding."""
        x = self.region_dropout(self.embedding_norm(F.celu(self.embedding(regions), self.alpha)))
        weights = weights.unsqueeze(1)
        g = weights.to(x.dtype) @ x
        found = [g]
        for block in self.blocks:
            g, x = block(g, x, weights)
            found.append(g)
        return EncodedPicture(self.norm(self.projection(torch.cat(found, -1))).squeeze(1), x)
