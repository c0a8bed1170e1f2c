"""Self-critical training: sampled captions are rewarded by CIDEr-D, each against its siblings.

Source: Rennie et al. 2017, "Self-critical Sequence Training for Image Captioning", equations 8–11; the baseline of a
sample is the mean reward of the other samples of its picture (Luo 2020, "A Better Variant of Self-Critical Sequence
Training", equation 4). The end symbol is part of every sample and reference: without it sentences learn to break off.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import pad_captions
from optophone.evaluation.cider import CiderD
from optophone.evaluation.document_frequency import DocumentFrequency


@dataclass(frozen=True)
class SelfCriticalConfig:
    """Sampling for self-critical training.

    Args:
        n_samples: captions sampled per picture, at least 2.
        temperature: of the sampling.
    """

    n_samples: int = 5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what leaves a sample without siblings, or without chance."""
        if self.n_samples < 2:
            raise ConfigurationError(f"self_critical: n_samples is {self.n_samples}; give at least 2.")
        if self.temperature <= 0:
            raise ConfigurationError(f"self_critical: temperature is {self.temperature}; give more than 0.")


class SelfCriticalReward:
    """CIDEr-D of sampled ids against the training captions.

    Args:
        captions: ids of the training captions, picture by picture, each with its end symbol.
        config: sampling.
        frequency: document frequencies, as they are kept beside a data set; None to count them over `captions`.
    """

    def __init__(
        self,
        captions: list[list[list[int]]],
        config: SelfCriticalConfig,
        frequency: DocumentFrequency | None = None,
    ) -> None:
        self.config = config
        self.cider = CiderD(captions, frequency)

    def score(self, sampled: list[list[int]], indices: Tensor) -> Tensor:
        """(B · n_samples,) CIDEr-D, 0..10, of `sampled` for the pictures `indices` (B,)."""
        pictures = indices.repeat_interleave(self.config.n_samples).tolist()
        return torch.from_numpy(self.cider.score(sampled, pictures)).float()


@torch.no_grad()
def sample_captions(
    decoder: Any,
    regions: Tensor,
    vocabulary: Vocabulary,
    config: SelfCriticalConfig,
    max_symbols: int,
    regions_mask: Tensor | None = None,
) -> list[list[int]]:
    """Captions drawn from the decoder, `n_samples` for each of the pictures, adjacent; the end symbol included."""
    assert vocabulary.start is not None
    memory, state = decoder.begin(regions, regions_mask)
    n = config.n_samples
    memory, state = (tuple(part.repeat_interleave(n, 0) for part in parts) for parts in (memory, state))
    ids = torch.full((len(regions) * n,), vocabulary.start, device=regions.device)
    never = [i for i in (vocabulary.pad, vocabulary.start, vocabulary.unknown) if i is not None and i != vocabulary.end]
    running = torch.ones(len(ids), dtype=torch.bool, device=regions.device)
    sampled: list[list[int]] = [[] for _ in ids]
    for _ in range(max_symbols):
        log_probs, _, state = decoder.step(ids, memory, state)
        log_probs[:, never] = -torch.inf
        ids = torch.multinomial((log_probs / config.temperature).softmax(-1), 1).squeeze(1)
        for row in running.nonzero().squeeze(1).tolist():
            sampled[row].append(int(ids[row]))
        running &= ids != vocabulary.end
        if not running.any():
            break
    return sampled


def self_critical_loss(
    decoder: Any,
    regions: Tensor,
    sampled: list[list[int]],
    rewards: Tensor,
    vocabulary: Vocabulary,
    temperature: float = 1.0,
    regions_mask: Tensor | None = None,
) -> Tensor:
    """The mean of −log P(symbol) times how much better the caption was than its siblings.

    Args:
        regions: (B, R, D).
        sampled: B · n captions.
        rewards: (B · n,).
        temperature: at which they were sampled: P is the distribution they came from, or the gradient is biased.
        regions_mask: (B, R) true where valid, or None when all are.
    """
    n = len(sampled) // len(regions)
    by_picture = rewards.view(len(regions), n)
    others = (by_picture.sum(1, keepdim=True) - by_picture) / (n - 1)
    advantage = (by_picture - others).view(-1, 1).to(regions.device)
    padded = pad_captions(sampled, vocabulary, max(map(len, sampled)))
    inputs, targets = (ids.to(regions.device) for ids in padded)
    logits = decoder(regions, regions_mask, inputs, n).logits.float()
    chosen = (logits / temperature).log_softmax(-1).gather(2, targets.unsqueeze(2)).squeeze(2)
    counted = targets != vocabulary.pad
    return -(advantage * chosen * counted).sum() / counted.sum()
