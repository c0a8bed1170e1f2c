"""Word error rates and durations of voices."""

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.voice import Utterance, durations, intelligibility, speech_duration

RATE = 8000


def tone(seconds: float, silence: float = 0.0, loudness: float = 0.5) -> Utterance:
    """A tone between two stretches of faint noise."""
    noise = 1e-4 * np.random.default_rng(0).standard_normal(round(silence * RATE))
    wave = loudness * np.sin(np.arange(round(seconds * RATE)) * 0.4)
    return Utterance(np.concatenate([noise, wave, noise]).astype(np.float32), RATE)


@pytest.mark.parametrize("silence", [0.0, 0.3])
@pytest.mark.parametrize("loudness", [0.9, 0.05])
def test_silence_at_the_ends_does_not_count(silence: float, loudness: float) -> None:
    utterance = tone(0.5, silence, loudness)
    assert speech_duration(utterance.wave, RATE) == pytest.approx(0.5, abs=0.021)


def test_silence_has_no_duration() -> None:
    assert speech_duration(np.zeros(100, np.float32), RATE) == 0
    assert speech_duration(np.zeros(0, np.float32), RATE) == 0


def test_durations_are_compared_one_by_one() -> None:
    reference = [tone(1.0, 0.2)] * 4
    found = durations([tone(1.0), tone(1.2, 0.3), tone(0.8), tone(1.5)], reference)
    assert found.within_25_percent == 0.75
    assert found.median == pytest.approx(1.1, abs=0.03)
    assert found.high > 1.4
    with pytest.raises(DataError, match="silent"):
        durations([tone(1.0)], [Utterance(np.zeros(10, np.float32), RATE)])
    with pytest.raises(DataError, match="nothing"):
        durations([], [])


def test_a_ratio_compares_the_same_recogniser() -> None:
    said = [["a", "dog", "runs"], ["two", "girls"], ["a", "ball"]]
    voice = [["a", "dog"], ["two", "boys"], ["a", "ball"]]
    reference = [["a", "dog", "runs"], ["two", "boys"], ["a", "ball"]]
    copied = [["the", "dog", "ran"], ["two", "boys"], ["ball"]]
    found = intelligibility(1, said, [voice, reference, copied])
    assert (found.voice, found.reference, found.copied) == pytest.approx((2 / 7, 1 / 7, 4 / 7))
    assert found.ratio == pytest.approx(2.0)
    assert found.ratio_interval is not None
    assert found.ratio_interval[0] <= 2 <= found.ratio_interval[1]


def test_there_is_no_ratio_to_a_faultless_reference_and_no_rate_over_nothing() -> None:
    said = [["a", "dog"]]
    found = intelligibility(2, said, [[["a"]], said, said])
    assert found.ratio is None
    assert found.voice == 0.5
    with pytest.raises(DataError, match="nothing"):
        intelligibility(1, [], [[], [], []])
