"""The attention LSTM and the attention over a whole sequence, teacher-forced."""

import torch
from torch import Tensor
from torch.nn import functional

from optophone.models.acoustic.attention import LocationAttention
from optophone.models.acoustic.lstm_cell import LSTMCell, lstm_update


def attention_sequence(
    cell: LSTMCell,
    attention: LocationAttention,
    squeezed: Tensor,
    encoded: Tensor,
    processed: Tensor,
    bias: Tensor,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states (U, B, H), contexts (U, B, D) and alignment (U, B, S) of U steps, from zeros.

    Args:
        cell: the attention LSTM; its input is the prenet's output, then the last context.
        attention: reads the memory.
        squeezed: (U, B, P) prenet outputs.
        encoded, processed, bias: the `DecoderMemory`.
        mask: (U, B, H) multiplies each hidden state, also where it feeds back.
    """
    n_in = squeezed.shape[2]
    inputs = functional.linear(squeezed, cell.weight_ih[:, :n_in], cell.bias_ih + cell.bias_hh)
    recurrent = torch.cat((cell.weight_ih[:, n_in:], cell.weight_hh), dim=1)
    kernel = attention.location_kernel()
    batch, n_symbols, features = encoded.shape
    hidden = state = encoded.new_zeros(batch, cell.size)
    context = encoded.new_zeros(batch, features)
    weights = cumulative = encoded.new_zeros(batch, n_symbols)
    outputs = []
    for i in range(squeezed.shape[0]):
        gates = inputs[i] + functional.linear(torch.cat((context, hidden), dim=1), recurrent)
        hidden, state = lstm_update(gates, state)
        if mask is not None:
            hidden = hidden * mask[i]
        weights = attention(hidden, processed, bias, weights, cumulative, kernel)
        cumulative = cumulative + weights
        context = torch.bmm(weights[:, None], encoded)[:, 0]
        outputs.append((hidden, context, weights))
    hiddens, contexts, alignment = zip(*outputs, strict=True)
    return torch.stack(hiddens), torch.stack(contexts), torch.stack(alignment)
