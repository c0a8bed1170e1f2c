"""What is measured of captions in units, beside what is heard of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optophone.core.errors import DataError
from optophone.evaluation.captions import score_captions
from optophone.evaluation.comparison import Difference, paired_differences
from optophone.evaluation.unit_error import loop_rate, tokenize_units, unit_error_rate


@dataclass(frozen=True)
class UnitFigures:
    """Captions in units.

    Args:
        mean_length: units a caption.
        n_distinct: different captions.
        loop_rate: share in which a stretch of 2 to 20 units stands three times in a row.
        no_end_rate: share that the search cut off before their end; None where nobody knows.
    """

    mean_length: float
    n_distinct: int
    loop_rate: float
    no_end_rate: float | None


@dataclass(frozen=True)
class UnitAgreement:
    """Captions in units beside spoken ones in the same units.

    Args:
        bleu_1, bleu_2, bleu_3, bleu_4: times 100, of units.
        intervals: of each of these, 95 % over pictures.
        unit_error_rate: against the nearest spoken caption.
        length_ratio: units over those of spoken captions, of which each picture's mean counts.
        shuffled_bleu_4: BLEU-4 against the spoken captions of another picture; None for a single picture.
        more_than_shuffled: the difference in BLEU-4 and its interval; None for a single picture.
        n_pictures: pictures that somebody speaks about.
    """

    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    intervals: Mapping[str, tuple[float, float]]
    unit_error_rate: float
    length_ratio: float
    shuffled_bleu_4: float | None
    more_than_shuffled: Difference | None
    n_pictures: int


def unit_figures(captions: Mapping[str, str], ended: Sequence[bool | None]) -> UnitFigures:
    """Measure captions by themselves.

    Args:
        captions: picture to its units, with spaces between.
        ended: of each, whether the search found its end; None where nobody knows.

    Raises:
        DataError: no captions.
    """
    rate = loop_rate(captions.values())
    known = [one for one in ended if one is not None]
    return UnitFigures(
        mean_length=sum(len(text.split()) for text in captions.values()) / len(captions),
        n_distinct=len(set(captions.values())),
        loop_rate=rate,
        no_end_rate=known.count(False) / len(known) if known else None,
    )


def unit_agreement(
    captions: Mapping[str, str], references: Mapping[str, Sequence[str]], exchanged: Mapping[str, Sequence[str]] | None
) -> UnitAgreement:
    """Compare captions with spoken ones.

    Args:
        captions: picture to its units.
        references: the same pictures to the units of spoken captions.
        exchanged: the same pictures to the spoken captions of another picture; None where there is but one.

    Raises:
        DataError: no captions, or a picture without references.
    """
    if not captions:
        raise DataError("No captions to score: there is no metric over nothing.")
    scored = score_captions(captions, references, tokenizer=tokenize_units)
    names = [f"bleu_{n}" for n in range(1, 5)]
    found = {name: getattr(scored.scores, name) for name in names}
    intervals = scored.intervals()
    difference = None
    if exchanged is not None:
        other = score_captions(captions, exchanged, tokenizer=tokenize_units)
        differences = paired_differences({"bleu": other.figures["bleu"]}, {"bleu": scored.figures["bleu"]})
        difference = next(one for one in differences if one.metric == "bleu_4")
    theirs = sum(sum(map(len, tokenize_units(references[name]))) / len(references[name]) for name in captions)
    return UnitAgreement(
        **found,
        intervals={name: intervals[name] for name in names},
        unit_error_rate=unit_error_rate(captions, references),
        length_ratio=sum(len(text.split()) for text in captions.values()) / theirs,
        shuffled_bleu_4=None if difference is None else difference.first,
        more_than_shuffled=difference,
        n_pictures=len(captions),
    )
