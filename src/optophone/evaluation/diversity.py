"""How varied captions are: a model that says the same of every picture may score well and still say little."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.bleu import bleu_scores
from optophone.evaluation.ngrams import MAX_ORDER, TokenIds, Tokens, count_ngrams


@dataclass(frozen=True)
class Diversity:
    """How varied a set of captions is.

    Args:
        n_distinct_captions: different captions.
        vocabulary_used: different words in all captions.
        distinct_1, distinct_2: different single words, or pairs of neighbours, over all of them, 0 to 1.
        mean_length: words per caption.
        self_bleu: BLEU-4 times 100 of every caption against all others of the set (`self_bleu`); 0 for one caption.
        seen_in_training: share of the captions that are a training caption word for word, 0 to 1; None where no
            training captions were given.
    """

    n_distinct_captions: int
    vocabulary_used: int
    distinct_1: float
    distinct_2: float
    mean_length: float
    self_bleu: float
    seen_in_training: float | None


def diversity(captions: Sequence[Tokens], training: Iterable[Tokens] | None = None) -> Diversity:
    """Measure how varied `captions` are.

    Args:
        captions: of different pictures.
        training: captions that the model was trained on.

    Raises:
        DataError: no captions.
    """
    if not captions:
        raise DataError("No captions to count: there is no variety of nothing.")
    words = [word for caption in captions for word in caption]
    pairs = [pair for caption in captions for pair in pairwise(caption)]
    return Diversity(
        n_distinct_captions=len({tuple(caption) for caption in captions}),
        vocabulary_used=len(set(words)),
        distinct_1=distinct_share(words),
        distinct_2=distinct_share(pairs),
        mean_length=len(words) / len(captions),
        self_bleu=100 * self_bleu([captions]) if len(captions) > 1 else 0.0,
        seen_in_training=None if training is None else seen_share(captions, training),
    )


def distinct_share(items: Sequence[Hashable]) -> float:
    """Share of different items among `items` (Li et al. 2016); 0 where there are none, for captions of one word."""
    return len(set(items)) / len(items) if items else 0.0


def seen_share(captions: Sequence[Tokens], training: Iterable[Tokens]) -> float:
    """Share of `captions` that stand in `training` word for word, 0 to 1."""
    seen = {tuple(caption) for caption in training}
    return sum(tuple(caption) in seen for caption in captions) / len(captions)


def self_bleu(groups: Sequence[Sequence[Tokens]]) -> float:
    """BLEU-4 of every caption with the other captions of its group as references; the lower, the more varied.

    Args:
        groups: captions that are compared with each other: all captions of a set as one group, or for every picture the
            several captions of it. Groups of one caption are left out.

    Returns:
        Corpus BLEU-4 over all captions, 0..1.

    Raises:
        DataError: no group has two captions.

    Source: Zhu et al. 2018 (Texygen), section 3.2, here with the counts of all captions summed before the score is
    taken, as corpus BLEU does, so that no smoothing is needed.
    """
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        raise DataError("self-BLEU compares captions with each other: give two of a picture, or of a set, at least.")
    group = np.repeat(np.arange(len(groups)), [len(some) for some in groups])
    flat, lengths = TokenIds().flatten([caption for some in groups for caption in some])
    counts = count_ngrams(flat, lengths)
    found = np.minimum(counts.count, _most_elsewhere(counts.key, counts.count, group[counts.caption]))
    by_group = np.split(lengths, np.cumsum([len(some) for some in groups])[:-1])
    totals = np.concatenate(
        [
            np.bincount(counts.order, found, MAX_ORDER),
            np.bincount(counts.order, counts.count, MAX_ORDER),
            [lengths.sum(), sum(_closest_lengths(some).sum() for some in by_group)],
        ]
    )
    return float(bleu_scores(totals)[MAX_ORDER - 1])


def _most_elsewhere(key: np.ndarray, count: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(E,) for each n-gram of a caption, how often the other caption of its group that has it most often has it."""
    sorting = np.lexsort((-count, key, group))
    key, count, group = key[sorting], count[sorting], group[sorting]
    is_first = np.ones(len(key), bool)
    is_first[1:] = (key[1:] != key[:-1]) | (group[1:] != group[:-1])
    highest = count[np.flatnonzero(is_first)][np.cumsum(is_first) - 1]
    following = np.append(count[1:], 0) * ~np.append(is_first[1:], True)  # the second highest, after the highest
    most = np.empty_like(count)
    most[sorting] = np.where(is_first, following, highest)
    return most


def _closest_lengths(lengths: np.ndarray) -> np.ndarray:
    """(C,) for each caption the length, among those of the others, that is nearest; the shorter of two as near."""
    sorting = np.argsort(lengths, kind="stable")
    ordered = lengths[sorting].astype(np.float64)
    below = np.concatenate([[-np.inf], ordered[:-1]])
    above = np.concatenate([ordered[1:], [np.inf]])
    closest = np.empty(len(lengths))
    closest[sorting] = np.where(ordered - below <= above - ordered, below, above)
    return closest
