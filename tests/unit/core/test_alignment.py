"""Faults of an attention that was drawn by hand."""

import numpy as np
import pytest

from optophone.core.alignment import examine_alignment

STEP_S = 0.035


def path(peaks: list[int], n_symbols: int) -> np.ndarray:
    """An alignment (T, S) that looks almost wholly at one symbol a step."""
    alignment = np.full((len(peaks), n_symbols), 0.02 / n_symbols)
    alignment[np.arange(len(peaks)), peaks] += 0.98
    return alignment


STEADY = [s for s in range(30) for _ in range(2)]


def test_a_steady_reading_is_sound() -> None:
    report = examine_alignment(path(STEADY, 30), STEP_S)
    assert report.problems == ()
    assert report.focus > 0.95
    assert report.diagonality > 0.95
    assert report.reached == 1
    assert report.skipped is None


@pytest.mark.parametrize(("peaks", "problem"), [
    ([s for s in STEADY if not 10 <= s < 17], "left out"),
    ([s for s in STEADY if s < 22], "left out"),
    (STEADY[:40] + STEADY[10:], "again"),
    (STEADY[:30] + [15] * 40 + STEADY[30:], "stood still for 1.5 s"),
])  # fmt: skip
def test_a_fault_is_named(peaks: list[int], problem: str) -> None:
    problems = examine_alignment(path(peaks, 30), STEP_S).problems
    assert len(problems) == 1
    assert problem in problems[0]


def test_silent_letters_and_the_last_symbol_are_no_faults() -> None:
    peaks = [s for s in STEADY if not 10 <= s < 14] + [29] * 60
    assert examine_alignment(path(peaks, 30), STEP_S).problems == ()
    assert examine_alignment(path([0, 0, 0], 1), STEP_S).problems == ()


def test_an_end_that_was_not_found_and_a_lost_place() -> None:
    assert examine_alignment(path(STEADY, 30), STEP_S, stopped=False).problems == ("did not find its end",)
    report = examine_alignment(np.full((60, 30), 1 / 30), STEP_S)
    assert report.problems == ("lost its place in the text",)
    assert report.diagonality < 0.3
