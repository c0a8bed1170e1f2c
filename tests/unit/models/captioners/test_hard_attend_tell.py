"""What hard attention promises beyond the family's contract."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from optophone.core.configuration import from_mapping, to_mapping
from optophone.models.captioners import hard_attend_tell
from optophone.models.captioners.hard_attend_tell import (
    HardAttendTell,
    HardAttendTellConfig,
    draw_regions,
    likeliest_regions,
)
from optophone.models.captioners.show_attend_tell import ShowAttendTell

V, R, S = 7, 3, 2
CONFIG = HardAttendTellConfig(V, 4, 5, 4, 5, dropout=0.0, expected_share=0.0, entropy_weight=0.0)
IDS, TARGETS = torch.tensor([[1, 4]]), torch.tensor([[4, 2]])


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(1, R, 4, generator=torch.Generator().manual_seed(2))


def build(config: HardAttendTellConfig = CONFIG) -> HardAttendTell:
    torch.manual_seed(0)
    model = HardAttendTell(config)
    with torch.no_grad():  # an attention and an output that are far from even
        model.reader.score.weight.mul_(5)
        model.reader.output.weight.mul_(10)
    return model


def look_at(monkeypatch: pytest.MonkeyPatch, regions: tuple[int, ...]) -> None:
    """Instead of chance, these regions, one per symbol."""
    remaining = iter(regions)
    monkeypatch.setattr(
        hard_attend_tell,
        "draw_regions",
        lambda attention: F.one_hot(torch.full(attention.shape[:2], next(remaining)), R).float(),
    )


def gradients(model: HardAttendTell, loss: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g.detach() for p, g in zip(model.parameters(), found, strict=True)]


@pytest.mark.parametrize("baseline", [0.0, -3.0])
def test_the_gradient_is_exact_in_expectation(regions, monkeypatch, baseline):
    """Over all choices, each as often as it is drawn: the gradient of the expected cross-entropy."""
    model = build()
    expected_loss = torch.zeros(())
    estimate = [torch.zeros_like(p) for p in model.parameters()]
    for choice in itertools.product(range(R), repeat=S):
        model.baseline.fill_(baseline)
        look_at(monkeypatch, choice)
        output = model(regions, None, IDS)
        probability = math.prod(output.attention[0, s, choice[s]] for s in range(S))
        cross_entropy = F.cross_entropy(output.logits.mT, TARGETS)
        expected_loss = expected_loss + probability * cross_entropy
        loss = cross_entropy + sum(model.auxiliary_losses(output, TARGETS, 0).values())
        for total, part in zip(estimate, gradients(model, loss), strict=True):
            total += probability.detach() * part
    for found, exact in zip(estimate, gradients(model, expected_loss), strict=True):
        torch.testing.assert_close(found, exact, atol=1e-6, rtol=1e-4)


def test_without_the_reward_the_gradient_is_wrong(regions, monkeypatch):
    """What the test above would not notice if the choices did not matter."""
    model = build(replace(CONFIG, reinforce_weight=0.0))
    look_at(monkeypatch, (0, 1))
    output = model(regions, None, IDS)
    loss = F.cross_entropy(output.logits.mT, TARGETS) + sum(model.auxiliary_losses(output, TARGETS, 0).values())
    assert torch.autograd.grad(loss, model.reader.score.weight)[0].abs().max() == 0


def test_a_region_is_drawn_as_often_as_its_attention_says():
    torch.manual_seed(0)
    attention = torch.tensor([0.7, 0.3, 0.0]).expand(2, 2000, 3)
    drawn = draw_regions(attention)
    assert drawn.shape == attention.shape
    assert (drawn.sum(-1) == 1).all()
    torch.testing.assert_close(drawn.mean((0, 1)), torch.tensor([0.7, 0.3, 0.0]), atol=0.03, rtol=0)


def test_arg_max_reads_the_likeliest_region_alone(regions):
    attention = torch.tensor([[[0.2, 0.5, 0.3]], [[0.6, 0.4, 0.0]]])
    assert likeliest_regions(attention).tolist() == [[[0, 1, 0]], [[1, 0, 0]]]
    soft, hard = build().eval(), build(replace(CONFIG, at_test="arg-max")).eval()
    assert not torch.allclose(soft(regions, None, IDS).logits, hard(regions, None, IDS).logits, atol=1e-4)


def test_expectation_at_test_is_soft_attention(regions):
    model = build().eval()
    soft = ShowAttendTell(model.config.soft()).eval()
    soft.load_state_dict(model.reader.state_dict())
    assert torch.equal(model(regions, None, IDS).logits, soft(regions, None, IDS).logits)


def test_training_draws_and_evaluation_does_not(regions):
    model = build()
    found = {model(regions, None, IDS).logits[0, 0, 0].item() for _ in range(20)}
    assert 1 < len(found) <= R
    assert model(regions, None, IDS).extras[0].sum(-1).tolist() == [[1.0, 1.0]]
    model.eval()
    assert torch.equal(model(regions, None, IDS).logits, model(regions, None, IDS).logits)


def test_some_pictures_are_read_softly_in_training(regions):
    torch.manual_seed(0)
    model = build(replace(CONFIG, expected_share=0.5))
    output = model(regions.expand(40, -1, -1), None, IDS.expand(80, -1), captions_per_picture=2)
    read, drawn = output.extras
    assert 8 < drawn.sum() / 2 < 32
    assert torch.equal(drawn[0::2], drawn[1::2])
    assert (read[drawn].amax(-1) == 1).all()
    torch.testing.assert_close(read[~drawn], output.attention[~drawn])


def test_the_baseline_follows_the_likelihood_of_drawn_captions(regions):
    model = build()
    assert model.baseline.item() == pytest.approx(-math.log(V))
    output = model(regions, None, IDS)
    likelihood = -F.cross_entropy(output.logits.mT, TARGETS).item()
    model.auxiliary_losses(output, TARGETS, 0)
    assert model.baseline.item() == pytest.approx(-0.9 * math.log(V) + 0.1 * likelihood, abs=1e-6)
    assert "baseline" in model.state_dict()
    before = model.baseline.item()
    model.eval()
    model.auxiliary_losses(model(regions, None, IDS), TARGETS, 0)
    assert model.baseline.item() == before


def test_padding_earns_nothing(regions):
    model = build()
    torch.manual_seed(1)
    short = model.auxiliary_losses(model(regions, None, IDS[:, :1]), TARGETS[:, :1], 0)
    model.baseline.fill_(-math.log(V))
    torch.manual_seed(1)
    padded = model.auxiliary_losses(model(regions, None, IDS), torch.tensor([[4, 0]]), 0)
    torch.testing.assert_close(padded, short)


def test_entropy_is_rewarded(regions):
    model = build(replace(CONFIG, entropy_weight=0.5)).eval()
    output = model(regions, None, IDS)
    even = output._replace(attention=torch.full_like(output.attention, 1 / R))
    assert model.auxiliary_losses(even, TARGETS, 0)["entropy"].item() == pytest.approx(-0.5 * math.log(R))
    assert model.auxiliary_losses(output, TARGETS, 0)["entropy"] > model.auxiliary_losses(even, TARGETS, 0)["entropy"]


def test_configuration_survives_the_round_trip():
    assert from_mapping(HardAttendTellConfig, to_mapping(CONFIG)) == CONFIG
