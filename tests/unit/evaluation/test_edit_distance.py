"""Edit distances by bits against the table, and what is measured of units."""

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.edit_distance import edit_distance
from optophone.evaluation.recognizer import word_errors
from optophone.evaluation.unit_error import loop_rate, tokenize_units, unit_error_rate


def test_distances_are_those_of_the_table() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        first, second = (random.integers(0, 4, random.integers(0, 80)).astype(str).tolist() for _ in range(2))
        assert edit_distance(first, second) == word_errors(first, second)


@pytest.mark.parametrize(
    ("first", "second", "expected"), [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3)]
)
def test_known_distances(first: str, second: str, expected: int) -> None:
    assert edit_distance(first, second) == expected


def test_units_are_compared_with_the_nearest_spoken_caption() -> None:
    references = {"a": ["1 2 3 4", "9 9 9 9 9"], "b": ["12 7", "301"]}
    assert unit_error_rate({"a": "1 2 4", "b": "301"}, references) == pytest.approx(1 / 5)
    assert unit_error_rate({"a": "", "b": "301"}, references) == pytest.approx(4 / 5)
    with pytest.raises(DataError, match="nothing"):
        unit_error_rate({}, references)
    with pytest.raises(DataError, match="'a' has a caption but no units"):
        unit_error_rate({"a": "1"}, {"a": [""]})


def test_units_are_counted_one_by_one() -> None:
    assert tokenize_units(["12 7 7", ""]) == [["12", "7", "7"], []]


def test_loops_are_stretches_that_stand_three_times() -> None:
    assert loop_rate(["5 1 2 1 2 1 2 9", "1 2 1 2 3 1 2", "1 2 3 1 2 3 1 2 3", "7 7 7 7"]) == pytest.approx(2 / 4)
    with pytest.raises(DataError, match="nothing"):
        loop_rate([])
