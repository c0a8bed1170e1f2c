"""Do units change where phones or words do? Precision, recall, F1 and R-value of boundaries."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.bootstrap import bootstrap_interval


@dataclass(frozen=True)
class BoundaryScore:
    """How well boundaries were found.

    Attributes:
        precision: share of the found boundaries that are true.
        recall: share of the true boundaries that were found.
        f1: their harmonic mean.
        f1_interval: ends of its 95 % interval, from drawing the utterances again.
        r_value: 1 where all is found and nothing else; unlike F1 it falls with boundaries put everywhere.
        n_found, n_true: boundaries.
    """

    precision: float
    recall: float
    f1: float
    f1_interval: tuple[float, float]
    r_value: float
    n_found: int
    n_true: int


def boundary_score(
    found: Sequence[np.ndarray], true: Sequence[np.ndarray], tolerance_s: float, margin_s: float | None = None
) -> BoundaryScore:
    """Compare the boundaries of utterances.

    Args:
        found: (F,) seconds of each utterance's boundaries, rising.
        true: (B,) of the true ones, rising.
        tolerance_s: how far apart the two may be; a boundary counts for one other at most.
        margin_s: found boundaries further than this before the first true one or after the last are not counted: nobody
            speaks there. None takes the tolerance.

    Raises:
        DataError: no true boundaries.

    Source: Räsänen, Laine and Altosaar 2009, "An improved speech segmentation quality measure: the R-value".
    """
    margin = tolerance_s if margin_s is None else margin_s
    counts = []
    for ours, theirs in zip(found, true, strict=True):
        if len(theirs):
            ours = ours[(ours >= theirs[0] - margin) & (ours <= theirs[-1] + margin)]
            counts.append((count_hits(ours, theirs, tolerance_s), len(ours), len(theirs)))
    if not counts:
        raise DataError("No boundaries to find: there is no score of nothing.")
    table = np.array(counts, np.float64)
    hits, n_found, n_true = table.sum(0)
    precision, recall = hits / max(n_found, 1), hits / n_true
    interval = bootstrap_interval(table, lambda sums: 2 * sums[:, 0] / (sums[:, 1] + sums[:, 2]))
    f1 = 2 * hits / (n_found + n_true)
    return BoundaryScore(
        float(precision), float(recall), float(f1), interval, r_value(hits, n_found, n_true), int(n_found), int(n_true)
    )


def count_hits(found: np.ndarray, true: np.ndarray, tolerance_s: float) -> int:
    """The most pairs of a found and a true boundary, both (N,) rising, that are at most the tolerance apart."""
    hits = i = j = 0
    slack = tolerance_s + 1e-9  # times are multiples of ten milliseconds; rounding must not decide
    while i < len(found) and j < len(true):
        if abs(found[i] - true[j]) <= slack:
            hits, i, j = hits + 1, i + 1, j + 1
        elif found[i] < true[j]:
            i += 1
        else:
            j += 1
    return hits


def r_value(hits: float, n_found: float, n_true: float) -> float:
    """R-value of counts: the distance from the ideal point, where all is found and as many boundaries as there are."""
    recall, surplus = hits / n_true, n_found / n_true - 1
    from_ideal = math.hypot(1 - recall, surplus)
    from_line = abs(recall - 1 - surplus) / math.sqrt(2)
    return float(1 - (from_ideal + from_line) / 2)


def even_boundaries(found: Sequence[np.ndarray], true: Sequence[np.ndarray], margin_s: float) -> list[np.ndarray]:
    """A control: as many boundaries as were found where somebody speaks, but at even distances."""
    even = []
    for ours, theirs in zip(found, true, strict=True):
        n, first, last = 0, 0.0, 0.0
        if len(theirs):
            first, last = float(theirs[0]), float(theirs[-1])
            n = int(((ours >= first - margin_s) & (ours <= last + margin_s)).sum())
        even.append(first + (last - first) * (np.arange(n) + 0.5) / max(n, 1))
    return even
