"""From the scores of a caption to the probability that it is right: a logistic curve, fitted and tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.confidence import FEATURES
from optophone.core.errors import DataError
from optophone.evaluation.captions import Tokenizer, tokenize_words
from optophone.evaluation.cider import CiderD
from optophone.evaluation.document_frequency import document_frequency

HUMAN_SHARE = 0.75  # of human captions that count as correct
_RIDGE = 3e-3  # keeps the weights finite where the scores separate right from wrong altogether
_FOLDS = 10
_MOST_ROUNDS = 100


@dataclass(frozen=True)
class Calibration:
    """How the scores of a caption become a confidence: see `core.confidence.ConfidenceConfig`.

    Args:
        slope, intercept, lowest, length: fitted on all pictures.
        correct_means: what the confidence is the probability of, as the end of a sentence "the probability that ...".
        expected_calibration_error: mean distance between confidence and share correct, over ten groups of equal size,
            each tenth of the pictures judged by a curve fitted on the other nine; 0..1.
        by_chance: what that error would be, on as many pictures, if every confidence were the true probability.
        discrimination: probability that a correct caption has a higher confidence than another (area under the ROC
            curve), judged alike.
        share_correct: of all pictures.
        n_pictures: fitted on.
    """

    slope: float
    intercept: float
    lowest: float
    length: float
    correct_means: str
    expected_calibration_error: float
    by_chance: float
    discrimination: float
    share_correct: float
    n_pictures: int


def calibrate(features: np.ndarray, correct: np.ndarray, correct_means: str, seed: int = 0) -> Calibration:
    """Fit the curve on all pictures, and test curves fitted on nine tenths on the tenth that is left.

    Args:
        features: (P, 3) of each caption, as `core.confidence.score_features` gives them.
        correct: (P,) bool.
        correct_means: see `Calibration`.
        seed: of the cutting into tenths.

    Raises:
        DataError: fewer than 20 pictures, or all or none correct.
    """
    features, correct = np.asarray(features, np.float64), np.asarray(correct, bool)
    assert features.shape[1:] == (len(FEATURES),), features.shape
    expected = cross_fitted(features, correct, seed)
    (slope, lowest, length), intercept = fit_logistic(features, correct)
    return Calibration(
        slope=float(slope),
        intercept=intercept,
        lowest=float(lowest),
        length=float(length),
        correct_means=correct_means,
        expected_calibration_error=expected_calibration_error(expected, correct),
        by_chance=error_by_chance(expected, seed),
        discrimination=discrimination(expected, correct),
        share_correct=float(correct.mean()),
        n_pictures=len(features),
    )


def cross_fitted(features: np.ndarray, correct: np.ndarray, seed: int = 0) -> np.ndarray:
    """Confidences (P,) of pictures with `features` (P, F), each by a curve that was fitted without its tenth.

    Raises:
        DataError: fewer than 20 pictures, or all or none correct.
    """
    if len(features) < 20 or correct.all() or not correct.any():
        raise DataError(
            f"calibration needs 20 pictures, some right, some wrong; here {correct.sum()} of {len(features)}."
        )
    order = np.random.default_rng(seed).permutation(len(features))
    expected = np.empty(len(features))
    for held_out in np.array_split(order, _FOLDS):
        others = np.setdiff1d(order, held_out)
        weights, intercept = fit_logistic(features[others], correct[others])
        expected[held_out] = logistic(features[held_out] @ weights, 1.0, intercept)
    return expected


def fit_logistic(features: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (F,) and intercept of the logistic curve of largest likelihood for features (P, F), by Newton's method
    (Platt 2000, without his smoothed targets: a ridge on the weights keeps them finite instead)."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    inputs = np.concatenate([(features - centre) / spread, np.ones((len(features), 1))], axis=1)
    weights = np.zeros(inputs.shape[1])
    ridge = np.diag([_RIDGE * len(features)] * features.shape[1] + [0.0])
    for _ in range(_MOST_ROUNDS):
        expected = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (expected - correct) + ridge @ weights
        curvature = (inputs * (expected * (1 - expected) + 1e-9)[:, None]).T @ inputs + ridge
        change = np.linalg.solve(curvature, gradient)
        weights -= np.clip(change, -2.0, 2.0)
        if np.abs(change).max() < 1e-10:
            break
    slopes = weights[:-1] / spread
    return slopes, float(weights[-1] - slopes @ centre)


def logistic(scores: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Confidences (P,) of scores (P,)."""
    return 1 / (1 + np.exp(-(slope * scores + intercept)))


def error_by_chance(confidences: np.ndarray, seed: int = 0, n_draws: int = 200) -> float:
    """The expected calibration error that would be found if every one of `confidences` (P,) were exactly true: what is
    left of it in so small a sample."""
    generator = np.random.default_rng(seed)
    draws = [generator.random(len(confidences)) < confidences for _ in range(n_draws)]
    return float(np.mean([expected_calibration_error(confidences, correct) for correct in draws]))


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
