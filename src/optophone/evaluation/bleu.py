"""BLEU over a set of captions, with the figures that make corpus scores and resampling cheap.

The numbers are those of the COCO caption evaluation (pycocoevalcap): the closest reference length counts, and tiny
constants keep the logarithms finite instead of any smoothing.
"""

from collections.abc import Sequence

import numpy as np

from optophone.evaluation.ngrams import MAX_ORDER, NgramCounts, TokenIds, Tokens, check_pairs, count_ngrams

_TINY = 1e-15
_SMALL = 1e-9


def bleu_statistics(captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """What corpus BLEU needs to know of each picture; sums over pictures are all that `bleu_scores` takes.

    Args:
        captions: one per picture, as tokens of any hashable type.
        references: at least one per picture.

    Returns:
        (P, 10) float64: n-grams found in a reference (clipped) for n = 1..4, n-grams offered for n = 1..4, length of
        the caption, length of the closest reference (the shorter where two are as close).

    Raises:
        DataError: no captions, or a picture without references.
    """
    check_pairs(captions, references)
    ids = TokenIds()
    picture = np.repeat(np.arange(len(references)), [len(some) for some in references])
    flat, lengths = ids.flatten(captions)
    reference_flat, reference_lengths = ids.flatten([reference for some in references for reference in some])
    offered = count_ngrams(flat, lengths)
    found = _clipped(offered, count_ngrams(reference_flat, reference_lengths), picture)
    slots = offered.caption * MAX_ORDER + offered.order
    n_slots = len(captions) * MAX_ORDER
    return np.column_stack(
        [
            np.bincount(slots, found, n_slots).reshape(-1, MAX_ORDER),
            np.bincount(slots, offered.count, n_slots).reshape(-1, MAX_ORDER),
            lengths,
            _closest_lengths(lengths, reference_lengths, picture),
        ]
    ).astype(np.float64)


def bleu_scores(totals: np.ndarray) -> np.ndarray:
    """BLEU-1..4 from summed statistics.

    Args:
        totals: (..., 10) sums of `bleu_statistics` over pictures.

    Returns:
        (..., 4) BLEU-1, BLEU-2, BLEU-3, BLEU-4 in 0..1.

    Source: Papineni et al. 2002, section 2.3. Proof: tests/data/test_metrics_against_pycocoevalcap.py
    """
    found, offered = totals[..., :MAX_ORDER], totals[..., MAX_ORDER : 2 * MAX_ORDER]
    precisions = (found + _TINY) / (offered + _SMALL)
    means = np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, MAX_ORDER + 1))
    ratio = (totals[..., -2] + _TINY) / (totals[..., -1] + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    return means * brevity[..., None]


def _clipped(offered: NgramCounts, references: NgramCounts, picture: np.ndarray) -> np.ndarray:
    """(E,) how many of each offered n-gram count: no more than the reference that has it most often."""
    keys, key_index = np.unique(np.concatenate([offered.key, references.key]), return_inverse=True)
    n_offered = len(offered.key)
    wanted = offered.caption * len(keys) + key_index[:n_offered]
    held = picture[references.caption] * len(keys) + key_index[n_offered:]
    if not len(held):
        return np.zeros(n_offered)
    sorting = np.argsort(held, kind="stable")
    held, counts = held[sorting], references.count[sorting]
    first = np.flatnonzero(np.diff(held, prepend=-1))
    most, held = np.maximum.reduceat(counts, first), held[first]
    place = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return np.where(held[place] == wanted, np.minimum(most[place], offered.count), 0)


def _closest_lengths(lengths: np.ndarray, reference_lengths: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """(P,) the reference length nearest to each caption's; the shorter one where two are equally near."""
    distance = np.abs(reference_lengths - lengths[picture])
    sorting = np.lexsort((reference_lengths, distance, picture))
    first = np.flatnonzero(np.diff(picture, prepend=-1))
    return reference_lengths[sorting][first]
