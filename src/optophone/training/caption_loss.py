"""What captioners are taught to make small: cross-entropy, and attention that skips no region."""

import torch.nn.functional as F
from torch import Tensor


def caption_cross_entropy(logits: Tensor, targets: Tensor, ignored: int, label_smoothing: float = 0.0) -> Tensor:
    """The mean negative log-likelihood of the symbols that count.

    Args:
        logits: (B, S, V) scores of the next symbol.
        targets: (B, S) the next symbols, end included.
        ignored: the id in `targets` that does not count (padding).
        label_smoothing: share of the probability that is spread evenly over the vocabulary (Szegedy et al. 2016).

    Returns:
        scalar, nats per symbol. Targets without any symbol that counts are a mistake of the caller.
    """
    counted = targets != ignored
    assert bool(counted.any()), "no target symbol counts"
    # Padding is left out before the softmax over the vocabulary, which is what costs time.
    return F.cross_entropy(logits[counted].float(), targets[counted], label_smoothing=label_smoothing)


def doubly_stochastic_penalty(attention: Tensor, counted: Tensor, regions_mask: Tensor | None = None) -> Tensor:
    """How far each region's attention, summed over the caption, is from 1: the mean square over regions and captions.

    Args:
        attention: (B, S, R) weights over the regions per symbol.
        counted: (B, S) true where a symbol counts.
        regions_mask: (P, R) true where there is a region, of the pictures whose B / P captions are adjacent; None where
            every region is there.

    Returns:
        scalar. The paper sums over the regions (eq. 14); the mean keeps the same meaning for any number of them.

    Source: Xu et al. 2015, section 4.2.1, eq. 14.
    """
    received = (attention.float() * counted.unsqueeze(-1)).sum(1)
    missed = (1 - received).square()
    if regions_mask is None:
        return missed.mean()
    return missed[regions_mask.repeat_interleave(len(missed) // len(regions_mask), 0)].mean()
