"""Semantic attention: the decoder attends to words that the picture calls up, not to its regions."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.lstm import LSTMState, lstm_step, unroll
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import mean_region, region_bias
from optophone.models.captioners.symbols import initialize_symbols

# Of the penalty on attention, q and p of the paper: under 1 an attribute at a time, over 1 each attribute in its turn.
_WITHIN_SYMBOL, _OVER_SYMBOLS = 0.5, 2.0
_SMALLEST = 1e-6  # keeps the gradient of a root finite


@dataclass(frozen=True)
class SemanticAttentionConfig:
    """Sizes and options of `SemanticAttention`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: D, features per region.
        dim: E, features of symbols, attributes and LSTM.
        first_attribute: id of the first symbol that is an attribute. Words are sorted by how often they occur, so
            this skips the special symbols and the commonest words, which every picture has.
        n_attributes: how many symbols from there on are attributes, up to the end of the vocabulary.
        n_chosen: K, attributes per picture that are attended to (10 in the paper).
        dropout: on what the output layer reads.
        region_dropout: on the regions.
        attribute_weight: of the attributes' cross-entropy in training.
        attention_penalty: of the penalty on both attentions in training.
    """

    n_symbols: int
    region_dim: int = 384
    dim: int = 512
    first_attribute: int = 10
    n_attributes: int = 256
    n_chosen: int = 10
    dropout: float = 0.5
    region_dropout: float = 0.0
    attribute_weight: float = 1.0
    attention_penalty: float = 0.0


class SemanticAttentionMemory(NamedTuple):
    """What stays the same for a picture.

    Args:
        attributes: (B, K, E) embeddings of its attributes.
        input_keys: (B, K, E) what the last symbol is compared with.
        output_values: (B, K, E) the attributes as they join the hidden state.
        output_keys: (B, K, E) what the hidden state is compared with.
        attention: (B, R) the same weight for every valid region.
    """

    attributes: Tensor
    input_keys: Tensor
    output_values: Tensor
    output_keys: Tensor
    attention: Tensor


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """What queries find in the attributes of their pictures.

    Args:
        queries: (B·C, S, E); those of a picture are adjacent.
        keys: (B, K, E).
        values: (B, K, E).

    Returns:
        (B·C, S, E) and the weights (B·C, S, K).
    """
    together = queries.reshape(keys.shape[0], -1, queries.shape[-1])
    weights = (together @ keys.transpose(1, 2)).float().softmax(-1)
    shape = queries.shape[:2]
    return (weights @ values).view(*shape, -1), weights.view(*shape, -1)


def attention_penalty(weights: Tensor, counted: Tensor) -> Tensor:
    """Small when each symbol attends to one attribute and the caption to all of them.

    Args:
        weights: (N, S, K).
        counted: (N, S) true where a symbol counts.

    Returns:
        scalar, g of the paper per symbol.
    """
    weights = weights * counted.unsqueeze(-1)
    over_symbols = weights.sum(1).clamp(min=_SMALLEST).pow(_OVER_SYMBOLS).sum(1).pow(1 / _OVER_SYMBOLS)
    within_symbol = weights.clamp(min=_SMALLEST).pow(_WITHIN_SYMBOL).sum(2).pow(1 / _WITHIN_SYMBOL) * counted
    return (over_symbols.sum() + within_symbol.sum()) / counted.sum().clamp(min=1)


class SemanticAttention(nn.Module):
    """The decoder with attention to attributes at its input and at its output.

    The attributes of a picture are the K likeliest by a linear layer over the mean region, which learns from the
    captions: an attribute is present when a caption of the picture names it. (The paper has detectors trained
    beforehand.) The output layer is the embedding transposed, as in the paper, with a bias. The paper's linear layer
    between input attention and LSTM is part of the LSTM's own.

    Source: You et al. 2016, "Image Captioning with Semantic Attention", section 3; symbols and LSTM have one dimension.

    Raises:
        ConfigurationError: no symbol of the vocabulary is an attribute, or none is chosen.
    """

    def __init__(self, config: SemanticAttentionConfig) -> None:
        super().__init__()
        n_attributes = min(config.n_attributes, config.n_symbols - config.first_attribute)
        if n_attributes < 1 or config.n_chosen < 1 or config.first_attribute < 0:
            raise ConfigurationError(
                f"attributes: none of {config.n_symbols} symbols is one with first_attribute {config.first_attribute}, "
                f"n_attributes {config.n_attributes} and n_chosen {config.n_chosen}."
            )
        self.config = config
        dim = config.dim
        self.n_chosen = min(config.n_chosen, n_attributes)
        self.embedding = nn.Embedding(config.n_symbols, dim)
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.attribute_scores = nn.Linear(config.region_dim, n_attributes)
        self.picture = nn.Linear(config.region_dim, dim)
        self.input_key = nn.Linear(dim, dim, bias=False)
        self.output_key = nn.Linear(dim, dim, bias=False)
        self.input_scale = nn.Parameter(torch.ones(dim))
        self.output_scale = nn.Parameter(torch.ones(dim))
        self.gates_from_input = nn.Linear(dim, 4 * dim)
        self.gates_from_hidden = nn.Linear(dim, 4 * dim, bias=False)
        self.readout = nn.Linear(dim, dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(dim, config.n_symbols)
        initialize_symbols(self.embedding, self.output, tied=True)

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
            logits (B·C, S, V); as attention (B·C, S, R) the same weight for every valid region; extras: scores of the
            attributes (B, n_attributes), and the weights of the chosen at input and output, both (B·C, S, K).
        """
        picture = mean_region(self.region_dropout(regions), regions_mask)
        scores = self.attribute_scores(picture)
        memory, first = self._remember(picture, scores, region_bias(regions, regions_mask))
        # Neither attention is fed back: all symbols attend at once.
        read, input_weights = self._read(self.embedding(ids), memory)

        def advance(gates: Tensor, state: LSTMState) -> tuple[LSTMState, tuple[Tensor, ...]]:
            state = self._advance(gates, state)
            return state, (state.hidden,)

        (hiddens,) = unroll(advance, self.gates_from_input(read), first, captions_per_picture)
        logits, output_weights = self._write(hiddens, memory)
        attention = memory.attention.repeat_interleave(captions_per_picture, 0).unsqueeze(1)
        extras = (scores, input_weights, output_weights)
        return CaptionerOutput(logits, attention.expand(-1, ids.shape[1], -1), extras)

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[SemanticAttentionMemory, LSTMState]:
        """Choose attributes and look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the LSTM's state (B, E) after the picture, x_0.
        """
        picture = mean_region(self.region_dropout(regions), regions_mask)
        return self._remember(picture, self.attribute_scores(picture), region_bias(regions, regions_mask))

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
        known = SemanticAttentionMemory(*memory)
        read, _ = self._read(self.embedding(ids).unsqueeze(1), known)
        following = self._advance(self.gates_from_input(read).squeeze(1), LSTMState(*state))
        logits, _ = self._write(following.hidden.unsqueeze(1), known)
        return logits.squeeze(1).float().log_softmax(-1), known.attention, following

    def auxiliary_losses(self, output: CaptionerOutput, targets: Tensor, ignored: int) -> dict[str, Tensor]:
        """What teaches the attributes, and the penalty on the attention to them.

        Args:
            output: of `forward`.
            targets: (B·C, S) the next symbols; the captions of a picture are adjacent.
            ignored: the id in `targets` that does not count.
        """
        scores, *weights = output.extras
        present = self._present(targets.view(len(scores), -1), ignored)
        attributes = F.binary_cross_entropy_with_logits(scores.float(), present)
        losses = {"attributes": self.config.attribute_weight * attributes}
        if self.config.attention_penalty:
            counted = targets != ignored
            penalties = torch.stack([attention_penalty(x, counted) for x in weights])
            losses["attribute_attention"] = self.config.attention_penalty * penalties.sum()
        return losses

    def _present(self, words: Tensor, ignored: int) -> Tensor:
        """1 for every attribute (B, n_attributes) among the words (B, n) of the captions, 0 for the others."""
        n_symbols, first = self.config.n_symbols, self.config.first_attribute
        aside = words.masked_fill(words == ignored, n_symbols)
        found = torch.zeros(len(words), n_symbols + 1, device=words.device).scatter_(1, aside, 1.0)
        return found[:, first : first + self.attribute_scores.out_features]

    def _remember(self, picture: Tensor, scores: Tensor, bias: Tensor) -> tuple[SemanticAttentionMemory, LSTMState]:
        """Memory and first state from the mean region (B, D), attribute scores (B, n_attributes) and bias (B, R)."""
        # In the order of their ids: which of two is the likelier changes nothing, and rounding must not either.
        chosen = scores.float().topk(self.n_chosen).indices.sort(-1).values
        attributes = self.embedding(self.config.first_attribute + chosen)
        values = attributes.tanh()
        attention = bias.softmax(-1)
        memory = SemanticAttentionMemory(
            attributes, self.input_key(attributes), values, self.output_key(values), attention
        )
        seen = self.picture(picture)
        zeros = torch.zeros_like(seen).float()
        return memory, self._advance(self.gates_from_input(seen), LSTMState(zeros, zeros))

    def _read(self, symbols: Tensor, memory: SemanticAttentionMemory) -> tuple[Tensor, Tensor]:
        """Symbols (N, S, E) with the attributes that go with them; weights (N, S, K): x_t."""
        found, weights = attend(symbols, memory.input_keys, memory.attributes)
        return symbols + self.input_scale * found, weights

    def _write(self, hiddens: Tensor, memory: SemanticAttentionMemory) -> tuple[Tensor, Tensor]:
        """Scores (N, S, V) from hidden states (N, S, E) and attributes; weights (N, S, K): p_t."""
        found, weights = attend(hiddens, memory.output_keys, memory.output_values)
        return self.output(self.dropout(self.readout(hiddens + self.output_scale * found))), weights

    def _advance(self, input_gates: Tensor, state: LSTMState) -> LSTMState:
        return lstm_step(input_gates + self.gates_from_hidden(state.hidden), state.cell)
