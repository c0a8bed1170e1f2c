"""What pipelines give: descriptions of a picture, and speech."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optophone.core.audio import write_wave
from optophone.core.protocols import Intention


@dataclass(frozen=True)
class Description:
    """What a captioner says of a picture, or a direct model is about to say.

    Args:
        text: words separated by spaces, or units; where it is refused, a sentence that says so; "" where a direct model
            decides while it speaks.
        confidence: 0..1 that the text is right; 0 where it is refused; None where nobody knows before it is said.
        ids: symbols of the captioner's vocabulary; none where it is refused.
        log_prob: natural logarithm of the probability of the whole sequence.
        hedge: words of doubt to be spoken before the text, or "".
        attention: (S, rows, columns) where each symbol looked, or None.
        photograph: 0..1 that the picture is a photograph; None where nothing judges that.
        refused: whether there is no description because the picture does not look like a photograph.
        token_log_probs: of each symbol, the end included; empty where nobody knows.
        intention: what a direct model speaks it from; None for those that speak from the text or its symbols.
    """

    text: str
    confidence: float | None
    ids: tuple[int, ...]
    log_prob: float
    hedge: str = ""
    attention: np.ndarray | None = field(default=None, repr=False, compare=False)
    photograph: float | None = None
    refused: bool = False
    token_log_probs: tuple[float, ...] = field(default=(), repr=False, compare=False)
    intention: Intention | None = field(default=None, repr=False, compare=False)

    @property
    def said(self) -> str:
        """The text with its words of doubt."""
        return self.hedge + self.text

    def to_json(self) -> dict[str, Any]:
        """Plain data without the attention."""
        return {
            "text": self.text,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "log_prob": round(self.log_prob, 4),
            "photograph": None if self.photograph is None else round(self.photograph, 4),
            "refused": self.refused,
        }


@dataclass(frozen=True)
class Spoken:
    """A picture, or a text, as sound.

    Args:
        text: the caption (of several variants the best), or the text that was given; "" where there is none.
        confidence: 0..1 of that caption; None where a text was given, or nobody knows.
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
