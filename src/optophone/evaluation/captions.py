"""Scores of a set of captions against human ones: BLEU, ROUGE-L, CIDEr-D, and how varied the captions are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from optophone.core.errors import DataError
from optophone.core.text import tokenize_caption
from optophone.evaluation.bleu import bleu_scores, bleu_statistics
from optophone.evaluation.bootstrap import bootstrap_interval
from optophone.evaluation.cider import CiderD, DocumentFrequency
from optophone.evaluation.rouge import rouge_l


@dataclass(frozen=True)
class CaptionScores:
    """How good a set of captions is, and how varied.

    Args:
        bleu_1, bleu_2, bleu_3, bleu_4: corpus BLEU times 100, as published tables give it.
        rouge_l: mean ROUGE-L times 100.
        cider_d: mean CIDEr-D times 100, that is, 100 times what the COCO caption evaluation calls CIDEr (0 to 1000).
        n_pictures: pictures scored.
        n_distinct_captions: different captions among them.
        vocabulary_used: different words in all captions.
        distinct_1, distinct_2: different single words, or pairs of neighbours, over all of them, 0 to 1.
        mean_length: words per caption.
    """

    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    rouge_l: float
    cider_d: float
    n_pictures: int
    n_distinct_captions: int
    vocabulary_used: int
    distinct_1: float
    distinct_2: float
    mean_length: float


@dataclass(frozen=True)
class CaptionIntervals:
    """Ends of the intervals that hold 95 % of the scores when pictures are drawn again, on the scales of
    `CaptionScores`."""

    bleu_4: tuple[float, float]
    cider_d: tuple[float, float]


def evaluate_captions(
    hypotheses: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    frequency: DocumentFrequency | None = None,
) -> CaptionScores:
    """Score captions of pictures against human captions of the same pictures.

    Args:
        hypotheses: picture's name to its caption; captions are split by `tokenize_caption`.
        references: picture's name to its human captions.
        frequency: how common n-grams are, for CIDEr-D; by default counted over `references`, as published tables do.

    Raises:
        DataError: nothing to score, or the two do not name the same pictures.
    """
    captions, human = _tokenize(hypotheses, references)
    bleu_1, bleu_2, bleu_3, bleu_4 = (100 * bleu_scores(bleu_statistics(captions, human).sum(axis=0))).tolist()
    words = [word for caption in captions for word in caption]
    pairs = [pair for caption in captions for pair in pairwise(caption)]
    return CaptionScores(
        bleu_1=bleu_1,
        bleu_2=bleu_2,
        bleu_3=bleu_3,
        bleu_4=bleu_4,
        rouge_l=100 * float(rouge_l(captions, human).mean()),
        cider_d=100 * float(CiderD(human, frequency).score(captions).mean()),
        n_pictures=len(captions),
        n_distinct_captions=len({tuple(caption) for caption in captions}),
        vocabulary_used=len(set(words)),
        distinct_1=_distinct(words),
        distinct_2=_distinct(pairs),
        mean_length=len(words) / len(captions),
    )


def caption_intervals(
    hypotheses: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    frequency: DocumentFrequency | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> CaptionIntervals:
    """95 % intervals of BLEU-4 and CIDEr-D over pictures, by resampling them (`bootstrap_interval`).

    Document frequencies stay those of the whole set: they are part of the measure, not of the sample.

    Args:
        hypotheses, references, frequency: as for `evaluate_captions`.
        n_resamples: how often the pictures are drawn again.
        seed: of the drawing.

    Raises:
        DataError: nothing to score, or the two do not name the same pictures.
    """
    captions, human = _tokenize(hypotheses, references)
    cider = CiderD(human, frequency).score(captions)[:, None]
    return CaptionIntervals(
        bleu_4=bootstrap_interval(
            bleu_statistics(captions, human), lambda sums: 100 * bleu_scores(sums)[:, 3], n_resamples, seed=seed
        ),
        cider_d=bootstrap_interval(cider, lambda sums: 100 * sums[:, 0] / len(cider), n_resamples, seed=seed),
    )


def _tokenize(
    hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> tuple[list[list[str]], list[list[list[str]]]]:
    """Words of the captions and of the human captions, picture by picture in the same order."""
    if not hypotheses:
        raise DataError("No captions to score: there is no metric over nothing.")
    _check_same_pictures(hypotheses, references)
    captions = [tokenize_caption(caption) for caption in hypotheses.values()]
    human = [[tokenize_caption(reference) for reference in references[picture]] for picture in hypotheses]
    return captions, human


def _check_same_pictures(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> None:
    """Refuse to leave pictures out silently: a score over fewer pictures is another score."""
    for picture in hypotheses:
        if not references.get(picture):
            raise DataError(f"Picture {picture!r} has a caption but no reference captions; add them or leave it out.")
    missing = [picture for picture in references if picture not in hypotheses]
    if missing:
        raise DataError(
            f"Picture {missing[0]!r} has reference captions but none to score ({len(missing)} such); "
            "caption every picture, or leave its references out."
        )


def _distinct(items: Sequence[object]) -> float:
    """Share of different items among `items`; 0 where there are none, for captions of a single word."""
    return len(set(items)) / len(items) if items else 0.0
