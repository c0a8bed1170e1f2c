"""CIDEr-D and CIDEr: agreement with references, counting most the n-grams that few pictures have.

`CiderD` keeps the references of a whole set as sorted arrays, so that it serves both to score a set once and as the
reward of self-critical training, where it is called at every step.
"""

from collections.abc import Sequence

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.document_frequency import DocumentFrequency
from optophone.evaluation.ngrams import (
    MAX_ORDER,
    NgramCounts,
    TokenIds,
    Tokens,
    check_pairs,
    check_references,
    count_ngrams,
    hash_ngrams,
    sorted_distinct,
)


class CiderD:
    """CIDEr-D against a fixed set of references.

    Source: Vedantam et al. 2015, section 6 (CIDEr-D: counts clipped, Gaussian penalty on length, mean over n = 1..4,
    times 10), with the details of the COCO caption evaluation: lengths are counted in bigrams.
    Proof: tests/data/test_metrics_against_pycocoevalcap.py
    """

    def __init__(
        self,
        references: Sequence[Sequence[Tokens]],
        frequency: DocumentFrequency | None = None,
        sigma: float = 6.0,
        clip: bool = True,
    ) -> None:
        """Prepare the references.

        Args:
            references: for every picture at least one caption, as tokens of any hashable type. For self-critical
                training on symbol ids let each end with the end symbol, as the captions to score must then too.
            frequency: how common each n-gram is; by default counted over `references`.
            sigma: width of the length penalty, in tokens; infinite for none.
            clip: count an n-gram of a caption no more often than the reference has it.

        Raises:
            DataError: no pictures, or a picture without references.
        """
        check_references(references)
        self._sigma, self._clip = sigma, clip
        self._ids = TokenIds()
        self._n_references = np.array([len(captions) for captions in references])
        self._first_reference = np.cumsum(self._n_references) - self._n_references
        flat, lengths = self._ids.flatten([caption for captions in references for caption in captions])
        picture = np.repeat(np.arange(len(references)), self._n_references)
        ngrams = count_ngrams(flat, lengths)
        self._n_bigrams = np.maximum(lengths - 1, 0)
        self._keys, self._rarity, self._highest_rarity = self._weigh(ngrams, picture, len(references), frequency)
        key_index = np.searchsorted(self._keys, ngrams.key)
        weights = ngrams.count * self._rarity[key_index]
        self._norms = _norms(ngrams, weights, len(lengths))
        place = picture[ngrams.caption] * len(self._keys) + key_index
        sorting = np.argsort(place, kind="stable")
        self._places = place[sorting]  # picture and n-gram in one number
        self._weights = weights[sorting]
        self._captions = ngrams.caption[sorting]

    def _weigh(
        self, ngrams: NgramCounts, picture: np.ndarray, n_pictures: int, frequency: DocumentFrequency | None
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Sorted keys (U,), their inverse document frequency (U,), and that of an n-gram never seen."""
        keys, key_index = np.unique(ngrams.key, return_inverse=True)
        if frequency is None:
            pairs = sorted_distinct(picture[ngrams.caption] * len(keys) + key_index)
            counts = np.bincount(pairs % len(keys), minlength=len(keys)).astype(np.float64)
        else:
            keys, counts = self._merge(keys, frequency)
            n_pictures = frequency.n_pictures
        return keys, np.log(float(n_pictures)) - np.log(np.maximum(1.0, counts)), float(np.log(n_pictures))

    def _merge(self, keys: np.ndarray, frequency: DocumentFrequency) -> tuple[np.ndarray, np.ndarray]:
        """All keys of the references and of `frequency`, sorted, and the counts of the latter."""
        if frequency.n_pictures < 1:
            raise DataError("The document frequencies were counted over no pictures.")
        ids, _ = self._ids.flatten([frequency.tokens])
        table = hash_ngrams(np.append(ids, -1)[frequency.ngrams])  # -1, after an n-gram's end, stays -1
        merged = sorted_distinct(np.concatenate([keys, table]))
        counts = np.zeros(len(merged))
        counts[np.searchsorted(merged, table)] = frequency.counts
        return merged, counts

    def score(self, captions: Sequence[Tokens], pictures: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Score each caption against the references of its picture.

        Args:
            captions: N captions of tokens; lists are faster than arrays.
            pictures: (N,) which picture of `references` each belongs to; by default caption i to picture i.

        Returns:
            (N,) float64, 0 to 10: the scale of the COCO caption evaluation. The score of the set is the mean.

        Raises:
            DataError: no captions.
        """
        if not len(captions):
            raise DataError("No captions to score: there is no metric over nothing.")
        picture = np.arange(len(self._n_references)) if pictures is None else np.asarray(pictures, dtype=np.int64)
        assert len(picture) == len(captions), (len(picture), len(captions))
        flat, lengths = self._ids.flatten(captions)
        ngrams = count_ngrams(flat, lengths)
        key_index = np.minimum(np.searchsorted(self._keys, ngrams.key), len(self._keys) - 1)
        is_known = self._keys[key_index] == ngrams.key if len(self._keys) else np.zeros(len(ngrams.key), bool)
        rarity = np.full(len(ngrams.key), self._highest_rarity)
        rarity[is_known] = self._rarity[key_index[is_known]]
        weights = ngrams.count * rarity
        norms = _norms(ngrams, weights, len(captions))
        wanted = np.where(is_known, picture[ngrams.caption] * len(self._keys) + key_index, -1)
        products = self._products(ngrams, weights, wanted, picture)
        return self._combine(products, norms, np.maximum(lengths - 1, 0), picture)

    def _products(
        self, ngrams: NgramCounts, weights: np.ndarray, wanted: np.ndarray, picture: np.ndarray
    ) -> np.ndarray:
        """Clipped dot products (pairs, 4) of each caption with each of its references, one pair after the other."""
        low = np.searchsorted(self._places, wanted, side="left")
        n_matches = np.searchsorted(self._places, wanted, side="right") - low
        entry = np.repeat(np.arange(len(wanted)), n_matches)
        within = np.arange(len(entry)) - np.repeat(np.cumsum(n_matches) - n_matches, n_matches)
        match = low[entry] + within
        theirs = self._weights[match]
        caption = ngrams.caption[entry]
        n_pairs = self._n_references[picture]
        pair = (np.cumsum(n_pairs) - n_pairs)[caption] + self._captions[match] - self._first_reference[picture[caption]]
        slots = pair * MAX_ORDER + ngrams.order[entry]
        products = (np.minimum(weights[entry], theirs) if self._clip else weights[entry]) * theirs
        summed = np.bincount(slots, products, n_pairs.sum() * MAX_ORDER)
        return summed.astype(np.float64).reshape(-1, MAX_ORDER)  # of nothing, bincount makes integers

    def _combine(
        self, products: np.ndarray, norms: np.ndarray, n_bigrams: np.ndarray, picture: np.ndarray
    ) -> np.ndarray:
        """Scores (N,) from the products (pairs, 4) of every caption with its references."""
        n_pairs = self._n_references[picture]
        caption = np.repeat(np.arange(len(picture)), n_pairs)
        within = np.arange(len(caption)) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
        reference = self._first_reference[picture[caption]] + within
        scale = norms[caption] * self._norms[reference]
        cosines = np.divide(products, scale, out=np.zeros_like(products), where=scale != 0)
        difference = n_bigrams[caption] - self._n_bigrams[reference]
        penalty = np.exp(-(difference**2) / (2 * self._sigma**2))
        per_pair = cosines.mean(axis=1) * penalty
        return 10 * np.bincount(caption, per_pair, len(picture)) / n_pairs


def plain_cider(
    captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]], frequency: DocumentFrequency | None = None
) -> np.ndarray:
    """CIDEr without the D: cosines of the weighted n-gram counts, neither clipped nor punished for length.

    Args:
        captions: one per picture, as tokens of any hashable type.
        references: at least one per picture.
        frequency: as for `CiderD`.

    Returns:
        (P,) float64, 0 to 10.

    Raises:
        DataError: no captions, or a picture without references.

    Source: Vedantam et al. 2015, equations 1 to 3 with n = 1..4, without stemming, as their own implementation does it.
    """
    check_pairs(captions, references)
    return CiderD(references, frequency, sigma=np.inf, clip=False).score(captions)


def _norms(ngrams: NgramCounts, weights: np.ndarray, n_captions: int) -> np.ndarray:
    """Euclidean norms (C, 4) of the weight vectors of each order."""
    slots = ngrams.caption * MAX_ORDER + ngrams.order
    return np.sqrt(np.bincount(slots, weights**2, n_captions * MAX_ORDER)).reshape(-1, MAX_ORDER)
