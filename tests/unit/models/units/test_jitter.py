"""Temporal jitter."""

import pytest
import torch

from optophone.models.units.jitter import CENTRED, LATE, TemporalJitter

X = torch.arange(6.0).expand(2, 3, 6)
DRAWS = torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(("offsets", "expected"), [(CENTRED, [0, 1, 3, 2, 4, 5]), (LATE, [0, 2, 4, 3, 5, 5])])
def test_draws_say_where_frames_come_from(offsets: tuple[int, int, int], expected: list[int]) -> None:
    found = TemporalJitter(0.1, offsets).train()(X, DRAWS)
    assert torch.equal(found, torch.tensor(expected).expand(2, 3, 6).float())


def test_probabilities_are_those_asked_for() -> None:
    torch.manual_seed(0)
    x = torch.arange(20000.0)[None, None]
    moved = (TemporalJitter(0.12).train()(x) - x)[0, 0, 1:-1]
    assert float((moved == -1).float().mean()) == pytest.approx(0.12, abs=0.01)
    assert float((moved == 1).float().mean()) == pytest.approx(0.12, abs=0.01)
    assert set(moved.tolist()) == {-1, 0, 1}


def test_evaluation_has_none() -> None:
    assert TemporalJitter(0.5).eval()(X) is X
    assert TemporalJitter(0.0).train()(X) is X
