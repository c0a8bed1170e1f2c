"""Look back, predict forward: attention that knows what was seen last, and a second symbol foreseen at every step."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.lstm import LSTMState, lstm_step, unroll
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import mean_region
from optophone.models.captioners.top_down import TopDown, TopDownConfig, TopDownMemory, TopDownState


@dataclass(frozen=True)
class LookBackPredictForwardConfig:
    """Sizes and options of `LookBackPredictForward`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: D, features per region.
        embedding_dim: E, features per symbol.
        attention_dim: A, features in which regions and query are compared.
        hidden_dim: H, features of each of the three LSTMs.
        dropout: on what the output layer reads.
        region_dropout: on the regions.
        tied_embeddings: the output layer is the embedding transposed; needs hidden_dim = embedding_dim.
        forward_weight: of the cross-entropy of the foreseen symbols in training.
        forward_share: share of the foreseen probability in a symbol's, in evaluation; 0..1, under 1.
    """

    n_symbols: int
    region_dim: int = 384
    embedding_dim: int = 512
    attention_dim: int = 512
    hidden_dim: int = 512
    dropout: float = 0.5
    region_dropout: float = 0.0
    tied_embeddings: bool = False
    forward_weight: float = 0.5
    forward_share: float = 0.2

    def base(self) -> TopDownConfig:
        """The top-down decoder that is built upon."""
        return TopDownConfig(
            n_symbols=self.n_symbols,
            region_dim=self.region_dim,
            embedding_dim=self.embedding_dim,
            attention_dim=self.attention_dim,
            hidden_dim=self.hidden_dim,
            dropout=self.dropout,
            region_dropout=self.region_dropout,
            tied_embeddings=self.tied_embeddings,
        )


class LookBackPredictForwardState(NamedTuple):
    """The three LSTMs between two symbols, each tensor (N, H) float32, and what was seen last, context (N, D)."""

    looking_hidden: Tensor
    looking_cell: Tensor
    writing_hidden: Tensor
    writing_cell: Tensor
    context: Tensor
    forward_hidden: Tensor
    forward_cell: Tensor


class LookBackPredictForward(nn.Module):
    """The top-down decoder with both additions of the paper.

    Look back: what was seen at the last symbol is part of the attention's query; as in the paper no gradient runs
    back through it. Predict forward: a third LSTM over the second one's hidden state foresees, at every step, the
    symbol after the next. In evaluation a symbol's probability is mixed from the next-symbol prediction of this step
    and the foresight of the last. Ours: the third LSTM begins from the picture, so that the first symbol is foreseen
    too, and the output layer is shared.

    Source: Qin et al. 2019, "Look Back and Predict Forward in Image Captioning", sections 3.2 and 3.3.

    Raises:
        ConfigurationError: tied_embeddings that do not fit, or forward_share outside its range.
    """

    def __init__(self, config: LookBackPredictForwardConfig) -> None:
        super().__init__()
        if not 0 <= config.forward_share < 1:
            raise ConfigurationError(f"forward_share is {config.forward_share}; give 0 or more, and less than 1.")
        self.config = config
        self.base = TopDown(config.base())
        self.query_from_context = nn.Linear(config.region_dim, config.attention_dim, bias=False)
        self.forward_from_picture = nn.Linear(config.region_dim, 2 * config.hidden_dim)
        self.forward_from_writing = nn.Linear(config.hidden_dim, 4 * config.hidden_dim)
        self.forward_from_forward = nn.Linear(config.hidden_dim, 4 * config.hidden_dim, bias=False)

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
            logits (B·C, S, V); attention (B·C, S, R); extras: the scores (B·C, S, V) of the same next symbols as they
            were foreseen one step earlier.
        """
        memory, first = self.begin(regions, regions_mask)

        def advance(
            gates: Tensor, state: LookBackPredictForwardState
        ) -> tuple[LookBackPredictForwardState, tuple[Tensor, ...]]:
            state, attention = self._look_and_write(gates, memory, state)
            return state, (state.writing_hidden, attention)

        gates = self.base.input_gates(ids, memory, captions_per_picture)
        hiddens, attentions = unroll(advance, gates, first, captions_per_picture)
        foreseen = self._logits(self._foresights(hiddens, first, captions_per_picture))
        logits = self._logits(hiddens)
        if not self.training:
            logits = self._mixed(logits, foreseen)
        return CaptionerOutput(logits, attentions, (foreseen,))

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[TopDownMemory, LookBackPredictForwardState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the first state; nothing was seen yet.
        """
        memory, base = self.base.begin(regions, regions_mask)
        picture = mean_region(memory.regions, regions_mask)
        hidden, cell = self.forward_from_picture(picture).float().chunk(2, -1)
        return memory, LookBackPredictForwardState(*base, torch.zeros_like(picture).float(), hidden, cell)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, LookBackPredictForwardState]:
        """One symbol further, by both predictions.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`, one row per row of `ids`.
            state: of `begin` or the step before.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        known, before = TopDownMemory(*memory), LookBackPredictForwardState(*state)
        gates = self.base.input_gates(ids.unsqueeze(1), known, 1).squeeze(1)
        following, attention = self._look_and_write(gates, known, before)
        logits = self._mixed(self._logits(following.writing_hidden), self._logits(before.forward_hidden))
        forward = self._foresee(
            self.forward_from_writing(following.writing_hidden), LSTMState(before.forward_hidden, before.forward_cell)
        )
        following = following._replace(forward_hidden=forward.hidden, forward_cell=forward.cell)
        return logits.float().log_softmax(-1), attention, following

    def auxiliary_losses(self, output: CaptionerOutput, targets: Tensor, ignored: int) -> dict[str, Tensor]:
        """The cross-entropy of what was foreseen.

        Args:
            output: of `forward`.
            targets: (B·C, S) the next symbols.
            ignored: the id in `targets` that does not count.
        """
        (foreseen,) = output.extras
        counted = targets != ignored
        loss = F.cross_entropy(foreseen[counted].float(), targets[counted])
        return {"predict_forward": self.config.forward_weight * loss}

    def _look_and_write(
        self, gates: Tensor, memory: TopDownMemory, state: LookBackPredictForwardState
    ) -> tuple[LookBackPredictForwardState, Tensor]:
        """The first two LSTMs one step further; the third is left as it is. And the attention (N, R)."""
        looked_back = self.query_from_context(state.context)
        base, context, attention = self.base.advance(gates, memory, TopDownState(*state[:4]), looked_back)
        # Not taught through: the paper found that this makes training harder.
        return LookBackPredictForwardState(*base, context.detach().float(), *state[5:]), attention

    def _foresights(self, hiddens: Tensor, first: LookBackPredictForwardState, captions_per_picture: int) -> Tensor:
        """The third LSTM's hidden states (B·C, S, H), each from before the symbol at its place was read."""

        def advance(gates: Tensor, state: LSTMState) -> tuple[LSTMState, tuple[Tensor, ...]]:
            return self._foresee(gates, state), (state.hidden,)

        start = LSTMState(first.forward_hidden, first.forward_cell)
        return unroll(advance, self.forward_from_writing(hiddens), start, captions_per_picture)[0]

    def _foresee(self, writing_gates: Tensor, state: LSTMState) -> LSTMState:
        return lstm_step(writing_gates + self.forward_from_forward(state.hidden), state.cell)

    def _logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., V): one product for all symbols when teacher-forced."""
        return self.base.output(self.base.dropout(hidden))

    def _mixed(self, logits: Tensor, foreseen: Tensor) -> Tensor:
        """Log-probabilities (..., V) of both predictions together; the scores as they are without a share."""
        share = self.config.forward_share
        if not share:
            return logits
        nearer = logits.float().log_softmax(-1) + math.log1p(-share)
        farther = foreseen.float().log_softmax(-1) + math.log(share)
        return torch.stack([nearer, farther]).logsumexp(0)
