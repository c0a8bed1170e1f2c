"""Top-down attention: one LSTM decides where to look, a second one writes."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from optophone.models.captioners.additive_attention import additive_scores, weighted_sum
from optophone.models.captioners.lstm import lstm_step, unroll, zero_state
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.region_mask import mean_region, region_bias
from optophone.models.captioners.symbols import initialize_symbols


@dataclass(frozen=True)
class TopDownConfig:
    """Sizes and options of `TopDown`.

    Args:
        n_symbols: V, the size of the vocabulary.
        region_dim: D, features per region.
        embedding_dim: E, features per symbol.
        attention_dim: A, features in which regions and hidden state are compared.
        hidden_dim: H, features of each LSTM.
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


class TopDownMemory(NamedTuple):
    """What stays the same for a picture: regions (B, R, D), keys (B, R, A), bias (B, R), gates (B, 4H)."""

    regions: Tensor
    keys: Tensor
    bias: Tensor
    gates: Tensor


class TopDownState(NamedTuple):
    """Both LSTMs between two symbols, each tensor (N, H) float32."""

    looking_hidden: Tensor
    looking_cell: Tensor
    writing_hidden: Tensor
    writing_cell: Tensor


class TopDown(nn.Module):
    """The decoder with an attention LSTM and a language LSTM.

    Source: Anderson et al. 2018, "Bottom-Up and Top-Down Attention for Image Captioning and Visual Question
    Answering", section 3.2, equations 2–7.

    Raises:
        ConfigurationError: tied_embeddings that do not fit.
    """

    def __init__(self, config: TopDownConfig) -> None:
        super().__init__()
        self.config = config
        hidden, gates = config.hidden_dim, 4 * config.hidden_dim
        self.embedding = nn.Embedding(config.n_symbols, config.embedding_dim)
        self.region_dropout = nn.Dropout(config.region_dropout)
        self.region_keys = nn.Linear(config.region_dim, config.attention_dim)
        self.score = nn.Linear(config.attention_dim, 1, bias=False)  # softmax does not see a bias
        self.looking_from_symbol = nn.Linear(config.embedding_dim, gates, bias=False)
        self.looking_from_picture = nn.Linear(config.region_dim, gates)
        self.looking_from_looking = nn.Linear(hidden, gates, bias=False)
        # All that one hidden state feeds is one product: the gates of both LSTMs; the query and the writing gates.
        self.both_from_writing = nn.Linear(hidden, 2 * gates, bias=False)
        self.from_looking = nn.Linear(hidden, config.attention_dim + gates)
        self.writing_from_context = nn.Linear(config.region_dim, gates, bias=False)
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
            logits (B·C, S, V) and attention (B·C, S, R). Positions after a caption's end are to be ignored.
        """
        memory, first = self.begin(regions, regions_mask)

        def advance(gates: Tensor, state: TopDownState) -> tuple[TopDownState, tuple[Tensor, ...]]:
            state, _, attention = self.advance(gates, memory, state)
            return state, (state.writing_hidden, attention)

        gates = self.input_gates(ids, memory, captions_per_picture)
        hiddens, attentions = unroll(advance, gates, first, captions_per_picture)
        return CaptionerOutput(self.output(self.dropout(hiddens)), attentions)

    def begin(self, regions: Tensor, regions_mask: Tensor | None) -> tuple[TopDownMemory, TopDownState]:
        """Look at the pictures once, before the first symbol.

        Args:
            regions: (B, R, D).
            regions_mask: (B, R) true where valid, or None when all are.

        Returns:
            what stays the same for each picture, and the first state (B, H).
        """
        regions = self.region_dropout(regions)
        gates = self.looking_from_picture(mean_region(regions, regions_mask))
        memory = TopDownMemory(regions, self.region_keys(regions), region_bias(regions, regions_mask), gates)
        zeros = zero_state(gates, self.config.hidden_dim)
        return memory, TopDownState(zeros, zeros, zeros, zeros)

    def step(
        self, ids: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, TopDownState]:
        """One symbol further.

        Args:
            ids: (N,) the last symbols.
            memory: of `begin`, one row per row of `ids`.
            state: of `begin` or the step before.

        Returns:
            log_probs (N, V) float32, attention (N, R), the next state.
        """
        known = TopDownMemory(*memory)
        gates = self.looking_from_symbol(self.embedding(ids)) + known.gates
        following, _, attention = self.advance(gates, known, TopDownState(*state))
        return self.output(self.dropout(following.writing_hidden)).float().log_softmax(-1), attention, following

    def input_gates(self, ids: Tensor, memory: TopDownMemory, captions_per_picture: int) -> Tensor:
        """What the symbols ids (B·C, S) and their pictures contribute to the first LSTM's gates: (B·C, S, 4H)."""
        picture_gates = memory.gates.repeat_interleave(captions_per_picture, 0)
        return self.looking_from_symbol(self.embedding(ids)) + picture_gates.unsqueeze(1)

    def advance(
        self, input_gates: Tensor, memory: TopDownMemory, state: TopDownState, asked_besides: Tensor | None = None
    ) -> tuple[TopDownState, Tensor, Tensor]:
        """Look with the first LSTM, write with the second.

        Args:
            input_gates: (N, 4H); N is a multiple of the pictures in memory.
            memory: of `begin`.
            state: before the step.
            asked_besides: (N, A) is added to the query.

        Returns:
            the next state, what was seen (N, D), the attention (N, R).
        """
        looking_gates, writing_gates = self.both_from_writing(state.writing_hidden).chunk(2, -1)
        looking_gates = input_gates + looking_gates + self.looking_from_looking(state.looking_hidden)
        looking = lstm_step(looking_gates, state.looking_cell)
        parts = (self.config.attention_dim, 4 * self.config.hidden_dim)
        query, gates = self.from_looking(looking.hidden).split(parts, -1)
        if asked_besides is not None:
            query = query + asked_besides
        attention = additive_scores(query, memory.keys, memory.bias, self.score.weight[0]).softmax(-1)
        context = weighted_sum(attention, memory.regions)
        writing = lstm_step(gates + writing_gates + self.writing_from_context(context), state.writing_cell)
        return TopDownState(*looking, *writing), context, attention.flatten(0, 1)
