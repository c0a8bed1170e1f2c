"""Features of the symbols to mel frames, step by step."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.models.acoustic.attention import LocationAttention, window_bias
from optophone.models.acoustic.attention_sequence import attention_sequence
from optophone.models.acoustic.byte_dropout import dropout_mask
from optophone.models.acoustic.lstm_cell import LSTMCell
from optophone.models.acoustic.lstm_sequence import lstm_sequence
from optophone.models.acoustic.prenet import Prenet


class DecoderMemory(NamedTuple):
    """What stays the same for all steps of an utterance.

    Fields: encoded (B, S, D) symbols; processed (B, S, A) the attention's view of them; bias (B, S) 0 where the
    attention may look, -inf at padding.
    """

    encoded: Tensor
    processed: Tensor
    bias: Tensor


class DecoderState(NamedTuple):
    """What one step hands to the next: both LSTMs, the attended context (B, D), the attention weights (B, S)."""

    attention_hidden: Tensor
    attention_cell: Tensor
    decoder_hidden: Tensor
    decoder_cell: Tensor
    context: Tensor
    weights: Tensor
    cumulative: Tensor


class DecoderStep(NamedTuple):
    """Fields: frames (B, M, r); stop_logits (B, r); alignment (B, S); state for the next step."""

    frames: Tensor
    stop_logits: Tensor
    alignment: Tensor
    state: DecoderState


class Decoder(nn.Module):
    """The autoregressive side of Tacotron 2: prenet, attention LSTM, attention, decoder LSTM, projections.

    The decoder LSTM does not feed the attention. In training it therefore runs after the attention, over all steps.

    Args:
        prenet: squeezes the last frame.
        attention: reads the memory with the attention LSTM's hidden state.
        memory_dim, attention_rnn_dim, decoder_rnn_dim: features.
        n_mels, reduction_factor: bands of a frame, frames a step.
        attention_dropout, decoder_dropout: on the hidden states, also where they feed back (training only).
        window: symbols before and after its last peak where the attention may look in `step`; None is everywhere.

    Source: Shen et al. 2018, section 2.2.
    """

    def __init__(
        self,
        prenet: Prenet,
        attention: LocationAttention,
        prenet_dim: int,
        memory_dim: int,
        attention_rnn_dim: int,
        decoder_rnn_dim: int,
        n_mels: int,
        reduction_factor: int,
        attention_dropout: float,
        decoder_dropout: float,
        window: tuple[int, int] | None,
    ) -> None:
        super().__init__()
        self.n_mels = n_mels
        self.reduction_factor = reduction_factor
        self.attention_dropout = attention_dropout
        self.decoder_dropout = decoder_dropout
        self.window = window
        self.prenet = prenet
        self.attention = attention
        self.attention_rnn = LSTMCell(prenet_dim + memory_dim, attention_rnn_dim)
        self.decoder_rnn = LSTMCell(attention_rnn_dim + memory_dim, decoder_rnn_dim)
        self.projection = nn.Linear(decoder_rnn_dim + memory_dim, n_mels * reduction_factor)
        self.stop = nn.Linear(decoder_rnn_dim + memory_dim, reduction_factor)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.xavier_uniform_(self.stop.weight, gain=nn.init.calculate_gain("sigmoid"))

    def remember(self, encoded: Tensor, ids_mask: Tensor) -> DecoderMemory:
        """The memory of `encoded` (B, S, D), valid where `ids_mask` (B, S)."""
        bias = torch.zeros(ids_mask.shape, dtype=encoded.dtype, device=encoded.device)
        return DecoderMemory(encoded, self.attention.memory(encoded), bias.masked_fill(~ids_mask, -torch.inf))

    def begin(self, memory: DecoderMemory) -> DecoderState:
        """The state before the first step: zeros."""
        batch, n_symbols, features = memory.encoded.shape
        sizes = (self.attention_rnn.size,) * 2 + (self.decoder_rnn.size,) * 2 + (features, n_symbols, n_symbols)
        return DecoderState(*(memory.encoded.new_zeros(batch, size) for size in sizes))

    def step(
        self, frame: Tensor, prenet_masks: Sequence[Tensor] | None, memory: DecoderMemory, state: DecoderState
    ) -> DecoderStep:
        """Advance one step, without dropout on the LSTMs.

        Args:
            frame: (B, M) last frame; zeros at first.
            prenet_masks: see `Prenet.forward`.
        """
        x = torch.cat((self.prenet(frame, prenet_masks), state.context), dim=1)
        hidden, cell = self.attention_rnn(x, state.attention_hidden, state.attention_cell)
        bias = memory.bias if self.window is None else memory.bias + window_bias(state.weights, *self.window)
        kernel = self.attention.location_kernel()
        weights = self.attention(hidden, memory.processed, bias, state.weights, state.cumulative, kernel)
        context = torch.bmm(weights[:, None], memory.encoded)[:, 0]
        x = torch.cat((hidden, context), dim=1)
        decoder_hidden, decoder_cell = self.decoder_rnn(x, state.decoder_hidden, state.decoder_cell)
        frames, stop_logits = self._project(torch.cat((decoder_hidden, context), dim=1))
        cumulative = state.cumulative + weights
        after = DecoderState(hidden, cell, decoder_hidden, decoder_cell, context, weights, cumulative)
        return DecoderStep(frames.transpose(1, 2), stop_logits, weights, after)

    def forward(
        self, frames: Tensor, memory: DecoderMemory, prenet_masks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run over given frames (teacher forcing); U steps.

        Args:
            frames: (U, B, M) the frame before each step, zeros first.
            memory: see `remember`.
            prenet_masks: one (U, B, size) per prenet layer; None draws them.

        Returns:
            mel (B, M, U · r), stop_logits (B, U · r), alignment (B, U, S).
        """
        for cell in (self.attention_rnn, self.decoder_rnn):
            cell.forget_packed()
        squeezed = self.prenet(frames, prenet_masks)
        mask = self._dropout_mask(frames, self.attention_dropout, self.attention_rnn.size)
        attended, alignment = attention_sequence(self.attention_rnn, self.attention, squeezed, *memory, mask)
        mask = self._dropout_mask(frames, self.decoder_dropout, self.decoder_rnn.size)
        decoder_hidden = lstm_sequence(self.decoder_rnn, attended, mask)
        contexts = attended[:, :, self.attention_rnn.size :]
        mel, stop_logits = self._project(torch.cat((decoder_hidden, contexts), dim=2))
        # (U, B, r, M) → (B, M, U · r): the frames of a step follow one another.
        return mel.permute(1, 3, 0, 2).flatten(2), stop_logits.transpose(0, 1).flatten(1), alignment.transpose(0, 1)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (..., r, M) and stop logits (..., r) of `x` (..., decoder_rnn_dim + memory_dim)."""
        return self.projection(x).unflatten(-1, (self.reduction_factor, self.n_mels)), self.stop(x)

    def _dropout_mask(self, like: Tensor, probability: float, size: int) -> Tensor | None:
        """(U, B, size) with values 0 or 1 / (1 - probability) in training, else None."""
        if not self.training or probability == 0:
            return None
        return dropout_mask(like, (*like.shape[:2], size), probability)
