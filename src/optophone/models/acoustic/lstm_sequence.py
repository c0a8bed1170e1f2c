"""An LSTM over a whole sequence, with dropout on the hidden state that feeds back."""

import torch
from torch import Tensor
from torch.nn import functional

from optophone.models.acoustic.lstm_cell import LSTMCell, lstm_update


def lstm_sequence(cell: LSTMCell, x: Tensor, mask: Tensor | None) -> Tensor:
    """Hidden states (U, B, size) of `cell` over `x` (U, B, n_in), from zeros.

    `mask` (U, B, size) multiplies each hidden state, before it is returned and before it feeds back.
    """
    inputs = functional.linear(x, cell.weight_ih, cell.bias_ih + cell.bias_hh)
    hidden = state = x.new_zeros(x.shape[1], cell.size)
    outputs = []
    for i in range(x.shape[0]):
        hidden, state = lstm_update(inputs[i] + functional.linear(hidden, cell.weight_hh), state)
        if mask is not None:
            hidden = hidden * mask[i]
        outputs.append(hidden)
    return torch.stack(outputs)
