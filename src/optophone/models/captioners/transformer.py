"""A small transformer captioner: an encoder over the grid of regions and a decoder over the symbols."""

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.multi_head_attention import MultiHeadAttention
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import EXCLUDED, region_bias


@dataclass(frozen=True)
class TransformerCaptionerConfig:
    """Sizes and options of `TransformerCaptioner`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: features per region as they come.
        dim: D, features inside.
        n_heads: heads of every attention; divides dim.
        n_layers: layers of the decoder, at least 1.
        n_encoder_layers: layers of self-attention over the regions; 0 for none.
        feed_forward_dim: inner features of the feed-forward blocks.
        dropout: on every residual branch, on the embedded symbols and before the output layer.
        region_dropout: on the regions as they come.
        max_length: S, most input symbols (start included) that have a position.
        grid: rows and columns of the regions, for their learned positions; None for regions without order.
        tied_embeddings: the output layer is the embedding transposed.
    """

    n_symbols: int
    region_dim: int = 384
    dim: int = 320
    n_heads: int = 5
    n_layers: int = 3
    n_encoder_layers: int = 1
    feed_forward_dim: int = 1280
    dropout: float = 0.1
    region_dropout: float = 0.0
    max_length: int = 64
    grid: tuple[int, int] | None = None
    tied_embeddings: bool = True


class TransformerMemory(NamedTuple):
    """What stays the same for a picture: keys_values (B, layers, 2, R, D) for cross-attention, bias (B, R)."""

    keys_values: Tensor
    bias: Tensor


class TransformerState(NamedTuple):
    """What the decoder remembers: its keys and values (N, layers, 2, S, D), S growing from 0, and S itself (N,)."""

    keys_values: Tensor
    position: Tensor


class FeedForward(nn.Sequential):
    """Two linear layers around a GELU."""

    def __init__(self, dim: int, inner_dim: int) -> None:
        super().__init__(nn.Linear(dim, inner_dim), nn.GELU(), nn.Linear(inner_dim, dim))


class EncoderLayer(nn.Module):
    """Self-attention over regions, then feed-forward, each normalised before and added."""

    def __init__(self, config: TransformerCaptionerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.dim)
        self.attention = MultiHeadAttention(config.dim, config.n_heads)
        self.feed_forward_norm = nn.LayerNorm(config.dim)
        self.feed_forward = FeedForward(config.dim, config.feed_forward_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x (B, R, D) with every region informed of the others; bias (B, 1, R) keeps padding out."""
        normed = self.attention_norm(x)
        x = x + self.dropout(self.attention(normed, self.attention.keys_values(normed), bias)[0])
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention to the regions, feed-forward, each normalised before and added."""

    def __init__(self, config: TransformerCaptionerConfig) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(config.dim)
        self.self_attention = MultiHeadAttention(config.dim, config.n_heads)
        self.cross_norm = nn.LayerNorm(config.dim)
        self.cross_attention = MultiHeadAttention(config.dim, config.n_heads)
        self.feed_forward_norm = nn.LayerNorm(config.dim)
        self.feed_forward = FeedForward(config.dim, config.feed_forward_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, causal: Tensor, cross: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Whole captions at once.

        Args:
            x: (B·C, S, D) symbols.
            causal: (S, S) bias that hides later symbols.
            cross: (B, 2, R, D) keys and values of the regions.
            bias: (B, 1, R) or None.

        Returns:
            (B·C, S, D) and where each symbol looked (B·C, S, R).
        """
        normed = self.self_norm(x)
        x = x + self.dropout(self.self_attention(normed, self.self_attention.keys_values(normed), causal)[0])
        # The captions of a picture ask its regions together: nothing of the picture is repeated.
        queries = self.cross_norm(x).reshape(cross.shape[0], -1, x.shape[-1])
        found, attention = self.cross_attention(queries, cross, bias)
        x = x + self.dropout(found.reshape(x.shape))
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x, attention.reshape(*x.shape[:2], -1)

    def step(self, x: Tensor, past: Tensor, cross: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One symbol x (N, 1, D) after past (N, 2, S, D): its outcome, past (N, 2, S+1, D), weights (N, 1, R)."""
        normed = self.self_norm(x)
        past = torch.cat([past, self.self_attention.keys_values(normed)], 2)
        x = x + self.self_attention(normed, past)[0]
        found, attention = self.cross_attention(self.cross_norm(x), cross, bias)
        x = x + found
        return x + self.feed_forward(self.feed_forward_norm(x)), past, attention


class TransformerCaptioner(nn.Module):
    """A pre-norm transformer that reads regions and writes symbols.

    Source: Vaswani et al. 2017, "Attention Is All You Need"; normalisation before the blocks as in Xiong et al. 2020,
    "On Layer Normalization in the Transformer Architecture".

    Raises:
        ConfigurationError: n_layers under 1, or dim is not a multiple of n_heads.
    """

    def __init__(self, config: TransformerCaptionerConfig) -> None:
        super().__init__()
        if config.n_layers < 1:
            raise ConfigurationError(f"n_layers is {config.n_layers}; a transformer captioner needs at least 1.")
        self.config = config
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.region_projection = nn.Linear(config.region_dim, config.dim)
        self.region_norm = nn.LayerNorm(config.dim)
        if config.grid is not None:
            self.region_positions = nn.Parameter(torch.zeros(config.dim, *config.grid))
        self.encoder_layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.n_encoder_layers))
        self.memory_norm = nn.LayerNorm(config.dim)
        self.embedding = nn.Embedding(config.n_symbols, config.dim)
        self.positions = nn.Embedding(config.max_length, config.dim)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.dim, config.n_symbols)
        self._initialize()

    def _initialize(self) -> None:
        """Symbols and positions of length about 1, so that tied scores begin small."""
        spread = self.config.dim**-0.5
        for weight in (self.embedding.weight, self.positions.weight, self.output.weight):
            nn.init.normal_(weight, std=spread)
        if self.config.grid is not None:
            nn.init.normal_(self.region_positions, std=spread)
        nn.init.zeros_(self.output.bias)
        if self.config.tied_embeddings:
            self.output.weight = self.embedding.weight

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, captions_per_picture: int = 1
    ) -> CaptionerOutput:
        """Score the next symbol after every symbol of known captions.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.
            ids: (B·C, S) input symbols that begin with start, right-padded; the C captions of a picture are adjacent.
            captions_per_picture: C. What depends on the picture alone is computed once per picture.

        Returns:
            logits (B·C, S, V) and attention (B·C, S, R), of the last layer and averaged over its heads. Positions after
            a caption's end are to be ignored.

        Raises:
            ConfigurationError: S is over max_length.
        """
        assert ids.shape[0] == regions.shape[0] * captions_per_picture
        n_symbols = ids.shape[1]
        if n_symbols > self.config.max_length:
            raise ConfigurationError(
                f"Captions of {n_symbols} symbols need max_length {n_symbols}, not {self.config.max_length}."
            )
        encoded = self.encode(regions, regions_mask)
        x = self.dropout(self.embedding(ids) + self.positions.weight[:n_symbols])
        found, attention = self.decode(x, encoded, regions_mask)
        return CaptionerOutput(self.output(self.dropout(found)), attention)

    def decode(self, x: Tensor, encoded: Tensor, regions_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """All layers over what was read so far, whatever it is.

        Args:
            x: (B·C, S, D) embedded symbols with their positions; those of a picture are adjacent.
            encoded: (B, R, D) of `encode`.
            regions_mask: as in `forward`.

        Returns:
            what the output layer reads (B·C, S, D), and attention (B·C, S, R).
        """
        bias = None if regions_mask is None else region_bias(encoded, regions_mask).unsqueeze(1)
        n_symbols = x.shape[1]
        causal = torch.full((n_symbols, n_symbols), EXCLUDED, device=x.device).triu(1)
        attention = x
        for layer in self._decoder_layers():
            x, attention = layer(x, causal, layer.cross_attention.keys_values(encoded), bias)
        return self.norm(x), attention

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[TransformerMemory, TransformerState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the empty state: keys_values (B, layers, 2, 0, D), position (B,).
        """
        encoded = self.encode(regions, regions_mask)
        keys_values = torch.stack([layer.cross_attention.keys_values(encoded) for layer in self._decoder_layers()], 1)
        memory = TransformerMemory(keys_values, region_bias(regions, regions_mask))
        return memory, TransformerState(keys_values[:, :, :, :0], memory.bias[:, 0].long() * 0)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, TransformerState]:
        """One symbol further, without dropout. Symbols after max_length share the last position.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`, one row per row of `ids`.
            state: of `begin` or the step before.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        position = state[1].clamp(max=self.config.max_length - 1)
        found, attention, following = self.advance(self.embedding(ids) + self.positions(position), memory, state)
        return self.output(found).float().log_softmax(-1), attention, following

    def advance(
        self, x: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, TransformerState]:
        """`decode` for one symbol x (N, D) more: what the output layer reads (N, D), attention (N, R), next state."""
        crosses, bias = memory
        pasts, position = state
        x = x.unsqueeze(1)
        following = []
        attention = bias
        for i, layer in enumerate(self._decoder_layers()):
            x, past, attention = layer.step(x, pasts[:, i], crosses[:, i], bias.unsqueeze(1))
            following.append(past)
        return self.norm(x).squeeze(1), attention.squeeze(1), TransformerState(torch.stack(following, 1), position + 1)

    def _decoder_layers(self) -> list[DecoderLayer]:
        return [cast(DecoderLayer, layer) for layer in self.layers]

    def encode(self, regions: Tensor, regions_mask: Tensor | None) -> Tensor:
        """Regions (B, R, D) that know their place and each other."""
        x = self.region_norm(self.region_projection(self.region_dropout(regions)))
        if self.config.grid is not None:
            x = x + self._positions_of_regions(self.config.grid, regions.shape[1])
        bias = None if regions_mask is None else region_bias(regions, regions_mask).unsqueeze(1)
        for layer in self.encoder_layers:
            x = layer(x, bias)
        return self.memory_norm(x)

    def _positions_of_regions(self, grid: tuple[int, int], n_regions: int) -> Tensor:
        """The learned positions (R, D); other grids of the same shape are interpolated."""
        positions: Tensor = self.region_positions
        if n_regions != grid[0] * grid[1]:
            size = grid_like(grid, n_regions)
            positions = F.interpolate(positions[None], size, mode="bicubic", align_corners=False)[0]
        return positions.flatten(1).T


def grid_like(grid: tuple[int, int], n_regions: int) -> tuple[int, int]:
    """The rows and columns of `n_regions` regions in a picture of the same shape as `grid`'s.

    Raises:
        ConfigurationError: there is no such grid.
    """
    rows = max(1, round(math.sqrt(n_regions * grid[0] / grid[1])))
    columns = n_regions // rows
    if rows * columns != n_regions:
        raise ConfigurationError(f"{n_regions} regions do not fit a grid shaped like {grid[0]} x {grid[1]}.")
    return rows, columns
