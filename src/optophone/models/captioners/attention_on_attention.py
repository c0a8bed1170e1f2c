"""Attention on attention: what attention finds passes a gate that knows what was asked for."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.models.captioners.lstm import lstm_step, unroll, zero_state
from optophone.models.captioners.multi_head_attention import MultiHeadAttention
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import mean_region, region_bias
from optophone.models.captioners.symbols import initialize_symbols


@dataclass(frozen=True)
class AttentionOnAttentionConfig:
    """Sizes and options of `AttentionOnAttention`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: features per region as they come.
        dim: D, features inside: of regions, symbols, attention and LSTM.
        n_heads: heads of every attention; divides dim.
        n_refining_layers: layers of the encoder (6 in the paper); 0 for none.
        dropout: on what the output layer reads.
        attention_dropout: on what the gates read, and on the residual branches of the encoder.
        region_dropout: on the regions as they come.
        tied_embeddings: the output layer is the embedding transposed.
    """

    n_symbols: int
    region_dim: int = 384
    dim: int = 512
    n_heads: int = 8
    n_refining_layers: int = 6
    dropout: float = 0.5
    attention_dropout: float = 0.3
    region_dropout: float = 0.0
    tied_embeddings: bool = False


class AttentionOnAttentionMemory(NamedTuple):
    """What stays the same for a picture: keys_values (B, 2, R, D), bias (B, R), gates (B, 4D)."""

    keys_values: Tensor
    bias: Tensor
    gates: Tensor


class AttentionOnAttentionState(NamedTuple):
    """The decoder between two symbols: hidden, cell and context, each (N, D) float32."""

    hidden: Tensor
    cell: Tensor
    context: Tensor


class GatedAttention(nn.Module):
    """AoA: an information vector and a gate, both linear in what multi-head attention found and in what asked for it.

    Source: Huang et al. 2019, section 3.1. The query enters as it comes, before its projection into
    heads, as in the authors' own program.
    """

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(dim, n_heads, projected=False)
        self.dropout = nn.Dropout(dropout)
        self.information_and_gate = nn.Linear(2 * dim, 2 * dim)

    def forward(self, x: Tensor, keys_values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """What x (B, Q, D) asked for (B, Q, D), and the attention (B, Q, R) averaged over the heads."""
        found, attention = self.attention(x, keys_values, bias.unsqueeze(1))
        asked = torch.cat([found, x.to(found.dtype)], -1)
        return F.glu(self.information_and_gate(self.dropout(asked)), -1), attention


class RefiningLayer(nn.Module):
    """A layer of the encoder: AoA among the regions, added and normalised, without feed-forward."""

    def __init__(self, config: AttentionOnAttentionConfig) -> None:
        super().__init__()
        self.attention = GatedAttention(config.dim, config.n_heads, config.attention_dropout)
        self.dropout = nn.Dropout(config.attention_dropout)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x (B, R, D) with every region informed of the others; bias (B, R) keeps padding out."""
        found, _ = self.attention(x, self.attention.attention.keys_values(x), bias)
        return self.norm(x + self.dropout(found))


class AttentionOnAttention(nn.Module):
    """AoANet: an encoder that refines the regions and an LSTM decoder, both with attention on attention.

    Source: Huang et al. 2019, "Attention on Attention for Image Captioning", section 3.2.

    Raises:
        ConfigurationError: dim is not a multiple of n_heads.
    """

    def __init__(self, config: AttentionOnAttentionConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embedding = nn.Embedding(config.n_symbols, dim)
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.region = nn.Linear(config.region_dim, dim)
        self.refining_layers = nn.ModuleList(RefiningLayer(config) for _ in range(config.n_refining_layers))
        self.gates_from_symbol = nn.Linear(dim, 4 * dim, bias=False)
        self.gates_from_hidden = nn.Linear(dim, 4 * dim)
        self.gates_from_context = nn.Linear(dim, 4 * dim, bias=False)
        self.attention = GatedAttention(dim, config.n_heads, config.attention_dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(dim, config.n_symbols)
        initialize_symbols(self.embedding, self.output, config.tied_embeddings)

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
            logits (B·C, S, V) and attention (B·C, S, R), averaged over the heads.
        """
        memory, first = self.begin(regions, regions_mask)
        picture_gates = memory.gates.repeat_interleave(captions_per_picture, 0).unsqueeze(1)

        def advance(
            gates: Tensor, state: AttentionOnAttentionState
        ) -> tuple[AttentionOnAttentionState, tuple[Tensor, ...]]:
            state, attention = self._advance(gates, memory, state)
            return state, (state.context, attention)

        gates = self.gates_from_symbol(self.embedding(ids)) + picture_gates
        contexts, attentions = unroll(advance, gates, first, captions_per_picture)
        return CaptionerOutput(self.output(self.dropout(contexts)), attentions)

    def begin(
        self, regions: Tensor, regions_mask: Tensor | None
    ) -> tuple[AttentionOnAttentionMemory, AttentionOnAttentionState]:
        """Refine the regions and look at them once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the first state (B, D).
        """
        bias = region_bias(regions, regions_mask)
        refined = self.region(self.region_dropout(regions)).relu()
        for layer in self.refining_layers:
            refined = layer(refined, bias)
        # The mean of the regions joins every context: its share of the gates is made once.
        gates = self.gates_from_context(mean_region(refined, regions_mask))
        memory = AttentionOnAttentionMemory(self.attention.attention.keys_values(refined), bias, gates)
        zeros = zero_state(gates, self.config.dim)
        return memory, AttentionOnAttentionState(zeros, zeros, zeros)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, AttentionOnAttentionState]:
        """One symbol further.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`, one row per row of `ids`.
            state: of `begin` or the step before.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        known = AttentionOnAttentionMemory(*memory)
        gates = self.gates_from_symbol(self.embedding(ids)) + known.gates
        following, attention = self._advance(gates, known, AttentionOnAttentionState(*state))
        return self.output(self.dropout(following.context)).float().log_softmax(-1), attention, following

    def _advance(
        self, input_gates: Tensor, memory: AttentionOnAttentionMemory, state: AttentionOnAttentionState
    ) -> tuple[AttentionOnAttentionState, Tensor]:
        """One LSTM step, then attention on attention: the next state and the attention (N, R)."""
        gates = input_gates + self.gates_from_hidden(state.hidden) + self.gates_from_context(state.context)
        hidden, cell = lstm_step(gates, state.cell)
        # The captions of a picture ask its regions together: nothing of the picture is repeated.
        query = hidden.unflatten(0, (memory.bias.shape[0], -1))
        context, attention = self.attention(query, memory.keys_values, memory.bias)
        return AttentionOnAttentionState(hidden, cell, context.flatten(0, 1).float()), attention.flatten(0, 1)
