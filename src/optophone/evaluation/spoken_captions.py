"""How spoken captions are counted after somebody has heard them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from optophone.core.errors import DataError
from optophone.core.text import spoken_words
from optophone.evaluation.bootstrap import bootstrap_interval
from optophone.evaluation.edit_distance import edit_distance


@dataclass(frozen=True)
class ErrorRate:
    """Words put in, left out or replaced, over the words that were said.

    Args:
        rate: 0 and more.
        interval: that holds 95 % of the rates when utterances are drawn again.
        n_words: words that were said.
    """

    rate: float
    interval: tuple[float, float]
    n_words: int


def normalised(text: str) -> str:
    """`text` as it is spoken: numbers spelled, hyphens opened, no punctuation.

    What is heard has no other form, so captions that it is compared with get the same one.
    """
    return " ".join(spoken_words(text))


def word_error_rate(said: Mapping[str, str], heard: Mapping[str, str]) -> ErrorRate:
    """The errors between what was said and what was heard, over all utterances.

    Args:
        said: utterance to its text.
        heard: utterance to the words heard.

    Raises:
        DataError: nothing was said.
    """
    counts = []
    for name, text in said.items():
        words = spoken_words(text)
        counts.append((edit_distance(words, spoken_words(heard[name])), len(words)))
    sums = np.array(counts, np.float64).reshape(-1, 2)
    n_words = int(sums[:, 1].sum())
    if n_words == 0:
        raise DataError("Nothing was said: there is no word error rate over nothing.")
    interval = bootstrap_interval(sums, lambda drawn: drawn[:, 0] / np.maximum(drawn[:, 1], 1))
    return ErrorRate(float(sums[:, 0].sum() / n_words), interval, n_words)


def without_said(references: Mapping[str, Sequence[str]], said: Mapping[str, int]) -> dict[str, list[str]]:
    """The captions of each picture but the one that was said: a caption agrees with itself, whoever wrote it.

    Args:
        references: picture to its captions.
        said: picture to the place of the caption that was said; other pictures are left out.

    Raises:
        DataError: a picture has no other caption.
    """
    left: dict[str, list[str]] = {}
    for picture, place in said.items():
        captions = references[picture]
        assert 0 <= place < len(captions), (picture, place)
        if len(captions) < 2:
            raise DataError(f"Picture {picture!r} has one caption, so no other is left to score it against.")
        left[picture] = [caption for i, caption in enumerate(captions) if i != place]
    return left


def chosen_place(picture: str, n_utterances: int) -> int:
    """Which of the utterances about a picture is taken: by chance, but always the same, whatever others there are."""
    return int.from_bytes(sha256(picture.encode()).digest()[:8], "big") % n_utterances
