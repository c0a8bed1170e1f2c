"""The X-Linear attention block: which regions and which features answer a query, by bilinear pooling."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.region_mask import EXCLUDED
from optophone.models.linear import Linear


@dataclass(frozen=True)
class XLinearConfig:
    """Sizes and options of an `XLinearAttention`.

    Args:
        dim: D, features of queries, regions and results.
        n_heads: H; divides dim.
        mid_dim: features in which a query and a region are compared, per head.
        dropout: on the result.
        mid_dropout: on what was compared.
        alpha: of the CELU behind every projection.
    """

    dim: int
    n_heads: int
    mid_dim: int
    dropout: float = 0.5
    mid_dropout: float = 0.1
    alpha: float = 1.3

    def __post_init__(self) -> None:
        """Refuse heads of unequal size.

        Raises:
            ConfigurationError: dim is not a multiple of n_heads.
        """
        if self.dim % self.n_heads:
            raise ConfigurationError(f"dim {self.dim} is not a multiple of n_heads {self.n_heads}.")


class HeadProjections(nn.Module):
    """Two projections of the same input, each linear, CELU, then normalised within every head.

    The normalisation is the group normalisation of single vectors with one group per head.
    """

    def __init__(self, config: XLinearConfig) -> None:
        super().__init__()
        self.shape = (2, config.n_heads, config.dim // config.n_heads)
        self.alpha = config.alpha
        self.linear = Linear(config.dim, 2 * config.dim)
        self.weight = nn.Parameter(torch.ones(2 * config.dim))
        self.bias = nn.Parameter(torch.zeros(2 * config.dim))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) → (..., 2, H, D / H)."""
        x = F.celu(self.linear(x), self.alpha).unflatten(-1, self.shape)
        x = F.layer_norm(x, self.shape[-1:])
        return torch.addcmul(self.bias.to(x.dtype).view(self.shape), x, self.weight.to(x.dtype).view(self.shape))


class XLinearAttention(nn.Module):
    """Low-rank bilinear attention over regions (or symbols), in space and over channels.

    A query and a region meet in their element-wise product k ⊙ q, which a linear layer and ReLU turn into B. A linear
    layer and softmax make of B the weight of each region; a linear layer and sigmoid make of its mean over the regions
    the weight of each feature (a squeeze-excitation). The result is v1 ⊙ Σ (weight of region · v2) ⊙ (weight of
    feature), where q and v1 are of the query, k and v2 of the regions.

    Keys and second values (of the regions) are made by `keys_values`, apart from the query, so that they can be kept;
    all queries of a picture, of several captions or beams, share them.

    Source: Pan et al. 2020, "X-Linear Attention Networks for Image Captioning", section 3.2.
    Proof: tests/parity/test_xlan.py
    """

    def __init__(self, config: XLinearConfig) -> None:
        super().__init__()
        self.config = config
        head_dim = config.dim // config.n_heads
        self.query_value = HeadProjections(config)
        self.key_value = HeadProjections(config)
        self.compare = Linear(head_dim, config.mid_dim)
        self.score = Linear(config.mid_dim, 1, bias=False)  # softmax does not see a bias
        self.channel = Linear(config.mid_dim, head_dim)
        self.dropout = nn.Dropout(config.dropout)

    def keys_values(self, x: Tensor) -> Tensor:
        """Keys and second values (B, 2, H, R, D / H) of regions x (B, R, D)."""
        return self.key_value(x).permute(0, 2, 3, 1, 4).contiguous()

    def forward(self, query: Tensor, keys_values: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the queries find.

        Args:
            query: (B, Q, D).
            keys_values: (B, 2, H, R, D / H).
            weights: (B, Q, R), both first axes may be 1: what each region counts in the mean over regions; regions of
                weight 0 are not looked at. None counts all alike.

        Returns:
            (B, Q, D) and the weights of the regions (B, Q, R) averaged over the heads.
        """
        queries, first_values = self.query_value(query).unbind(2)  # (B, Q, H, d)
        keys, second_values = keys_values.unbind(1)  # (B, H, R, d)
        compared, scale = self._compare(queries, keys)
        scores = (compared @ (scale * self.score.weight[0])).float()  # (B, H, Q, R)
        if weights is None:
            mean = compared.mean(3)
        else:
            scores = scores.masked_fill(weights.unsqueeze(1) == 0, EXCLUDED)
            mean = (weights.to(compared.dtype)[:, None, :, None] @ compared).squeeze(3)
        attention = scores.softmax(-1)
        channels = self.channel(scale * mean).sigmoid()  # (B, H, Q, d)
        found = (attention.to(second_values.dtype) @ second_values) * channels
        result = first_values * found.transpose(1, 2)
        return self.dropout(result.flatten(2)), attention.mean(1)

    def _compare(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, float]:
        """B as above of queries (B, Q, H, d) and keys (B, H, R, d), with dropout.

        Returns:
            (B, H, Q, R, mid), and the factor that makes up for what dropout took away, for the caller to multiply
            something smaller with.
        """
        pairs = keys.unsqueeze(2) * queries.transpose(1, 2).contiguous().unsqueeze(3)  # comes out contiguous too
        if not self.training or self.config.mid_dropout == 0:
            return self.compare(pairs).relu(), 1.0
        products = self.compare(pairs.flatten(0, 3))
        # Zeros before the ReLU are zeros behind it, and no gradient passes there: autograd need not know.
        mask, scale = dropped(products, self.config.mid_dropout)
        products.detach().masked_fill_(mask, 0.0)
        return products.relu_().view(*pairs.shape[:4], -1), scale


def dropped(like: Tensor, probability: float) -> tuple[Tensor, float]:
    """Which values dropout zeroes, in the shape of `like`, and the factor for the others.

    A random byte for each: what is compared is the largest tensor of the model, and drawing a float for each of its
    values takes longer than everything else that is done with it. `probability` becomes a multiple of 1 / 256, and the
    factor matches.
    """
    n_dropped = min(max(round(256 * probability), 1), 255)
    words = torch.empty((like.numel() + 7) // 8, dtype=torch.int64, device=like.device).random_(-(2**63), None)
    mask = words.view(torch.uint8)[: like.numel()].view(like.shape) < n_dropped
    return mask, 256 / (256 - n_dropped)
