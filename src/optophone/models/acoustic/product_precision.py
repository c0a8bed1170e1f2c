"""Precision of matrix products inside loops that autocast cannot see into."""

import torch
from torch import Tensor


def product_dtype(x: Tensor) -> torch.dtype:
    """The type autocast wants matrix products in on the device of `x`, or that of `x` without autocast."""
    if x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def state_dtype(x: Tensor) -> torch.dtype:
    """The type to sum and to remember in: at least float32."""
    return torch.promote_types(x.dtype, torch.float32)
