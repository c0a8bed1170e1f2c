"""Saying of a picture what the same model would not say of any picture.

A model that writes one small piece after the other learns from thousands of captions what usually comes next, and far
later what is to be seen. Where it is asked the same once with the picture and once with the mean picture, the
difference is what the picture changes, and that can be counted more than once.
"""

import numpy as np

PLAUSIBLE = 0.1  # α of Li et al. 2023


def guided(log_probs: np.ndarray, without: np.ndarray, guidance: float) -> np.ndarray:
    """Logarithms of probabilities of the next symbol that count the picture `1 + guidance` times.

    What is less than a tenth as likely as the likeliest symbol is ruled out: far down, differences between two small
    probabilities say nothing.

    Source: log p + guidance · (log p - log p without) is equation 6 of Ho and Salimans 2022, "Classifier-Free Diffusion
    Guidance", for symbols; the cut is the adaptive plausibility constraint of Li et al. 2023, "Contrastive Decoding:
    Open-ended Text Generation as Optimization".

    Args:
        log_probs: (N, V) with the picture, -inf for what is ruled out already.
        without: (N, V) with the mean picture.
        guidance: at least 0.

    Returns:
        (N, V) float64, -inf for what is ruled out; a row that was ruled out altogether stays so.
    """
    own, of_any = log_probs.astype(np.float64), without.astype(np.float64)
    likeliest = own.max(axis=1, keepdims=True)
    plausible = (own >= likeliest + np.log(PLAUSIBLE)) & np.isfinite(own)
    scores = np.full_like(own, -np.inf)
    scores[plausible] = own[plausible] + guidance * (own[plausible] - of_any[plausible])
    highest = np.where(np.isfinite(likeliest), scores.max(axis=1, keepdims=True), 0.0)
    totals = np.exp(scores - highest).sum(axis=1, keepdims=True)
    return scores - highest - np.log(np.maximum(totals, np.finfo(np.float64).tiny))
