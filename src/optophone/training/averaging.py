"""An exponential moving average of a model's weights (Polyak averaging), which is what gets validated and exported."""

import copy

import torch
from torch import nn


class AveragedModel(nn.Module):
    """A copy of `model` whose weights follow it slowly.

    Early on the average would be dominated by the random start, so the decay rises with the step:
    min(decay, (1 + step) / (10 + step)). Buffers (running statistics, counters) are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    def train(self, mode: bool = True) -> "AveragedModel":
        """Stays in evaluation mode: its dropout and norms are only ever used for inference."""
        return super().train(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards `model` after optimizer step `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine = [p.detach() for p in self.model.parameters()]
        theirs = [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(other)
