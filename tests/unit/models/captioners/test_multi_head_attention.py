"""Our attention against torch's own."""

import pytest
import torch
from torch import nn

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.multi_head_attention import MultiHeadAttention


def test_equals_the_library_with_the_same_weights():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, torch.zeros(16)]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    x, y = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    hidden = torch.arange(5) >= torch.tensor([[5], [2], [3]])
    expected, weights = theirs(x, y, y, key_padding_mask=hidden)
    bias = torch.zeros(3, 1, 5).masked_fill(hidden.unsqueeze(1), -1e9)
    found, found_weights = ours(x, ours.keys_values(y), bias)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_weights, weights)


def test_heads_must_divide_the_features():
    with pytest.raises(ConfigurationError, match="dim 8 is not a multiple of n_heads 3"):
        MultiHeadAttention(8, 3)
