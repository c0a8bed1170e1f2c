"""X-Transformer: X-Linear attention in place of the dot-product attention of a transformer."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import region_weights
from optophone.models.captioners.x_linear_attention import XLinearAttention, XLinearConfig
from optophone.models.captioners.x_linear_encoder import FeedForward, Mixing, XLinearEncoder, XLinearEncoderConfig
from optophone.models.linear import Linear


@dataclass(frozen=True)
class XTransformerConfig:
    """Sizes and options of `XTransformer`; the defaults are those of its public configuration.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: features per region as they come.
        dim: D, features inside.
        n_heads: heads of every attention; divides dim.
        n_encoder_layers: X-Linear blocks with feed-forward layers over the regions.
        n_layers: layers of the decoder, at least 1.
        feed_forward_dim: inner features of the feed-forward layers.
        mid_dim: features per head in which query and region are compared.
        alpha: of every CELU.
        embedding_dropout: on the embedded symbols.
        region_dropout: on the embedded regions.
        attention_dropout: on what an attention finds, and on the decoder's first query.
        mid_dropout: on what was compared.
        mixing_dropout: on what a found vector adds to each region or symbol.
        feed_forward_dropout: twice inside each feed-forward layer.
        dropout: on what the output layer reads.
        max_length: S, most input symbols (start included) that have a position.
        tied_embeddings: the output layer is the embedding transposed (not in the paper; it helps on small data sets).
    """

    n_symbols: int
    region_dim: int = 2048
    dim: int = 768
    n_heads: int = 8
    n_encoder_layers: int = 6
    n_layers: int = 6
    feed_forward_dim: int = 3072
    mid_dim: int = 48
    alpha: float = 1.3
    embedding_dropout: float = 0.1
    region_dropout: float = 0.5
    attention_dropout: float = 0.5
    mid_dropout: float = 0.1
    mixing_dropout: float = 0.3
    feed_forward_dropout: float = 0.5
    dropout: float = 0.5
    max_length: int = 64
    tied_embeddings: bool = False

    def attention(self) -> XLinearConfig:
        """Of every attention."""
        return XLinearConfig(self.dim, self.n_heads, self.mid_dim, self.attention_dropout, self.mid_dropout, self.alpha)

    def encoder(self) -> XLinearEncoderConfig:
        """The part about the regions."""
        return XLinearEncoderConfig(
            self.attention(),
            self.region_dim,
            self.n_encoder_layers,
            self.region_dropout,
            self.mixing_dropout,
            self.feed_forward_dim,
            self.feed_forward_dropout,
        )


class XTransformerMemory(NamedTuple):
    """What stays the same for a picture.

    Args:
        keys_values: (B, layers, 2, H, R, D / H) of the attention to the regions.
        weights: (B, R) what each region counts in a mean, 0 for padding.
        whole: (B, D) the picture as a whole, as the decoder's first query takes it.
    """

    keys_values: Tensor
    weights: Tensor
    whole: Tensor


class XTransformerState(NamedTuple):
    """What the decoder remembers.

    Args:
        keys_values: (N, 2 · layers, H, S, D / H) keys and second values of the symbols so far, S growing from 0.
        total: (N, D) the sum of the embedded symbols.
        position: (N,) S itself.
    """

    keys_values: Tensor
    total: Tensor
    position: Tensor


class XTransformerLayer(nn.Module):
    """A query per symbol attends to the symbols so far, then to the regions; the symbols are told what it found."""

    def __init__(self, config: XTransformerConfig, is_last: bool) -> None:
        super().__init__()
        self.self_attention = XLinearAttention(config.attention())
        self.cross_norm = nn.LayerNorm(config.dim)
        self.cross_attention = XLinearAttention(config.attention())
        self.query_norm = nn.LayerNorm(config.dim)
        self.retell: nn.ModuleList = nn.ModuleList()
        if not is_last:  # nobody hears the symbols of the last layer
            mixing = Mixing(config.dim, config.mixing_dropout)
            feed_forward = FeedForward(config.dim, config.feed_forward_dim, config.feed_forward_dropout)
            self.retell = nn.ModuleList([mixing, feed_forward])

    def forward(
        self,
        query: Tensor,
        x: Tensor,
        keys_values: Tensor,
        causal: Tensor | None,
        cross: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One layer.

        Args:
            query: (N, S, D), one per symbol.
            x: (N, S, D) symbols.
            keys_values: (N, 2, H, S', D / H) of the symbols, earlier ones included.
            causal: (1, S, S') what each symbol counts for each query; None counts all alike.
            cross: (B, 2, H, R, D / H) of the regions; N is a multiple of B.
            weights: (B, 1, R) what each region counts.

        Returns:
            queries and symbols (N, S, D) for the next layer, and where each query looked (N, S, R).
        """
        heard = x + self.self_attention(query, keys_values, causal)[0]
        asked = self.cross_norm(heard).reshape(cross.shape[0], -1, x.shape[-1])
        found, attention = self.cross_attention(asked, cross, weights)
        query = self.query_norm(heard + found.reshape(heard.shape))
        if self.retell:
            mixing, feed_forward = self.retell
            x = feed_forward(mixing(x, query))
        return query, x, attention.reshape(heard.shape[0], heard.shape[1], -1)


class WholeProjection(nn.Sequential):
    """Linear, CELU, layer normalisation of a vector that stands for a whole."""

    def __init__(self, dim: int, alpha: float) -> None:
        super().__init__(Linear(dim, dim), nn.CELU(alpha), nn.LayerNorm(dim))


class XTransformer(nn.Module):
    """A transformer whose attention is X-Linear.

    The first query of every position is the picture as a whole times the mean of the symbols so far, both projected.
    The queries of all layers together make the next symbol.

    Source: Pan et al. 2020, "X-Linear Attention Networks for Image Captioning", the transformer variant of its public
    implementation; positions of Vaswani et al. 2017, section 3.5.

    Raises:
        ConfigurationError: n_layers under 1, or dim is not a multiple of n_heads.
    """

    def __init__(self, config: XTransformerConfig) -> None:
        super().__init__()
        if config.n_layers < 1:
            raise ConfigurationError(f"n_layers is {config.n_layers}; X-Transformer needs at least 1.")
        self.config = config
        dim = config.dim
        self.encoder = XLinearEncoder(config.encoder())
        self.embedding = nn.Embedding(config.n_symbols, dim)
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(config.max_length, dim), persistent=False)
        self.embedding_norm = nn.LayerNorm(dim)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.from_whole = WholeProjection(dim, config.alpha)
        self.from_symbols = WholeProjection(dim, config.alpha)
        self.query_dropout = nn.Dropout(config.attention_dropout)
        self.layers = nn.ModuleList(
            XTransformerLayer(config, is_last=i == config.n_layers - 1) for i in range(config.n_layers)
        )
        self.projection = Linear((config.n_layers + 1) * dim, 2 * dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(config.dropout)
        self.output = Linear(dim, config.n_symbols)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)  # of length about 1, so that tied scores begin small
        if config.tied_embeddings:
            self.output.weight = self.embedding.weight

    def forward(
        self, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, captions_per_picture: int = 1
    ) -> CaptionerOutput:
        """Score the next symbol after every symbol of known captions.

        Args:
            regions: (B, R, region_dim).
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
        memory, _ = self.begin(regions, regions_mask)
        x = self._embed(ids, self.positions[:n_symbols])
        counts = torch.arange(1, n_symbols + 1, device=ids.device)
        causal = torch.ones(1, n_symbols, n_symbols, device=ids.device).tril() / counts.unsqueeze(1)
        whole = memory.whole.repeat_interleave(captions_per_picture, 0)
        query = self._first_query(whole.unsqueeze(1), x.float().cumsum(1) / counts.unsqueeze(1))
        queries, attention = [query], query
        for i, layer in enumerate(self._layers()):
            own = layer.self_attention.keys_values(x)
            query, x, attention = layer(query, x, own, causal, memory.keys_values[:, i], memory.weights.unsqueeze(1))
            queries.append(query)
        return CaptionerOutput(self.output(self.dropout(self._readout(queries))), attention)

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[XTransformerMemory, XTransformerState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, region_dim).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the empty state.
        """
        weights = region_weights(regions, regions_mask)
        whole, encoded = self.encoder(regions, weights)
        keys_values = torch.stack([layer.cross_attention.keys_values(encoded) for layer in self._layers()], 1)
        memory = XTransformerMemory(keys_values, weights, self.from_whole(whole))
        nothing = whole.detach().float() * 0  # as many rows as pictures, in an exported graph too
        return memory, XTransformerState(keys_values.flatten(1, 2)[:, :, :, :0], nothing, nothing[:, 0].long())

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, XTransformerState]:
        """One symbol further. Symbols after max_length share the last position.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`; N is a multiple of its rows, and the rows of a picture lie together.
            state: of `begin` or the step before, one row per row of `ids`.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        crosses, weights, whole = memory
        pasts, total, position = state
        x = self._embed(ids, self.positions[position.clamp(max=self.config.max_length - 1)]).unsqueeze(1)
        total = total + x.squeeze(1)
        mean = total / (position + 1).unsqueeze(1)
        by_picture = mean.reshape(whole.shape[0], -1, whole.shape[1])
        query = self._first_query(whole.unsqueeze(1), by_picture).flatten(0, 1).unsqueeze(1)
        queries, attention, following = [query], query, []
        for i, layer in enumerate(self._layers()):
            own = torch.cat([pasts[:, 2 * i : 2 * i + 2], layer.self_attention.keys_values(x)], 3)
            following.append(own)
            query, x, attention = layer(query, x, own, None, crosses[:, i], weights.unsqueeze(1))
            queries.append(query)
        log_probs = self.output(self._readout(queries)).squeeze(1).float().log_softmax(-1)
        return log_probs, attention.squeeze(1), XTransformerState(torch.cat(following, 1), total, position + 1)

    def _layers(self) -> list[XTransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, XTransformerLayer)]

    def _embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Symbols (...) at positions (..., D) → (..., D)."""
        x = self.embedding(ids) * math.sqrt(self.config.dim) + positions
        return self.embedding_dropout(self.embedding_norm(x))

    def _first_query(self, whole: Tensor, mean: Tensor) -> Tensor:
        """What the first layer asks with: the picture as a whole and the mean of the symbols so far (B, S, D)."""
        return self.query_dropout(whole * self.from_symbols(mean))

    def _readout(self, queries: list[Tensor]) -> Tensor:
        """What the output layer reads (N, S, D), of the queries of all layers."""
        return self.norm(F.glu(self.projection(torch.cat(queries, -1)), -1))


def sinusoids(length: int, dim: int) -> Tensor:
    """Positions (length, dim): sine and cosine in turn, of wavelengths from 2π to 20,000π."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :dim]
