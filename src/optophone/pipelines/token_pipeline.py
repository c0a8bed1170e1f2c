"""Picture → symbols → speech."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from optophone.core.errors import BundleError
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import VocabularyKind
from optophone.pipelines.describer import Describer
from optophone.pipelines.results import Description, Spoken
from optophone.pipelines.text_voice import TextVoice
from optophone.pipelines.voice import Voice, check_speed


class TokenPipeline:
    """Picture → speech by way of symbols.

    Args:
        describer: picture → symbols.
        voice: symbols → wave. It either shares the captioner's vocabulary (units, phones), or reads text; a `TextVoice`
            reads text alone.

    Raises:
        BundleError: the voice can read neither the captioner's symbols nor its text.
    """

    def __init__(self, describer: Describer, voice: Voice | TextVoice) -> None:
        self.describer = describer
        self.voice = voice
        self.shares_symbols = False
        written = describer.captioner.vocabulary
        if isinstance(voice, TextVoice):
            if not describer.writes_text:
                raise BundleError(f"the captioner writes {written.kind}, the voice reads text; choose another voice.")
            return
        read = voice.acoustic.vocabulary
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

    @property
    def writes(self) -> VocabularyKind:
        """What a description is written in."""
        return self.describer.captioner.vocabulary.kind

    def adjusted(
        self,
        *,
        sentence_silence_s: float | None = None,
        volume: float | None = None,
        speaker: str | int | None = None,
    ) -> "TokenPipeline":
        """This pipeline with its voice changed: see `Voice.adjusted`."""
        voice = self.voice.adjusted(sentence_silence_s=sentence_silence_s, volume=volume, speaker=speaker)
        return TokenPipeline(self.describer, voice)

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
