"""An LSTM over a whole sequence, with dropout on the hidden state that feeds back."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from optophone.models.acoustic.lstm_cell import LSTMCell, lstm_activate_, lstm_gradients
from optophone.models.acoustic.product_precision import product_dtype, state_dtype


def lstm_sequence(cell: LSTMCell, x: Tensor, mask: Tensor | None) -> Tensor:
    """Hidden states (U, B, size) of `cell` over `x` (U, B, n_in), from zeros.

    `mask` (U, B, size) multiplies each hidden state, before it is returned and before it feeds back.
    """
    dtype = product_dtype(x)
    inputs = functional.linear(x, cell.weight_ih, cell.bias_ih + cell.bias_hh)
    return _LSTMSequence.apply(inputs, cell.weight_hh, mask, dtype)


class _LSTMSequence(torch.autograd.Function):
    """Backward by hand: the gradient of the weights is one product over all steps instead of one per step."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, mask: Tensor | None, dtype: torch.dtype) -> Tensor:
        n_steps, batch, size = inputs.shape[0], inputs.shape[1], weight.shape[1]
        full = state_dtype(inputs)
        gates = inputs.to(full, copy=True)
        cells = gates.new_zeros(n_steps + 1, batch, size)
        hidden = inputs.new_zeros(n_steps + 1, batch, size, dtype=dtype)
        transposed = weight.to(dtype).t()
        with torch.autocast(inputs.device.type, enabled=False):
            for i in range(n_steps):
                gates[i] += hidden[i] @ transposed
                shown = lstm_activate_(gates[i], cells[i], cells[i + 1])
                hidden[i + 1] = shown if mask is None else shown * mask[i]
        ctx.save_for_backward(gates, cells, hidden, weight, mask)
        ctx.inputs_dtype = inputs.dtype
        return hidden[1:].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        gates, cells, hidden, weight, mask = ctx.saved_tensors
        dtype, (grad_output,) = hidden.dtype, grads
        grad_gates = torch.empty_like(gates, dtype=dtype)
        grad_hidden, grad_cell = torch.zeros_like(cells[0]), torch.zeros_like(cells[0])
        recurrent = weight.to(dtype)
        with torch.autocast(gates.device.type, enabled=False):
            for i in reversed(range(gates.shape[0])):
                grad_hidden = grad_hidden + grad_output[i]
                if mask is not None:
                    grad_hidden = grad_hidden * mask[i]
                slope, grad_cell = lstm_gradients(gates[i], cells[i], cells[i + 1], grad_hidden, grad_cell)
                grad_gates[i] = slope
                grad_hidden = grad_gates[i] @ recurrent
            grad_weight = grad_gates.flatten(0, 1).t() @ hidden[:-1].flatten(0, 1)
        return grad_gates.to(ctx.inputs_dtype), grad_weight.to(weight.dtype), None, None
