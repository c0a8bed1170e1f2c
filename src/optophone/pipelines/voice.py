"""Text or symbols → speech: an acoustic model with its vocoder."""

import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from optophone.core.errors import BundleError, ConfigurationError, TextError
from optophone.core.phonemes import spell_phonemes
from optophone.core.pronunciations import Pronunciations
from optophone.core.protocols import AcousticModel, SeveralSpeakers, Vocoder
from optophone.core.speakers import speaker_number
from optophone.core.text import clean_text, end_sentence, has_phones, split_sentences, to_ascii
from optophone.core.time_stretch import MAX_SPEED, MIN_SPEED, stretch_stream, time_stretch
from optophone.core.vocabulary import Vocabulary
from optophone.core.volume import change_volume
from optophone.pipelines.results import Spoken

MAX_SILENCE_S = 60.0


class UnspokenWarning(UserWarning):
    """A text holds letters that no voice here can spell."""


@dataclass(frozen=True)
class VoiceConfig:
    """How long text is cut up and put together.

    Args:
        max_characters: of one utterance; longer sentences are split where they breathe.
        sentence_silence_s: between two sentences.
        variant_silence_s: between two variants of a description.
        volume: factor on every sample; loud ones are bent, never cut, see `core.volume`.
    """

    max_characters: int = 200
    sentence_silence_s: float = 0.2
    variant_silence_s: float = 0.5
    volume: float = 1.0

    def adjusted(self, sentence_silence_s: float | None, volume: float | None) -> "VoiceConfig":
        """These with another silence or volume; None leaves a thing as it is.

        Raises:
            ConfigurationError: a silence below 0 or above a minute.
        """
        silence = self.sentence_silence_s if sentence_silence_s is None else sentence_silence_s
        if not 0.0 <= silence <= MAX_SILENCE_S:
            raise ConfigurationError(f"sentence silence: {silence:g} s is out of range; choose 0 to {MAX_SILENCE_S:g}.")
        return replace(self, sentence_silence_s=silence, volume=self.volume if volume is None else volume)


class SpokenWave(NamedTuple):
    """What a voice made of utterances.

    Args:
        wave: (N,) float32.
        complete: whether the model ended all of them by itself.
        problems: what is wrong with any of them, in words.
    """

    wave: np.ndarray
    complete: bool
    problems: tuple[str, ...]


class Voice:
    """Text, or symbols, → wave.

    Args:
        acoustic: symbols → mel.
        vocoder: mel → wave.
        config: splitting and silences.

    Raises:
        BundleError: the two lay out their mel differently.
    """

    def __init__(self, acoustic: AcousticModel, vocoder: Vocoder, config: VoiceConfig | None = None) -> None:
        if acoustic.mel_spec != vocoder.mel_spec:
            raise BundleError(f"the acoustic model speaks {acoustic.mel_spec}, the vocoder reads {vocoder.mel_spec}.")
        self.acoustic = acoustic
        self.vocoder = vocoder
        self.config = config or VoiceConfig()

    @property
    def sample_rate(self) -> int:
        """Hz of every wave."""
        return self.vocoder.mel_spec.sample_rate

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of those who speak; the number of each is its place."""
        return self.acoustic.speakers if isinstance(self.acoustic, SeveralSpeakers) else ("voice",)

    def adjusted(
        self,
        *,
        sentence_silence_s: float | None = None,
        volume: float | None = None,
        speaker: str | int | None = None,
    ) -> "Voice":
        """This voice with another silence between sentences, volume or speaker; None leaves a thing as it is.

        Args:
            sentence_silence_s: seconds.
            volume: factor on every sample.
            speaker: a name of `speakers`, or a number; nothing is loaded again.

        Raises:
            ConfigurationError: a silence below 0 or above a minute, or no such speaker.
        """
        config = self.config.adjusted(sentence_silence_s, volume)
        acoustic = self.acoustic if speaker is None else self._spoken_by(speaker)
        return Voice(acoustic, self.vocoder, config)

    def _spoken_by(self, speaker: str | int) -> AcousticModel:
        """The acoustic model with the voice of `speaker`; one that names its speakers has `with_speaker` too."""
        number = speaker_number(self.speakers, speaker)
        return self.acoustic.with_speaker(number) if isinstance(self.acoustic, SeveralSpeakers) else self.acoustic

    def spell(self, text: str, *, phonemes: bool = False) -> list[np.ndarray]:
        """Symbols (S,) of each sentence of `text`: phones of the words whose pronunciation it has, letters of others.

        Args:
            text: words; with `phonemes`, or for a voice that reads nothing else, its phones between spaces.
            phonemes: whether the text is a pronunciation: ARPAbet for a voice of letters, see `spell_phonemes`.

        Raises:
            TextError: nothing in it can be spoken, or it is a pronunciation and the voice reads letters alone.
            VocabularyError: it holds a symbol that the voice does not know.
        """
        vocabulary = self.acoustic.vocabulary
        if vocabulary.kind in ("units", "phones"):
            return _given_symbols(vocabulary, text)
        if phonemes:
            text = spell_phonemes(text)
        knows_phones = vocabulary.reads_phones and getattr(self.acoustic, "reads_phones", True)
        if has_phones(text) and not knows_phones:
            raise TextError(f"{text[:40]!r}: this voice reads letters alone, no phones; write it as words.")
        # Cut before cleaning, because capitals tell an initial from a sentence's end; cut again after it, because
        # numbers grow when they are spelled.
        pieces = [
            piece
            for sentence in split_sentences(text, len(text) + 1)
            for piece in split_sentences(clean_text(sentence), self.config.max_characters)
            if any(letter.isalpha() for letter in piece)
        ]
        if not pieces:
            raise TextError(f"{text[:40]!r}: there is nothing to say; give letters or numbers.")
        _warn_of_unspoken(text)
        pronunciations: Pronunciations | None = getattr(self.acoustic, "pronunciations", None)
        sentences = [end_sentence(piece) for piece in pieces]
        spelled = [pronunciations.spell(sentence) for sentence in sentences] if pronunciations else sentences
        return [np.array(vocabulary.encode(sentence), dtype=np.int64) for sentence in spelled]

    def say(self, text: str, *, speed: float = 1.0, phonemes: bool = False) -> Spoken:
        """Speak a text.

        Args:
            text: any length; sentences are spoken one by one with a short silence between.
            speed: 1 as trained, 2 twice as fast at the same pitch; 0.25 to 4.
            phonemes: whether the text is a pronunciation, see `spell`.

        Raises:
            TextError: there is nothing to say.
            ConfigurationError: the speed is out of range.
        """
        check_speed(speed)
        began = time.perf_counter()
        spoken = self.speak(self.spell(text, phonemes=phonemes), speed=speed)
        timings = {"voice_s": time.perf_counter() - began}
        return Spoken(
            text,
            None,
            spoken.wave,
            self.sample_rate,
            said=text,
            complete=spoken.complete,
            timings=timings,
            problems=spoken.problems,
        )

    def stream_text(self, text: str, *, speed: float = 1.0, phonemes: bool = False) -> Iterator[np.ndarray]:
        """`say` in chunks (n,) float32 as they are ready, the first one early."""
        check_speed(speed)
        return self.stream(self.spell(text, phonemes=phonemes), speed=speed)

    def speak(self, utterances: Iterable[np.ndarray], *, speed: float = 1.0) -> SpokenWave:
        """The wave of `utterances`, each (S,) symbols, whether all ended by themselves, and what is wrong with them."""
        spoken = list(self.speak_each(utterances, speed=speed))
        problems = dict.fromkeys(problem for one in spoken for problem in one.problems)
        wave = np.concatenate([one.wave for one in spoken])
        return SpokenWave(wave, all(one.complete for one in spoken), tuple(problems))

    def speak_each(self, utterances: Iterable[np.ndarray], *, speed: float = 1.0) -> Iterator[SpokenWave]:
        """`speak` by utterances, the silence between them before each but the first; one is kept at a time."""
        for number, ids in enumerate(utterances):
            spoken = self.acoustic.mel(ids)
            wave = time_stretch(self.vocoder.wave(spoken.mel), speed, self.sample_rate)
            wave = change_volume(wave, self.config.volume)
            if number:
                wave = np.concatenate((self.silence(self.config.sentence_silence_s), wave))
            yield SpokenWave(wave, spoken.stopped, spoken.problems)

    def stream(self, utterances: Iterable[np.ndarray], *, speed: float = 1.0) -> Iterator[np.ndarray]:
        """The wave of `utterances` in chunks (n,) float32, the first one early."""
        for number, ids in enumerate(utterances):
            if number:
                yield self.silence(self.config.sentence_silence_s)
            chunks = self.vocoder.stream(self.acoustic.stream(ids))
            for chunk in stretch_stream(chunks, speed, self.sample_rate):
                yield change_volume(chunk, self.config.volume)

    def silence(self, seconds: float) -> np.ndarray:
        """Zeros (n,) float32."""
        return np.zeros(round(seconds * self.sample_rate), dtype=np.float32)


def _given_symbols(vocabulary: Vocabulary, text: str) -> list[np.ndarray]:
    """The symbols of a text that is written in them, one utterance per line.

    Raises:
        TextError: there are none.
        VocabularyError: a symbol that the voice does not know.
    """
    lines = [np.array(vocabulary.encode(line), dtype=np.int64) for line in text.splitlines()]
    if not any(map(len, lines)):
        raise TextError(f"there is nothing to say; this voice reads {vocabulary.kind} between spaces.")
    return [line for line in lines if len(line)]


def _warn_of_unspoken(text: str) -> None:
    """Warn of letters and digits that have no spelling in the letters a voice reads, and are left out."""
    if text.isascii():
        return
    unspoken = [letter for letter in dict.fromkeys(text) if letter.isalnum() and not to_ascii(letter, keep="£€¥")]
    if unspoken:
        shown = "".join(unspoken[:20])
        message = f"left out what the voice cannot spell: {shown!r}; write it in Latin letters"
        warnings.warn(message, UnspokenWarning, stacklevel=3)


def check_speed(speed: float) -> None:
    """Raise unless `speed` is one that sounds like speech.

    Raises:
        ConfigurationError: below 0.25 or above 4.
    """
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise ConfigurationError(f"speed: {speed:g} is out of range; choose {MIN_SPEED:g} to {MAX_SPEED:g}.")
