"""The confidence of captions, on data whose truth is known."""

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.calibration import (
    as_good_as_people,
    calibrate,
    discrimination,
    expected_calibration_error,
    fit_logistic,
    logistic,
)


def drawn(n: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and whether each caption is right, by the curve."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(-1.5, 0.5, n)
    return scores, generator.random(n) < logistic(scores, slope, intercept)


def test_the_curve_that_made_the_data_is_found() -> None:
    scores, correct = drawn(40_000, 2.5, 3.0)
    slope, intercept = fit_logistic(scores, correct)
    assert slope == pytest.approx(2.5, abs=0.1)
    assert intercept == pytest.approx(3.0, abs=0.15)


def test_a_calibration_says_how_far_it_is_off() -> None:
    scores, correct = drawn(4000, 2.5, 3.0)
    found = calibrate(scores, correct, "it is so.")
    assert found.expected_calibration_error < 0.04
    assert found.share_correct == pytest.approx(correct.mean())
    assert found.n_pictures == 4000
    # A confidence that claims too much is further off.
    boastful = np.sqrt(logistic(scores, 2.5, 3.0))
    assert expected_calibration_error(boastful, correct) > 0.1


def test_discrimination_is_the_share_of_pairs_in_order() -> None:
    scores, correct = np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, False, True, False])
    # Pairs of right and wrong: 3>2, 3>1, 2=2, 2>1.
    assert discrimination(scores, correct) == pytest.approx(3.5 / 4)


def test_scores_that_separate_altogether_stay_finite() -> None:
    scores = np.linspace(-3, 0, 50)
    found = calibrate(scores, scores > -1, "it is so.")
    assert np.isfinite([found.slope, found.intercept]).all()
    assert logistic(np.array([-3.0, 0.0]), found.slope, found.intercept) == pytest.approx([0, 1], abs=0.05)
    assert found.discrimination == 1.0


@pytest.mark.parametrize("correct", [np.ones(50, bool), np.zeros(50, bool)])
def test_without_right_and_wrong_there_is_no_calibration(correct: np.ndarray) -> None:
    with pytest.raises(DataError, match="some right, some wrong"):
        calibrate(np.linspace(-3, 0, 50), correct, "it is so.")


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
