"""All measures together: units that are the phones, units that are the speaker, and units by chance."""

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.mel import log_mel
from optophone.evaluation.abx import ABXConfig
from optophone.evaluation.unit_quality import MEL, HeardUtterance, UnitQuality, UnitQualityConfig
from optophone.evaluation.unit_times import UnitTimes
from tiny_alignments import PHONES, WORDS, known_spans, sing_words

UNIT_S = 0.02
CONFIG = UnitQualityConfig(ABXConfig(n_triples=1500), fewest_words=5)


def utterances(kind: str, lag_s: float = 0.0) -> list[HeardUtterance]:
    """Thirty utterances of two speakers in units of `kind`: "phones", "speaker" or "chance"."""
    random, found = np.random.default_rng(0), []
    for i in range(30):
        words = [str(word) for word in random.choice(WORDS, 6)]
        wave, spans = sing_words(words, i % 2), known_spans(" ".join(words))
        n = int(len(wave) / 16000 / UNIT_S)
        labels = ["SIL", *PHONES]
        units = np.array([labels.index(label) for label in UnitTimes(UNIT_S, lag_s).labels(n, spans.phones)])
        if kind == "speaker":
            units = np.full(n, i % 2)
        elif kind == "chance":
            units = random.integers(6, size=n)
        mel = log_mel(wave, MEL).T
        found.append(HeardUtterance(f"speaker {i % 2}", units, mel, len(wave) / 16000, spans))
    return found


@pytest.fixture(scope="module")
def perfect() -> UnitQuality:
    return UnitQuality(utterances("phones"), 6, UNIT_S, np.eye(6), CONFIG)


@pytest.fixture(scope="module")
def chance() -> UnitQuality:
    return UnitQuality(utterances("chance"), 6, UNIT_S, None, CONFIG)


@pytest.mark.parametrize("speakers", ["within", "across"])
def test_abx(speakers: str, perfect: UnitQuality, chance: UnitQuality) -> None:
    found = perfect.abx(speakers)  # type: ignore[arg-type]
    assert found.keys() == {"frames", "vectors", "collapsed", "mel", "shuffled"}
    assert found["frames"].error == found["vectors"].error == found["collapsed"].error == 0
    assert found["mel"].error < (0.05 if speakers == "within" else 0.5)
    by_chance = chance.abx(speakers)  # type: ignore[arg-type]
    assert "vectors" not in by_chance
    for error in (found["shuffled"].error, by_chance["frames"].error, by_chance["collapsed"].error):
        assert 0.4 < error < 0.6


def test_phones_words_and_boundaries(perfect: UnitQuality, chance: UnitQuality) -> None:
    information, by_chance = perfect.information(), chance.information()
    assert information.score.pnmi == pytest.approx(1)
    assert information.control.pnmi < 0.02 > by_chance.score.pnmi
    scores = perfect.boundaries()
    assert set(scores) == {"phones", "words", "phones, one unit", "words, one unit"}
    assert scores["phones"].score.precision == 1
    assert scores["phones"].score.recall > 0.95  # but where a phone follows itself
    assert scores["phones"].control.f1 < 0.5
    assert scores["words"].score.recall > 0.85 > 0.5 > scores["words"].score.precision
    assert chance.boundaries()["phones"].score.r_value < 0 < chance.boundaries()["phones"].score.precision
    words = perfect.words()
    assert {one.word for one in words.score} == set(WORDS)
    # Every phone is in several words, so that no code says a word alone; shuffled ones say even less.
    assert np.mean([one.f1 for one in words.control]) < np.mean([one.f1 for one in words.score]) < 1


def test_rates(perfect: UnitQuality) -> None:
    rates = perfect.rates()
    assert (rates.n_codes, rates.used_codes) == (6, 6)
    assert 10 < rates.units_per_s < 14  # phones of 80 ms, and silence
    assert rates.bits_per_s_collapsed < rates.bits_per_s_frames


def test_the_speaker_leaks_where_it_is_in_the_units(perfect: UnitQuality) -> None:
    leakage = UnitQuality(utterances("speaker"), 6, UNIT_S, None, CONFIG).speakers()
    assert leakage.units.accuracy == leakage.mel.accuracy == 1
    assert (leakage.chance, leakage.n_speakers, leakage.n_utterances) == (0.5, 2, 30)
    assert perfect.speakers().units.accuracy < 0.8


@pytest.mark.parametrize("lag", [-0.02, 0.0, 0.01])
def test_the_lag_is_found(lag: float) -> None:
    quality = UnitQuality(utterances("phones", lag), 6, UNIT_S, None, CONFIG)
    assert quality.times.lag_s == pytest.approx(lag)
    assert quality.information().score.pnmi == pytest.approx(1)


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(DataError, match="No utterances"):
        UnitQuality([], 6, UNIT_S)
    one = utterances("phones")[0]
    with pytest.raises(DataError, match="no two speakers"):
        UnitQuality([one] * 9, 6, UNIT_S).speakers()
    with pytest.raises(DataError, match="ABX"):
        UnitQuality([one], 6, UNIT_S, None, CONFIG).abx("across")
