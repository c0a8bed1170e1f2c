"""From the scores of a caption's symbols to the probability that the caption is right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optophone.core.configuration import check_ranges

FEATURES = ("mean", "lowest", "length")


@dataclass(frozen=True)
class ConfidenceConfig:
    """A logistic curve: 1 / (1 + exp(-(slope · m + lowest · l + length · ln n + intercept))).

    Args:
        slope: factor of m, the mean natural-log probability per symbol, end included.
        intercept: what is added.
        lowest: factor of l, the lowest log-probability of a symbol.
        length: factor of ln n, of the number of symbols, end included.
    """

    slope: float
    intercept: float
    lowest: float = 0.0
    length: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no curve."""
        check_ranges(self, dict.fromkeys(("slope", "intercept", "lowest", "length"), (-1e6, 1e6)), "confidence")


def score_features(token_log_probs: Sequence[float]) -> tuple[float, float, float]:
    """The `FEATURES` of a caption whose symbols, end included, have these log-probabilities; it has one at least."""
    mean = math.fsum(token_log_probs) / len(token_log_probs)
    return mean, min(token_log_probs), math.log(len(token_log_probs))


def confidence_of_scores(token_log_probs: Sequence[float], config: ConfidenceConfig | None) -> float:
    """0..1: the fitted curve, or exp(mean log-probability) where none was fitted; of no symbols 0."""
    if not token_log_probs:
        return 0.0
    mean, lowest, length = score_features(token_log_probs)
    if config is None:
        return math.exp(min(mean, 0.0))
    logit = config.slope * mean + config.lowest * lowest + config.length * length + config.intercept
    return 1.0 / (1.0 + math.exp(min(-logit, 700.0)))
