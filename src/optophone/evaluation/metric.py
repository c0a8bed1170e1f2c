"""The metrics of captions: each is figures per picture, and a score of their sums.

That a score depends on sums alone is what makes intervals cheap: drawing pictures again is one matrix product, and two
systems are compared on the same drawn pictures by putting their figures side by side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from optophone.evaluation.bleu import bleu_scores
from optophone.evaluation.bootstrap import bootstrap_interval
from optophone.evaluation.meteor import meteor_score

Figures = Mapping[str, np.ndarray]  # kind of figures to (P, K) float64


@dataclass(frozen=True)
class Metric:
    """A score of a set of captions.

    Args:
        label: as tables call it.
        figures: the kind of figures that it is made of.
        score: sums (..., K) over pictures → (...), times 100.
    """

    label: str
    figures: str
    score: Callable[[np.ndarray], np.ndarray]


def _bleu(n: int) -> Metric:
    return Metric(f"BLEU-{n}", "bleu", lambda sums: 100 * bleu_scores(sums)[..., n - 1])


def _mean(label: str, figures: str) -> Metric:
    """A mean over pictures: figures are the picture's score and 1."""
    return Metric(label, figures, lambda sums: 100 * sums[..., 0] / sums[..., 1])


METRICS: Mapping[str, Metric] = {
    "bleu_1": _bleu(1),
    "bleu_2": _bleu(2),
    "bleu_3": _bleu(3),
    "bleu_4": _bleu(4),
    "meteor": Metric("METEOR", "meteor", lambda sums: 100 * meteor_score(sums)),
    "rouge_l": _mean("ROUGE-L", "rouge_l"),
    "cider": _mean("CIDEr", "cider"),
    "cider_d": _mean("CIDEr-D", "cider_d"),
    "spice": _mean("SPICE", "spice"),
}


def mean_figures(scores: np.ndarray) -> np.ndarray:
    """Figures (P, 2) of a metric that is the mean of `scores` (P,)."""
    return np.column_stack([scores, np.ones(len(scores))])


def metric_scores(figures: Figures) -> dict[str, float]:
    """Every metric that `figures` has what it needs of, over all pictures."""
    return {name: float(metric.score(figures[metric.figures].sum(axis=0))) for name, metric in _had(figures)}


def picture_scores(figures: Figures) -> dict[str, np.ndarray]:
    """Every such metric (P,) of each picture by itself."""
    return {name: metric.score(figures[metric.figures]) for name, metric in _had(figures)}


def metric_intervals(figures: Figures, n_resamples: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Ends of the intervals that hold 95 % of the scores when pictures are drawn again (`bootstrap_interval`).

    Document frequencies stay those of the whole set: they are part of the measure, not of the sample.

    Raises:
        DataError: no pictures.
    """
    return {
        name: bootstrap_interval(figures[metric.figures], metric.score, n_resamples, seed=seed)
        for name, metric in _had(figures)
    }


def _had(figures: Figures) -> list[tuple[str, Metric]]:
    return [(name, metric) for name, metric in METRICS.items() if metric.figures in figures]
