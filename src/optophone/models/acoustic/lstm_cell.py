"""One LSTM step in two halves, so that the input half of many steps can be one matrix product."""

import torch
from torch import Tensor, nn

from optophone.models.linear import PackedWeight


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
        self._packed_ih, self._packed_hh = PackedWeight(), PackedWeight()

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Next hidden and cell (B, size) from the input `x` (B, n_in)."""
        gates = self._packed_ih.product(x, self.weight_ih, self.bias_ih + self.bias_hh)
        return lstm_update(gates + self._packed_hh.product(hidden, self.weight_hh), cell)

    def forget_packed(self) -> None:
        """To be called where the weights are used without `forward`, in training: see `PackedWeight.forget`."""
        self._packed_ih.forget()
        self._packed_hh.forget()


def lstm_update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Next hidden and cell (B, size) from the pre-activations `gates` (B, 4 · size)."""
    write, forget, new, read = gates.chunk(4, dim=-1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(new)
    return torch.sigmoid(read) * torch.tanh(cell), cell


def lstm_activate_(gates: Tensor, cell: Tensor, next_cell: Tensor) -> Tensor:
    """`lstm_update` in place, for a backward written by hand.

    Turns the pre-activations `gates` (B, 4 · size) into activations, writes the cell after `cell` (B, size) to
    `next_cell`, and returns the hidden state (B, size).
    """
    new = torch.tanh(gates.chunk(4, dim=1)[2])
    write, forget, slot, read = gates.sigmoid_().chunk(4, dim=1)
    slot.copy_(new)
    torch.addcmul(forget * cell, write, slot, out=next_cell)
    return read * torch.tanh(next_cell)


def lstm_gradients(
    gates: Tensor, cell: Tensor, next_cell: Tensor, grad_hidden: Tensor, grad_next_cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the pre-activations (B, 4 · size) and of `cell` (B, size).

    Args:
        gates, cell, next_cell: as `lstm_activate_` left them.
        grad_hidden: (B, size) of the hidden state it returned.
        grad_next_cell: (B, size) of `next_cell`, from the step after.
    """
    write, forget, new, read = gates.chunk(4, dim=1)
    shown = torch.tanh(next_cell)
    grad_next_cell = torch.addcmul(grad_next_cell, grad_hidden * read, 1 - shown * shown)
    # The derivative of a sigmoid y is y · (1 - y), of a tanh 1 - y².
    slope = gates * (1 - gates)
    slope_write, slope_forget, slope_new, slope_read = slope.chunk(4, dim=1)
    slope_write.mul_(grad_next_cell * new)
    slope_forget.mul_(grad_next_cell * cell)
    torch.mul(grad_next_cell * write, 1 - new * new, out=slope_new)
    slope_read.mul_(grad_hidden * shown)
    return slope, grad_next_cell * forget
