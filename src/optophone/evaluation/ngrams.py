"""Counting the n-grams of many captions at once, for BLEU and CIDEr-D.

An n-gram is a 64-bit hash of its tokens: with the 20 million different n-grams of the largest caption sets, the chance
that any two share a hash is about 1 in 100,000.
"""

import itertools
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError

Tokens = Sequence[Hashable]
MAX_ORDER = 4


class TokenIds:
    """Numbers tokens (words, ids or anything hashable) in order of appearance."""

    def __init__(self) -> None:
        self._ids: defaultdict[Hashable, int] = defaultdict(itertools.count().__next__)

    def tokens(self) -> tuple[Hashable, ...]:
        """All tokens so far; the place of each is its number."""
        return tuple(self._ids)

    def flatten(self, captions: Sequence[Tokens]) -> tuple[np.ndarray, np.ndarray]:
        """All tokens of `captions` in a row, (sum of lengths,) int64, and the lengths (C,) int64."""
        lengths = np.fromiter((len(caption) for caption in captions), np.int64, len(captions))
        ids = self._ids
        flat = np.fromiter((ids[token] for caption in captions for token in caption), np.int64, lengths.sum())
        return flat, lengths


@dataclass(frozen=True)
class NgramCounts:
    """How often each n-gram of order 1 to 4 comes in each caption; every array is (E,), sorted by caption, then key.

    Args:
        caption: which caption.
        order: length of the n-gram less one, 0..3.
        key: uint64 hash of the n-gram.
        count: at least 1.
    """

    caption: np.ndarray
    order: np.ndarray
    key: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of captions one by one, repetitions included; every array is (E,), sorted by order, then place.

    Args:
        caption: which caption.
        order: length of the n-gram less one, 0..3.
        key: uint64 hash of the n-gram.
        start: where in the row of all tokens it begins.
    """

    caption: np.ndarray
    order: np.ndarray
    key: np.ndarray
    start: np.ndarray


def list_ngrams(flat: np.ndarray, lengths: np.ndarray) -> Ngrams:
    """All n-grams of captions given as `TokenIds.flatten` gives them."""
    caption = np.repeat(np.arange(len(lengths)), lengths)
    n_following = np.cumsum(lengths)[caption] - np.arange(len(flat))  # tokens from here to the caption's end
    words = _mix(flat.astype(np.uint64) + np.uint64(1))
    keys, starts, orders = [], [], []
    key = words
    for order in range(MAX_ORDER):
        if order:
            key = _mix(key[:-1] * _ODD + words[order:])
        fits = np.flatnonzero(n_following[: len(key)] > order)
        keys.append(key[fits])
        starts.append(fits)
        orders.append(np.full(len(fits), order))
    start = np.concatenate(starts)
    return Ngrams(caption[start], np.concatenate(orders), np.concatenate(keys), start)


def hash_ngrams(ngrams: np.ndarray) -> np.ndarray:
    """The keys (U,) uint64, as in `Ngrams`, of n-grams (U, 4) of token ids, -1 after the last token of each."""
    words = _mix((ngrams + 1).astype(np.uint64))
    key = words[:, 0]
    for order in range(1, MAX_ORDER):
        key = np.where(ngrams[:, order] >= 0, _mix(key * _ODD + words[:, order]), key)
    return key


def count_ngrams(flat: np.ndarray, lengths: np.ndarray) -> NgramCounts:
    """Count the n-grams of captions given as `TokenIds.flatten` gives them."""
    ngrams = list_ngrams(flat, lengths)
    return _tally(ngrams.caption, ngrams.order, ngrams.key)


def sorted_distinct(values: np.ndarray) -> np.ndarray:
    """The different values (N,), sorted. `np.unique` hashes instead, which takes 20 times as long on millions."""
    values = np.sort(values)
    is_new = np.ones(len(values), bool)
    is_new[1:] = values[1:] != values[:-1]
    return values[is_new]


def _tally(caption: np.ndarray, order: np.ndarray, key: np.ndarray) -> NgramCounts:
    """Put equal n-grams of one caption together."""
    sorting = np.lexsort((key, caption))
    caption, order, key = caption[sorting], order[sorting], key[sorting]
    is_new = np.ones(len(key), dtype=bool)
    is_new[1:] = (caption[1:] != caption[:-1]) | (key[1:] != key[:-1])
    first = np.flatnonzero(is_new)
    return NgramCounts(caption[first], order[first], key[first], np.diff(first, append=len(key)))


_ODD = np.uint64(0x9E3779B97F4A7C15)


def _mix(values: np.ndarray) -> np.ndarray:
    """Scatter `values` over 64 bits, reversibly (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = values + _ODD
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def check_pairs(captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> None:
    """Refuse to score nothing, or captions without references.

    Raises:
        DataError: no captions, or a picture without references.
    """
    if not captions:
        raise DataError("No captions to score: there is no metric over nothing.")
    assert len(captions) == len(references), (len(captions), len(references))
    check_references(references)


def check_references(references: Sequence[Sequence[Tokens]]) -> None:
    """Refuse an empty set and pictures without references.

    Raises:
        DataError: either.
    """
    if not references:
        raise DataError("No reference captions: there is no metric over nothing.")
    for i, captions in enumerate(references):
        if not captions:
            raise DataError(f"Picture number {i} has no reference captions; leave it out or add some.")
