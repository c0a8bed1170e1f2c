"""One LSTM step in two halves, so that the input half of many steps can be one matrix product."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LSTMCell(nn.Module):
    """An LSTM cell with the parameters and the gate order (input, forget, cell, output) of `torch.nn.LSTMCell`.

    Args:
        n_in: features of the input.
        size: features of the hidden state and of the cell.
    """

    def __init__(self, n_in: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight_ih = nn.Parameter(torch.empty(4 * size, n_in))
        self.weight_hh = nn.Parameter(torch.empty(4 * size, size))
        self.bias_ih = nn.Parameter(torch.empty(4 * size))
        self.bias_hh = nn.Parameter(torch.empty(4 * size))
        bound = size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Next hidden and cell (B, size) from the input `x` (B, n_in)."""
        gates = functional.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)
        return lstm_update(gates + functional.linear(hidden, self.weight_hh), cell)


def lstm_update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Next hidden and cell (B, size) from the pre-activations `gates` (B, 4 · size)."""
    write, forget, new, read = gates.chunk(4, dim=-1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(new)
    return torch.sigmoid(read) * torch.tanh(cell), cell
