"""Whole captions as a few features: convolutions over the symbols, and queries that gather what they find."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optophone.models.captioners.multi_head_attention import MultiHeadAttention
from optophone.models.captioners.region_mask import EXCLUDED


@dataclass(frozen=True)
class SymbolEncoderConfig:
    """Sizes of a `SymbolEncoder`.

    Args:
        n_symbols: V, the size of the vocabulary.
        out_dim: features of what comes out.
        n_tokens: vectors a caption.
        dim: features inside.
        n_layers: convolutions, each of twice the reach of the one before.
        kernel_size: of the convolutions, odd.
        n_heads: of the gathering; divides dim.
        dropout: on the symbols and after every convolution.
    """

    n_symbols: int
    out_dim: int
    n_tokens: int = 1
    dim: int = 128
    n_layers: int = 3
    kernel_size: int = 5
    n_heads: int = 4
    dropout: float = 0.1


class SymbolEncoder(nn.Module):
    """Symbols → `n_tokens` vectors; it has no order but that of neighbouring symbols."""

    def __init__(self, config: SymbolEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_symbols, config.dim)
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(config.n_layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(
                config.dim, config.dim, config.kernel_size, padding=2**i * (config.kernel_size // 2), dilation=2**i
            )
            for i in range(config.n_layers)
        )
        self.queries = nn.Parameter(torch.randn(config.n_tokens, config.dim) * config.dim**-0.5)
        self.gather = MultiHeadAttention(config.dim, config.n_heads)
        self.norm = nn.LayerNorm(config.dim)
        self.output = nn.Linear(config.dim, config.out_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, ids: Tensor, counted: Tensor) -> Tensor:
        """Features (B, n_tokens, out_dim) of captions.

        Args:
            ids: (B, S) symbols.
            counted: (B, S) true where a symbol counts; padding changes nothing.
        """
        kept = counted.unsqueeze(-1)
        x = self.dropout(self.embedding(ids)) * kept
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            found = convolution((norm(x) * kept).mT).mT
            x = x + self.dropout(nn.functional.gelu(found)) * kept
        bias = torch.zeros(counted.shape, device=ids.device).masked_fill(~counted, EXCLUDED).unsqueeze(1)
        queries = self.queries.expand(len(ids), -1, -1)
        return self.output(self.norm(self.gather(queries, self.gather.keys_values(x), bias)[0]))
