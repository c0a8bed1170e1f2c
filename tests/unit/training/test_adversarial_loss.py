"""The game: each side learns from its own part of one loss."""

import pytest
import torch
from torch import Tensor, nn

from optophone.models.verdict import Verdict
from optophone.models.vocoders.discriminators import Discriminators, DiscriminatorsConfig
from optophone.training.adversarial_loss import AdversarialLossConfig, AdversarialLosses, adversarial_loss

TINY = DiscriminatorsConfig((2, 3), (3, 4), (64,), 2)


class Scale(nn.Module):
    """A judge whose score and only feature are the wave times a weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, wave: Tensor) -> list[Verdict]:
        return [Verdict(self.weight * wave, [self.weight * wave])]


def test_hinges_by_hand() -> None:
    true, spoken = torch.tensor([[0.5, 2.0]]), torch.tensor([[-0.5, 0.25]])
    losses = adversarial_loss(Scale(2.0), spoken, true, AdversarialLossConfig(0, 3.0, 5.0))
    losses = AdversarialLosses(*(value.detach() for value in losses))
    # True scores 1 and 4 are high enough; spoken ones -1 and .5 should be at most -1, and for the vocoder at least 1.
    assert float(losses.judges) == pytest.approx(0.75)
    assert float(losses.deceive) == pytest.approx((2.0 + 0.5) / 2)
    assert float(losses.features) == pytest.approx((2.0 + 3.5) / 2)
    assert float(losses.total) == pytest.approx(3 * 1.25 + 5 * 2.75 + 0.75)


def test_no_gradient_is_on_the_wrong_side() -> None:
    torch.manual_seed(0)
    judges, true = Discriminators(TINY), torch.randn(2, 300)
    spoken = torch.randn(2, 300, requires_grad=True)
    losses = adversarial_loss(judges, spoken, true, AdversarialLossConfig())
    parameters = dict(judges.named_parameters())
    (losses.deceive + losses.features).backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in parameters.values())
    assert spoken.grad is not None
    assert spoken.grad.any()
    before = spoken.grad.clone()
    losses.judges.backward()
    assert torch.equal(spoken.grad, before)
    assert all(parameter.grad is not None for parameter in parameters.values())


def test_judges_learn_to_tell() -> None:
    torch.manual_seed(0)
    judges = Discriminators(TINY)
    optimizer = torch.optim.Adam(judges.parameters(), 0.01)
    for _ in range(30):
        true, spoken = torch.sin(torch.arange(300) * 0.3).repeat(4, 1), 0.5 * torch.randn(4, 300)
        loss = adversarial_loss(judges, spoken, true, AdversarialLossConfig()).judges
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1.0
