"""How much a confidence is worth: is it as often right as it says, and does leaving out the unsure help?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.text import tokenize_caption
from optophone.evaluation.cider import CiderD
from optophone.evaluation.document_frequency import document_frequency

_Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class ReliabilityGroup:
    """Neighbours in confidence.

    Args:
        confidence: their mean confidence, 0..1.
        share_correct: of them, 0..1.
        n_pictures: how many.
    """

    confidence: float
    share_correct: float
    n_pictures: int


def reliability(confidences: np.ndarray, correct: np.ndarray, n_groups: int = 10) -> list[ReliabilityGroup]:
    """Groups of equally many neighbours in confidence (P,), the least sure first."""
    groups = np.array_split(np.argsort(confidences, kind="stable"), min(n_groups, len(confidences)))
    return [
        ReliabilityGroup(float(confidences[group].mean()), float(correct[group].mean()), len(group)) for group in groups
    ]


def risk_coverage(confidences: np.ndarray, scores: np.ndarray, n_points: int = 20) -> list[tuple[float, float]]:
    """(share answered, mean of `scores` (P,) among the surest so many) pairs, the share from 1 / n_points to 1."""
    ordered = scores[np.argsort(-confidences, kind="stable")]
    counts = np.unique(np.ceil(len(scores) * np.arange(1, n_points + 1) / n_points).astype(int))
    return [(float(n / len(scores)), float(ordered[:n].mean())) for n in counts]


def picture_cider(hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> np.ndarray:
    """CIDEr-D times 100 (P,) of each caption, in the order of `hypotheses`; n-grams are counted over all references."""
    human = [[tokenize_caption(text) for text in references[picture]] for picture in hypotheses]
    scorer = CiderD(human, document_frequency(human))
    return 100 * np.asarray(scorer.score([tokenize_caption(text) for text in hypotheses.values()]))


def share_interval(n_hits: int, n: int) -> tuple[float, float]:
    """Ends of the 95 % interval of a share (Wilson 1927); useful for shares near 0, as those of false alarms."""
    share, spread = n_hits / n, _Z * _Z / n
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)
