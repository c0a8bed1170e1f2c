"""Captions alone teach the captioner what people say: it writes them with no picture to look at.

Every member of the family is a language model with something to look at. Where there is nothing, it looks at one
learned region, and the loss is CE(pairs) + λ · CE(captions alone). With `alone_until` captions alone come first and
the pairs then: a language model that is conditioned on pictures afterwards.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.training.unpaired_method import LANGUAGE_MODEL, Surroundings


@dataclass(frozen=True)
class LanguageModelConfig:
    """How captions alone are learned.

    Args:
        weight: λ; 0 leaves them out.
        captions: a step; 0 for as many as the pairs have.
        alone_until: before this step pairs are left out.
    """

    weight: float = 1.0
    captions: int = 0
    alone_until: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers, and to learn nothing at first."""
        if min(self.weight, self.captions, self.alone_until) < 0:
            raise ConfigurationError("unpaired.language_model: weight, captions and alone_until are 0 or more.")
        if self.alone_until and not self.weight:
            raise ConfigurationError("unpaired.language_model: alone_until needs a weight above 0.")


class LanguageModel:
    """The loss of captions without pictures."""

    def __init__(self, config: LanguageModelConfig, around: Surroundings) -> None:
        self.config, self.around = config, around

    def losses(self, model: Any, pairs: Any, step: int) -> dict[str, Tensor]:
        """λ times the cross-entropy of captions alone."""
        if not self.config.weight:
            return {}
        assert self.around.captions is not None
        n = self.config.captions or self.around.n_captions
        drawn = self.around.captions.batch(step, n, LANGUAGE_MODEL)
        inputs, targets = (ids.to(pairs.targets.device) for ids in drawn)
        logits = model.decoder(model.helpers["no_picture"](n), None, inputs).logits
        return {"language_model": self.config.weight * self.around.cross_entropy(logits, targets)}
