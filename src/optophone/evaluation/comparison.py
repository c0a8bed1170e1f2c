"""Two results on the same pictures: how much one is better, and how sure that is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.bootstrap import bootstrap_scores
from optophone.evaluation.metric import METRICS, Figures, mean_figures

# What must be the same in both results for their difference to mean anything.
_SAME = {"references": "references", "tokenizer": "tokenizers"}
_SAME |= {"document_frequency": "document frequencies"}


@dataclass(frozen=True, eq=False)
class CaptionResult:
    """What `optophone evaluate captions -o` or `caption-file -o` wrote.

    Args:
        path: the file.
        measured: references (their hash), tokenizer and document frequencies that it was measured with.
        captions: picture's name to its caption.
        figures: kind of figures to (P, K), in the order of `captions`.
    """

    path: Path
    measured: Mapping[str, Any]
    captions: Mapping[str, str]
    figures: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Difference:
    """Score of one set of captions less that of another, of the same pictures.

    Args:
        metric: its name in `METRICS`.
        first, second: the scores.
        difference: second less first.
        interval: that holds 95 % of the differences when pictures are drawn again, the same for both.
        second_better: share of the drawn sets in which the second is better, ties counted half, 0 to 1.
    """

    metric: str
    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    second_better: float


def figures_record(figures: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`figures` as plain data for a result file: whole numbers as they are, of means the score alone."""
    return {name: _plain(values) for name, values in figures.items()}


def read_caption_result(path: str | Path) -> CaptionResult:
    """Read a result with figures per picture.

    Raises:
        DataError: missing, not a result, or one without such figures.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
        captions = content["captions"]
        if "figures" not in content:
            raise DataError(f"{path}: has no figures per picture; evaluate again with this version.")
        figures = {name: _array(values) for name, values in content["figures"].items()}
        if any(len(values) != len(captions) for values in figures.values()):
            raise ValueError("figures of other pictures")
        measured = {name: content[name] for name in _SAME}
    except OSError as error:
        raise DataError(f"{path}: cannot read the result ({error.strerror}).") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a result of captions ({type(error).__name__}: {error}).") from None
    return CaptionResult(path, measured, captions, figures)


def compare_results(
    first: CaptionResult, second: CaptionResult, n_resamples: int = 1000, seed: int = 0
) -> list[Difference]:
    """Differences of all metrics that both results have, by a paired bootstrap over pictures.

    Raises:
        DataError: the two were not measured alike, or not on the same pictures.

    Source: Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation", section 3.
    """
    _check_alike(first, second)
    place = {picture: i for i, picture in enumerate(second.captions)}
    order = [place[picture] for picture in first.captions]
    return paired_differences(
        first.figures, {kind: values[order] for kind, values in second.figures.items()}, n_resamples, seed
    )


def paired_differences(first: Figures, second: Figures, n_resamples: int = 1000, seed: int = 0) -> list[Difference]:
    """Differences of all metrics that both have figures of, by a paired bootstrap over pictures.

    Args:
        first, second: figures of the same pictures in the same order.
        n_resamples, seed: of the bootstrap.
    """
    differences = []
    for name, metric in METRICS.items():
        if metric.figures not in first or metric.figures not in second:
            continue
        one, other = first[metric.figures], second[metric.figures]
        before, after = float(metric.score(one.sum(axis=0))), float(metric.score(other.sum(axis=0)))
        drawn = bootstrap_scores(
            np.hstack([one, other]),
            lambda sums, n=one.shape[1], score=metric.score: score(sums[:, n:]) - score(sums[:, :n]),  # type: ignore[misc]
            n_resamples,
            seed,
        )
        low, high = np.quantile(drawn, [0.025, 0.975])
        better = (np.sign(drawn).mean() + 1) / 2
        differences.append(Difference(name, before, after, after - before, (float(low), float(high)), float(better)))
    return differences


def _check_alike(first: CaptionResult, second: CaptionResult) -> None:
    apart = set(first.captions) ^ set(second.captions)
    if apart:
        raise DataError(
            f"{first.path} and {second.path}: {len(apart)} pictures are in one of them only, such as"
            f" {min(apart)!r}; evaluate both on the same pictures."
        )
    for name, words in _SAME.items():
        one, other = first.measured[name], second.measured[name]
        if one != other:
            raise DataError(
                f"{first.path} and {second.path}: different {words}, {one} and {other}; measure both alike."
            )


def _plain(values: np.ndarray) -> list[Any]:
    if values.shape[1] == 2 and (values[:, 1] == 1).all():
        return [round(float(value), 6) for value in values[:, 0]]
    return [[int(value) if value.is_integer() else float(value) for value in row] for row in values]


def _array(values: Sequence[Any]) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    return mean_figures(array) if array.ndim == 1 else array
