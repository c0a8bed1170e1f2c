"""The skip-modal bottleneck: pictures and speech become regions through the same few vectors, and both become units.

Speech alone is autoencoded, speech → bottleneck → units, by the captioner that writes units of pictures, picture →
bottleneck → units; on the pairs both sides of the bottleneck are drawn together. So what the decoder learns from speech
alone holds for pictures.

Source: Ma et al. 2019, "Unpaired Image-to-Speech Synthesis with Multimodal Information Bottleneck". Simplified: units
take the place of text and of mel frames, so that there are two modalities, not three; pictures are not reconstructed;
pairs are few, not none, and their two sides are matched by a contrastive loss, where the paper matches modalities by an
adversarial classifier; a modality may leave several vectors in the bottleneck.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.models.captioners.image_unit_match import contrastive_loss
from optophone.models.captioners.region_mask import mean_region
from optophone.training.unpaired_method import BOTTLENECK, Pairs, Surroundings


@dataclass(frozen=True)
class SkipModalConfig:
    """How speech goes through the bottleneck; its sizes are the decoder's own, `decoder.bottleneck`.

    Args:
        weight: of the autoencoding; 0 leaves it out.
        matching_weight: of the matching of pairs; 0 leaves it out.
        temperature: of the matching.
        n_tokens: vectors that an utterance leaves. Where the decoder knows the places of regions it must be a number
            that a grid of the same shape can have.
        captions: autoencoded a step; 0 for as many as the pairs have.
    """

    weight: float = 1.0
    matching_weight: float = 0.1
    temperature: float = 0.1
    n_tokens: int = 4
    captions: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if min(self.weight, self.matching_weight, self.captions) < 0 or self.temperature <= 0 or self.n_tokens < 1:
            raise ConfigurationError(
                "unpaired.bottleneck: weights and captions are 0 or more, temperature above 0, n_tokens 1 or more."
            )


class SkipModal:
    """The losses of speech in the bottleneck."""

    def __init__(self, config: SkipModalConfig, around: Surroundings) -> None:
        self.config, self.around = config, around

    def losses(self, model: Any, pairs: Pairs, step: int) -> dict[str, Tensor]:
        """ "autoencoding" of captions alone, "matching" of the pairs."""
        found, speech = {}, model.helpers["speech"]
        if self.config.weight:
            assert self.around.captions is not None
            drawn = self.around.captions.batch(step, self.config.captions or self.around.n_captions, BOTTLENECK)
            inputs, targets = (ids.to(pairs.targets.device) for ids in drawn)
            embedded = speech(targets, targets != self.around.pad)
            logits = model.decoder.teach_embedded(embedded, inputs).logits
            found["autoencoding"] = self.config.weight * self.around.cross_entropy(logits, targets)
        if self.config.matching_weight:
            pictures = mean_region(model.decoder.squeeze(pairs.regions), pairs.regions_mask)
            captions = model.decoder.bottleneck(speech(*pairs.first_captions())).mean(1)
            pictures, captions = F.normalize(pictures.float(), dim=-1), F.normalize(captions.float(), dim=-1)
            matching = contrastive_loss(pictures, captions, self.config.temperature)
            found["matching"] = self.config.matching_weight * matching
        return found
