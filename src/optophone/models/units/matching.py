"""Which picture belongs to which speech: similarity, and the losses that teach it."""

from typing import NamedTuple

import torch
from torch import Tensor


class MatchingLosses(NamedTuple):
    """Scalars of one batch of pairs; the source is asked for its partner in the direction that the name says.

    Fields: sampled_* with one random impostor each, semi_hard_* with the hardest one below the partner; quantization,
    the sum over the quantizers.
    """

    sampled_to_speech: Tensor
    sampled_to_picture: Tensor
    semi_hard_to_speech: Tensor
    semi_hard_to_picture: Tensor
    quantization: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum, which training minimizes."""
        return torch.stack(list(self)).sum()


def similarity(regions: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """(B, B') products of mean picture and mean speech features; rows are pictures.

    Args:
        regions: (B, R, D) of pictures.
        frames: (B', D, T) of speech.
        lengths: (B',) valid frames; 0 counts as 1.

    Source: Harwath et al. 2018, "Jointly Discovering Visual Objects and Spoken Words", equation 1 (pooled).
    """
    with torch.autocast(regions.device.type, enabled=False):
        return regions.float().mean(1) @ pooled_speech(frames, lengths).T


def pooled_speech(frames: Tensor, lengths: Tensor) -> Tensor:
    """(B, D) means of the valid `frames` (B, D, T); `lengths` (B,) of 0 count as 1."""
    kept = lengths.clamp(min=1)
    mask = torch.arange(frames.shape[2], device=frames.device) < kept[:, None]
    return (frames.float() * mask[:, None]).sum(2) / kept[:, None]


def draw_negatives(n: int) -> Tensor:
    """(n,) for each row another one, at random."""
    assert n > 1, "a single pair has no impostor"
    draws = torch.randint(n - 1, (n,))
    return draws + (draws >= torch.arange(n))


def sampled_triplet_loss(scores: Tensor, margin: float, negatives: Tensor | None = None) -> Tensor:
    """Mean hinge between the partner of each row of `scores` (B, B) and an impostor.

    Args:
        scores: the diagonal has the partners.
        margin: by which a partner is to win.
        negatives: (B,) column of each row's impostor; None draws them.

    Source: Harwath, Hsu and Glass 2020, section 3.3.
    """
    n = len(scores)
    negatives = draw_negatives(n) if negatives is None else negatives
    impostors = scores.gather(1, negatives.to(scores.device)[:, None])[:, 0]
    return (impostors - scores.diagonal() + margin).clamp(min=0).mean()


def semi_hard_triplet_loss(scores: Tensor, margin: float) -> Tensor:
    """Mean hinge between the partner of each row of `scores` (B, B) and the best impostor that scores below it.

    As in the original, what does not score below the partner counts as 0, not as absent: an impostor's score is never
    negative.

    Source: Harwath, Hsu and Glass 2020, section 3.3, after Schroff et al. 2015 ("FaceNet"), equation 4.
    """
    partners = scores.diagonal()
    impostors = torch.where(scores < partners[:, None], scores, 0.0).amax(1)
    return (impostors - partners + margin).clamp(min=0).mean()
