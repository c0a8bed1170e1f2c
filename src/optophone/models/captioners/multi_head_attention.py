"""Multi-head attention whose keys and values are made apart from the query, so that they can be kept."""

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in several heads (Vaswani et al. 2017, section 3.2).

    Keys and values have no bias: softmax does not see the one, and the output's bias holds the other.

    Args:
        projected: what the heads find goes through a linear layer (W^O in the paper); False where the caller has one
            of its own.

    Raises:
        ConfigurationError: dim is not a multiple of n_heads.
    """

    def __init__(self, dim: int, n_heads: int, projected: bool = True) -> None:
        super().__init__()
        if dim % n_heads:
            raise ConfigurationError(f"dim {dim} is not a multiple of n_heads {n_heads}.")
        self.n_heads = n_heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.output = nn.Linear(dim, dim) if projected else nn.Identity()

    def keys_values(self, x: Tensor) -> Tensor:
        """Keys and values (B, 2, K, D) of x (B, K, D)."""
        return torch.stack(self.key_value(x).chunk(2, -1), 1)

    def forward(self, x: Tensor, keys_values: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What x finds in keys_values.

        Captions are short and grids small: written out, this is faster on a processor than the fused kernel, whose
        backward pass in bfloat16 takes three times as long.

        Args:
            x: (B, Q, D).
            keys_values: (B, 2, K, D).
            bias: added to the scores, broadcast to (B, Q, K): very negative where x may not look. None for nothing.

        Returns:
            (B, Q, D) and the weights (B, Q, K) averaged over the heads.
        """
        queries = self._heads(self.query(x))
        keys, values = self._heads(keys_values).unbind(1)
        scores = (queries @ keys.transpose(-1, -2)).float() * queries.shape[-1] ** -0.5
        if bias is not None:
            scores = scores + bias.unsqueeze(-3)
        weights = scores.softmax(-1)
        return self.output(self._join(weights.to(values.dtype) @ values)), weights.mean(1)

    def _heads(self, x: Tensor) -> Tensor:
        """(..., K, D) as (..., heads, K, D / heads)."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3)

    def _join(self, x: Tensor) -> Tensor:
        """(B, heads, Q, D / heads) as (B, Q, D)."""
        return x.transpose(1, 2).flatten(2)
