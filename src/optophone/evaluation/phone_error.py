"""Measures of what is written in phones."""

from collections.abc import Mapping, Sequence

from optophone.core.vocabulary import WORD_BOUNDARY
from optophone.evaluation.edit_distance import nearest_error_rate


def tokenize_phones(texts: Sequence[str]) -> list[list[str]]:
    """Each text cut into words, whose phones are put together: "ɐ | d ˈɔː ɡ" is "ɐ", "dˈɔːɡ".

    So BLEU, ROUGE-L and CIDEr count words of phones, and come close to what they are of words in letters.
    """
    joined = (["".join(word.split()) for word in text.split(WORD_BOUNDARY)] for text in texts)
    return [[word for word in words if word] for words in joined]


def phone_error_rate(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> float:
    """Wrong, missing and surplus phones over the phones of the human caption that is nearest, over all pictures.

    A caption has many right answers, so this is no error rate of a recognizer: other words for the same thing count as
    wrong phones. Boundaries between words do not count.

    Args:
        hypotheses: picture's name to its phones.
        references: picture's name to the phones of its human captions.

    Raises:
        DataError: nothing to score, or a picture without references.
    """
    said = {picture: _phones(text) for picture, text in hypotheses.items()}
    human = {picture: [_phones(text) for text in references[picture]] for picture in hypotheses}
    return nearest_error_rate(said, human, "phones")


def _phones(text: str) -> list[str]:
    return [phone for phone in text.split() if phone != WORD_BOUNDARY]
