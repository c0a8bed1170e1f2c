"""The work behind every address: pictures to descriptions, descriptions and texts to sound, in threads."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from starlette.requests import Request

from optophone.core.errors import ConfigurationError, OptophoneError
from optophone.core.picture import load_picture
from optophone.core.vocabulary import Vocabulary
from optophone.pipelines import Description, Pipeline, TextVoice, TokenPipeline, Voice, check_speed
from optophone.server.gate import Gate, Place
from optophone.server.metrics import Metrics
from optophone.server.options import ServerOptions
from optophone.server.problems import Problem, problem_of
from optophone.server.relay import Relay
from optophone.server.sound_encoder import encode_stream

# What clients of the OpenAI shape send when nobody chose a voice.
_ANY_VOICE = {"", "default", "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer"}
_ANY_VOICE |= {"verse", "marin", "cedar"}


@dataclass(frozen=True)
class Asked:
    """How a picture is to be described.

    Args:
        variants: different descriptions at most.
        seed: of a sampling search.
        hedge: whether an unsure description gets words of doubt.
        force: whether to describe even what does not look like a photograph.
    """

    variants: int = 1
    seed: int | None = None
    hedge: bool = True
    force: bool = False


@dataclass(frozen=True)
class Described:
    """What was said of a picture, and how long it took."""

    descriptions: list[Description]
    seconds: float


class Describing:
    """A loaded system behind a gate.

    Args:
        pipeline: picture → speech.
        options: limits.
        name: of the model, for clients that ask.

    Raises:
        ConfigurationError: the system reads region features, which no browser makes.
    """

    def __init__(self, pipeline: Pipeline, options: ServerOptions, name: str) -> None:
        self.pipeline, self.options, self.name = pipeline, options, name
        self.voice: Voice | TextVoice | None = None  # a direct model speaks about pictures alone
        self.vocabulary: Vocabulary | None
        if isinstance(pipeline, TokenPipeline):
            if pipeline.describer.regions is not None:
                text = f"{name} reads region features, no pictures: serve another system, or use `optophone speak`."
                raise ConfigurationError(text)
            self.voice = pipeline.voice
            self.vocabulary = pipeline.describer.captioner.vocabulary
            self._at_least = pipeline.describer.at_least
        else:
            self.vocabulary, self._at_least = pipeline.model.vocabulary, pipeline.at_least
        self.gate = Gate(options.workers, options.queue, options.timeout_s)
        self.metrics = Metrics()
        # A large picture takes hundreds of megabytes while it is decoded: one at a time.
        self._decoding = threading.Lock()

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncIterator[Place]:
        """A thread for `request`, as soon as its turn comes.

        Raises:
            Problem: 429, 503, or an error of ours as a refusal.
        """
        try:
            async with self.gate.place(request.is_disconnected) as place:
                yield place
        except OptophoneError as error:
            raise problem_of(error) from None

    async def describe(self, place: Place, content: bytes, asked: Asked) -> Described:
        """Describe an encoded picture.

        Raises:
            Problem: 413, 415, 422: the picture; 422: too many variants; 503: it takes too long.
        """
        if not 1 <= asked.variants <= self.options.max_variants:
            raise Problem(422, f"There can be 1 to {self.options.max_variants} variants, not {asked.variants}.")
        began = time.perf_counter()
        descriptions = await place.run(partial(self._describe, content, asked))
        self.metrics.count("optophone_pictures_total", result="refused" if descriptions[0].refused else "described")
        return Described(descriptions, time.perf_counter() - began)

    def _describe(self, content: bytes, asked: Asked) -> list[Description]:
        with self._decoding:
            picture = load_picture(content, self.options.picture_limits, at_least=self._at_least)
        return self.pipeline.caption(
            picture, variants=asked.variants, seed=asked.seed, hedge=asked.hedge, force=asked.force
        )

    async def speak(
        self, place: Place, request: Request, descriptions: list[Description], speed: float, format: str
    ) -> AsyncIterator[bytes]:
        """A sound file of descriptions, piece by piece; the first piece is there when this returns."""
        check_speed(speed)
        waves = partial(self.pipeline.stream_descriptions, descriptions, speed=speed)
        return await self._stream(place, request, waves, format)

    async def say(
        self, place: Place, request: Request, text: str, speaker: str, speed: float, format: str
    ) -> AsyncIterator[bytes]:
        """A sound file of a text, piece by piece; the first piece is there when this returns.

        Raises:
            Problem: 422: too long, nothing to say, or nobody of that name; 503: it takes too long.
        """
        check_speed(speed)
        if len(text) > self.options.max_text:
            text = f"The text has {len(text)} characters, at most {self.options.max_text} are spoken at once."
            raise Problem(422, f"{text} Send it in parts.")
        voice = self._voice_of(speaker)
        # Spelled in the thread, before there is any sound: what cannot be spoken is refused, not cut off.
        utterances = await place.run(partial(voice.spell, text))
        return await self._stream(place, request, partial(voice.stream, utterances, speed=speed), format)

    def _voice_of(self, speaker: str) -> Voice | TextVoice:
        if self.voice is None:
            raise Problem(422, f"{self.name} speaks about pictures only; it has no voice for texts.")
        names = self.voice.speakers
        if speaker in names or (speaker.isascii() and speaker.isdigit()):
            return self.voice.adjusted(speaker=int(speaker) if speaker.isdigit() else speaker)
        if speaker.lower() in _ANY_VOICE:
            return self.voice
        shown = ", ".join(names[:20]) + (" and others" if len(names) > 20 else "")
        raise Problem(422, f"There is no voice {speaker[:40]!r}; leave it out, or choose of: {shown}.")

    async def _stream(
        self, place: Place, request: Request, waves: Callable[[], Iterator[np.ndarray]], format: str
    ) -> AsyncIterator[bytes]:
        rate = self.pipeline.sample_rate
        relay = Relay(lambda: encode_stream(self._counted(waves()), rate, format), timeout_s=self.options.timeout_s)
        stop_with(request, relay.stop)
        await place.stream(relay)
        return relay.read()

    def _counted(self, waves: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """`waves`, whose length is counted; the first one is made before any header of a file."""
        for wave in waves:
            self.metrics.count("optophone_sound_seconds_total", len(wave) / self.pipeline.sample_rate)
            yield wave


def stop_with(request: Request, stop: Callable[[], Any]) -> None:
    """Call `stop` when the request is over, however it ends; the guard around the application does it."""
    request.scope.setdefault("optophone.stops", []).append(stop)
