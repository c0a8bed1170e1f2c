"""Padded regions stay out of sums, and a picture without any region gives no NaN."""

import torch

from optophone.models.captioners.region_mask import mean_region, region_bias

REGIONS = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]]]).expand(2, 3, 2)
MASK = torch.tensor([[True, True, False], [False, False, False]])


def test_mean_of_the_valid_regions():
    assert mean_region(REGIONS, MASK).tolist() == [[2.0, 4.0], [0.0, 0.0]]
    torch.testing.assert_close(mean_region(REGIONS, None)[0], REGIONS[0].mean(0))


def test_bias_hides_padding_without_nan():
    weights = region_bias(REGIONS, MASK).softmax(-1)
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]]))
    assert region_bias(REGIONS, None).tolist() == [[0.0] * 3] * 2
