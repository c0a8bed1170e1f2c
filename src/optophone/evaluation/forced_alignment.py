"""When each word and phone of a known text is said in a recording, by pocketsphinx."""

import multiprocessing
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from optophone.core.audio import pcm16
from optophone.core.errors import DataError
from optophone.core.spans import Span, SpokenSpans
from optophone.core.text import spoken_words
from optophone.evaluation.recognizer import RecognizerConfig, model_folder, prepare_sound

FRAME_S = 0.01
_WINDOW_S = 410 / 16000
# A frame is about the middle of its window: it stands for the hundredth of a second around that.
_FIRST_S = (_WINDOW_S - FRAME_S) / 2
_ALTERNATIVE = re.compile(r"\(\d+\)$")
_PHONE = re.compile(r"[A-Z]+$")
_PAUSE = "SIL"

Sounding = tuple[np.ndarray, int, str]


class Aligner:
    """Wave and text → words and phones with their times.

    Two passes: the first finds the words, choosing among their pronunciations and putting pauses between; the second
    finds the phones within them.

    Args:
        config: how it hears; the order means nothing here.

    Raises:
        ModuleNotFoundError: pocketsphinx is not installed.

    Source: Viterbi 1967, with the acoustic model and the dictionary that come with pocketsphinx 5.
    """

    def __init__(self, config: RecognizerConfig | None = None) -> None:
        import pocketsphinx

        self.config = config or RecognizerConfig()
        folder = model_folder()
        # Without "bestpath" the first pass is kept as it was searched: the lattice would shorten words to fewer frames
        # than their phones need, and the second pass would refuse them.
        self.decoder = pocketsphinx.Decoder(
            hmm=str(folder / "en-us"),
            dict=str(folder / "cmudict-en-us.dict"),
            lm=None,
            bestpath=False,
            cmn="batch",
            loglevel="FATAL",
        )
        self._warm_up()

    def _warm_up(self) -> None:
        """The first utterance of a decoder is aligned otherwise than the same one is later: let it be noise."""
        noise = np.random.default_rng(0).standard_normal(8000, np.float32)
        self.decoder.set_align_text("a")
        self._hear(pcm16(0.1 * noise))

    def align(self, wave: np.ndarray, sample_rate: int, text: str) -> SpokenSpans:
        """When the words of `text` and their phones are said in `wave` (N,).

        Raises:
            DataError: no words or no sound, a word without pronunciation, or sound that the text does not fit.
        """
        words = spoken_words(text)
        if not words or not np.any(wave):
            raise DataError("no words" if not words else "no sound")
        unknown = next((word for word in words if self.decoder.lookup_word(word) is None), None)
        if unknown is not None:
            raise DataError(f"no pronunciation of {unknown!r}")
        sound = pcm16(prepare_sound(wave, sample_rate, self.config))
        try:
            self.decoder.set_align_text(" ".join(words))
            self._hear(sound)
            self.decoder.set_alignment()
            self._hear(sound)
            spans = self._spans(len(wave) / sample_rate)
        except RuntimeError:
            raise DataError("the text does not fit the sound") from None
        if [span.label for span in spans.words] != words:
            raise DataError("the text does not fit the sound")
        return spans

    def _hear(self, sound: bytes) -> None:
        self.decoder.start_utt()
        self.decoder.process_raw(sound, full_utt=True)
        self.decoder.end_utt()

    def _spans(self, duration_s: float) -> SpokenSpans:
        """What was found. An entry of pocketsphinx is good only until the next one is asked for."""
        words: list[Span] = []
        phones: list[Span] = []
        for word in self.decoder.get_alignment():
            whole = self._span(_ALTERNATIVE.sub("", word.name), word, duration_s)
            inside = [self._span(phone.name, phone, duration_s) for phone in word]
            inside = [phone for phone in inside if phone.label != _PAUSE and _PHONE.match(phone.label)]
            if inside:
                words.append(whole)
                phones += inside
        return SpokenSpans(tuple(words), tuple(phones))

    def _span(self, label: str, entry: Any, duration_s: float) -> Span:
        before = self.config.margin_s - _FIRST_S
        frames = (entry.start, entry.start + entry.duration)
        start, end = (min(max(0.0, frame * FRAME_S - before), duration_s) for frame in frames)
        return Span(label, round(start, 3), round(end, 3))


def align_all(items: Iterable[Sounding], config: RecognizerConfig, jobs: int = 1) -> Iterator[SpokenSpans | str]:
    """What each (wave, sample rate, text) says when, or why that was not found, by several processes at once.

    Args:
        items: what is aligned.
        config: how.
        jobs: processes; 1 works in this one.
    """
    if jobs == 1:
        aligner = Aligner(config)
        yield from (_align(aligner, item) for item in items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin, (config,)) as executor:
        yield from executor.map(_align_here, items)


_own: dict[str, Aligner] = {}  # the aligner of a process


def _begin(config: RecognizerConfig) -> None:
    _own["aligner"] = Aligner(config)


def _align_here(item: Sounding) -> SpokenSpans | str:
    return _align(_own["aligner"], item)


def _align(aligner: Aligner, item: Sounding) -> SpokenSpans | str:
    try:
        return aligner.align(*item)
    except DataError as error:
        return str(error)
