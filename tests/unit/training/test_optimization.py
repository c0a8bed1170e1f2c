"""Optimizers by parameter group, and the corner points of the schedules."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from optophone.core.errors import ConfigurationError
from optophone.training.optimization import OptimizerConfig, build_optimizer, learning_rate_factor


def model() -> nn.ModuleDict:
    return nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "decoder": nn.Linear(2, 2)})


def groups(config: OptimizerConfig, of: nn.Module) -> dict[str, tuple[float, float]]:
    """Parameter name → its learning rate and weight decay."""
    names = {parameter: name for name, parameter in of.named_parameters()}
    optimizer = build_optimizer(of.named_parameters(), config)
    return {names[p]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        ("cosine", {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 60: 0.6, 110: 0.2, 500: 0.2}),
        ("noam", {0: 0.1, 9: 1.0, 39: 0.5, 89: 1 / 3}),
        ("constant", {0: 0.1, 9: 1.0, 10: 1.0, 109: 1.0}),
    ],
)
def test_corner_points_of_the_schedules(schedule: str, points: dict[int, float]) -> None:
    config = OptimizerConfig(schedule=schedule, warmup_steps=10, final_fraction=0.2)  # type: ignore[arg-type]
    for step, factor in points.items():
        assert learning_rate_factor(step, 110, config) == pytest.approx(factor), step


def test_schedules_without_warm_up() -> None:
    cosine = OptimizerConfig(schedule="cosine")
    assert learning_rate_factor(0, 100, cosine) == 1.0
    assert learning_rate_factor(50, 100, cosine) == pytest.approx(0.5)
    assert learning_rate_factor(100, 100, cosine) == pytest.approx(0.0)
    assert learning_rate_factor(3, 100, OptimizerConfig(schedule="noam")) == pytest.approx(0.5)


@pytest.mark.parametrize("schedule", ["cosine", "noam", "constant"])
def test_nothing_rises_after_the_warm_up(schedule: str) -> None:
    config = OptimizerConfig(schedule=schedule, warmup_steps=10)  # type: ignore[arg-type]
    factors = [learning_rate_factor(step, 50, config) for step in range(51)]
    assert all(later > earlier for earlier, later in pairwise(factors[:10]))
    assert all(later <= earlier for earlier, later in pairwise(factors[9:]))


def test_a_run_all_of_warm_up_is_no_division_by_zero() -> None:
    config = OptimizerConfig(warmup_steps=10)
    assert all(math.isfinite(learning_rate_factor(step, 10, config)) for step in range(12))


def test_only_matrices_decay() -> None:
    found = groups(OptimizerConfig(weight_decay=0.3), model())
    assert {name.rpartition(".")[2]: decay for name, (_, decay) in found.items()} == {"weight": 0.3, "bias": 0.0}


def test_the_first_fitting_prefix_scales_the_learning_rate() -> None:
    found = groups(OptimizerConfig(learning_rate=2.0, scales={"encoder.0.": 0.1, "encoder.": 0.5}), model())
    rates = {name: rate for name, (rate, _) in found.items() if name.endswith("weight")}
    assert rates == {
        "encoder.0.weight": pytest.approx(0.2),
        "encoder.1.weight": pytest.approx(1.0),
        "decoder.weight": pytest.approx(2.0),
    }


def test_frozen_prefixes_get_no_gradient_and_do_not_move() -> None:
    network = model()
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.5, scales={"encoder.0.": 0.0})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = build_optimizer(network.named_parameters(), config)
    network["decoder"](network["encoder"](torch.ones(1, 2))).sum().backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        frozen = name.startswith("encoder.0.")
        assert (parameter.grad is None) == frozen
        assert torch.equal(parameter, before[name]) == frozen


def test_what_was_frozen_before_stays_out() -> None:
    network = model()
    network["encoder"].requires_grad_(False)
    assert set(groups(OptimizerConfig(), network)) == {"decoder.weight", "decoder.bias"}


def test_prefixes_that_fit_nothing_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'encodr\.'"):
        build_optimizer(model().named_parameters(), OptimizerConfig(scales={"encodr.": 0.0}))


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing to train"):
        build_optimizer(model().named_parameters(), OptimizerConfig(scales={"": 0.0}))


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_kinds(name: str, kind: type) -> None:
    config = OptimizerConfig(name=name, betas=(0.8, 0.95), epsilon=1e-6)  # type: ignore[arg-type]
    optimizer = build_optimizer(model().named_parameters(), config)
    assert type(optimizer) is kind
    if name == "sgd":
        assert (optimizer.defaults["momentum"], optimizer.defaults["nesterov"]) == (0.8, True)
    else:
        assert (optimizer.defaults["betas"], optimizer.defaults["eps"]) == ((0.8, 0.95), 1e-6)
