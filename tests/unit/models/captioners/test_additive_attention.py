"""Additive attention as its equation writes it."""

import torch

from optophone.models.captioners.additive_attention import additive_scores, weighted_sum


def test_scores_of_every_query_for_the_regions_of_its_picture():
    torch.manual_seed(0)
    query, keys, bias, weight = torch.randn(4, 5), torch.randn(2, 3, 5), torch.randn(2, 3), torch.randn(5)
    before = query.clone(), keys.clone()
    found = additive_scores(query, keys, bias, weight)
    rectified = additive_scores(query, keys, bias, weight, torch.relu_)
    for row in range(4):
        picture = row // 2
        compared = keys[picture] + query[row]
        torch.testing.assert_close(found[picture, row % 2], compared.tanh() @ weight + bias[picture])
        torch.testing.assert_close(rectified[picture, row % 2], compared.relu() @ weight + bias[picture])
    assert torch.equal(query, before[0])
    assert torch.equal(keys, before[1])


def test_sums_are_of_the_own_picture():
    weights, values = torch.rand(2, 2, 3), torch.randn(2, 3, 4)
    expected = torch.stack([weights[row // 2, row % 2] @ values[row // 2] for row in range(4)])
    torch.testing.assert_close(weighted_sum(weights, values), expected)
