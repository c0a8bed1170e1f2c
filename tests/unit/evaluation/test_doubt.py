"""What a confidence is worth, on numbers that can be counted by hand."""

import numpy as np
import pytest

from optophone.evaluation.doubt import picture_cider, reliability, risk_coverage, share_interval


def test_groups_are_neighbours_in_confidence() -> None:
    groups = reliability(np.array([0.9, 0.1, 0.8, 0.2]), np.array([True, False, False, True]), n_groups=2)
    assert [(group.confidence, group.share_correct, group.n_pictures) for group in groups] == [
        (pytest.approx(0.15), 0.5, 2),
        (pytest.approx(0.85), 0.5, 2),
    ]


def test_the_surest_are_answered_first() -> None:
    curve = risk_coverage(np.array([0.1, 0.9, 0.5, 0.3]), np.array([10.0, 40.0, 30.0, 20.0]), n_points=4)
    assert curve == [(0.25, 40.0), (0.5, 35.0), (0.75, 30.0), (1.0, 25.0)]


def test_a_few_pictures_make_few_points() -> None:
    assert [share for share, _ in risk_coverage(np.array([0.1, 0.9]), np.array([1.0, 2.0]))] == [0.5, 1.0]


def test_cider_is_of_each_picture() -> None:
    references = {"a": ["a dog runs", "a dog runs fast"], "b": ["a boat on water", "a boat floats"]}
    scores = picture_cider({"a": "a dog runs", "b": "two cats"}, references)
    assert scores[0] > 50
    assert scores[1] == 0


def test_an_interval_of_nothing_is_not_nothing() -> None:
    low, high = share_interval(0, 1000)
    assert low == 0
    assert 0.003 < high < 0.005
    low, high = share_interval(500, 1000)
    assert (low, high) == pytest.approx((0.469, 0.531), abs=0.001)
