"""Measures of what is written in phones."""

from collections.abc import Mapping, Sequence

from optophone.core.errors import DataError
from optophone.core.vocabulary import WORD_BOUNDARY
from optophone.evaluation.recognizer import word_errors


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
    if not hypotheses:
        raise DataError("No captions to score: there is no metric over nothing.")
    errors, total = 0, 0
    for picture, text in hypotheses.items():
        said = _phones(text)
        wrong = [(word_errors(human, said), len(human)) for human in map(_phones, references[picture]) if human]
        if not wrong:
            raise DataError(f"Picture {picture!r} has a caption but no phones to compare it with; leave it out.")
        nearest = min(wrong, key=lambda pair: pair[0] / pair[1])
        errors, total = errors + nearest[0], total + nearest[1]
    return errors / total


def _phones(text: str) -> list[str]:
    return [phone for phone in text.split() if phone != WORD_BOUNDARY]
