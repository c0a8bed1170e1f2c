"""espeak-ng as a voice, and as the speller of voices that read phones."""

import threading
from dataclasses import replace

import numpy as np

from optophone.core.errors import TextError
from optophone.core.espeak import Espeak, EspeakConfig, EspeakLibrary, EspeakProgram
from optophone.core.time_stretch import time_stretch

SLOWEST, FASTEST = 80, 450  # words a minute; what lies beyond is stretched

_one_at_a_time = threading.Lock()  # the library has one voice a process, whoever uses it


def load_espeak(config: EspeakConfig) -> Espeak:
    """The library where it is installed, else the program; DataError with a hint where neither is."""
    try:
        import espeakng_loader
    except ImportError:
        return EspeakProgram(config)
    return EspeakLibrary(config, espeakng_loader.get_library_path(), espeakng_loader.get_data_path())


class EspeakVoice:
    """Text → wave (a `Synthesizer`) by espeak-ng, which reads about a hundred languages. Several threads may use it.

    Args:
        config: voice, words a minute and pitch; the voice decides on the language.

    Raises:
        DataError: espeak-ng is not installed, or has no such voice.
    """

    def __init__(self, config: EspeakConfig | None = None) -> None:
        self.config = config or EspeakConfig()
        with _one_at_a_time:
            self._espeak = load_espeak(self.config)
        self.sample_rate = self._espeak.sample_rate
        self.speakers: tuple[str, ...] = (self.config.voice,)

    def with_speaker(self, speaker: int) -> "EspeakVoice":
        """This voice, which is one; another is another `EspeakConfig`."""
        assert speaker == 0, f"one speaker, asked for number {speaker}"
        return self

    def spell(self, text: str, phonemes: bool = False) -> np.ndarray:
        """The code points (S,) int64 of a sentence: espeak-ng reads letters, numbers and abbreviations by itself.

        Raises:
            TextError: it is a pronunciation.
        """
        if phonemes:
            raise TextError(f"{text[:40]!r}: espeak-ng reads letters here, no phones; write the words in letters.")
        return np.array([ord(letter) for letter in text], dtype=np.int64)

    def wave(self, ids: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """Wave (N,) float32 of code points (S,); it speaks faster by itself as far as it can, up to 450 words a minute.

        Raises:
            TextError: it says nothing for them.
        """
        text = "".join(map(chr, ids))
        rate = min(max(round(self.config.speed * speed), SLOWEST), FASTEST)
        with _one_at_a_time:
            self._espeak.choose(replace(self.config, speed=rate))
            samples = self._espeak.speak(text)
        if not samples.any():
            raise TextError(f"{text[:40]!r}: espeak-ng says nothing for this; write it in letters of its language.")
        wave = samples.astype(np.float32) / 32768
        if SLOWEST < rate < FASTEST:
            return wave
        return time_stretch(wave, self.config.speed * speed / rate, self.sample_rate)

    def phones(self, text: str) -> list[list[str]]:
        """For each word of `text` its phones in the International Phonetic Alphabet; see `Espeak.phones`."""
        with _one_at_a_time:
            self._espeak.choose(self.config)
            return self._espeak.phones(text)
