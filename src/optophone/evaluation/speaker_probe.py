"""Can the speaker be told from what is left of the speech? A linear probe on utterances held back."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.bootstrap import bootstrap_interval


@dataclass(frozen=True)
class ProbeConfig:
    """How the probe learns.

    Args:
        n_folds: the utterances of every speaker are dealt out to so many parts; each part is judged by a probe that
            learned from the others.
        penalty: on the squared weights, relative to the mean loss of an utterance.
        n_steps: of gradient descent with momentum.
        momentum: of it.
        seed: of the dealing.
    """

    n_folds: int = 5
    penalty: float = 1e-2
    n_steps: int = 300
    momentum: float = 0.9
    seed: int = 0


@dataclass(frozen=True)
class ProbeScore:
    """How often the speaker is told.

    Attributes:
        accuracy: share of the utterances held back whose speaker is told.
        interval: ends of its 95 % interval, from drawing the utterances again.
    """

    accuracy: float
    interval: tuple[float, float]


def deal_out(speakers: Sequence[Hashable], config: ProbeConfig) -> np.ndarray:
    """(N,) part of each utterance, 0 to `n_folds` - 1; every speaker's are spread over all parts.

    Raises:
        DataError: a speaker has too few utterances, or there is only one.
    """
    names = sorted(set(speakers), key=str)
    if len(names) < 2:
        raise DataError("a probe of speakers needs two of them at least.")
    rng = np.random.default_rng(config.seed)
    parts = np.empty(len(speakers), np.int64)
    for name in names:
        own = np.array([i for i, speaker in enumerate(speakers) if speaker == name])
        if len(own) < config.n_folds:
            raise DataError(f"{name} has {len(own)} utterances, the probe needs {config.n_folds} of each speaker.")
        parts[rng.permutation(own)] = np.arange(len(own)) % config.n_folds
    return parts


def probe_speakers(features: np.ndarray, speakers: Sequence[Hashable], config: ProbeConfig) -> ProbeScore:
    """How well a multinomial logistic regression tells speakers from `features` (N, D), one row per utterance.

    Raises:
        DataError: too few speakers or utterances, see `deal_out`.

    Source: the usual linear probe, for instance Alain and Bengio 2016.
    """
    parts = deal_out(speakers, config)
    names, labels = np.unique([str(speaker) for speaker in speakers], return_inverse=True)
    right = np.zeros(len(labels))
    for part in range(config.n_folds):
        held_back = parts == part
        mean, spread = features[~held_back].mean(0), features[~held_back].std(0)
        scaled = (features - mean) / np.where(spread > 1e-9, spread, 1.0)
        weights = _learn(scaled[~held_back], labels[~held_back], len(names), config)
        right[held_back] = _with_constant(scaled[held_back]).dot(weights).argmax(1) == labels[held_back]
    columns = np.stack((right, np.ones(len(right))), axis=1)
    return ProbeScore(float(right.mean()), bootstrap_interval(columns, lambda sums: sums[:, 0] / sums[:, 1]))


def commonest_share(speakers: Sequence[Hashable]) -> float:
    """The accuracy of always naming the speaker of the most utterances."""
    _, counts = np.unique([str(speaker) for speaker in speakers], return_counts=True)
    return float(counts.max() / counts.sum())


def unit_histograms(units: Sequence[np.ndarray], n_codes: int) -> np.ndarray:
    """(N, K) roots of the shares that each code has of the frames of an utterance.

    Roots, because their distances are those of Hellinger: rare codes count as well.
    """
    counts = np.stack([np.bincount(one, minlength=n_codes) for one in units]).astype(np.float64)
    return np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def _learn(features: np.ndarray, labels: np.ndarray, n_classes: int, config: ProbeConfig) -> np.ndarray:
    """Weights (D + 1, C), the last row constants, by accelerated gradient descent (Nesterov 1983)."""
    inputs = _with_constant(features)
    wanted = np.eye(n_classes)[labels]
    # The softmax bends by 1/2 at most, so this bounds the curvature of the loss, and its inverse is a safe step.
    curvature = 0.5 * np.linalg.norm(inputs, 2) ** 2 / len(inputs) + config.penalty
    weights = np.zeros((inputs.shape[1], n_classes))
    velocity = np.zeros_like(weights)
    for _ in range(config.n_steps):
        ahead = weights + config.momentum * velocity
        scores = inputs @ ahead
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        slope = inputs.T @ (shares - wanted) / len(inputs) + config.penalty * ahead
        velocity = config.momentum * velocity - slope / curvature
        weights = weights + velocity
    return weights


def _with_constant(features: np.ndarray) -> np.ndarray:
    return np.concatenate((features, np.ones((len(features), 1))), axis=1)
