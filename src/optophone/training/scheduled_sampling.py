"""Scheduled sampling: a captioner in training reads some of its own symbols instead of the known ones.

Source: Bengio et al. 2015, "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks", section 2.4,
with the stepwise schedule of the public X-LAN.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optophone.core.errors import ConfigurationError


@dataclass(frozen=True)
class ScheduledSamplingConfig:
    """How likely an input symbol is one of the captioner's own.

    Args:
        first_step: optimizer steps until the count begins.
        increase_every: steps from one rise of the probability to the next; the first comes so many steps after
            `first_step`.
        increase: added at each rise.
        largest: the probability rises no further.

    The public X-LAN has increase .05, largest .5, first_step 6 epochs and increase_every 5 epochs, so that its first
    rise comes with the twelfth epoch.
    """

    first_step: int
    increase_every: int
    increase: float = 0.05
    largest: float = 0.5

    def __post_init__(self) -> None:
        """Refuse schedules that do not rise or leave the range of probabilities."""
        if self.first_step < 0 or self.increase_every < 1:
            raise ConfigurationError(
                "scheduled_sampling: give a first_step of 0 or more and an increase_every above 0."
            )
        if self.increase <= 0 or not 0 < self.largest <= 1:
            raise ConfigurationError("scheduled_sampling: give an increase above 0 and a largest above 0, at most 1.")

    def probability(self, step: int) -> float:
        """Of a symbol to be replaced at `step` (from 0)."""
        n_rises = max(step - self.first_step, 0) // self.increase_every
        return min(self.increase * n_rises, self.largest)


@torch.no_grad()
def mix_inputs(decoder: Any, regions: Tensor, regions_mask: Tensor | None, ids: Tensor, probability: float) -> Tensor:
    """Known captions with some of their symbols replaced by the decoder's own.

    Every symbol after the first is replaced with `probability`, each independently of the others, by one drawn from
    the decoder's distribution after the symbols before it, replaced ones included. The decoder draws as it would when
    captioning, without dropout, through `begin` and `step`, so this works for every member of the family. Randomness
    is PyTorch's own, which training seeds anew at each step: a resumed run draws the same.

    Args:
        decoder: a member of the captioner family.
        regions: (B, R, D).
        regions_mask: (B, R) true where valid, or None when all are.
        ids: (B·C, S) input symbols that begin with start; the C captions of a picture are adjacent.
        probability: 0..1; 0 returns `ids` and draws nothing.

    Returns:
        (B·C, S) a new tensor.
    """
    if probability <= 0:
        return ids
    replaced = torch.rand(ids.shape, device=ids.device) < probability
    replaced[:, 0] = False
    places = replaced.any(0).nonzero()
    was_training = decoder.training
    decoder.eval()
    mixed = ids.clone()
    memory, state = decoder.begin(regions, regions_mask)
    n_captions = len(ids) // len(regions)
    memory, state = (tuple(part.repeat_interleave(n_captions, 0) for part in parts) for parts in (memory, state))
    for place in range(1, int(places[-1]) + 1 if len(places) else 0):
        log_probs, _, state = decoder.step(mixed[:, place - 1], memory, state)
        rows = replaced[:, place].nonzero().squeeze(1)
        if len(rows):
            mixed[rows, place] = torch.multinomial(log_probs[rows].exp(), 1).squeeze(1)
    decoder.train(was_training)
    return mixed
