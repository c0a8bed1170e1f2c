"""The game between a vocoder and the networks that tell its waves from true ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call


@dataclass(frozen=True)
class AdversarialLossConfig:
    """How the game is weighed.

    Args:
        from_step: the first step of it; before, only spectrograms are compared. None: never.
        deceive_weight: of what the vocoder is told by the scores.
        feature_weight: of the distance of the features.
    """

    from_step: int | None = 0
    deceive_weight: float = 1.0
    feature_weight: float = 2.0


class AdversarialLosses(NamedTuple):
    """Scalars: `total` to go down, the vocoder's part of it (weighed) with the judges' own; and the terms."""

    total: Tensor
    deceive: Tensor
    features: Tensor
    judges: Tensor


def adversarial_loss(
    discriminators: nn.Module, spoken: Tensor, true: Tensor, config: AdversarialLossConfig
) -> AdversarialLosses:
    """Both sides of the game in one loss, so that one backward pass and one optimizer serve.

    The judges learn from waves that are cut off from the vocoder, the vocoder from judges whose weights are held: no
    gradient is on the wrong side. The hinge is that of Lim & Ye 2017, the features' distance that of Kumar et al. 2019,
    "MelGAN", equation 4.

    Args:
        discriminators: waves (B, N) → list of verdicts.
        spoken, true: (B, N).
        config: weights.
    """
    held: Mapping[str, Tensor] = {name: value.detach() for name, value in discriminators.named_parameters()}
    of_true = discriminators(true)
    of_copy = discriminators(spoken.detach())
    of_spoken = functional_call(discriminators, dict(held), (spoken,))
    judges = _mean(
        nn.functional.relu(1 - a.score).mean() + nn.functional.relu(1 + b.score).mean()
        for a, b in zip(of_true, of_copy, strict=True)
    )
    deceive = _mean(nn.functional.relu(1 - verdict.score).mean() for verdict in of_spoken)
    features = _mean(
        (a - b.detach()).abs().mean()
        for spoken_verdict, true_verdict in zip(of_spoken, of_true, strict=True)
        for a, b in zip(spoken_verdict.features, true_verdict.features, strict=True)
    )
    total = config.deceive_weight * deceive + config.feature_weight * features + judges
    return AdversarialLosses(total, deceive, features, judges)


def _mean(values: object) -> Tensor:
    return torch.stack(list(values)).mean()  # type: ignore[call-overload]
