"""Dropout that draws one random byte per value: on a CPU, drawing one float each costs a tenth of a training step."""

import torch
from torch import Tensor


def byte_dropout(x: Tensor, probability: float, active: bool) -> Tensor:
    """`x` with values zeroed at random and the others scaled up, or `x` itself where not `active`.

    `probability` is rounded to a multiple of 1 / 256 (0.5 is exact, 0.1 becomes 0.1016); the scale matches.
    """
    return x * dropout_mask(x, x.shape, probability) if active and probability > 0 else x


def dropout_mask(like: Tensor, shape: tuple[int, ...] | torch.Size, probability: float) -> Tensor:
    """A mask of `shape` in the type of `like`: 0 with `probability`, otherwise 1 / (1 - probability)."""
    assert 0 < probability < 1
    dropped = min(max(round(256 * probability), 1), 255)
    count = torch.Size(shape).numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64, device=like.device).random_(-(2**63), None)
    kept = words.view(torch.uint8)[:count].view(shape) >= dropped
    return kept.to(like.dtype) * (256 / (256 - dropped))
