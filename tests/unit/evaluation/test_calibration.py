"""The confidence of captions, on data whose truth is known."""

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.calibration import (
    as_good_as_people,
    calibrate,
    cross_fitted,
    discrimination,
    error_by_chance,
    expected_calibration_error,
    fit_logistic,
    logistic,
)

WEIGHTS = np.array([2.5, 0.4, -0.8])  # of mean, lowest, length


def drawn(n: int, intercept: float = 4.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of captions, and whether each caption is right, by the curve."""
    generator = np.random.default_rng(seed)
    mean = generator.normal(-1.5, 0.5, n)
    features = np.stack([mean, mean - generator.exponential(1.5, n), np.log(generator.integers(5, 15, n))], axis=1)
    return features, generator.random(n) < logistic(features @ WEIGHTS, 1.0, intercept)


def test_the_curve_that_made_the_data_is_found() -> None:
    weights, intercept = fit_logistic(*drawn(40_000))
    assert weights == pytest.approx(WEIGHTS, abs=0.15)
    assert intercept == pytest.approx(4.0, abs=0.3)


def test_a_calibration_says_how_far_it_is_off() -> None:
    features, correct = drawn(4000)
    found = calibrate(features, correct, "it is so.")
    assert found.expected_calibration_error < 0.04
    assert 0 < found.by_chance < 0.03
    assert (found.slope, found.lowest, found.length) == pytest.approx(tuple(WEIGHTS), abs=0.4)
    assert found.share_correct == pytest.approx(correct.mean())
    assert found.n_pictures == 4000
    # A confidence that claims too much is further off.
    boastful = np.sqrt(logistic(features @ WEIGHTS, 1.0, 4.0))
    assert expected_calibration_error(boastful, correct) > 0.1


def test_every_picture_is_judged_by_a_curve_that_did_not_see_it() -> None:
    """With as many features as pictures, a curve knows what it was fitted on by heart; what is left out stays open."""
    generator = np.random.default_rng(0)
    features, correct = generator.normal(size=(60, 50)), np.arange(60) % 2 == 0
    weights, intercept = fit_logistic(features, correct)
    assert discrimination(features @ weights + intercept, correct) > 0.99
    assert 0.25 < discrimination(cross_fitted(features, correct), correct) < 0.75


def test_the_error_that_chance_makes_shrinks_with_the_sample() -> None:
    few, many = (error_by_chance(np.full(n, 0.4)) for n in (100, 10_000))
    assert 0.08 < few < 0.16
    assert many < 0.02


def test_discrimination_is_the_share_of_pairs_in_order() -> None:
    scores, correct = np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, False, True, False])
    # Pairs of right and wrong: 3>2, 3>1, 2=2, 2>1.
    assert discrimination(scores, correct) == pytest.approx(3.5 / 4)


def test_scores_that_separate_altogether_stay_finite() -> None:
    scores = np.linspace(-3, 0, 50)
    found = calibrate(np.stack([scores, np.zeros(50), np.ones(50)], axis=1), scores > -1, "it is so.")
    assert np.isfinite([found.slope, found.intercept, found.lowest, found.length]).all()
    ends = logistic(np.array([-3.0, 0.0]), found.slope, found.intercept + found.length)
    assert ends == pytest.approx([0, 1], abs=0.1)
    assert found.discrimination > 0.99


@pytest.mark.parametrize("correct", [np.ones(50, bool), np.zeros(50, bool)])
def test_without_right_and_wrong_there_is_no_calibration(correct: np.ndarray) -> None:
    with pytest.raises(DataError, match="some right, some wrong"):
        calibrate(np.zeros((50, 3)), correct, "it is so.")


def test_a_caption_is_right_when_it_agrees_as_people_do() -> None:
    references = {
        "dog": ["a dog runs on grass", "a dog runs on green grass", "the brown dog runs on grass"],
        "boat": ["a boat on a lake", "a small boat on a lake", "a boat floats on the lake"],
        "snow": ["a man skis down a hill", "a man skis in snow", "the man skis down a snowy hill"],
        "ball": ["two girls play with a ball", "two girls play ball", "girls play with a red ball"],
    }
    said = {"dog": "a dog runs on grass", "boat": "a man skis", "snow": "a man skis down a hill", "ball": "a lake"}
    correct, threshold = as_good_as_people(said, references)
    assert correct.tolist() == [True, False, True, False]
    assert threshold > 20


def test_people_cannot_be_compared_with_themselves() -> None:
    with pytest.raises(DataError, match="two human captions"):
        as_good_as_people({"a": "a dog"}, {"a": ["a dog"]})
