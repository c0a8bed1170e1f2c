"""Differences between graphs and models, numbers that are none included."""

import math

import numpy as np
import torch

from optophone.export.differences import largest_difference, worse


def test_the_largest_counts_relative_to_the_largest_value() -> None:
    found = [np.array([0.5, 10.0], np.float32), np.array([], np.float32)]
    assert largest_difference(found, [torch.tensor([0.5, 8.0]), torch.zeros(0)]) == 0.25


def test_what_is_no_number_is_never_lost() -> None:
    found = [np.array([np.nan], np.float32), np.array([1.0], np.float32)]
    assert math.isnan(largest_difference(found, [torch.ones(1), torch.ones(1)]))
    assert math.isnan(worse(0.1, math.nan))
    assert math.isnan(worse(math.nan, 0.1))
    assert worse(0.1, 0.2) == 0.2
