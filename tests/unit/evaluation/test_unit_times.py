"""Which frames belong to what is said from when to when."""

from itertools import pairwise

import numpy as np
import pytest

from optophone.core.spans import Span
from optophone.evaluation.unit_times import PAUSE, UnitTimes, boundaries_of, pauses_of

FRAMES = np.arange(10)


@pytest.mark.parametrize(
    ("start", "end", "lag", "inside"),
    [
        (0.0, 0.4, 0.0, list(range(10))),
        (0.04, 0.12, 0.0, [1, 2]),
        (0.05, 0.13, 0.0, [1, 2]),
        (0.06, 0.14, 0.0, [1, 2]),  # the middle of frame 1 belongs to it, that of frame 3 to what follows
        (0.061, 0.141, 0.0, [2, 3]),
        (0.04, 0.12, 0.02, [0, 1]),
        (0.04, 0.12, -0.03, [2, 3]),
        (0.07, 0.09, 0.0, []),
        (0.5, 0.6, 0.0, []),
    ],
)
def test_frames_whose_middles_are_inside(start: float, end: float, lag: float, inside: list[int]) -> None:
    assert UnitTimes(0.04, lag).inside(FRAMES, start, end).tolist() == inside


@pytest.mark.parametrize(
    ("start", "end", "nearest"), [(0.07, 0.085, 1), (0.065, 0.075, 1), (0.5, 0.6, 9), (-1, -0.5, 0)]
)
def test_the_nearest_frame_where_there_is_none(start: float, end: float, nearest: int) -> None:
    assert UnitTimes(0.04).at(FRAMES, start, end).tolist() == [nearest]


def test_neighbours_share_no_frame() -> None:
    times = UnitTimes(0.04, 0.01)
    borders = np.round(np.arange(0, 0.41, 0.03), 3)
    parts = [times.inside(FRAMES, start, end) for start, end in pairwise(borders)]
    assert np.concatenate(parts).tolist() == list(range(len(np.concatenate(parts))))


def test_changes_labels_boundaries_and_pauses() -> None:
    times = UnitTimes(0.1, 0.02)
    np.testing.assert_allclose(times.changes(np.array([4, 4, 5, 6, 6])), [0.22, 0.32])
    spans = [Span("A", 0.1, 0.3), Span("B", 0.3, 0.4), Span("C", 0.5, 0.6)]
    # Middles at .07, .17, .27, .37, .47, .57, .67
    assert times.labels(7, spans) == [PAUSE, "A", "A", "B", PAUSE, "C", PAUSE]
    assert boundaries_of(spans).tolist() == [0.1, 0.3, 0.4, 0.5, 0.6]
    assert pauses_of(spans, 0.61) == [Span(PAUSE, 0.0, 0.1), Span(PAUSE, 0.4, 0.5)]
