"""Where the attention may look and what its location features are."""

import torch
from torch.nn import functional

from optophone.models.acoustic.attention import LocationAttention, window_bias


def test_location_kernel_is_convolution_then_projection() -> None:
    attention = LocationAttention(4, 5, 6, n_filters=3, kernel_size=7)
    seen = torch.rand(2, 2, 9)
    apart = attention.location_projection(attention.location(seen).transpose(1, 2))
    joined = functional.conv1d(seen, attention.location_kernel(), padding=3).transpose(1, 2)
    torch.testing.assert_close(joined, apart)


def test_attention_is_a_distribution_over_what_it_may_see() -> None:
    attention = LocationAttention(4, 5, 6, 3, 7)
    bias = torch.tensor([[0.0, 0.0, 0.0], [0.0, -torch.inf, -torch.inf]])
    zeros = torch.zeros(2, 3)
    weights = attention(torch.randn(2, 4), torch.randn(2, 3, 6), bias, zeros, zeros, attention.location_kernel())
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert weights[1].tolist() == [1, 0, 0]


def test_window_follows_the_peak() -> None:
    weights = torch.tensor([[0.0, 0.1, 0.2, 0.6, 0.1, 0.0], [0.0] * 6])
    allowed = window_bias(weights, back=1, ahead=2) == 0
    assert allowed.tolist() == [
        [False, False, True, True, True, True],
        [True, True, True, False, False, False],  # before the first step: from the first symbol on
    ]
