"""The recurrence that the members of the family share: one LSTM cell, one loop over known captions."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor


class LSTMState(NamedTuple):
    """An LSTM between two symbols: hidden and cell, both (N, H) float32."""

    hidden: Tensor
    cell: Tensor


State = TypeVar("State", bound=tuple[Tensor, ...])


def zero_state(like: Tensor, dim: int) -> Tensor:
    """(B, dim) zeros in float32, for like (B, ...)."""
    return like.new_zeros(like.shape[0], dim, dtype=torch.float32)


def lstm_step(gates: Tensor, cell: Tensor) -> LSTMState:
    """One LSTM step from the sum of everything that feeds its gates.

    Args:
        gates: (N, 4H) before their nonlinearities: enter, forget, candidate, leave.
        cell: (N, H) before the step.

    Returns:
        the state after it, in float32 whatever the gates were computed in: rounding would add up over the symbols.

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """
    enter, forget, candidate, leave = gates.float().chunk(4, -1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
    return LSTMState(leave.sigmoid() * cell.tanh(), cell)


def unroll(
    advance: Callable[[Tensor, State], tuple[State, tuple[Tensor, ...]]],
    inputs: Tensor,
    first: State,
    captions_per_picture: int,
) -> tuple[Tensor, ...]:
    """Run a decoder over known captions.

    Args:
        advance: what a symbol contributes (B·C, F) and a state → the next state, and what is kept of the step.
        inputs: (B·C, S, F), computed for all symbols at once.
        first: named tuple of tensors (B, ...), one row per picture.
        captions_per_picture: C.

    Returns:
        for each tensor that is kept of a step (B·C, ...), all of them (B·C, S, ...).
    """
    state: State = type(first)(*(x.repeat_interleave(captions_per_picture, 0) for x in first))
    kept = []
    for step in inputs.unbind(1):
        state, parts = advance(step, state)
        kept.append(parts)
    return tuple(torch.stack(steps, 1) for steps in zip(*kept, strict=True))
