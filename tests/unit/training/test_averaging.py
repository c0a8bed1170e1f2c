"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from optophone.training.averaging import AveragedModel


def model_of(value: float) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.full((2,), value))
        self.other = self.one


def values(averaged: AveragedModel) -> set[float]:
    return {round(value, 5) for p in averaged.model.parameters() for value in p.flatten().tolist()}


@pytest.mark.parametrize(
    ("step", "moved"),
    [(1, 9 / 11), (8, 0.5), (80, 0.1), (81, 0.1), (1000, 0.1)],  # 1 - min(0.9, (1 + step) / (10 + step))
)
def test_the_decay_rises_with_the_step(step: int, moved: float) -> None:
    averaged = AveragedModel(model_of(0.0), decay=0.9)
    averaged.update(model_of(1.0), step)
    assert values(averaged) == {round(moved, 5)}


def test_many_steps_of_the_same_weights_arrive_there() -> None:
    averaged = AveragedModel(model_of(0.0), decay=0.9)
    goal = model_of(1.0)
    for step in range(1, 150):
        averaged.update(goal, step)
    assert min(values(averaged)) > 0.999


def test_statistics_and_counters_are_copied() -> None:
    model = model_of(1.0)
    averaged = AveragedModel(model, decay=0.9)
    model.train()(torch.randn(8, 2))
    averaged.update(model, 1)
    copied = dict(averaged.model.named_buffers())
    assert torch.equal(copied["1.running_mean"], model.get_buffer("1.running_mean"))
    assert copied["1.num_batches_tracked"] == 1


def test_it_is_a_copy_that_learns_by_itself_in_no_way() -> None:
    model = model_of(1.0)
    averaged = AveragedModel(model, decay=0.9)
    assert not any(parameter.requires_grad for parameter in averaged.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        model.get_parameter("0.weight").fill_(5.0)
    assert values(averaged) == {1.0}


def test_it_stays_in_evaluation_mode() -> None:
    averaged = AveragedModel(model_of(1.0), decay=0.9)
    nn.ModuleList([averaged]).train()
    assert not any(module.training for module in averaged.modules())


def test_tied_weights_stay_tied_and_move_once() -> None:
    averaged = AveragedModel(Tied(0.0), decay=0.9)
    averaged.update(Tied(1.0), 8)
    assert isinstance(averaged.model, Tied)
    assert averaged.model.one is averaged.model.other
    assert averaged.model.one.tolist() == [0.5, 0.5]
