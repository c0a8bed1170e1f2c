"""Adaptive attention: for every symbol the decoder weighs the picture against what it remembers itself."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.models.captioners.additive_attention import additive_scores, weighted_sum
from optophone.models.captioners.lstm import LSTMState, lstm_step, unroll, zero_state
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import mean_region, region_bias
from optophone.models.captioners.symbols import initialize_symbols


@dataclass(frozen=True)
class AdaptiveAttentionConfig:
    """Sizes and options of `AdaptiveAttention`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: D, features per region.
        embedding_dim: E, features per symbol, and of the picture as a whole.
        attention_dim: A, features in which regions, sentinel and hidden state are compared.
        hidden_dim: H, features of the LSTM, of the sentinel and of the regions inside.
        dropout: on what the output layer reads.
        region_dropout: on the regions.
        tied_embeddings: the output layer is the embedding transposed; needs hidden_dim = embedding_dim.
    """

    n_symbols: int
    region_dim: int = 384
    embedding_dim: int = 512
    attention_dim: int = 512
    hidden_dim: int = 512
    dropout: float = 0.5
    region_dropout: float = 0.0
    tied_embeddings: bool = False


class AdaptiveAttentionMemory(NamedTuple):
    """What stays the same for a picture: regions (B, R, H), keys (B, R, A), bias (B, R), gates (B, 5H)."""

    regions: Tensor
    keys: Tensor
    bias: Tensor
    gates: Tensor


class AdaptiveAttention(nn.Module):
    """The decoder with a visual sentinel.

    β, the weight of the sentinel, goes to `extras` (B·C, S). The attention that is returned is α, equation 7: the
    weights of regions and sentinel together (equation 12) without the sentinel and summing to 1 again.

    Source: Lu et al. 2017, "Knowing When to Look", section 2, equations 6–13.

    Raises:
        ConfigurationError: tied_embeddings that do not fit.
    """

    def __init__(self, config: AdaptiveAttentionConfig) -> None:
        super().__init__()
        self.config = config
        hidden, attention = config.hidden_dim, config.attention_dim
        self.embedding = nn.Embedding(config.n_symbols, config.embedding_dim)
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.region = nn.Linear(config.region_dim, hidden)
        self.picture = nn.Linear(config.region_dim, config.embedding_dim)
        self.region_keys = nn.Linear(hidden, attention)
        self.sentinel_key = nn.Linear(hidden, attention)
        self.query = nn.Linear(hidden, attention, bias=False)
        self.score = nn.Linear(attention, 1, bias=False)  # softmax does not see a bias
        # The gates of the LSTM and the sentinel's gate read the same: one product each.
        self.gates_from_symbol = nn.Linear(config.embedding_dim, 5 * hidden, bias=False)
        self.gates_from_picture = nn.Linear(config.embedding_dim, 5 * hidden)
        self.gates_from_hidden = nn.Linear(hidden, 5 * hidden, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(hidden, config.n_symbols)
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
            logits (B·C, S, V), attention (B·C, S, R), extras (β (B·C, S),).
        """
        memory, first = self.begin(regions, regions_mask)
        picture_gates = memory.gates.repeat_interleave(captions_per_picture, 0).unsqueeze(1)
        gates = self.gates_from_symbol(self.embedding(ids)) + picture_gates

        def advance(gates: Tensor, state: LSTMState) -> tuple[LSTMState, tuple[Tensor, ...]]:
            state, sentinel = self._advance(gates, state)
            return state, (state.hidden, sentinel)

        hiddens, sentinels = unroll(advance, gates, first, captions_per_picture)
        # What was looked at is not fed back: all symbols look at once.
        context, attention, share = self._look(hiddens.flatten(0, 1), sentinels.flatten(0, 1), memory)
        logits = self._logits(hiddens, context.view_as(hiddens))
        return CaptionerOutput(logits, attention.view(*ids.shape, -1), (share.view(ids.shape),))

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[AdaptiveAttentionMemory, LSTMState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the LSTM's first state (B, H).
        """
        regions = self.region_dropout(regions)
        gates = self.gates_from_picture(self.picture(mean_region(regions, regions_mask)).relu())
        projected = self.region(regions).relu()
        bias = region_bias(regions, regions_mask)
        zeros = zero_state(gates, self.config.hidden_dim)
        return AdaptiveAttentionMemory(projected, self.region_keys(projected), bias, gates), LSTMState(zeros, zeros)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, LSTMState]:
        """One symbol further.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`, one row per row of `ids`.
            state: of `begin` or the step before.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        known = AdaptiveAttentionMemory(*memory)
        gates = self.gates_from_symbol(self.embedding(ids)) + known.gates
        following, sentinel = self._advance(gates, LSTMState(*state))
        context, attention, _ = self._look(following.hidden, sentinel, known)
        return self._logits(following.hidden, context).float().log_softmax(-1), attention, following

    def _advance(self, input_gates: Tensor, state: LSTMState) -> tuple[LSTMState, Tensor]:
        """One LSTM step, and the sentinel (N, H) of equations 9 and 10."""
        hidden = self.config.hidden_dim
        gates, sentinel_gate = (input_gates + self.gates_from_hidden(state.hidden)).split((4 * hidden, hidden), -1)
        following = lstm_step(gates, state.cell)
        return following, sentinel_gate.float().sigmoid() * following.cell.tanh()

    def _look(self, hidden: Tensor, sentinel: Tensor, memory: AdaptiveAttentionMemory) -> tuple[Tensor, Tensor, Tensor]:
        """The adaptive context (N, H), attention α (N, R) and β (N,): equations 6–8, 11 and 12."""
        query, weight = self.query(hidden), self.score.weight[0]
        scores = additive_scores(query, memory.keys, memory.bias, weight)
        attention = scores.softmax(-1)
        scores = scores.flatten(0, 1)
        sentinel_score = (torch.tanh(self.sentinel_key(sentinel) + query) @ weight).float()
        # The share of one among all in the softmax, without the softmax of all.
        share = (sentinel_score - scores.logsumexp(-1)).sigmoid()
        seen = weighted_sum(attention, memory.regions)
        context = share.unsqueeze(1) * sentinel + (1 - share).unsqueeze(1) * seen
        return context, attention.flatten(0, 1), share

    def _logits(self, hidden: Tensor, context: Tensor) -> Tensor:
        """Scores (..., V), equation 13: one product for all symbols when teacher-forced."""
        return self.output(self.dropout(hidden + context))
