"""Symbols laid out in time."""

from itertools import combinations

import numpy as np
import pytest

from optophone.core.durations import expected_durations, monotonic_durations, place_frames, whole_durations


def test_ends_are_rounded_not_lengths() -> None:
    """Ten symbols of .4 frames are four frames, where each by itself would be none."""
    found = whole_durations(np.full(10, 0.4))
    assert found.sum() == 4
    assert found.max() == 1


def test_nothing_is_lost_over_a_long_utterance() -> None:
    durations = np.random.default_rng(0).exponential(5.3, 400)
    assert abs(whole_durations(durations).sum() - durations.sum()) <= 0.5


@pytest.mark.parametrize("durations", [[0.0, 0.0], [-3.0], [0.1, 0.2]])
def test_there_is_always_a_frame(durations: list[float]) -> None:
    assert whole_durations(np.array(durations)).tolist() == [0] * (len(durations) - 1) + [1]


def test_negative_durations_count_as_none() -> None:
    assert whole_durations(np.array([2.0, -5.0, 3.0])).tolist() == [2, 0, 3]


def test_places() -> None:
    places = place_frames(np.array([2, 0, 4]))
    assert places.symbols.tolist() == [0, 0, 2, 2, 2, 2]
    np.testing.assert_allclose(places.features[:, 0], [0.25, 0.75, 0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(places.features[:, 1], [0.5, 0.5, 0.75, 0.25, 0.25, 0.75])
    np.testing.assert_allclose(places.features[:, 2], [0.25, 0.25, 0.5, 0.5, 0.5, 0.5])
    assert places.features.dtype == np.float32


def test_the_likeliest_way_is_found() -> None:
    """Against all ways of five symbols through nine frames."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        log_probs = np.log(rng.dirichlet(np.ones(5), 9))
        ways = [np.diff([0, *ends, 9]) for ends in combinations(range(1, 9), 4)]
        scores = [log_probs[np.arange(9), np.repeat(np.arange(5), way)].sum() for way in ways]
        assert monotonic_durations(log_probs).tolist() == ways[int(np.argmax(scores))].tolist()


def test_every_symbol_has_a_frame_however_unlikely() -> None:
    log_probs = np.full((6, 3), -1.0)
    log_probs[:, 1] = -1000.0
    durations = monotonic_durations(log_probs)
    assert durations[1] == 1
    assert durations.sum() == 6


def test_fewer_frames_than_symbols_are_shared_evenly() -> None:
    durations = monotonic_durations(np.zeros((3, 6)))
    assert durations.sum() == 3
    assert durations.max() == 1


def test_expected_durations_are_the_mean_of_all_ways() -> None:
    log_probs = np.log(np.random.default_rng(1).dirichlet(np.ones(4), 8))
    ways = [np.diff([0, *ends, 8]) for ends in combinations(range(1, 8), 3)]
    scores = np.array([log_probs[np.arange(8), np.repeat(np.arange(4), way)].sum() for way in ways])
    weights = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(expected_durations(log_probs), weights @ np.array(ways), atol=1e-9)


def test_expected_durations_of_a_sure_way_and_of_too_few_frames() -> None:
    sure = np.full((7, 3), -500.0)
    sure[np.arange(7), [0, 0, 1, 1, 1, 1, 2]] = 0.0
    np.testing.assert_allclose(expected_durations(sure), [2, 4, 1], atol=1e-6)
    np.testing.assert_allclose(expected_durations(np.zeros((3, 6))), 0.5)
