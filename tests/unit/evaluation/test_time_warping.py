"""Warped distances against paths counted by hand and against every path there is."""

import numpy as np
import pytest

from optophone.evaluation import time_warping
from optophone.evaluation.time_warping import angles, different_codes, unit_distances, vector_distances, warped_means

FIRST, SECOND = np.array([0]), np.array([1])


def every_path(costs: np.ndarray) -> list[tuple[float, int]]:
    """Sum and cells of all paths through (N, M)."""

    def from_(i: int, j: int) -> list[tuple[float, int]]:
        if (i, j) == (costs.shape[0] - 1, costs.shape[1] - 1):
            return [(costs[i, j], 1)]
        steps = [(i + 1, j + 1), (i + 1, j), (i, j + 1)]
        inside = [step for step in steps if step[0] < costs.shape[0] and step[1] < costs.shape[1]]
        return [(costs[i, j] + rest, n + 1) for step in inside for rest, n in from_(*step)]

    return from_(0, 0)


def test_the_cheapest_of_all_paths_is_found_whatever_lies_beyond_the_ends() -> None:
    random = np.random.default_rng(0)
    sizes = [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3), (4, 4), (2, 5)]
    padded = np.full((len(sizes), 5, 5), -9.0)
    expected = []
    for table, (n, m) in zip(padded, sizes, strict=True):
        table[:n, :m] = random.random((n, m))
        total, cells = min(every_path(table[:n, :m]))
        expected.append(total / cells)
    n_first, n_second = np.array(sizes).T
    np.testing.assert_allclose(warped_means(padded, n_first, n_second), expected)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ([1, 2, 3], [1, 2, 3], 0),
        ([1, 1, 2, 2, 3], [1, 2, 3], 0),  # time stretches
        ([1, 2, 3], [4, 5, 0], 1),
        ([1, 2], [1, 3], 1 / 2),
        ([1, 2, 3], [1, 4, 3], 1 / 3),
    ],
)
def test_units_are_the_same_or_not(one: list[int], other: list[int], distance: float) -> None:
    units = [np.array(one), np.array(other)]
    assert unit_distances(units, different_codes(6), FIRST, SECOND) == pytest.approx(distance)
    assert unit_distances(units, different_codes(6), SECOND, FIRST) == pytest.approx(distance)


def test_vectors_differ_by_their_angles() -> None:
    frames = [np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [-1.0, 0.0]])]
    assert vector_distances(frames, FIRST, SECOND) == pytest.approx([(0 + 0.5) / 2])
    assert vector_distances(frames, FIRST, FIRST) == pytest.approx([0], abs=1e-7)
    found = angles(np.array([[1.0, 0.0], [2.0, 2.0], [-1.0, 0.0]]))
    np.testing.assert_allclose(found, [[0, 0.25, 1], [0.25, 0, 0.75], [1, 0.75, 0]], atol=1e-12)
    assert (np.diag(found) == 0).all()


def test_many_pairs_at_once_are_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    units = [random.integers(5, size=n) for n in random.integers(1, 9, 20)]
    first, second = random.integers(20, size=(2, 60))
    whole = unit_distances(units, different_codes(5), first, second)
    monkeypatch.setattr(time_warping, "_CELLS", 40)
    np.testing.assert_array_equal(unit_distances(units, different_codes(5), first, second), whole)
