"""Retrieval: how often the partner is among the best matches."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RetrievalScores:
    """Recalls of `n` pairs, as shares.

    Args:
        n: pairs among which partners were sought.
        to_speech: rank to share of pictures whose speech is among so many best.
        to_picture: rank to share of utterances whose picture is.
    """

    n: int
    to_speech: dict[int, float]
    to_picture: dict[int, float]

    def mean(self, rank: int) -> float:
        """Of both directions."""
        return (self.to_speech[rank] + self.to_picture[rank]) / 2

    def chance(self, rank: int) -> float:
        """What guessing would reach."""
        return min(1.0, rank / self.n)


def retrieval_scores(scores: np.ndarray, ranks: tuple[int, ...] = (1, 5, 10)) -> RetrievalScores:
    """Recalls of a matrix `scores` (N, N), rows pictures, columns speech, partners on the diagonal.

    Equal scores, and what is no number, count against the partner: a model that says the same of all pairs recalls
    nothing.
    """
    scores = np.asarray(scores)
    assert scores.shape == (len(scores), len(scores)), f"not square: {scores.shape}"
    assert len(scores), "a recall over no pairs means nothing"
    partners = scores.diagonal()
    better_speech = (~(scores < partners[:, None])).sum(1) - 1
    better_pictures = (~(scores < partners[None])).sum(0) - 1
    return RetrievalScores(
        n=len(scores),
        to_speech={rank: float((better_speech < rank).mean()) for rank in ranks},
        to_picture={rank: float((better_pictures < rank).mean()) for rank in ranks},
    )
