"""Mel-cepstral distortion, along the path on which two utterances fit best."""

import math

import numpy as np

N_CEPSTRA = 13
_TO_DECIBELS = 10.0 / math.log(10.0) * math.sqrt(2.0)


def mel_cepstrum(log_mel: np.ndarray, n_cepstra: int = N_CEPSTRA) -> np.ndarray:
    """Cepstral coefficients 1..n of a log-mel spectrogram; the 0th, which is loudness, is left out.

    ln X_k = c_0 / 2 + Σ c_m cos(π m (k + ½) / M), so that the distortion is the root mean square difference of the
    smoothed spectra in decibels.

    Args:
        log_mel: (M, T) natural-log magnitudes, M > n_cepstra.
        n_cepstra: how many.

    Returns:
        (n_cepstra, T) float64.
    """
    n_mels = len(log_mel)
    assert n_mels > n_cepstra, (n_mels, n_cepstra)
    angles = np.pi * np.arange(1, n_cepstra + 1)[:, None] * (np.arange(n_mels) + 0.5) / n_mels
    return 2.0 / n_mels * np.cos(angles) @ np.asarray(log_mel, dtype=np.float64)


def distortions(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mel-cepstral distortion in decibels of frames, pairwise: (K, A) and (K, B) → (A, B).

    Source: Kubichek 1993, equation 1.
    """
    squares = np.square(reference).sum(axis=0)[:, None] + np.square(other).sum(axis=0) - 2.0 * reference.T @ other
    return _TO_DECIBELS * np.sqrt(np.maximum(squares, 0.0))


def warp(costs: np.ndarray) -> np.ndarray:
    """The path (P, 2) of pairs from the first to the last of both with the least sum of `costs` (A, B).

    Each step goes on by one in one of the two, or in both.

    Source: Sakoe & Chiba 1978, symmetric form without slope limits.
    """
    n_first, n_second = costs.shape
    assert n_first, "nothing to warp"
    assert n_second, "nothing to warp"
    total = np.full((n_first + 1, n_second + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(n_first + n_second - 1):
        i = np.arange(max(0, diagonal - n_second + 1), min(diagonal, n_first - 1) + 1)
        j = diagonal - i
        best = np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
        total[i + 1, j + 1] = costs[i, j] + best
    path = [(n_first - 1, n_second - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        before = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        path.append(min(before, key=lambda place: total[place[0] + 1, place[1] + 1]))
    return np.array(path[::-1])
