"""The five kinds of parts and what they exchange.

A part is anything with these methods: a PyTorch model wrapped for evaluation, an ONNX Runtime session, or somebody
else's model behind an adapter. All arrays are NumPy; symbols are ids of the part's own vocabulary.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from optophone.core.mel import MelSpec
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary


@dataclass(frozen=True)
class Caption:
    """One description of a picture, as symbols.

    Args:
        ids: symbols of the captioner's vocabulary, without start and end.
        log_prob: natural logarithm of the probability of the whole sequence, end included.
        confidence: 0..1, how sure the captioner is (see the bundle's card for what it was calibrated on).
        attention: (S, rows, columns) where each symbol looked, summing to about 1 per symbol, or None.
        token_log_probs: of each symbol, the end included where there is one; empty where nobody knows.
        text: what the symbols say, where the captioner spells by itself; None where its vocabulary decodes them.
    """

    ids: tuple[int, ...]
    log_prob: float
    confidence: float
    attention: np.ndarray | None = field(default=None, repr=False)
    token_log_probs: tuple[float, ...] = field(default=(), repr=False)
    text: str | None = None


@dataclass(frozen=True)
class Judgement:
    """Whether a picture is a photograph at all.

    Args:
        probability: 0..1 that it is one.
        is_photograph: whether that suffices to describe it.
        is_blank: whether it is all of one colour, but for faint noise.
    """

    probability: float
    is_photograph: bool
    is_blank: bool = False


@dataclass(frozen=True)
class SpokenMel:
    """The spectrogram of an utterance.

    Args:
        mel: (M, T) natural-log magnitude, laid out by the part's `MelSpec`.
        alignment: (T', S) attention over the symbols per decoder step, or None.
        stopped: whether the model ended by itself; False when the length cap cut it off.
        problems: what its alignment shows to be wrong, in words (see `core.alignment`); empty where all is well.
        n_tries: how often it was spoken until it sounded right, or the tries were used up.
    """

    mel: np.ndarray
    alignment: np.ndarray | None = field(default=None, repr=False)
    stopped: bool = True
    problems: tuple[str, ...] = ()
    n_tries: int = 1


@dataclass(frozen=True)
class Intention:
    """What a direct model is about to say of a picture.

    Args:
        source: what the model speaks from; nobody else reads it.
        caption: the units that it will say, where it chooses them before it speaks; else None.
    """

    source: Any = field(repr=False)
    caption: Caption | None = None


class Captioner(Protocol):
    """Picture → symbols (words, characters, phones or units)."""

    vocabulary: Vocabulary

    def caption(self, picture: np.ndarray, search: SearchConfig) -> list[Caption]:
        """Describe `picture` (H, W, 3) uint8 RGB; `search.n_results` captions, best first.

        A captioner that reads region features takes these instead: (R, D) float32.
        """
        ...


class PhotographDetector(Protocol):
    """Picture → photograph or not."""

    def judge(self, picture: np.ndarray) -> Judgement:
        """Judge `picture` (H, W, 3) uint8 RGB."""
        ...


class AcousticModel(Protocol):
    """Symbols → mel."""

    vocabulary: Vocabulary
    mel_spec: MelSpec

    def mel(self, ids: np.ndarray) -> SpokenMel:
        """Speak `ids` (S,) of `vocabulary`."""
        ...

    def stream(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """The same mel in chunks (M, t), the first one early."""
        ...


@runtime_checkable
class SeveralSpeakers(AcousticModel, Protocol):
    """An acoustic model that tells speakers apart; `speakers` are their names by number."""

    speakers: tuple[str, ...]

    def with_speaker(self, speaker: str | int) -> AcousticModel:
        """The same model with the voice of another speaker: a name, or a number."""
        ...


class Vocoder(Protocol):
    """Mel → wave."""

    mel_spec: MelSpec

    def wave(self, mel: np.ndarray) -> np.ndarray:
        """Wave (N,) float32 in -1..1 of `mel` (M, T)."""
        ...

    def stream(self, mels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Waves (n,) for chunks (M, t) as they come; together as long as `wave` of the joined mel."""
        ...


class Synthesizer(Protocol):
    """Text → wave in one part, which spells for itself: an acoustic model with its vocoder inside.

    `speakers` are the names of its voices by number.
    """

    sample_rate: int
    speakers: tuple[str, ...]

    def spell(self, text: str, phonemes: bool = False) -> np.ndarray:
        """Symbols (S,) int64 of a sentence, or of its pronunciation; TextError where it has none."""
        ...

    def wave(self, ids: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """Wave (N,) float32 in -1..1 of symbols (S,), `speed` times as fast at the same pitch."""
        ...

    def with_speaker(self, speaker: int) -> "Synthesizer":
        """The same with another of its voices."""
        ...


class UnitEncoder(Protocol):
    """Wave → units."""

    vocabulary: Vocabulary
    sample_rate: int

    @property
    def unit_s(self) -> float:
        """Seconds that a unit lasts."""
        ...

    def units(self, wave: np.ndarray) -> np.ndarray:
        """Units (S,) int64 of `wave` (N,) float32 at `sample_rate`, one per frame, runs not collapsed."""
        ...


class SpeechRecognizer(Protocol):
    """Wave → words. No part of a pipeline: it judges what others have said."""

    def hear(self, wave: np.ndarray, sample_rate: int) -> list[str]:
        """The words of `wave` (N,) float32, as `core.text.spoken_words` writes them; none where it is silent."""
        ...


class DirectModel(Protocol):
    """Picture → mel in one network.

    `vocabulary` is that of the units which it chooses before it speaks, or None where it decides while it speaks;
    `search` is how it chooses unless told otherwise.
    """

    mel_spec: MelSpec
    vocabulary: Vocabulary | None
    search: SearchConfig

    def intend(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Intention]:
        """Look at `picture` (H, W, 3) uint8 RGB once: at most `search.n_results` things to say of it, best first."""
        ...

    def mel(self, picture: np.ndarray | Intention) -> SpokenMel:
        """Speak what is in `picture` (H, W, 3) uint8 RGB, or what `intend` found."""
        ...

    def stream(self, picture: np.ndarray | Intention) -> Iterator[np.ndarray]:
        """The same mel in chunks (M, t), the first one early."""
        ...
