"""When words and phones are said."""

from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """Something that is said from `start_s` to `end_s`, seconds from the beginning of the sound."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class SpokenSpans:
    """The words and phones of an utterance in their order, without the pauses: those are where nothing is.

    Attributes:
        words: as `core.text.spoken_words` writes them.
        phones: as the dictionary of pronunciations writes them, without stress.
    """

    words: tuple[Span, ...]
    phones: tuple[Span, ...]
