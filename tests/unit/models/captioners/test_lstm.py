"""One LSTM step against torch's own, and the loop around it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from optophone.models.captioners.lstm import lstm_step, unroll, zero_state


def test_equals_the_library_with_the_same_weights():
    torch.manual_seed(0)
    cell = nn.LSTMCell(4, 5)
    x, hidden, memory = torch.randn(3, 4), torch.randn(3, 5), torch.randn(3, 5)
    gates = x @ cell.weight_ih.T + cell.bias_ih + hidden @ cell.weight_hh.T + cell.bias_hh
    torch.testing.assert_close(tuple(lstm_step(gates, memory)), cell(x, (hidden, memory)))


def test_state_stays_in_full_precision():
    state = lstm_step(torch.randn(2, 12).bfloat16(), torch.zeros(2, 3))
    assert {x.dtype for x in state} == {torch.float32}
    assert zero_state(torch.randn(2, 7).bfloat16(), 3).dtype == torch.float32


class Sum(NamedTuple):
    total: Tensor


def test_unrolling_carries_the_state_and_keeps_every_step():
    def advance(x: Tensor, state: Sum) -> tuple[Sum, tuple[Tensor, Tensor]]:
        state = Sum(state.total + x)
        return state, (state.total, x)

    inputs = torch.arange(24.0).view(4, 3, 2)
    totals, seen = unroll(advance, inputs, Sum(torch.tensor([[0.0, 0.0], [100.0, 100.0]])), captions_per_picture=2)
    begun = torch.tensor([0.0, 0.0, 100.0, 100.0]).view(4, 1, 1)
    torch.testing.assert_close(totals, inputs.cumsum(1) + begun)
    assert torch.equal(seen, inputs)
