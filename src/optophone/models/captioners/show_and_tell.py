"""Show and Tell: an LSTM that sees the picture as a whole, once before the first symbol or at every one."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optophone.models.captioners.lstm import LSTMState, lstm_step, unroll, zero_state
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import mean_region, region_bias
from optophone.models.captioners.symbols import initialize_symbols


@dataclass(frozen=True)
class ShowAndTellConfig:
    """Sizes and options of `ShowAndTell`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: D, features per region.
        embedding_dim: E, features per symbol.
        hidden_dim: H, features of the LSTM.
        dropout: on what the output layer reads.
        region_dropout: on the regions.
        picture_at_every_step: the picture is not the LSTM's first input, but joins hidden state and symbol in a
            multimodal layer before the output (Mao et al. 2015).
        tied_embeddings: the output layer is the embedding transposed; needs picture_at_every_step or
            hidden_dim = embedding_dim.
    """

    n_symbols: int
    region_dim: int = 384
    embedding_dim: int = 512
    hidden_dim: int = 512
    dropout: float = 0.5
    region_dropout: float = 0.0
    picture_at_every_step: bool = False
    tied_embeddings: bool = False


class ShowAndTell(nn.Module):
    """The decoder without attention: of the regions it reads the mean.

    Source: Vinyals et al. 2015, "Show and Tell", equations 4–12. With `picture_at_every_step` Mao et al. 2015, "Deep
    Captioning with Multimodal Recurrent Neural Networks", equations 2–4, around the same LSTM.

    Raises:
        ConfigurationError: tied_embeddings that do not fit.
    """

    def __init__(self, config: ShowAndTellConfig) -> None:
        super().__init__()
        self.config = config
        readout_dim = config.embedding_dim if config.picture_at_every_step else config.hidden_dim
        self.embedding = nn.Embedding(config.n_symbols, config.embedding_dim)
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.picture = nn.Linear(config.region_dim, config.embedding_dim)
        self.gates_from_input = nn.Linear(config.embedding_dim, 4 * config.hidden_dim)
        self.gates_from_hidden = nn.Linear(config.hidden_dim, 4 * config.hidden_dim, bias=False)
        if config.picture_at_every_step:
            self.readout_from_symbol = nn.Linear(config.embedding_dim, readout_dim, bias=False)
            self.readout_from_hidden = nn.Linear(config.hidden_dim, readout_dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(readout_dim, config.n_symbols)
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
            logits (B·C, S, V), and as attention (B·C, S, R) the same weight for every valid region.
        """
        (attention, *picture), first = self.begin(regions, regions_mask)
        symbols = self.embedding(ids)

        def advance(gates: Tensor, state: LSTMState) -> tuple[LSTMState, tuple[Tensor, ...]]:
            state = self._advance(gates, state)
            return state, (state.hidden,)

        (hiddens,) = unroll(advance, self.gates_from_input(symbols), first, captions_per_picture)
        pictures = [x.repeat_interleave(captions_per_picture, 0).unsqueeze(1) for x in picture]
        attention = attention.repeat_interleave(captions_per_picture, 0)
        logits = self._logits(hiddens, symbols, pictures)
        return CaptionerOutput(logits, attention.unsqueeze(1).expand(-1, ids.shape[1], -1))

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[tuple[Tensor, ...], LSTMState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            (attention (B, R),), followed by the picture (B, E) where it is read at every step; and the state (B, H).
        """
        picture = self.picture(mean_region(self.region_dropout(regions), regions_mask))
        attention = region_bias(regions, regions_mask).softmax(-1)
        zeros = zero_state(picture, self.config.hidden_dim)
        state = LSTMState(zeros, zeros)
        if self.config.picture_at_every_step:
            return (attention, picture), state
        return (attention,), self._advance(self.gates_from_input(picture), state)

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
        attention, *picture = memory
        symbols = self.embedding(ids)
        following = self._advance(self.gates_from_input(symbols), LSTMState(*state))
        return self._logits(following.hidden, symbols, picture).float().log_softmax(-1), attention, following

    def _advance(self, input_gates: Tensor, state: LSTMState) -> LSTMState:
        return lstm_step(input_gates + self.gates_from_hidden(state.hidden), state.cell)

    def _logits(self, hidden: Tensor, symbols: Tensor, picture: list[Tensor]) -> Tensor:
        """Scores (..., V): one product for all symbols when teacher-forced."""
        if self.config.picture_at_every_step:
            joined = self.readout_from_symbol(symbols) + self.readout_from_hidden(hidden) + picture[0]
            hidden = 1.7159 * torch.tanh(2 / 3 * joined)  # LeCun et al. 1998, as in Mao et al.
        return self.output(self.dropout(hidden))
