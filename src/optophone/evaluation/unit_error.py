"""Measures of what is written in units."""

from collections.abc import Iterable, Mapping, Sequence

from optophone.core.errors import DataError
from optophone.evaluation.edit_distance import nearest_error_rate

_LONGEST_LOOP = 20  # units: about a second


def tokenize_units(texts: Sequence[str]) -> list[list[str]]:
    """Each text cut at its spaces, so that BLEU, ROUGE-L and CIDEr count units."""
    return [text.split() for text in texts]


def unit_error_rate(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> float:
    """Wrong, missing and surplus units over the units of the spoken caption that is nearest, over all pictures.

    Args:
        hypotheses: picture's name to its units.
        references: picture's name to the units of its spoken captions.

    Raises:
        DataError: nothing to score, or a picture without references.
    """
    said = {picture: text.split() for picture, text in hypotheses.items()}
    human = {picture: tokenize_units(references[picture]) for picture in hypotheses}
    return nearest_error_rate(said, human, "units")


def loop_rate(texts: Iterable[str]) -> float:
    """Share of the texts in which some stretch of 2 to 20 units stands three times in a row.

    Raises:
        DataError: no texts.
    """
    loops = [_has_loop(text.split()) for text in texts]
    if not loops:
        raise DataError("No captions to score: there is no metric over nothing.")
    return sum(loops) / len(loops)


def _has_loop(units: Sequence[str]) -> bool:
    for length in range(2, min(_LONGEST_LOOP, len(units) // 3) + 1):
        run = 0  # units in a row that equal the one `length` before
        for before, unit in zip(units, units[length:], strict=False):
            run = run + 1 if before == unit else 0
            if run == 2 * length:
                return True
    return False
