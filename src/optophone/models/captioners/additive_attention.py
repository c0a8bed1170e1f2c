"""Attention whose scores are a small network's, split so that what depends on the picture alone is made once."""

from collections.abc import Callable

import torch
from torch import Tensor


def additive_scores(
    query: Tensor, keys: Tensor, bias: Tensor, weight: Tensor, activation: Callable[[Tensor], Tensor] = torch.tanh_
) -> Tensor:
    """How well each region answers each query: weight · activation(key + query), plus bias.

    Args:
        query: (N, A); N is a multiple of B, and the queries of a picture are adjacent.
        keys: (B, R, A), linear in the regions.
        bias: (B, R), of `region_bias`.
        weight: (A,).
        activation: may work in place.

    Returns:
        (B, N / B, R) float32.

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate", A.1.2.
    """
    compared = activation(keys.unsqueeze(1) + query.reshape(keys.shape[0], -1, 1, keys.shape[-1]))
    # A product with a vector, not a linear layer with one output: its gradient is far cheaper.
    return (compared @ weight).float() + bias.unsqueeze(1)


def weighted_sum(weights: Tensor, values: Tensor) -> Tensor:
    """The sums (N, D) of values (B, R, D) under weights (B, N / B, R)."""
    return (weights @ values).flatten(0, 1)
