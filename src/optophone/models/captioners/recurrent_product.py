"""A linear map inside a recurrence, whose weight's gradient is one product over all steps."""

from typing import Any

import torch
from torch import Tensor

from optophone.models.linear import linear


class RecurrentProduct:
    """y = x Wᵀ + a, called once per step of a recurrence.

    Automatic differentiation would make a gradient as large as W at every step and add them up, which moves more
    memory than the products themselves when a step has few rows. Here the steps leave their inputs, and the gradients
    of all steps, which arrive at `added`, meet them in one product.

    Args:
        weight: W (n_out, n_in).
        added: a (N, S, n_out) of S steps; under autocast in its type, which is the results' type.
    """

    def __init__(self, weight: Tensor, added: Tensor) -> None:
        self.inputs: list[Tensor] = []
        self.weight = weight.detach().to(added.dtype)
        self.added = _CollectedGradient.apply(added, weight, self.inputs).unbind(1)
        self.n_steps = 0

    def __call__(self, x: Tensor) -> Tensor:
        """The next step: (N, n_in) → (N, n_out)."""
        if torch.is_grad_enabled():
            self.inputs.append(x.detach())
        self.n_steps += 1
        added, x = self.added[self.n_steps - 1], x.to(self.weight.dtype)
        if x.dtype == torch.float32:
            return linear(x, self.weight) + added
        return torch.addmm(added, x, self.weight.T)  # rounds once


class _CollectedGradient(torch.autograd.Function):
    """Hands `added` on; its gradient, of all steps, gives that of the weight."""

    @staticmethod
    def forward(ctx: Any, added: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs, ctx.dtype = inputs, weight.dtype
        return added.view_as(added)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        inputs = torch.cat(ctx.inputs).to(gradient.dtype)
        by_step = gradient.transpose(0, 1).flatten(0, 1)
        return gradient, linear(by_step.T, inputs.T).to(ctx.dtype), None
