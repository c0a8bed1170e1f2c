"""What looking back and predicting forward promise beyond the family's contract."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.look_back_predict_forward import LookBackPredictForward, LookBackPredictForwardConfig

CONFIG = LookBackPredictForwardConfig(9, 6, 8, 5, 7, dropout=0.0)
REGIONS = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(3))
IDS = torch.tensor([[1, 4, 3, 5], [1, 2, 6, 7]])
TARGETS = torch.tensor([[4, 3, 5, 2], [2, 6, 2, 0]])


def build(config: LookBackPredictForwardConfig = CONFIG) -> LookBackPredictForward:
    torch.manual_seed(0)
    return LookBackPredictForward(config).eval()


def test_what_was_seen_last_moves_the_attention():
    model = build()
    memory, state = model.begin(REGIONS, None)
    assert state.context.abs().max() == 0
    _, attention, following = model.step(IDS[:, 0], memory, state)
    torch.testing.assert_close(following.context, (attention.unsqueeze(2) * REGIONS).sum(1))
    _, attention, _ = model.step(IDS[:, 1], memory, following)
    _, other, _ = model.step(IDS[:, 1], memory, following._replace(context=following.context + 1))
    assert not torch.allclose(attention, other, atol=1e-4)


def test_no_gradient_runs_back_through_what_was_seen():
    model = build()
    memory, state = model.begin(REGIONS, None)
    _, _, following = model.step(IDS[:, 0], memory, state)
    assert following.writing_hidden.requires_grad
    assert not following.context.requires_grad


def test_the_symbol_after_the_next_is_foreseen_from_the_step_before():
    """What is foreseen of a place does not know the symbol right before it; the nearer prediction does."""
    model = build().train()
    output = model(REGIONS, None, IDS)
    changed = IDS.clone()
    changed[:, 2] = (changed[:, 2] + 1) % 9
    other = model(REGIONS, None, changed)
    torch.testing.assert_close(other.extras[0][:, :3], output.extras[0][:, :3])
    assert not torch.allclose(other.extras[0][:, 3], output.extras[0][:, 3], atol=1e-5)
    assert not torch.allclose(other.logits[:, 2], output.logits[:, 2], atol=1e-5)


def test_the_loss_is_the_cross_entropy_of_what_was_foreseen():
    model = build(replace(CONFIG, forward_weight=0.25)).train()
    output = model(REGIONS, None, IDS)
    (loss,) = model.auxiliary_losses(output, TARGETS, 0).values()
    expected = 0.25 * F.cross_entropy(output.extras[0].flatten(0, 1), TARGETS.flatten(), ignore_index=0)
    torch.testing.assert_close(loss, expected)


def test_foresight_learns():
    model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.auxiliary_losses(model(REGIONS, None, IDS), TARGETS, 0)["predict_forward"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_both_predictions_make_the_probability_in_evaluation():
    model = build(replace(CONFIG, forward_share=0.3))
    nearer = build(replace(CONFIG, forward_share=0.0))(REGIONS, None, IDS).logits.softmax(-1)
    output = model(REGIONS, None, IDS)
    expected = 0.7 * nearer + 0.3 * output.extras[0].softmax(-1)
    torch.testing.assert_close(output.logits.exp(), expected)
    torch.testing.assert_close(model.train()(REGIONS, None, IDS).logits.softmax(-1), nearer)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_outside_its_range_is_refused(share: float):
    with pytest.raises(ConfigurationError, match="forward_share"):
        build(replace(CONFIG, forward_share=share))
