"""Which unit says which word: for every word the code whose presence predicts it best."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError


@dataclass(frozen=True)
class CodeWord:
    """A word and its code.

    Attributes:
        word: as it is written.
        code: counted from 0.
        precision: of the occurrences of anything, pauses included, in which the code is present: how many are the word.
        recall: of the occurrences of the word: in how many the code is present.
        f1: their harmonic mean.
        n_occurrences: of the word.
    """

    word: str
    code: int
    precision: float
    recall: float
    f1: float
    n_occurrences: int


def code_words(
    labels: Sequence[str | None], codes: Sequence[np.ndarray], n_codes: int, fewest: int = 10
) -> list[CodeWord]:
    """The best code of every word, the best word first.

    Among codes that are equally good the lower one is taken.

    Args:
        labels: what occurs: words, or None for a pause.
        codes: (S,) codes present in each occurrence; how often and in which order does not matter.
        n_codes: how many codes there are.
        fewest: words that occur less often are left out: they would have a good code by chance.

    Raises:
        DataError: no word occurs so often.

    Source: after Harwath, Hsu and Glass 2020, "Learning Hierarchical Discrete Linguistic Units from Visually-Grounded
    Speech" (codes as detectors of words, by F1).
    """
    counts = Counter(label for label in labels if label is not None)
    words = sorted(word for word, n in counts.items() if n >= fewest)
    if not words:
        raise DataError(f"No word occurs {fewest} times; give more utterances.")
    place = {word: i for i, word in enumerate(words)}
    together = np.zeros((len(words), n_codes), np.int64)
    present = np.zeros(n_codes, np.int64)
    for label, inside in zip(labels, codes, strict=True):
        distinct = np.unique(inside)
        present[distinct] += 1
        if label in place:
            together[place[label], distinct] += 1
    n_word = np.array([counts[word] for word in words])
    f1 = 2 * together / (n_word[:, None] + present[None, :])
    found = []
    for i, code in enumerate(f1.argmax(1)):
        hits = int(together[i, code])
        precision, recall = hits / max(int(present[code]), 1), hits / int(n_word[i])
        found.append(CodeWord(words[i], int(code), precision, recall, float(f1[i, code]), int(n_word[i])))
    return sorted(found, key=lambda one: (-one.f1, one.word))
