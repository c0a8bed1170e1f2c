"""Dropout from random bytes."""

import pytest
import torch

from optophone.models.acoustic.byte_dropout import byte_dropout, dropout_mask


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_zeroes_that_share_and_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(0)
    mask = dropout_mask(torch.ones(1), (1001, 99), probability)
    assert float((mask == 0).float().mean()) == pytest.approx(probability, abs=0.01)
    assert len(mask.unique()) == 2
    assert float(mask.mean()) == pytest.approx(1, abs=0.03)


def test_every_value_has_its_own_byte() -> None:
    torch.manual_seed(0)
    kept = dropout_mask(torch.ones(1), (4000, 8), 0.5) > 0
    torch.testing.assert_close(kept.float().mean(0), torch.full((8,), 0.5), atol=0.05, rtol=0)
    assert float(kept.float().T.corrcoef().fill_diagonal_(0).abs().max()) < 0.1


def test_follows_the_seed_and_rests_in_evaluation() -> None:
    x = torch.randn(5, 7)
    assert byte_dropout(x, 0.5, active=False) is x
    assert byte_dropout(x, 0.0, active=True) is x
    torch.manual_seed(3)
    first = byte_dropout(x, 0.5, active=True)
    torch.manual_seed(3)
    assert torch.equal(byte_dropout(x, 0.5, active=True), first)
