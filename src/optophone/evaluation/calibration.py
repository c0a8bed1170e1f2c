"""From the score of a caption to the probability that it is right: a logistic curve, fitted and tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.captions import Tokenizer, tokenize_words
from optophone.evaluation.cider import CiderD
from optophone.evaluation.document_frequency import document_frequency

HUMAN_SHARE = 0.75  # of human captions that count as correct
_RIDGE = 1e-3  # keeps the slope finite where the scores separate right from wrong altogether
_MOST_ROUNDS = 100


@dataclass(frozen=True)
class Calibration:
    """How a score m becomes a confidence: 1 / (1 + exp(-(slope · m + intercept))).

    Args:
        slope, intercept: fitted on all pictures.
        correct_means: what the confidence is the probability of, as the end of a sentence "the probability that ...".
        expected_calibration_error: mean distance between confidence and share correct, over ten groups of equal size,
            on the half of the pictures that the curve was not fitted on; 0..1.
        discrimination: probability that a correct caption has a higher score than another (area under the ROC curve).
        share_correct: of all pictures.
        n_pictures: fitted on.
    """

    slope: float
    intercept: float
    correct_means: str
    expected_calibration_error: float
    discrimination: float
    share_correct: float
    n_pictures: int


def calibrate(scores: np.ndarray, correct: np.ndarray, correct_means: str, seed: int = 0) -> Calibration:
    """Fit the curve on all pictures, and test curves fitted on one half on the other.

    Args:
        scores: (P,) mean log-probability per symbol of each caption.
        correct: (P,) bool.
        correct_means: see `Calibration`.
        seed: of the halving.

    Raises:
        DataError: fewer than 20 pictures, or all or none correct.
    """
    scores, correct = np.asarray(scores, np.float64), np.asarray(correct, bool)
    if len(scores) < 20 or correct.all() or not correct.any():
        raise DataError(
            f"calibration needs 20 pictures, some right, some wrong; here {correct.sum()} of {len(scores)}."
        )
    slope, intercept = fit_logistic(scores, correct)
    order = np.random.default_rng(seed).permutation(len(scores))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    expected = np.empty(len(scores))
    for fitted, held_out in (halves, halves[::-1]):
        expected[held_out] = logistic(scores[held_out], *fit_logistic(scores[fitted], correct[fitted]))
    return Calibration(
        slope=slope,
        intercept=intercept,
        correct_means=correct_means,
        expected_calibration_error=expected_calibration_error(expected, correct),
        discrimination=discrimination(scores, correct),
        share_correct=float(correct.mean()),
        n_pictures=len(scores),
    )


def fit_logistic(scores: np.ndarray, correct: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic curve of largest likelihood, by Newton's method (Platt 2000, without his
    smoothed targets: a tiny ridge on the slope keeps it finite instead)."""
    centre, spread = scores.mean(), scores.std() or 1.0
    inputs = np.stack([(scores - centre) / spread, np.ones(len(scores))], axis=1)
    weights = np.zeros(2)
    ridge = np.diag([_RIDGE * len(scores), 0.0])
    for _ in range(_MOST_ROUNDS):
        expected = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (expected - correct) + ridge @ weights
        curvature = (inputs * (expected * (1 - expected) + 1e-9)[:, None]).T @ inputs + ridge
        change = np.linalg.solve(curvature, gradient)
        weights -= np.clip(change, -2.0, 2.0)
        if np.abs(change).max() < 1e-10:
            break
    slope = weights[0] / spread
    return float(slope), float(weights[1] - slope * centre)


def logistic(scores: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Confidences (P,) of scores (P,)."""
    return 1 / (1 + np.exp(-(slope * scores + intercept)))


def expected_calibration_error(confidences: np.ndarray, correct: np.ndarray, n_groups: int = 10) -> float:
    """Mean |confidence - share correct| over groups of equally many neighbours in confidence, weighted by size.

    Source: Naeini et al. 2015, with groups of equal size instead of equal width.
    """
    groups = np.array_split(np.argsort(confidences, kind="stable"), min(n_groups, len(confidences)))
    gaps = [abs(confidences[group].mean() - correct[group].mean()) * len(group) for group in groups]
    return float(sum(gaps) / len(confidences))


def discrimination(scores: np.ndarray, correct: np.ndarray) -> float:
    """Probability that a correct item scores above another one, ties counted half (Mann & Whitney 1947)."""
    ordered = np.sort(scores[~correct])
    below = np.searchsorted(ordered, scores[correct], "left") + np.searchsorted(ordered, scores[correct], "right")
    return float(below.mean() / 2 / len(ordered))


def as_good_as_people(
    hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]], tokenizer: Tokenizer = tokenize_words
) -> tuple[np.ndarray, float]:
    """Which captions agree with people as well as people do among themselves.

    A caption is correct when its CIDEr-D against the human captions of its picture reaches what three quarters of the
    human captions of the set get, each against the others of its own picture. So a person would be correct three
    times out of four; CIDEr-D takes the mean over references, so that one more or less of them makes no difference.

    Args:
        hypotheses: picture's name to its caption.
        references: picture's name to its human captions, two at least.
        tokenizer: cuts texts into words.

    Returns:
        (P,) bool in the order of `hypotheses`, and the threshold (CIDEr-D times 100).

    Raises:
        DataError: a picture with fewer than two human captions.
    """
    human = [tokenizer(references[picture]) for picture in hypotheses]
    n_captions = min(map(len, human))
    if n_captions < 2:
        raise DataError("calibration compares people with each other: every picture needs two human captions.")
    frequency = document_frequency(human)
    among_people = [
        CiderD([[*texts[:i], *texts[i + 1 :]] for texts in human], frequency).score([texts[i] for texts in human])
        for i in range(n_captions)
    ]
    threshold = float(np.quantile(np.concatenate(among_people), 1 - HUMAN_SHARE))
    scores = CiderD(human, frequency).score(tokenizer(list(hypotheses.values())))
    return scores >= threshold, 100 * threshold
