"""Text → speech by a synthesizer that spells for itself; called as `Voice` is."""

import time
from collections.abc import Iterable, Iterator

import numpy as np

from optophone.core.errors import TextError
from optophone.core.protocols import Synthesizer
from optophone.core.speakers import speaker_number
from optophone.core.text import split_sentences
from optophone.core.volume import change_volume
from optophone.pipelines.results import Spoken
from optophone.pipelines.voice import SpokenWave, VoiceConfig, check_speed


class TextVoice:
    """Text → wave, sentence by sentence.

    Args:
        synthesizer: sentence → wave.
        config: splitting and silences.
    """

    def __init__(self, synthesizer: Synthesizer, config: VoiceConfig | None = None) -> None:
        self.synthesizer = synthesizer
        self.config = config or VoiceConfig()

    @property
    def sample_rate(self) -> int:
        """Hz of every wave."""
        return self.synthesizer.sample_rate

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of those who speak; the number of each is its place."""
        return self.synthesizer.speakers

    def adjusted(
        self,
        *,
        sentence_silence_s: float | None = None,
        volume: float | None = None,
        speaker: str | int | None = None,
    ) -> "TextVoice":
        """This voice with another silence between sentences, volume or speaker: see `Voice.adjusted`."""
        config = self.config.adjusted(sentence_silence_s, volume)
        if speaker is None:
            return TextVoice(self.synthesizer, config)
        number = speaker_number(self.speakers, speaker)
        return TextVoice(self.synthesizer.with_speaker(number), config)

    def spell(self, text: str, *, phonemes: bool = False) -> list[np.ndarray]:
        """Symbols (S,) of each sentence of `text`, which with `phonemes` is one pronunciation per line.

        Raises:
            TextError: nothing in it can be spoken, or it is a pronunciation and the voice reads none.
        """
        text = text.encode("utf-8", "ignore").decode()  # half of a surrogate pair has no sound
        pieces = text.splitlines() if phonemes else split_sentences(text, self.config.max_characters)
        pieces = [piece for piece in pieces if any(letter.isalnum() for letter in piece)]
        if not pieces:
            raise TextError(f"{text[:40]!r}: there is nothing to say; give letters or numbers.")
        return [self.synthesizer.spell(piece, phonemes) for piece in pieces]

    def say(self, text: str, *, speed: float = 1.0, phonemes: bool = False) -> Spoken:
        """Speak a text: see `Voice.say`."""
        check_speed(speed)
        began = time.perf_counter()
        spoken = self.speak(self.spell(text, phonemes=phonemes), speed=speed)
        timings = {"voice_s": time.perf_counter() - began}
        return Spoken(text, None, spoken.wave, self.sample_rate, said=text, timings=timings)

    def stream_text(self, text: str, *, speed: float = 1.0, phonemes: bool = False) -> Iterator[np.ndarray]:
        """`say` in chunks (n,) float32: each sentence as soon as it is spoken."""
        check_speed(speed)
        return self.stream(self.spell(text, phonemes=phonemes), speed=speed)

    def speak(self, utterances: Iterable[np.ndarray], *, speed: float = 1.0) -> SpokenWave:
        """The wave of `utterances`, each (S,) symbols; a synthesizer does not say whether it stumbled."""
        return SpokenWave(np.concatenate(list(self.stream(utterances, speed=speed))), True, ())

    def speak_each(self, utterances: Iterable[np.ndarray], *, speed: float = 1.0) -> Iterator[SpokenWave]:
        """`speak` by utterances, the silence between them before each but the first."""
        for number, ids in enumerate(utterances):
            before = self.silence(self.config.sentence_silence_s if number else 0.0)
            wave = change_volume(self.synthesizer.wave(ids, speed), self.config.volume)
            yield SpokenWave(np.concatenate((before, wave)), True, ())

    def stream(self, utterances: Iterable[np.ndarray], *, speed: float = 1.0) -> Iterator[np.ndarray]:
        """The wave of `utterances` in chunks (n,) float32: each sentence, after its silence, once it is spoken."""
        for spoken in self.speak_each(utterances, speed=speed):
            yield spoken.wave

    def silence(self, seconds: float) -> np.ndarray:
        """Zeros (n,) float32."""
        return np.zeros(round(seconds * self.sample_rate), dtype=np.float32)
