"""Optimizers and learning-rate schedules, as configuration."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from optophone.core.errors import ConfigurationError


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are moved.

    Args:
        name: "sgd" (Nesterov momentum), "adam" or "adamw" (decoupled decay).
        learning_rate: the peak.
        weight_decay: on weight matrices and kernels only; never on biases, norms or embeddings of one axis.
        betas: of Adam; the first is SGD's momentum.
        warmup_steps: linear rise from 0.
        schedule: after the warm-up, "cosine" to `final_fraction` at the last step, "noam" (inverse square root), or
            "constant".
        final_fraction: the last learning rate over the peak.
        scales: prefix of parameter names → factor on the learning rate; 0 freezes.
    """

    name: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-8
    warmup_steps: int = 0
    schedule: Literal["cosine", "noam", "constant"] = "cosine"
    final_fraction: float = 0.0
    scales: dict[str, float] | None = None


def build_optimizer(
    named_parameters: Iterable[tuple[str, nn.Parameter]], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """An optimizer over the parameters that are not frozen, grouped by learning rate and decay.

    Raises:
        ConfigurationError: a prefix in `scales` that no parameter has, or nothing left to train.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    scales = config.scales or {}
    named_parameters = list(named_parameters)
    for prefix in scales:
        if not any(name.startswith(prefix) for name, _ in named_parameters):
            raise ConfigurationError(f"optimizer.scales: no parameter's name begins with {prefix!r}.")
    for name, parameter in named_parameters:
        scale = next((factor for prefix, factor in scales.items() if name.startswith(prefix)), 1.0)
        if scale == 0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
    if not groups:
        raise ConfigurationError("optimizer.scales: every parameter is frozen, so there is nothing to train.")
    options = [
        {"params": parameters, "lr": config.learning_rate * scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]
    if config.name == "sgd":
        return torch.optim.SGD(options, lr=config.learning_rate, momentum=config.betas[0], nesterov=True)
    kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return kind(options, lr=config.learning_rate, betas=config.betas, eps=config.epsilon)


def learning_rate_factor(step: int, max_steps: int, config: OptimizerConfig) -> float:
    """The learning rate at `step` (from 0) over the peak."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "noam":
        return math.sqrt(max(config.warmup_steps, 1) / (step + 1))
    if config.schedule == "cosine":
        progress = min((step - config.warmup_steps) / max(max_steps - config.warmup_steps, 1), 1.0)
        return config.final_fraction + (1 - config.final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0
