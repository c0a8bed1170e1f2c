"""Ears that judge voices: many waves heard by several recognisers at once, and pocketsphinx with a closed vocabulary.

pocketsphinx had no part in any training. It writes down what it hears of a voice, word by word. Its own errors are
many, so its figures mean something only beside those of another voice that says the same words.
"""

import math
import multiprocessing
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.audio import pcm16, resample
from optophone.core.errors import DataError
from optophone.core.protocols import SpeechRecognizer
from optophone.core.text import spoken_words
from optophone.core.word_ngrams import count_ngrams

__all__ = [
    "Recognizer",
    "RecognizerConfig",
    "hear_all",
    "language_model",
    "pronunciations",
    "spoken_words",
    "word_errors",
]

SAMPLE_RATE = 16000
_ALTERNATIVE = re.compile(r"\(\d+\)$")


@dataclass(frozen=True)
class RecognizerConfig:
    """How pocketsphinx listens.

    Args:
        order: of the language model over the captions: 1 knows only which words there are and how often, 2 also which
            follow one another, and so on.
        level: root mean square that every wave is brought to, of full scale.
        dither: standard deviation of the noise that is added, of full scale: digital silence confuses the acoustic
            model. 30 dB below the level gave the fewest errors on espeak-ng (.31 against .38 at 40 dB, .45 at 20 dB).
        margin_s: quiet before and after.
    """

    order: int = 1
    level: float = 0.1
    dither: float = 0.003
    margin_s: float = 0.25

    def __post_init__(self) -> None:
        """Refuse an order that there is no model for."""
        if not 1 <= self.order <= 3:
            raise DataError(f"recogniser: order {self.order} is not possible; use 1, 2 or 3.")


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest words to put in, leave out or replace to make one of the other (Levenshtein 1966)."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, found in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(diagonal + (expected != found), row[j] + 1, row[j - 1] + 1)
    return row[-1]


@cache
def pronunciations() -> dict[str, list[str]]:
    """Every word of the recogniser's dictionary to its pronunciations."""
    words: dict[str, list[str]] = {}
    for line in (model_folder() / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        words.setdefault(_ALTERNATIVE.sub("", word), []).append(phones)
    return words


def language_model(sentences: Sequence[Sequence[str]], order: int) -> str:
    """The n-grams of `sentences` in ARPA format."""
    ngrams = count_ngrams(sentences, order)
    lines = ["\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(ngrams.probabilities, 1))]
    for n, grams in enumerate(ngrams.probabilities, 1):
        lines += ["", f"\\{n}-grams:"]
        for gram, probability in sorted(grams.items()):
            weight = ngrams.weights[n - 1].get(gram, 1.0) if n < len(ngrams.probabilities) else None
            last = "" if weight is None else f" {math.log10(weight):.5f}"
            lines.append(f"{math.log10(probability):.5f} {' '.join(gram)}{last}")
    return "\n".join([*lines, "", "\\end\\", ""])


class Recognizer:
    """Wave → words, out of the words of given sentences, by pocketsphinx (a `SpeechRecognizer`).

    Args:
        sentences: what may be said, as `spoken_words` gives it; all words are in `pronunciations`.
        config: how it listens.

    Raises:
        DataError: a word without pronunciation.
        ModuleNotFoundError: pocketsphinx is not installed.
    """

    def __init__(self, sentences: Sequence[Sequence[str]], config: RecognizerConfig) -> None:
        import pocketsphinx

        self.config = config
        words = sorted({word for sentence in sentences for word in sentence})
        missing = [word for word in words if word not in pronunciations()]
        if missing:
            raise DataError(f"the recogniser has no pronunciation of {missing[0]!r}; leave such sentences out.")
        with tempfile.TemporaryDirectory(prefix="optophone-recognizer-") as scratch:
            dictionary, model = Path(scratch) / "words.dict", Path(scratch) / "words.lm"
            lines = (
                f"{word}{f'({i})' if i > 1 else ''} {phones}"
                for word in words
                for i, phones in enumerate(pronunciations()[word], 1)
            )
            dictionary.write_text("\n".join(lines) + "\n", encoding="utf-8")
            model.write_text(language_model(sentences, config.order), encoding="utf-8")
            self.decoder = pocketsphinx.Decoder(
                hmm=str(model_folder() / "en-us"), dict=str(dictionary), lm=str(model), loglevel="FATAL"
            )

    def hear(self, wave: np.ndarray, sample_rate: int) -> list[str]:
        """The words of `wave` (N,); none where it is silent."""
        if not np.any(wave):
            return []
        self.decoder.start_utt()
        self.decoder.process_raw(pcm16(self.prepare(wave, sample_rate)), no_search=False, full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return [_ALTERNATIVE.sub("", word) for word in hypothesis.hypstr.split()] if hypothesis else []

    def prepare(self, wave: np.ndarray, sample_rate: int) -> np.ndarray:
        """What is heard of `wave`, see `prepare_sound`."""
        return prepare_sound(wave, sample_rate, self.config)


def prepare_sound(wave: np.ndarray, sample_rate: int, config: RecognizerConfig) -> np.ndarray:
    """`wave` at 16 kHz and the level that all waves have, in faint noise that is the same for all."""
    wave = resample(wave, sample_rate, SAMPLE_RATE)
    wave = wave * (config.level / np.sqrt(np.mean(np.square(wave))))
    margin = np.zeros(round(config.margin_s * SAMPLE_RATE), np.float32)
    padded = np.concatenate([margin, wave, margin])
    noise = np.random.default_rng(0).standard_normal(len(padded), np.float32)
    return padded + np.float32(config.dither) * noise


def hear_all(
    waves: Iterable[tuple[np.ndarray, int]],
    build: Callable[[], SpeechRecognizer],
    jobs: int = 2,
    advance: Callable[[], None] = lambda: None,
) -> list[list[str]]:
    """The words of every (wave, sample rate), by several recognisers at once.

    Args:
        waves: what is heard.
        build: makes a recogniser, in each listening process its own; it is pickled.
        jobs: listening processes; 1 listens in this one.
        advance: called after each wave.
    """
    found = []
    with ExitStack() as stack:
        if jobs == 1:
            recognizer = build()
            heard: Iterable[list[str]] = (recognizer.hear(*item) for item in waves)
        else:
            context = multiprocessing.get_context("spawn")
            executor = stack.enter_context(ProcessPoolExecutor(jobs, context, _begin_hearing, (build,)))
            heard = executor.map(_hear, waves)
        for words in heard:
            found.append(words)
            advance()
    return found


_own: dict[str, SpeechRecognizer] = {}  # the recogniser of a listening process


def _begin_hearing(build: Callable[[], SpeechRecognizer]) -> None:
    _own["recognizer"] = build()


def _hear(item: tuple[np.ndarray, int]) -> list[str]:
    return _own["recognizer"].hear(*item)


def model_folder() -> Path:
    """Where pocketsphinx keeps its English model and dictionary."""
    import pocketsphinx

    folder: Any = pocketsphinx.get_model_path()
    return Path(folder) / "en-us"
