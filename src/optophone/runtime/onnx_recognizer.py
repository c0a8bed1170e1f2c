"""A recogniser from a bundle, run by ONNX Runtime: wave → words, any or out of given sentences."""

from collections.abc import Sequence

import numpy as np

from optophone.core.audio import resample
from optophone.core.bundle import Bundle
from optophone.core.configuration import from_mapping
from optophone.core.ctc_search import SPACE, CtcSearchConfig, KnownWords, read_greedily, search_letters
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.mel import log_mel
from optophone.core.word_ngrams import count_ngrams
from optophone.runtime.session import Graph, SessionConfig

RECOGNIZER_GRAPH = "recognizer.onnx"
MEL = "mel"
LOG_PROBS = "log_probs"


class OnnxRecognizer:
    """Wave → words (a `SpeechRecognizer`).

    The graph, `recognizer.onnx`, takes `mel` (1, M, T) and gives `log_probs` (1, V, T'): at every frame how likely each
    letter of the vocabulary is, or none, which is the vocabulary's padding.

    Args:
        bundle: an opened bundle of kind "recognizer"; "search" of its configuration are options of `CtcSearchConfig`.
        sentences: what may be said, as `spoken_words` gives it; with none it writes whatever letters it hears.
        order: of the n-grams that are counted in `sentences`.
        threads: of the graph.

    Raises:
        BundleError: graph, vocabulary, mel or configuration are missing or not as documented.
        VocabularyError: a word of `sentences` has other letters than the vocabulary.
    """

    def __init__(
        self, bundle: Bundle, sentences: Sequence[Sequence[str]] = (), order: int = 1, threads: int = 1
    ) -> None:
        try:
            search = bundle.manifest.configuration.get("search", {})
            self.search = from_mapping(CtcSearchConfig, search, f"{bundle.folder}: configuration.search")
        except ConfigurationError as error:
            raise BundleError(str(error)) from None
        self.mel_spec, self.vocabulary = bundle.mel_spec(), bundle.vocabulary()
        if SPACE not in self.vocabulary.symbols:
            raise BundleError(f"{bundle.folder}: its vocabulary has no space, so there are no words.")
        self.graph = Graph(bundle.file(RECOGNIZER_GRAPH), SessionConfig(threads))
        self.graph.require([MEL], [LOG_PROBS])
        if self.graph.inputs[MEL].shape[1] != self.mel_spec.n_mels:
            raise BundleError(f"{bundle.folder}: mel and graph differ in their bands; export the bundle again.")
        ngrams = count_ngrams(sentences, order) if sentences else None
        self.words = KnownWords(ngrams, self.vocabulary, self.search) if ngrams else None

    def hear(self, wave: np.ndarray, sample_rate: int) -> list[str]:
        """The words of `wave` (N,); none where it is silent.

        Raises:
            BundleError: the graph gives other letters than the vocabulary has.
        """
        if not np.any(wave):
            return []
        log_probs, blank = self.log_probs(wave, sample_rate), self.vocabulary.pad
        if self.words is None:
            letters = read_greedily(log_probs, blank)
        else:
            letters = search_letters(log_probs, blank, self.search, self.words)
        return self.vocabulary.decode(letters).split()

    def log_probs(self, wave: np.ndarray, sample_rate: int) -> np.ndarray:
        """How likely each letter is at each frame: (V, T') natural logarithms, of `wave` (N,)."""
        wave = resample(wave, sample_rate, self.mel_spec.sample_rate)
        wave = np.pad(wave, (0, max(0, self.mel_spec.n_fft - len(wave))))
        found = self.graph.run({MEL: log_mel(wave, self.mel_spec)[None]})[self.graph.outputs.index(LOG_PROBS)][0]
        if len(found) != len(self.vocabulary):
            raise BundleError(f"{self.graph.path}: gives letters beyond its vocabulary; export the bundle again.")
        return found
