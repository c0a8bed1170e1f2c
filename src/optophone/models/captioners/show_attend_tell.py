"""Show, Attend and Tell: an LSTM that looks at the regions softly before every symbol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.additive_attention import additive_scores, weighted_sum
from optophone.models.captioners.lstm import LSTMState, lstm_step, unroll
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import mean_region, region_bias
from optophone.models.captioners.symbols import initialize_symbols


@dataclass(frozen=True)
class ShowAttendTellConfig:
    """Sizes and options of `ShowAttendTell`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: D, features per region.
        embedding_dim: E, features per symbol.
        attention_dim: A, features in which regions and hidden state are compared.
        hidden_dim: H, features of the LSTM.
        dropout: on what the output layer reads.
        region_dropout: on the regions (0 in the paper; it helps on small data sets).
        deep_output: the output layer reads hidden state, context and symbol together (Xu et al. 2015, eq. 7),
            instead of the hidden state alone.
        tied_embeddings: the output layer is the embedding transposed; needs deep_output or hidden_dim = embedding_dim.
    """

    n_symbols: int
    region_dim: int = 384
    embedding_dim: int = 512
    attention_dim: int = 512
    hidden_dim: int = 512
    dropout: float = 0.5
    region_dropout: float = 0.0
    deep_output: bool = False
    tied_embeddings: bool = False


class ShowAttendTellMemory(NamedTuple):
    """What stays the same for a picture: regions (B, R, D), keys (B, R, A), bias (B, R)."""

    regions: Tensor
    keys: Tensor
    bias: Tensor


ShowAttendTellState = LSTMState


def softly(attention: Tensor) -> Tensor:
    """Regions weigh what the attention says."""
    return attention


class ShowAttendTell(nn.Module):
    """The soft-attention decoder, with the gate on the context and without a nonlinearity on the initial state.

    Source: Xu et al. 2015, "Show, Attend and Tell", section 3.1.2 and 4.2; the attention's nonlinearity is ReLU, as in
    the PyTorch reading of it that Hsu et al. 2020 built on. Proof: tests/parity/test_sat.py
    """

    def __init__(self, config: ShowAttendTellConfig) -> None:
        super().__init__()
        self.config = config
        readout_dim = config.embedding_dim if config.deep_output else config.hidden_dim
        if config.tied_embeddings and readout_dim != config.embedding_dim:
            raise ConfigurationError("tied_embeddings needs deep_output: true, or hidden_dim equal to embedding_dim.")
        self.embedding = nn.Embedding(config.n_symbols, config.embedding_dim)
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.region_keys = nn.Linear(config.region_dim, config.attention_dim)
        self.score = nn.Linear(config.attention_dim, 1, bias=False)  # softmax does not see a bias
        self.initial_state = nn.Linear(config.region_dim, 2 * config.hidden_dim)
        # All that the previous hidden state feeds (attention query, context gate, LSTM gates) is one product.
        self.from_hidden = nn.Linear(config.hidden_dim, sum(self._parts_from_hidden(config)))
        self.gates_from_symbol = nn.Linear(config.embedding_dim, 4 * config.hidden_dim, bias=False)
        self.gates_from_context = nn.Linear(config.region_dim, 4 * config.hidden_dim, bias=False)
        if config.deep_output:
            self.readout_from_hidden = nn.Linear(config.hidden_dim, readout_dim)
            self.readout_from_context = nn.Linear(config.region_dim, readout_dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(readout_dim, config.n_symbols)
        initialize_symbols(self.embedding, self.output, config.tied_embeddings)

    @staticmethod
    def _parts_from_hidden(config: ShowAttendTellConfig) -> tuple[int, int, int]:
        return config.attention_dim, config.region_dim, 4 * config.hidden_dim

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
            logits (B·C, S, V) and attention (B·C, S, R). Positions after a caption's end are to be ignored.
        """
        return self.teach(regions, regions_mask, ids, captions_per_picture, softly)

    def teach(
        self,
        regions: Tensor,
        regions_mask: Tensor | None,
        ids: Tensor,
        captions_per_picture: int,
        choose: Callable[[Tensor], Tensor],
    ) -> CaptionerOutput:
        """As `forward`, with another use of the attention (B, C, R): `choose` turns it into what the regions weigh."""
        memory, first = self.begin(regions, regions_mask)
        symbols = self.embedding(ids)

        def advance(gates: Tensor, state: LSTMState) -> tuple[LSTMState, tuple[Tensor, ...]]:
            state, context, attention = self._advance(gates, memory, state, choose)
            return state, (state.hidden, context, attention)

        gates = self.gates_from_symbol(symbols)
        hiddens, contexts, attentions = unroll(advance, gates, first, captions_per_picture)
        return CaptionerOutput(self._logits(hiddens, contexts, symbols), attentions)

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[ShowAttendTellMemory, LSTMState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the LSTM's first state (B, H).
        """
        regions = self.region_dropout(regions)
        hidden, cell = self.initial_state(mean_region(regions, regions_mask)).float().chunk(2, -1)
        memory = ShowAttendTellMemory(regions, self.region_keys(regions), region_bias(regions, regions_mask))
        return memory, LSTMState(hidden, cell)

    def step(
        self,
        ids: Tensor,
        memory: tuple[Tensor, ...],
        state: tuple[Tensor, ...],
        choose: Callable[[Tensor], Tensor] = softly,
    ) -> tuple[Tensor, Tensor, LSTMState]:
        """One symbol further.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`, one row per row of `ids`.
            state: of `begin` or the step before.
            choose: as in `teach`.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        symbols = self.embedding(ids)
        gates = self.gates_from_symbol(symbols)
        following, context, attention = self._advance(gates, ShowAttendTellMemory(*memory), LSTMState(*state), choose)
        logits = self._logits(following.hidden, context, symbols)
        return logits.float().log_softmax(-1), attention, following

    def _advance(
        self, symbol_gates: Tensor, memory: ShowAttendTellMemory, state: LSTMState, choose: Callable[[Tensor], Tensor]
    ) -> tuple[LSTMState, Tensor, Tensor]:
        """Attend with the previous hidden state, then one LSTM step: the next state, context (N, D), attention."""
        parts = self.from_hidden(state.hidden)
        query, gate, hidden_gates = parts.split(self._parts_from_hidden(self.config), -1)
        scores = additive_scores(query, memory.keys, memory.bias, self.score.weight[0], torch.relu_)
        attention = scores.softmax(-1)
        context = gate.sigmoid() * weighted_sum(choose(attention), memory.regions)
        gates = symbol_gates + hidden_gates + self.gates_from_context(context)
        return lstm_step(gates, state.cell), context, attention.flatten(0, 1)

    def _logits(self, hidden: Tensor, context: Tensor, symbols: Tensor) -> Tensor:
        """Scores (..., V) from what was read: one product for all symbols when teacher-forced."""
        if not self.config.deep_output:
            return self.output(self.dropout(hidden))
        readout = symbols + self.readout_from_hidden(hidden) + self.readout_from_context(context)
        return self.output(self.dropout(readout.tanh()))
