"""Picture → speech in one network."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from optophone.core.errors import BundleError, TextError
from optophone.core.picture import load_picture
from optophone.core.protocols import DirectModel, Intention, Judgement, PhotographDetector, Vocoder
from optophone.core.search import SearchConfig
from optophone.core.speakers import speaker_number
from optophone.core.time_stretch import stretch_stream, time_stretch
from optophone.core.vocabulary import VocabularyKind
from optophone.core.volume import change_volume
from optophone.pipelines.describer import search_for
from optophone.pipelines.results import Description, Spoken
from optophone.pipelines.voice import VoiceConfig, check_speed


class DirectPipeline:
    """Picture → speech: a direct model with a vocoder.

    It is called as a `TokenPipeline` is. A description has units where the model chooses them before it speaks; else it
    has no text, and no confidence, since all is decided in speaking. Words of doubt and refusals are never spoken:
    nobody here could say them. A detector's judgement is told, and lowers a confidence.

    Args:
        model: picture → mel.
        vocoder: mel → wave.
        config: volume, and the silence between variants.
        at_least: pixels a side that suffice: large JPEG files may be decoded at a fraction of their size.
        detector: judges whether a picture is a photograph at all.

    Raises:
        BundleError: the two lay out their mel differently.
    """

    def __init__(
        self,
        model: DirectModel,
        vocoder: Vocoder,
        config: VoiceConfig | None = None,
        at_least: int | None = None,
        detector: PhotographDetector | None = None,
    ) -> None:
        if model.mel_spec != vocoder.mel_spec:
            raise BundleError(f"the direct model makes {model.mel_spec}, the vocoder reads {vocoder.mel_spec}.")
        self.model, self.vocoder = model, vocoder
        self.config = config or VoiceConfig()
        self.at_least, self.detector = at_least, detector

    @property
    def sample_rate(self) -> int:
        """Hz of every wave."""
        return self.vocoder.mel_spec.sample_rate

    @property
    def search(self) -> SearchConfig:
        """How the model chooses what to say unless a call says otherwise."""
        return self.model.search

    @property
    def writes(self) -> VocabularyKind | None:
        """What a description is written in; None where there is nothing written."""
        return None if self.model.vocabulary is None else self.model.vocabulary.kind

    def adjusted(
        self,
        *,
        sentence_silence_s: float | None = None,
        volume: float | None = None,
        speaker: str | int | None = None,
    ) -> "DirectPipeline":
        """This pipeline with another volume; there are no sentences to be silent between, and one voice.

        Raises:
            ConfigurationError: another speaker than the one there is.
        """
        if speaker is not None:
            speaker_number(("voice",), speaker)
        config = self.config if volume is None else replace(self.config, volume=volume)
        return DirectPipeline(self.model, self.vocoder, config, self.at_least, self.detector)

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
        """Speak about a picture.

        Args:
            picture: path, bytes, PIL image, or (H, W, 3) uint8 array.
            speed: 1 as trained, 2 twice as fast at the same pitch; 0.25 to 4.
            variants: how many different things to say, one after the other; fewer where there are no more.
            seed: of what is drawn.
            search: how to choose what to say; None takes the bundle's own way.
            hedge, force: of no effect, see `DirectPipeline`.

        Raises:
            PictureError: the picture cannot be read.
            TextError: the model finds nothing to say.
            ConfigurationError: an option is out of range.
        """
        check_speed(speed)
        began = time.perf_counter()
        descriptions = self.caption(picture, variants=variants, seed=seed, search=search, hedge=hedge, force=force)
        looked = time.perf_counter()
        spoken = self.speak(descriptions, speed=speed)
        timings = {"caption_s": looked - began, **spoken.timings, "total_s": time.perf_counter() - began}
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
        """Look at a picture: at least one description to be spoken and at most `variants`, the best first."""
        config = search_for(search or self.search, variants, seed, in_words=False)
        loaded = load_picture(picture, at_least=self.at_least)
        judgement = self.detector.judge(loaded) if self.detector is not None else None
        found: dict[Any, Description] = {}
        for number, intention in enumerate(self.model.intend(loaded, config)):
            description = self._description(intention, judgement)
            if intention.caption is None:
                found[number] = description
            elif description.text:
                found.setdefault(description.text, description)
        if not found:
            raise TextError("the model found nothing to say of this picture; try another search, such as sampling.")
        return list(found.values())[:variants]

    def _description(self, intention: Intention, judgement: Judgement | None) -> Description:
        photograph = None if judgement is None else judgement.probability
        caption = intention.caption
        if caption is None or self.model.vocabulary is None:
            return Description("", None, (), 0.0, photograph=photograph, intention=intention)
        confidence = caption.confidence
        if judgement is not None and not judgement.is_photograph:
            confidence *= judgement.probability
        return Description(
            self.model.vocabulary.decode(caption.ids),
            confidence,
            caption.ids,
            caption.log_prob,
            attention=caption.attention,
            photograph=photograph,
            token_log_probs=caption.token_log_probs,
            intention=intention,
        )

    def speak(self, descriptions: Sequence[Description], *, speed: float = 1.0) -> Spoken:
        """Speak what `caption` returned, one description after the other."""
        check_speed(speed)
        began = time.perf_counter()
        pieces: list[np.ndarray] = []
        complete = True
        for description in descriptions:
            spoken = self.model.mel(_intention(description))
            complete &= spoken.stopped
            wave = time_stretch(self.vocoder.wave(spoken.mel), speed, self.sample_rate)
            if pieces:
                pieces.append(self._silence())
            pieces.append(change_volume(wave, self.config.volume))
        best = descriptions[0]
        return Spoken(
            text=best.text,
            confidence=best.confidence,
            wave=np.concatenate(pieces),
            sample_rate=self.sample_rate,
            said=". ".join(description.said for description in descriptions if description.said),
            variants=tuple(descriptions),
            attention=best.attention,
            complete=complete,
            timings={"voice_s": time.perf_counter() - began},
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
        """What `speak` returns in chunks (n,) float32, each while the next is being thought of."""
        for number, description in enumerate(descriptions):
            if number:
                yield self._silence()
            chunks = self.vocoder.stream(self.model.stream(_intention(description)))
            for chunk in stretch_stream(chunks, speed, self.sample_rate):
                yield change_volume(chunk, self.config.volume)

    def _silence(self) -> np.ndarray:
        return np.zeros(round(self.config.variant_silence_s * self.sample_rate), dtype=np.float32)


def _intention(description: Description) -> Intention:
    assert description.intention is not None, "a description of another pipeline"
    return description.intention
