"""Times of words in speech whose times are known, because it was put together from words."""

from itertools import pairwise

import numpy as np
import pytest

from optophone.core.audio import resample
from optophone.core.errors import DataError
from optophone.core.espeak import EspeakConfig
from optophone.data.espeak import load_espeak
from optophone.evaluation.recognizer import RecognizerConfig

pytest.importorskip("pocketsphinx")
pytest.importorskip("espeakng_loader")

from optophone.evaluation.forced_alignment import Aligner, align_all

RATE = 16000


def said(words: list[str], gap_s: float = 0.3) -> tuple[np.ndarray, list[float]]:
    """(N,) words with silence between, and the middles of the words in seconds."""
    espeak = load_espeak(EspeakConfig(speed=140))
    pieces, middles, at = [], [], 0.0
    for word in words:
        wave = resample(espeak.speak(word).astype(np.float32) / 32768, espeak.sample_rate, RATE)
        loud = np.flatnonzero(np.abs(wave) > 0.02)
        wave = wave[loud[0] : loud[-1]]
        pieces += [np.zeros(round(gap_s * RATE), np.float32), wave]
        middles.append(at + gap_s + len(wave) / RATE / 2)
        at += gap_s + len(wave) / RATE
    return np.concatenate([*pieces, np.zeros(round(gap_s * RATE), np.float32)]), middles


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return Aligner()


def test_words_and_phones_are_where_they_are_said(aligner: Aligner) -> None:
    words = ["brown", "dogs", "running", "water"]
    wave, middles = said(words)
    spans = aligner.align(wave, RATE, "Brown dogs, running: water!")
    assert [word.label for word in spans.words] == words
    for word, middle in zip(spans.words, middles, strict=True):
        assert word.start_s < middle < word.end_s
        assert (word.start_s + word.end_s) / 2 == pytest.approx(middle, abs=0.06)
    assert " ".join(phone.label for phone in spans.phones).startswith("B R AW N D AO G Z R AH N IH NG W")
    assert all(one.end_s <= other.start_s + 1e-9 for one, other in pairwise(spans.phones))
    assert spans.words[-1].end_s <= len(wave) / RATE
    assert spans.phones[0].start_s == spans.words[0].start_s


def test_the_second_time_is_as_the_first_and_any_rate_will_do(aligner: Aligner) -> None:
    wave, _ = said(["two", "children"])
    first = Aligner().align(wave, RATE, "two children")
    assert aligner.align(wave, RATE, "two children") == first
    again = aligner.align(resample(wave, RATE, 22050), 22050, "two children")
    for one, other in zip(again.words, first.words, strict=True):
        assert one.start_s == pytest.approx(other.start_s, abs=0.03)


def test_what_cannot_be_aligned_has_a_reason() -> None:
    wave, _ = said(["two", "children"])
    items = [
        (wave, RATE, "two zzyzxian children"),
        (wave, RATE, " . "),
        (0 * wave, RATE, "two children"),
        (wave[RATE // 3 : RATE // 2], RATE, "two children are playing with a large red ball in the water"),
        (wave, RATE, "two children"),
    ]
    found = list(align_all(items, RecognizerConfig()))
    assert found[0] == "no pronunciation of 'zzyzxian'"
    assert found[1:4] == ["no words", "no sound", "the text does not fit the sound"]
    assert not isinstance(found[4], str)
    with pytest.raises(DataError):
        Aligner().align(*items[3])
