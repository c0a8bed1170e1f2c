"""espeak-ng as library and as program."""

import os
import shutil
import stat
import sys

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.espeak import EspeakConfig, EspeakLibrary, EspeakProgram
from optophone.data.espeak import load_espeak


@pytest.fixture
def library():
    """A function that makes a voice of the wheel's library."""
    loader = pytest.importorskip("espeakng_loader")
    return lambda config: EspeakLibrary(config, loader.get_library_path(), loader.get_data_path())


def test_the_library_speaks(library):
    espeak = library(EspeakConfig())
    wave = espeak.speak("a dog is running in the grass.")
    assert espeak.sample_rate == 22050
    assert wave.dtype == np.int16
    assert 1 < len(wave) / espeak.sample_rate < 4
    assert np.abs(wave.astype(int)).max() > 5000
    assert espeak.version[0].isdigit()


def test_speed_is_used(library):
    slow = library(EspeakConfig(speed=120)).speak("a dog is running in the grass.")
    fast = library(EspeakConfig(speed=300)).speak("a dog is running in the grass.")
    assert len(fast) < 0.6 * len(slow)


def test_voices_are_found_by_name_and_by_language(library):
    assert len(library(EspeakConfig("en-us+f3")).speak("a dog"))
    assert len(library(EspeakConfig("en-gb")).speak("a dog"))
    with pytest.raises(DataError, match="no such voice"):
        library(EspeakConfig("klingon-qo"))


def test_words_become_phones(library):
    voice = library(EspeakConfig("en-gb"))
    library(EspeakConfig())  # the one made last gives the voice
    phones = voice.phones("A dog, a 2nd dog. In the déjà vu!")
    assert phones[1] == phones[4]
    assert phones[1] == ["d", "ˈɑː", "ɡ"]
    assert phones[3] == ["s", "ˈɛ", "k", "ə", "n", "d"]
    assert phones[5] == ["ɪ", "n", "ð", "ə"]
    assert all(phone and not set(phone) & set("_() ") for word in phones for phone in word)
    assert voice.phones("") == voice.phones(" ... ") == []


@pytest.mark.parametrize("options", [{"speed": 10}, {"pitch": 100}, {"voice": ""}, {"voice": "-x"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(DataError):
        EspeakConfig(**options)


@pytest.mark.skipif(os.name == "nt", reason="stands in for the program with a shell script")
def test_the_program_is_used_where_the_library_is_missing(monkeypatch, tmp_path):
    """A stand-in program: it answers with a WAV whose samples are the bytes of the text."""
    script = tmp_path / "espeak-ng"
    script.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "if '--version' in sys.argv: print('eSpeak NG text-to-speech: 1.50  Data at: x'); sys.exit()\n"
        "if 'nope' in sys.argv: print('Error: no voice', file=sys.stderr); sys.exit(1)\n"
        "if '--ipa' in sys.argv: print(' ə d_ˈɔ_ɡ\\n (fr)ʃ_a_(en)'); sys.exit()\n"
        "header = b'RIFF' + bytes(20) + (16000).to_bytes(4, 'little') + bytes(16)\n"
        "samples = b''.join(c.to_bytes(2, 'little') for c in sys.stdin.buffer.read())\n"
        "sys.stdout.buffer.write(header + samples)\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    espeak = load_espeak(EspeakConfig())
    assert isinstance(espeak, EspeakProgram)
    assert (espeak.sample_rate, espeak.version) == (16000, "1.50")
    assert espeak.speak("dog").tolist() == [100, 111, 103]
    assert espeak.phones("a dog; chat") == [["ə"], ["d", "ˈɔ", "ɡ"], ["ʃ", "a"]]
    with pytest.raises(DataError, match="no voice"):
        load_espeak(EspeakConfig("nope"))


def test_neither_installed_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="pip install"):
        load_espeak(EspeakConfig())
