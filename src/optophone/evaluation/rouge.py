"""ROUGE-L of captions: how much of a reference comes in the same order."""

from collections.abc import Hashable, Sequence

import numpy as np

from optophone.evaluation.ngrams import Tokens, check_pairs


def rouge_l(captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]], beta: float = 1.2) -> np.ndarray:
    """ROUGE-L of each caption, as the COCO caption evaluation computes it.

    Args:
        captions: one per picture, as tokens of any hashable type.
        references: at least one per picture; the best precision and the best recall among them count.
        beta: weight of recall against precision.

    Returns:
        (P,) float64 in 0..1; the score of the set is the mean.

    Raises:
        DataError: no captions, or a picture without references.

    Source: Lin 2004, equations 2 to 4. Proof: tests/data/test_metrics_against_pycocoevalcap.py
    """
    check_pairs(captions, references)
    pairs = zip(captions, references, strict=True)
    return np.array([_score(caption, some, beta) for caption, some in pairs], dtype=np.float64)


def _score(caption: Tokens, references: Sequence[Tokens], beta: float) -> float:
    caption = caption or _EMPTY  # the evaluation we follow gives an empty caption one empty token
    places = _places(caption)
    precision = recall = 0.0
    for reference in references:
        reference = reference or _EMPTY
        common = _common_length(places, len(caption), reference)
        precision = max(precision, common / len(caption))
        recall = max(recall, common / len(reference))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


_EMPTY = ("",)


def _places(tokens: Tokens) -> dict[Hashable, int]:
    """For every token a number whose bit i is set where the token stands at position i."""
    places: dict[Hashable, int] = {}
    for i, token in enumerate(tokens):
        places[token] = places.get(token, 0) | (1 << i)
    return places


def _common_length(places: dict[Hashable, int], length: int, other: Tokens) -> int:
    """Length of the longest common subsequence, a row of the table per addition.

    Args:
        places: of the first sequence, from `_places`.
        length: of the first sequence.
        other: the second sequence.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited", the recurrence V = (V + U) | (V - U).
    """
    every = (1 << length) - 1
    row = every  # a zero bit is one more symbol in common
    for token in other:
        matched = row & places.get(token, 0)
        row = ((row + matched) | (row - matched)) & every
    return length - row.bit_count()
