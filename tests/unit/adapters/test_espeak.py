"""espeak-ng as a voice."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from optophone.adapters.espeak import EspeakVoice
from optophone.core.errors import ConfigurationError, DataError, TextError
from optophone.core.espeak import EspeakConfig
from optophone.own_parts import load_voice
from optophone.pipelines import TextVoice

pytest.importorskip("espeakng_loader")


def test_it_speaks_sentence_by_sentence() -> None:
    voice = load_voice(voice="espeak:en-gb")
    assert isinstance(voice, TextVoice)
    text = "A dog is running. A cat sleeps in the snow."
    chunks = list(voice.stream_text(text))
    assert len(chunks) == 2
    spoken = voice.say(text)
    assert spoken.sample_rate == voice.sample_rate == 22050
    assert spoken.wave.dtype == np.float32
    assert abs(len(spoken.wave) - sum(map(len, chunks))) < 500  # espeak-ng's small random changes of pitch
    assert 0.1 < np.abs(spoken.wave).max() <= 1
    assert not chunks[1][: round(0.2 * 22050)].any()  # the silence between sentences


def test_speed_is_its_own_within_what_it_can() -> None:
    voice = load_voice(voice="espeak:en-us:175")
    lengths = [len(voice.say("a dog is running in the grass", speed=speed).wave) for speed in (0.25, 1.0, 2.0, 4.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 2.5 * lengths[1]
    assert lengths[1] > 1.5 * lengths[2]
    assert lengths[2] > 1.5 * lengths[3]


def test_voices_do_not_disturb_each_other() -> None:
    """The library has one voice a process; several of ours, in several threads, are each right."""
    slow, fast = EspeakVoice(EspeakConfig("en-us", 100)), EspeakVoice(EspeakConfig("en-gb", 300))
    alone = [len(one.wave(one.spell("a dog is running in the grass"))) for one in (slow, fast)]
    with ThreadPoolExecutor(4) as pool:
        lengths = list(
            pool.map(lambda one: len(one.wave(one.spell("a dog is running in the grass"))), [slow, fast] * 6)
        )
    assert np.allclose(lengths[::2], alone[0], rtol=0.02)
    assert np.allclose(lengths[1::2], alone[1], rtol=0.02)
    assert slow.phones("dog") != fast.phones("dog")


def test_what_it_cannot_say_is_refused() -> None:
    voice = load_voice(voice="espeak")
    assert voice.speakers == ("en-us",)
    for text in ("", " ... ", "\ud800"):
        with pytest.raises(TextError, match="nothing to say"):
            voice.say(text)
    with pytest.raises(TextError, match="no phones"):
        voice.say("HH AH0", phonemes=True)
    with pytest.raises(ConfigurationError, match="one speaker"):
        voice.adjusted(speaker=1)
    with pytest.raises(DataError, match="no such voice"):
        load_voice(voice="espeak:klingon-qo")
    with pytest.raises(DataError, match="80 to 450"):
        load_voice(voice="espeak:en-us:7")
