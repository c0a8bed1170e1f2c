"""Which recogniser judges, as --recognizer says: pocketsphinx, Whisper, or a bundle of ours."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from optophone.core.bundle import open_bundle
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.protocols import SpeechRecognizer
from optophone.evaluation.recognizer import Recognizer, RecognizerConfig, hear_all, pronunciations
from optophone.export.results import content_hash
from optophone.runtime.load import find_bundle, load_recognizer

POCKETSPHINX = "pocketsphinx"
WHISPER = "whisper:"
ANY_WORDS = 0
ORDER_NAMES = {ANY_WORDS: "any words", 1: "words alone", 2: "2 words in a row"}
_RATE = "word_error_rate_"

Words = Sequence[str]


@dataclass(frozen=True)
class ChosenRecognizer:
    """A recogniser that is built when it is known what may be said.

    Args:
        name: as the user gave it.
        orders: in which it can listen: 0 for any words, n for those of the sentences, n in a row.
        knows: whether it could hear a word at all.
        build: from sentences and order to what makes a recogniser; that is pickled.
        facts: for results.
        true_speech: data set of true speech to the word error rate on it, any words.
        alone: whether one hears all, because it is large and takes several threads itself.
    """

    name: str
    orders: tuple[int, ...]
    knows: Callable[[str], bool]
    build: Callable[[Sequence[Words], int], Callable[[], SpeechRecognizer]]
    facts: Mapping[str, Any]
    true_speech: Mapping[str, float]
    alone: bool = False

    def understands(self, words: Words) -> bool:
        """Whether there are words, and only words that it could hear."""
        return bool(words) and all(map(self.knows, words))

    def hear(
        self,
        waves: Iterable[tuple[np.ndarray, int]],
        sentences: Sequence[Words],
        order: int,
        jobs: int,
        advance: Callable[[], None] = lambda: None,
    ) -> list[list[str]]:
        """The words of every (wave, sample rate); `sentences` are what may be said where `order` is not 0."""
        return hear_all(waves, self.build(sentences, order), 1 if self.alone else jobs, advance)

    def line(self) -> str:
        """What is said of it beside everything it judges."""
        rates = ", ".join(f"{data} {rate:.3f}" for data, rate in self.true_speech.items())
        known = rates or f"not measured; `optophone evaluate recognizer {self.name} DATASET...` does so"
        return f"recogniser: {self.name}; its word error rate on true speech: {known}"


def choose_recognizer(name: str) -> ChosenRecognizer:
    """The recogniser that `name` means: "pocketsphinx", "whisper:PATH" or a bundle.

    Raises:
        BundleError: no bundle, or one of another kind.
        ConfigurationError: "whisper:" without anything after it.
        ModuleNotFoundError: its package is not installed.
    """
    if name == POCKETSPHINX:
        facts = {"name": name, **asdict(RecognizerConfig())}
        return ChosenRecognizer(name, (1, 2), pronunciations().__contains__, _build_pocketsphinx, facts, {})
    if name.startswith(WHISPER):
        place = name.removeprefix(WHISPER)
        if not place:
            raise ConfigurationError("--recognizer whisper: needs a folder or a name on the hub after the colon.")
        if find_spec("transformers") is None:
            raise ModuleNotFoundError("No module named 'transformers'", name="transformers")
        return ChosenRecognizer(name, (ANY_WORDS,), _anything, partial(_build_whisper, place), {"name": name}, {}, True)
    return _choose_bundle(name)


def _choose_bundle(name: str) -> ChosenRecognizer:
    opened = open_bundle(find_bundle(name))
    manifest = opened.manifest
    if manifest.kind != "recognizer":
        raise BundleError(f"{name}: a recogniser is needed here, but this is of kind {manifest.kind}.")
    metrics = manifest.metrics
    rates = {key.removeprefix(_RATE): rate for key, rate in metrics.items() if key.startswith(_RATE)}
    facts = {
        "name": manifest.name,
        "class": manifest.cls,
        "content": content_hash(manifest),
        "word_error_rates_on_true_speech": rates,
    }
    letters = set(opened.vocabulary().symbols)
    build = partial(_build_ours, str(opened.folder))
    return ChosenRecognizer(name, (ANY_WORDS, 1, 2), letters.issuperset, build, facts, rates)


def _anything(word: str) -> bool:
    return True


def _build_pocketsphinx(sentences: Sequence[Words], order: int) -> Callable[[], SpeechRecognizer]:
    return partial(Recognizer, sentences, RecognizerConfig(order=order))


def _build_whisper(place: str, sentences: Sequence[Words], order: int) -> Callable[[], SpeechRecognizer]:
    from optophone.adapters.whisper import WhisperRecognizer

    return partial(WhisperRecognizer, place)


def _build_ours(folder: str, sentences: Sequence[Words], order: int) -> Callable[[], SpeechRecognizer]:
    return partial(load_recognizer, folder, sentences if order else (), order=max(1, order), threads=1)
