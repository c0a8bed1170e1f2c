"""Batch norm over the pictures of all processes, so that a step does not depend on how many share it.

PyTorch's own needs GPUs; this one works with any backend.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over the processes, in the way back too: each one's loss depends on everyone's values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Values of any shape, the same in every process."""
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The gradients of all processes' losses together."""
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


class SharedBatchNorm(nn.Module):
    """Takes over the parameters of a batch norm and normalises by mean and variance over all processes in training.

    Source: Ioffe and Szegedy 2015, algorithm 1, with the batch that of the whole step.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.track_running_stats, "evaluation needs running statistics"
        self.weight, self.bias = norm.weight, norm.bias
        self.eps, self.momentum = norm.eps, norm.momentum
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """x (B, D, ...) → the same shape."""
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        axes = [0, *range(2, x.ndim)]
        values = x.float()
        n_mine = values.new_tensor([x.numel() / x.shape[1]])
        sums = SumOverProcesses.apply(torch.cat([values.sum(axes), n_mine]))
        n = sums[-1].detach()
        mean = sums[:-1] / n
        centred = values - self._along(mean, x)
        variance = SumOverProcesses.apply(centred.square().sum(axes)) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * self._along(scale, x) + self._along(self.bias, x)).to(x.dtype)

    def _along(self, features: Tensor, x: Tensor) -> Tensor:
        return features.view(1, -1, *[1] * (x.ndim - 2))

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def share_batch_norms(model: nn.Module) -> None:
    """Put a `SharedBatchNorm` in the place of every batch norm inside `model`; names of weights stay as they are."""
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(model, name, SharedBatchNorm(child))
        else:
            share_batch_norms(child)
