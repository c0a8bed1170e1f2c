"""The captioners' loss, by hand."""

import pytest
import torch

from optophone.training.caption_loss import caption_cross_entropy, doubly_stochastic_penalty


def test_cross_entropy_ignores_padding():
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 4, -1], [2, -1, -1]])
    log_probs = logits.log_softmax(-1)
    expected = -(log_probs[0, 0, 1] + log_probs[0, 1, 4] + log_probs[1, 0, 2]) / 3
    torch.testing.assert_close(caption_cross_entropy(logits, targets, ignored=-1), expected)


def test_label_smoothing_spreads_its_share_evenly():
    log_probs = torch.tensor([[[0.7, 0.2, 0.1]]]).log()
    found = caption_cross_entropy(log_probs, torch.tensor([[0]]), ignored=-1, label_smoothing=0.3)
    torch.testing.assert_close(found, -(0.7 * log_probs[0, 0, 0] + 0.1 * log_probs.sum()))


def test_nothing_to_score_is_a_mistake():
    with pytest.raises(AssertionError, match="no target symbol"):
        caption_cross_entropy(torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.long), ignored=0)


def test_penalty_wants_each_region_seen_once():
    attention = torch.eye(3).unsqueeze(0)
    everything = torch.ones(1, 3, dtype=torch.bool)
    assert doubly_stochastic_penalty(attention, everything) == 0
    assert doubly_stochastic_penalty(attention, torch.tensor([[True, True, False]])) == pytest.approx(1 / 3)
    one_region = torch.tensor([1.0, 0.0, 0.0]).expand(1, 3, 3)
    assert doubly_stochastic_penalty(one_region, everything) == pytest.approx((4 + 1 + 1) / 3)


def test_penalty_is_exact_in_brain_float():
    attention = torch.full((1, 100, 10), 0.1).bfloat16()
    expected = (1 - 100 * attention[0, 0, 0].float()).square()
    found = doubly_stochastic_penalty(attention, torch.ones(1, 100, dtype=torch.bool))
    assert found == pytest.approx(expected.item(), rel=1e-5)
