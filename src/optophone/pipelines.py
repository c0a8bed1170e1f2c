"""Parts composed into something that speaks: picture → symbols → mel → wave.

`Describer` is a captioner with its way of searching, `Voice` an acoustic model with its vocoder, and `TokenPipeline`
joins the two. The same class is the cascade (the captioner writes words, which the voice spells) and the textless way
(both share a vocabulary of units): which of the two it is follows from the vocabularies.
"""

import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from optophone.core.audio import write_wave
from optophone.core.errors import BundleError, ConfigurationError, TextError
from optophone.core.phonemes import spell_phonemes
from optophone.core.picture import load_picture
from optophone.core.protocols import (
    AcousticModel,
    Caption,
    Captioner,
    Judgement,
    PhotographDetector,
    SeveralSpeakers,
    Vocoder,
)
from optophone.core.regions import RegionSpec, load_regions
from optophone.core.search import SearchConfig
from optophone.core.speakers import speaker_number
from optophone.core.text import clean_text, end_sentence, has_phones, split_sentences, to_ascii
from optophone.core.time_stretch import MAX_SPEED, MIN_SPEED, stretch_stream, time_stretch
from optophone.core.vocabulary import Vocabulary
from optophone.core.volume import change_volume

NO_PHOTOGRAPH = "I cannot tell what this picture shows. It does not look like a photograph."
BLANK = "I cannot tell what this picture shows. It looks blank."
MAX_SILENCE_S = 60.0


class UnspokenWarning(UserWarning):
    """A text holds letters that no voice here can spell."""


@dataclass(frozen=True)
class Hedge:
    """Words of doubt, spoken before a caption.

    Args:
        below: confidence under which they are said.
        say: the words, for instance "I am not sure, but perhaps: ".
    """

    below: float
    say: str


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


@dataclass(frozen=True)
class Description:
    """What a captioner says of a picture.

    Args:
        text: words separated by spaces, or units; where it is refused, a sentence that says so.
        confidence: 0..1 that the text is right; 0 where it is refused.
        ids: symbols of the captioner's vocabulary; none where it is refused.
        log_prob: natural logarithm of the probability of the whole sequence.
        hedge: words of doubt to be spoken before the text, or "".
        attention: (S, rows, columns) where each symbol looked, or None.
        photograph: 0..1 that the picture is a photograph; None where nothing judges that.
        refused: whether there is no description because the picture does not look like a photograph.
        token_log_probs: of each symbol, the end included; empty where nobody knows.
    """

    text: str
    confidence: float
    ids: tuple[int, ...]
    log_prob: float
    hedge: str = ""
    attention: np.ndarray | None = field(default=None, repr=False, compare=False)
    photograph: float | None = None
    refused: bool = False
    token_log_probs: tuple[float, ...] = field(default=(), repr=False, compare=False)

    @property
    def said(self) -> str:
        """The text with its words of doubt."""
        return self.hedge + self.text

    def to_json(self) -> dict[str, Any]:
        """Plain data without the attention."""
        return {
            "text": self.text,
            "confidence": round(self.confidence, 4),
            "log_prob": round(self.log_prob, 4),
            "photograph": None if self.photograph is None else round(self.photograph, 4),
            "refused": self.refused,
        }


@dataclass(frozen=True)
class Spoken:
    """A picture, or a text, as sound.

    Args:
        text: the caption (of several variants the best), or the text that was given.
        confidence: 0..1 of that caption; None where a text was given.
        wave: (N,) float32 in -1..1.
        sample_rate: Hz.
        said: what the voice says, word for word: words of doubt and further variants included.
        variants: the descriptions that are spoken, best first; empty where a text was given.
        attention: (S, rows, columns) of the best caption, or None.
        complete: False where the voice was cut off before it had found its end.
        problems: what the voice's attention shows to be wrong, in words: left out, said again; empty where all is well.
        timings: seconds spent per stage.
    """

    text: str
    confidence: float | None
    wave: np.ndarray = field(repr=False)
    sample_rate: int
    said: str = ""
    variants: tuple[Description, ...] = ()
    attention: np.ndarray | None = field(default=None, repr=False)
    complete: bool = True
    timings: dict[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether there is no description because the picture does not look like a photograph."""
        return any(variant.refused for variant in self.variants)

    @property
    def photograph(self) -> float | None:
        """0..1 that the picture is a photograph; None where a text was given or nothing judges that."""
        return self.variants[0].photograph if self.variants else None

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return len(self.wave) / self.sample_rate

    def save(self, path: str | os.PathLike[str], format: str | None = None) -> None:
        """Write the wave; `format` wav, flac, ogg or mp3, by the file's suffix when None.

        Raises:
            AudioError: the format is unknown or the file cannot be written; nothing is left behind.
        """
        write_wave(path, self.wave, self.sample_rate, format)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`: everything but the wave and the attention."""
        return {
            "text": self.text,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "photograph": None if self.photograph is None else round(self.photograph, 4),
            "refused": self.refused,
            "said": self.said,
            "variants": [variant.to_json() for variant in self.variants],
            "sample_rate": self.sample_rate,
            "duration_s": round(self.duration_s, 3),
            "complete": self.complete,
            "problems": list(self.problems),
            "timings": {stage: round(seconds, 4) for stage, seconds in self.timings.items()},
        }


class Describer:
    """Picture → descriptions.

    Args:
        captioner: picture → symbols.
        search: how captions are searched for unless a call says otherwise.
        hedges: words of doubt; of those whose threshold is above the confidence, the lowest threshold's are said.
        at_least: pixels a side that suffice: large JPEG files may be decoded at a fraction of their size.
        regions: what region features the captioner reads, where it reads these instead of pictures.
        detector: judges whether a picture is a photograph at all; what is none is refused in words, so a captioner
            that writes none refuses nothing.
    """

    def __init__(
        self,
        captioner: Captioner,
        search: SearchConfig | None = None,
        hedges: Sequence[Hedge] = (),
        at_least: int | None = None,
        regions: RegionSpec | None = None,
        detector: PhotographDetector | None = None,
    ) -> None:
        self.captioner = captioner
        self.detector = None if regions is not None else detector
        self.at_least = at_least
        self.regions = regions
        self.search = search or SearchConfig()
        self.hedges = tuple(sorted(hedges, key=lambda hedge: hedge.below))
        self.writes_text = captioner.vocabulary.kind in ("words", "characters")

    def caption(
        self,
        picture: Any,
        *,
        variants: int = 1,
        seed: int | None = None,
        search: SearchConfig | None = None,
        hedge: bool = True,
        force: bool = False,
    ) -> list[Description]:
        """Describe a picture: at least one description and at most `variants`, all different, best first.

        Args:
            picture: path, bytes, PIL image, or (H, W, 3) uint8 array; where the captioner reads regions, what
                `load_regions` takes.
            variants: how many different descriptions; fewer where the search finds no more.
            seed: of a sampling search.
            search: how to search; None takes the bundle's own way.
            hedge: whether an unsure description gets words of doubt.
            force: whether to describe even what does not look like a photograph.

        Raises:
            PictureError: the picture cannot be read.
            DataError: the region features cannot be read, or it is a picture where they are needed.
            ConfigurationError: an option is out of range.
        """
        in_words = self.captioner.vocabulary.kind == "words"
        config = _search_for(search or self.search, variants, seed, in_words)
        loaded = self._load(picture)
        judgement = self.detector.judge(loaded) if self.detector is not None else None
        if judgement is not None and not (judgement.is_photograph or force) and self.writes_text:
            return [_refusal(judgement)]
        found: dict[str, Description] = {}
        for caption in self.captioner.caption(loaded, config):
            text = self.captioner.vocabulary.decode(caption.ids)
            if text and text not in found:
                found[text] = self._description(text, caption, judgement, hedge)
        if not found:
            raise TextError("the captioner found no words for this picture; try another search, such as sampling.")
        return list(found.values())[:variants]

    def _description(self, text: str, caption: Caption, judgement: Judgement | None, hedge: bool) -> Description:
        confidence = caption.confidence
        if judgement is not None and not judgement.is_photograph:
            confidence *= judgement.probability  # a caption of what is no photograph cannot be right
        return Description(
            text,
            confidence,
            caption.ids,
            caption.log_prob,
            hedge=self._words_of_doubt(confidence) if hedge and self.writes_text else "",
            attention=caption.attention,
            photograph=None if judgement is None else judgement.probability,
            token_log_probs=caption.token_log_probs,
        )

    def _load(self, source: Any) -> np.ndarray:
        """The picture (H, W, 3) uint8, or the regions (R, D) float32."""
        if self.regions is not None:
            return load_regions(source, self.regions.dim)
        return load_picture(source, at_least=self.at_least)

    def _words_of_doubt(self, confidence: float) -> str:
        return next((hedge.say for hedge in self.hedges if confidence < hedge.below), "")


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
        silence = self.config.sentence_silence_s if sentence_silence_s is None else sentence_silence_s
        if not 0.0 <= silence <= MAX_SILENCE_S:
            raise ConfigurationError(f"sentence silence: {silence:g} s is out of range; choose 0 to {MAX_SILENCE_S:g}.")
        volume = self.config.volume if volume is None else volume
        acoustic = self.acoustic if speaker is None else self._spoken_by(speaker)
        return Voice(acoustic, self.vocoder, replace(self.config, sentence_silence_s=silence, volume=volume))

    def _spoken_by(self, speaker: str | int) -> AcousticModel:
        """The acoustic model with the voice of `speaker`; one that names its speakers has `with_speaker` too."""
        number = speaker_number(self.speakers, speaker)
        return self.acoustic.with_speaker(number) if isinstance(self.acoustic, SeveralSpeakers) else self.acoustic

    def spell(self, text: str, *, phonemes: bool = False) -> list[np.ndarray]:
        """Symbols (S,) of each sentence of `text`.

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
        if has_phones(text) and "@AA" not in vocabulary.symbols:
            raise TextError(f"{text[:40]!r}: this voice reads letters alone, no phones; write the words in letters.")
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
        return [np.array(vocabulary.encode(end_sentence(piece)), dtype=np.int64) for piece in pieces]

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


class TokenPipeline:
    """Picture → speech by way of symbols.

    Args:
        describer: picture → symbols.
        voice: symbols → wave. It either shares the captioner's vocabulary (units, phones), or reads text.

    Raises:
        BundleError: the voice can read neither the captioner's symbols nor its text.
    """

    def __init__(self, describer: Describer, voice: Voice) -> None:
        self.describer = describer
        self.voice = voice
        written, read = describer.captioner.vocabulary, voice.acoustic.vocabulary
        self.shares_symbols = written.hash == read.hash
        if not self.shares_symbols and not (describer.writes_text and read.kind == "characters"):
            raise BundleError(
                f"the captioner writes {written.kind} (vocabulary {written.hash[:12]}) but the voice reads "
                f"{read.kind} (vocabulary {read.hash[:12]}); choose parts that were made together."
            )

    @property
    def sample_rate(self) -> int:
        """Hz of every wave."""
        return self.voice.sample_rate

    @property
    def search(self) -> SearchConfig:
        """How captions are searched for unless a call says otherwise."""
        return self.describer.search

    def __call__(
        self,
        picture: Any,
        *,
        speed: float = 1.0,
        variants: int = 1,
        seed: int | None = None,
        search: SearchConfig | None = None,
        hedge: bool = True,
        force: bool = False,
    ) -> Spoken:
        """Describe a picture aloud.

        Args:
            picture: path, bytes, PIL image, or (H, W, 3) uint8 array.
            speed: 1 as trained, 2 twice as fast at the same pitch; 0.25 to 4.
            variants: how many different descriptions to speak, one after the other; fewer where there are no more.
            seed: of a sampling search.
            search: how to search; None takes the bundle's own way.
            hedge: whether words of doubt are spoken before an unsure description.
            force: whether to describe even what does not look like a photograph.

        Raises:
            PictureError: the picture cannot be read.
            ConfigurationError: an option is out of range.
        """
        check_speed(speed)
        began = time.perf_counter()
        descriptions = self.caption(picture, variants=variants, seed=seed, search=search, hedge=hedge, force=force)
        captioned = time.perf_counter()
        spoken = self.speak(descriptions, speed=speed)
        timings = {"caption_s": captioned - began, **spoken.timings, "total_s": time.perf_counter() - began}
        return replace(spoken, timings=timings)

    def caption(
        self,
        picture: Any,
        *,
        variants: int = 1,
        seed: int | None = None,
        search: SearchConfig | None = None,
        hedge: bool = True,
        force: bool = False,
    ) -> list[Description]:
        """The descriptions alone: see `Describer.caption`."""
        return self.describer.caption(picture, variants=variants, seed=seed, search=search, hedge=hedge, force=force)

    def speak(self, descriptions: Sequence[Description], *, speed: float = 1.0) -> Spoken:
        """Speak what `caption` returned, one description after the other."""
        check_speed(speed)
        began = time.perf_counter()
        pieces: list[np.ndarray] = []
        complete = True
        problems: dict[str, None] = {}
        for description in descriptions:
            spoken = self.voice.speak(self.utterances(description), speed=speed)
            complete &= spoken.complete
            problems |= dict.fromkeys(spoken.problems)
            if pieces:
                pieces.append(self.voice.silence(self.voice.config.variant_silence_s))
            pieces.append(spoken.wave)
        best = descriptions[0]
        return Spoken(
            text=best.text,
            confidence=best.confidence,
            wave=np.concatenate(pieces),
            sample_rate=self.sample_rate,
            said=". ".join(description.said for description in descriptions),
            variants=tuple(descriptions),
            attention=best.attention,
            complete=complete,
            timings={"voice_s": time.perf_counter() - began},
            problems=tuple(problems),
        )

    def stream(
        self,
        picture: Any,
        *,
        speed: float = 1.0,
        variants: int = 1,
        seed: int | None = None,
        search: SearchConfig | None = None,
        hedge: bool = True,
        force: bool = False,
    ) -> Iterator[np.ndarray]:
        """The wave of a call with the same arguments in chunks (n,) float32 at `sample_rate`, the first one early."""
        check_speed(speed)
        descriptions = self.caption(picture, variants=variants, seed=seed, search=search, hedge=hedge, force=force)
        return self.stream_descriptions(descriptions, speed=speed)

    def stream_descriptions(self, descriptions: Iterable[Description], *, speed: float = 1.0) -> Iterator[np.ndarray]:
        """What `speak` returns in chunks (n,) float32."""
        for number, description in enumerate(descriptions):
            if number:
                yield self.voice.silence(self.voice.config.variant_silence_s)
            yield from self.voice.stream(self.utterances(description), speed=speed)

    def say(self, text: str, *, speed: float = 1.0) -> Spoken:
        """Speak a text with the voice of this pipeline."""
        return self.voice.say(text, speed=speed)

    def stream_text(self, text: str, *, speed: float = 1.0) -> Iterator[np.ndarray]:
        """`say` in chunks (n,) float32 as they are ready."""
        return self.voice.stream_text(text, speed=speed)

    def utterances(self, description: Description) -> list[np.ndarray]:
        """Symbols (S,) of the voice for each utterance of a description."""
        if self.shares_symbols and not description.refused:
            return [np.array(description.ids, dtype=np.int64)]
        return self.voice.spell(description.said)


def _refusal(judgement: Judgement) -> Description:
    """What is said of a picture that is no photograph."""
    text = BLANK if judgement.is_blank else NO_PHOTOGRAPH
    return Description(text, 0.0, (), 0.0, photograph=judgement.probability, refused=True)


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


def _search_for(search: SearchConfig, variants: int, seed: int | None, in_words: bool) -> SearchConfig:
    """`search` with enough results for so many variants: some of them will be the same words again.

    Variants in words are searched for by diverse beams, one group for each, unless `search.diversity` is 0: the next
    best sentences of one beam differ in a word or two. Symbols smaller than words do not keep their places when
    something else is said, so avoiding them would only misspell.
    """
    if variants < 1:
        raise ConfigurationError(f"variants: {variants} is too few; ask for 1 or more.")
    if seed is not None:
        search = replace(search, seed=seed)
    if variants == 1:
        return replace(search, n_results=1)
    n_results = 2 * variants
    if search.method == "sample":
        return replace(search, n_results=n_results)
    if not in_words or search.diversity == 0:
        beam_size = max(search.beam_size, n_results)
        return replace(search, method="beam", n_results=n_results, beam_size=beam_size, groups=1)
    groups = search.groups if search.groups > 1 else variants
    beam_size = groups * max(-(-search.beam_size // groups), -(-n_results // groups))
    return replace(search, method="beam", finished="aside", n_results=n_results, beam_size=beam_size, groups=groups)
