"""How well a voice can be understood, and whether it keeps to the length of the speech it is to be like."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.bootstrap import bootstrap_interval
from optophone.evaluation.recognizer import word_errors

_FRAME_S = 0.01
_QUIET_DB = -40.0  # below the loudest frame: silence


@dataclass(frozen=True)
class Utterance:
    """What a voice made of a text.

    Args:
        wave: (N,) in -1..1.
        sample_rate: Hz.
        complete: False where the voice had to be cut off.
    """

    wave: np.ndarray
    sample_rate: int
    complete: bool = True


Speak = Callable[[str], Utterance]


@dataclass(frozen=True)
class Intelligibility:
    """Word error rates of one recogniser on three voices that say the same texts.

    Args:
        order: of the recogniser's language model; 0 where any words may be heard.
        voice: of the voice under test; errors over words, may exceed 1.
        reference: of the reference: recordings of people, or a voice that is known.
        copied: of the reference sent through the same vocoder: what the vocoder alone costs.
        ratio: voice over reference; None where the reference has no errors.
        ratio_interval: ends of the interval that holds 95 % of the ratios when texts are drawn again, or None.
    """

    order: int
    voice: float
    reference: float
    copied: float
    ratio: float | None
    ratio_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Durations:
    """Lengths of utterances over those of the reference, silence at the ends left out.

    Args:
        within_25_percent: share of the ratios in 0.75..1.25.
        median: of the ratios.
        low, high: ends of the interval with the middle 95 % of the ratios.
    """

    within_25_percent: float
    median: float
    low: float
    high: float


def intelligibility(
    order: int, sentences: Sequence[Sequence[str]], heard: Sequence[Sequence[Sequence[str]]]
) -> Intelligibility:
    """Compare what was heard of three voices.

    Args:
        order: of the recogniser's language model.
        sentences: (P) the words that were said.
        heard: of voice, reference and copied reference: (P) the words that were understood.

    Raises:
        DataError: no sentences.
    """
    if not sentences:
        raise DataError("No sentences were heard: there is no word error rate over nothing.")
    errors = np.array([[word_errors(s, h) for s, h in zip(sentences, one, strict=True)] for one in heard], np.float64)
    n_words = np.array([len(sentence) for sentence in sentences], np.float64)
    voice, reference, copied = errors.sum(axis=1) / n_words.sum()
    if reference == 0:
        return Intelligibility(order, float(voice), 0.0, float(copied), None, None)
    interval = bootstrap_interval(errors[:2].T, lambda sums: sums[:, 0] / np.maximum(sums[:, 1], 1))
    return Intelligibility(order, float(voice), float(reference), float(copied), float(voice / reference), interval)


def durations(voice: Sequence[Utterance], reference: Sequence[Utterance]) -> Durations:
    """Compare lengths, utterance by utterance.

    Raises:
        DataError: no utterances, or a silent reference.
    """
    if not voice:
        raise DataError("No utterances to measure: there is no duration of nothing.")
    lengths = np.array([speech_duration(one.wave, one.sample_rate) for one in reference])
    if not lengths.all():
        raise DataError("the reference was silent in one of the texts; there is nothing to compare with.")
    ratios = np.array([speech_duration(one.wave, one.sample_rate) for one in voice]) / lengths
    low, median, high = np.quantile(ratios, [0.025, 0.5, 0.975])
    within = float((np.abs(ratios - 1) <= 0.25).mean())
    return Durations(within, float(median), float(low), float(high))


def speech_duration(wave: np.ndarray, sample_rate: int) -> float:
    """Seconds from the first to the last 10 ms that are less than 40 dB quieter than the loudest; 0 in silence."""
    size = max(1, round(_FRAME_S * sample_rate))
    frames = np.pad(wave, (0, -len(wave) % size)).astype(np.float64).reshape(-1, size)
    power = np.square(frames).mean(axis=1)
    if not power.any():
        return 0.0
    audible = np.flatnonzero(power > power.max() * 10 ** (_QUIET_DB / 10))
    return float((audible[-1] - audible[0] + 1) * size / sample_rate)
