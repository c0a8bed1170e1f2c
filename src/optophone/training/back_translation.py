"""Captions alone get the picture that they might be about: back-translation from symbols to the mean region.

A small network learns from the pairs what the regions of a picture are on average, from a caption of it. For a caption
alone it then guesses a region, and the two are one more pair, with noise in the picture and none in the caption.

Source: Sennrich et al. 2016, "Improving Neural Machine Translation Models with Monolingual Data", section 3, with
features of pictures in the place of the source language.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.region_mask import mean_region
from optophone.training.unpaired_method import ASIDE, BACK_TRANSLATION, Pairs, Surroundings

_SMALLEST = 1e-6


@dataclass(frozen=True)
class BackTranslationConfig:
    """How captions alone get pictures.

    Args:
        weight: of the captions with guessed pictures; 0 leaves them out, and the network that guesses too.
        first_step: until then that network learns alone.
        captions: with guessed pictures a step; 0 for as many as the pairs have.
    """

    weight: float = 1.0
    first_step: int = 500
    captions: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if min(self.weight, self.first_step, self.captions) < 0:
            raise ConfigurationError("unpaired.back_translation: weight, first_step and captions are 0 or more.")


class BackTranslation:
    """The losses of the network that guesses pictures, and of captions with its guesses."""

    def __init__(self, config: BackTranslationConfig, around: Surroundings) -> None:
        self.config, self.around = config, around

    def losses(self, model: Any, pairs: Pairs, step: int) -> dict[str, Tensor]:
        """ "feature" teaches the network from the pairs alone, "back_translation" the captioner alone."""
        if not self.config.weight:
            return {}
        network = model.helpers["back_translation"]
        guessed = network(pairs.targets, pairs.counted)[:, 0].float()
        seen = mean_region(pairs.regions, pairs.regions_mask).detach().float()
        found = {"feature": ASIDE * feature_loss(guessed, seen.repeat_interleave(pairs.captions_per_picture, 0))}
        if step >= self.config.first_step:
            found["back_translation"] = self.config.weight * self._of_captions_alone(model, network, step)
        return found

    def _of_captions_alone(self, model: Any, network: Any, step: int) -> Tensor:
        assert self.around.captions is not None
        drawn = self.around.captions.batch(step, self.config.captions or self.around.n_captions, BACK_TRANSLATION)
        device = next(network.parameters()).device
        inputs, targets = (ids.to(device) for ids in drawn)
        with torch.no_grad():  # or the network would learn to write the caption into the region
            regions = network(targets, targets != self.around.pad).float()
        return self.around.cross_entropy(model.decoder(regions, None, inputs).logits, targets)


def feature_loss(guessed: Tensor, seen: Tensor) -> Tensor:
    """The mean square error of `guessed` (N, D), as a share of the variance of `seen` (N, D): 1 for their mean."""
    return (guessed - seen).square().mean() / seen.var(0, unbiased=False).mean().clamp(min=_SMALLEST)
