"""Guidance: counting more than once what the picture changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optophone.core.errors import ConfigurationError
from optophone.core.guidance import guided
from optophone.core.search import Hypothesis, SearchConfig, search


def log(*probabilities: float) -> np.ndarray:
    return np.log(np.array([probabilities]))


def test_what_the_picture_makes_likelier_comes_first() -> None:
    own, without = log(0.5, 0.4, 0.1), log(0.6, 0.2, 0.2)
    scores = guided(own, without, 1.0)[0]
    expected = np.array([0.5**2 / 0.6, 0.4**2 / 0.2, 0.1**2 / 0.2])
    np.testing.assert_allclose(np.exp(scores), expected / expected.sum())
    assert scores.argmax() == 1
    assert own[0].argmax() == 0


def test_rows_are_on_their_own() -> None:
    own, without = np.concatenate([log(0.5, 0.4, 0.1), log(0.2, 0.2, 0.6)]), log(0.6, 0.2, 0.2).repeat(2, 0)
    scores = guided(own, without, 0.7)
    for row in range(2):
        np.testing.assert_array_equal(scores[[row]], guided(own[[row]], without[[row]], 0.7))


def test_the_implausible_is_ruled_out_however_much_the_picture_changes_it() -> None:
    scores = guided(log(0.6, 0.37, 0.03), log(0.5, 0.5 - 1e-9, 1e-9), 1.0)[0]
    assert scores[2] == -np.inf, "less than a tenth of .6"
    assert scores.argmax() == 0


def test_what_was_ruled_out_before_stays_so_without_a_warning() -> None:
    own, without = log(0.6, 0.4, 1.0), log(0.5, 0.5, 1.0)
    own[0, 2] = without[0, 2] = -np.inf
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        scores = guided(np.concatenate([own, np.full((1, 3), -np.inf)]), np.concatenate([without, own]), 2.0)
    assert np.isfinite(scores[0, :2]).all()
    assert scores[0, 2] == -np.inf
    assert (scores[1] == -np.inf).all(), "a row that was ruled out altogether"


@pytest.mark.parametrize("guidance", [-0.1, float("nan"), 1e9])
def test_values_without_a_meaning_are_refused(guidance: float) -> None:
    with pytest.raises(ConfigurationError, match="guidance"):
        SearchConfig(guidance=guidance)


# A toy captioner: symbols 0 "start", 1 "end", 2 to 5; the tables say what follows each symbol.
AFTER_2_AND_3 = ([0, 0.7, 0.1, 0.1, 0.1, 0], [0, 0.6, 0, 0, 0.1, 0.3])
AFTER_4_AND_5 = ([0, 0.9, 0.05, 0.05, 0, 0], [0, 1, 0, 0, 0, 0])
NEVER = [0.0] * 6
WITH = np.array([[0, 0, 0.5, 0.4, 0.1, 0], NEVER, *AFTER_2_AND_3, *AFTER_4_AND_5])
AFTER_3_WITHOUT = [0, 0.85, 0, 0, 0.1, 0.05]
WITHOUT = np.array([[0, 0, 0.7, 0.1, 0.2, 0], NEVER, AFTER_2_AND_3[0], AFTER_3_WITHOUT, *AFTER_4_AND_5])


def toy_step(ids: np.ndarray, state: Sequence[np.ndarray]) -> tuple[np.ndarray, None, tuple[np.ndarray, ...]]:
    """The state says which of the tables holds: 0 with the picture, 1 without."""
    with np.errstate(divide="ignore"):
        tables = np.log(np.stack([WITH, WITHOUT])).astype(np.float32)
    return tables[state[0], ids], None, (state[0],)


def say(config: SearchConfig, n_pictures: int = 1) -> list[list[Hypothesis]]:
    zeros = np.zeros(n_pictures, np.int64)
    return search(toy_step, (zeros,), 0, 1, config, n_pictures, without=(zeros + 1,) if config.guidance else None)


@pytest.mark.parametrize(
    "config",
    [
        SearchConfig(beam_size=3, max_length=4),
        SearchConfig(beam_size=3, max_length=4, finished="in_beam"),
        SearchConfig(method="greedy", max_length=4),
        SearchConfig(beam_size=4, max_length=4, groups=2, n_results=2),
    ],
)
def test_searches_are_guided(config: SearchConfig) -> None:
    """Without guidance 2 is said; guided 3, and what only this picture has after it. Confidence is the model's own."""
    assert say(config)[0][0].ids == (2,)
    for found in say(replace(config, guidance=1.0), n_pictures=2):
        best = found[0]
        assert best.ids == (3, 5)
        np.testing.assert_allclose(np.exp(best.token_log_probs), [0.4, 0.3, 1.0], rtol=1e-5)
        assert best.log_prob == pytest.approx(np.log(0.4 * 0.3))
        first = np.array([0.5**2 / 0.7, 0.4**2 / 0.1, 0.1**2 / 0.2])
        second = np.array([0.6**2 / 0.85, 0.1**2 / 0.1, 0.3**2 / 0.05])
        assert best.score == pytest.approx(np.log(first[1] / first.sum() * second[2] / second.sum()), rel=1e-5)


def test_draws_are_guided() -> None:
    config = SearchConfig(method="sample", max_length=1, n_results=2000, guidance=1.0)
    first = [found.ids[0] for found in say(config)[0]]
    expected = np.array([0.5**2 / 0.7, 0.4**2 / 0.1, 0.1**2 / 0.2])
    np.testing.assert_allclose(np.bincount(first)[2:] / 2000, expected / expected.sum(), atol=0.04)


def test_what_is_forbidden_stays_so() -> None:
    found = say(SearchConfig(beam_size=3, max_length=4, guidance=1.0, forbidden=(3,)))[0][0]
    assert 3 not in found.ids
    assert found.finished


def test_without_a_mean_picture_there_is_no_guidance() -> None:
    arguments: Any = (toy_step, (np.zeros(1, np.int64),), 0, 1, SearchConfig(guidance=1.0), 1)
    with pytest.raises(ConfigurationError, match="no mean picture to be guided by"):
        search(*arguments)
