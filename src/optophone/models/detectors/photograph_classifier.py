"""Is a picture a photograph at all? A small network over statistics of the picture."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class PhotographClassifierConfig:
    """Sizes of `PhotographClassifier`.

    Args:
        hidden: width of the one hidden layer.
        dropout: on the statistics and on the hidden layer while training.
        limit: standard deviations beyond which a statistic counts as no stranger: pictures of kinds that were never
            seen lie far out, and must not be judged by one number alone.
    """

    hidden: int = 32
    dropout: float = 0.1
    limit: float = 4.0


class PhotographClassifier(nn.Module):
    """Statistics (B, D) of `core.picture_statistics` → the logit (B,) that the picture is a photograph.

    Args:
        n_statistics: D.
        config: sizes.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_statistics: int, config: PhotographClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(n_statistics))
        self.register_buffer("scale", torch.ones(n_statistics))
        self.dropout = nn.Dropout(config.dropout)
        self.first = nn.Linear(n_statistics, config.hidden)
        self.second = nn.Linear(config.hidden, 1)

    def standardize(self, statistics: Tensor) -> None:
        """Take mean and spread from `statistics` (B, D)."""
        self.mean.copy_(statistics.mean(0))
        self.scale.copy_(statistics.std(0) + 1e-3)

    def forward(self, statistics: Tensor) -> Tensor:
        """Logits (B,) of statistics (B, D)."""
        limit = self.config.limit
        standard = ((statistics - self.mean) / self.scale).clamp(-limit, limit)
        hidden = torch.relu(self.first(self.dropout(standard)))
        return self.second(self.dropout(hidden)).squeeze(1)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `runtime.photograph_detector` reads, by name."""
        arrays = {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}
        return {**arrays, "limit": np.float32(self.config.limit)}
