"""Scores of a set of captions against human ones: BLEU, METEOR, ROUGE-L, CIDEr, SPICE, and how varied they are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optophone.core.errors import DataError
from optophone.core.text import tokenize_caption
from optophone.evaluation.bleu import bleu_statistics
from optophone.evaluation.cider import CiderD, plain_cider
from optophone.evaluation.diversity import Diversity, diversity
from optophone.evaluation.document_frequency import DocumentFrequency
from optophone.evaluation.java import NotMeasuredError
from optophone.evaluation.meteor import meteor_statistics
from optophone.evaluation.metric import mean_figures, metric_intervals, metric_scores, picture_scores
from optophone.evaluation.rouge import rouge_l
from optophone.evaluation.spice import spice

Tokenizer = Callable[[Sequence[str]], list[list[str]]]
NOT_ASKED = "was not asked for"


@dataclass(frozen=True)
class CaptionScores:
    """How good a set of captions is, and how varied.

    Args:
        bleu_1, bleu_2, bleu_3, bleu_4: corpus BLEU times 100, as published tables give it.
        rouge_l: mean ROUGE-L times 100.
        cider_d: mean CIDEr-D times 100, that is, 100 times what the COCO caption evaluation calls CIDEr (0 to 1000).
        cider: mean CIDEr without the D, times 100 (0 to 1000); not what tables of the COCO evaluation mean by CIDEr.
        meteor, spice: corpus METEOR and mean SPICE times 100; None where they were not measured.
        n_pictures: pictures scored.
        n_distinct_captions, vocabulary_used, distinct_1, distinct_2, mean_length, self_bleu, seen_in_training: see
            `Diversity`.
    """

    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    rouge_l: float
    cider_d: float
    cider: float
    meteor: float | None
    spice: float | None
    n_pictures: int
    n_distinct_captions: int
    vocabulary_used: int
    distinct_1: float
    distinct_2: float
    mean_length: float
    self_bleu: float
    seen_in_training: float | None


@dataclass(frozen=True, eq=False)
class ScoredCaptions:
    """What was found of each picture, and what follows for the set.

    Args:
        pictures: their names.
        figures: kind of figures to (P, K), see `metric`.
        not_measured: name of a metric to the reason why there are no figures of it.
        diversity: how varied the captions are.
    """

    pictures: tuple[str, ...]
    figures: Mapping[str, np.ndarray]
    not_measured: Mapping[str, str]
    diversity: Diversity

    @cached_property
    def scores(self) -> CaptionScores:
        """The scores of the set."""
        found = metric_scores(self.figures)
        lacking = {name: None for name in ("meteor", "spice") if name not in found}
        return CaptionScores(**found, **lacking, n_pictures=len(self.pictures), **vars(self.diversity))  # type: ignore[arg-type]

    def intervals(self, n_resamples: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """95 % intervals of all metrics, by resampling pictures."""
        return metric_intervals(self.figures, n_resamples, seed)

    def picture_scores(self) -> dict[str, np.ndarray]:
        """Metric to the score (P,) of each picture by itself."""
        return picture_scores(self.figures)


def tokenize_words(texts: Sequence[str]) -> list[list[str]]:
    """Each text cut by `tokenize_caption`."""
    return [tokenize_caption(text) for text in texts]


def score_captions(
    hypotheses: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    frequency: DocumentFrequency | None = None,
    tokenizer: Tokenizer = tokenize_words,
    training: Iterable[str] | None = None,
    with_java: bool = False,
) -> ScoredCaptions:
    """Score captions of pictures against human captions of the same pictures.

    Args:
        hypotheses: picture's name to its caption.
        references: picture's name to its human captions.
        frequency: how common n-grams are, for CIDEr and CIDEr-D; by default counted over `references`, as published
            tables do.
        tokenizer: cuts texts into words.
        training: captions that the model was trained on, to see how many it repeats.
        with_java: also METEOR and SPICE, where what they need is there.

    Raises:
        DataError: nothing to score, or the two do not name the same pictures.
        NotMeasuredError: `tokenizer` needs something that is not there.
    """
    if not hypotheses:
        raise DataError("No captions to score: there is no metric over nothing.")
    _check_same_pictures(hypotheses, references)
    captions, human = _tokenize(hypotheses, references, tokenizer)
    figures = {
        "bleu": bleu_statistics(captions, human),
        "rouge_l": mean_figures(rouge_l(captions, human)),
        "cider": mean_figures(plain_cider(captions, human, frequency)),
        "cider_d": mean_figures(CiderD(human, frequency).score(captions)),
    }
    not_measured = dict.fromkeys(("meteor", "spice"), NOT_ASKED)
    if with_java:
        texts = list(hypotheses.values()), [references[picture] for picture in hypotheses]
        found, not_measured = _with_java(captions, human, *texts)
        figures |= found
    known = None if training is None else tokenizer(list(training))
    return ScoredCaptions(tuple(hypotheses), figures, not_measured, diversity(captions, known))


def evaluate_captions(
    hypotheses: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    frequency: DocumentFrequency | None = None,
) -> CaptionScores:
    """The scores that need nothing but NumPy; see `score_captions`.

    Raises:
        DataError: nothing to score, or the two do not name the same pictures.
    """
    return score_captions(hypotheses, references, frequency).scores


def _with_java(
    captions: list[list[str]], human: list[list[list[str]]], texts: list[str], human_texts: list[Sequence[str]]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Figures of METEOR and SPICE, and why there are none. SPICE has a tokenizer of its own, so it gets the texts."""
    figures, reasons = {}, {}
    try:
        figures["meteor"] = meteor_statistics(captions, human)
    except NotMeasuredError as error:
        reasons["meteor"] = str(error)
    try:
        figures["spice"] = mean_figures(spice(texts, human_texts))
    except NotMeasuredError as error:
        reasons["spice"] = str(error)
    return figures, reasons


def _tokenize(
    hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]], tokenizer: Tokenizer
) -> tuple[list[list[str]], list[list[list[str]]]]:
    """Words of the captions and of the human captions, picture by picture in the same order."""
    human = [reference for picture in hypotheses for reference in references[picture]]
    words = iter(tokenizer([*hypotheses.values(), *human]))
    captions = [next(words) for _ in hypotheses]
    return captions, [[next(words) for _ in references[picture]] for picture in hypotheses]


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
