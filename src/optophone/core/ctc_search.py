"""From the letters that a recogniser thinks likely at each frame to the text that was said.

The network has a symbol more than there are letters, the blank. A text has many alignments: its letters in their order,
each held for some frames, with blanks between; two equal letters in a row have a blank between them. The probability
of a text is the sum over its alignments (Graves et al. 2006, "Connectionist temporal classification", equation 3).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from optophone.core.configuration import check_ranges
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.core.word_ngrams import BEGIN, END, WordNgrams

_NEVER = -math.inf
_RANGES: dict[str, tuple[float, float]] = {
    "beam_size": (1, 10_000),
    "words_weight": (0, 1e6),
    "word_bonus": (-1e6, 1e6),
}
SPACE = " "


@dataclass(frozen=True)
class CtcSearchConfig:
    """How a text is searched.

    Args:
        beam_size: beginnings of texts that are kept at each frame.
        least_prob: letters less likely than this at a frame are not tried there; 0 tries all.
        words_weight: of the logarithm of the words' probability beside that of the sound.
        word_bonus: added for every word, against the favour that few long words find.
    """

    beam_size: int = 24
    least_prob: float = 1e-4
    words_weight: float = 0.6
    word_bonus: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a search of nothing."""
        if self.beam_size < 1 or not 0 <= self.least_prob < 1 or self.words_weight < 0:
            raise ConfigurationError("recogniser's search: beam_size is at least 1, least_prob 0..1, words_weight ≥ 0.")
        check_ranges(self, _RANGES, "recogniser's search")


class Spelling(NamedTuple):
    """How far the words of a text are written.

    Fields: node of the tree of letters, the words so far (as many as the n-grams look back), their score.
    """

    node: Mapping[Any, Any]
    history: tuple[str, ...]
    score: float


class KnownWords:
    """Texts out of the words of an n-gram model, with their probability.

    Args:
        ngrams: the words, and how likely they follow one another.
        vocabulary: of the letters; it has a space.
        config: weight and bonus of a word.

    Source: Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional
    recurrent DNNs", section 2: P(text | sound) P(text)^α |text|^β, words without a place in the tree are left out.
    """

    def __init__(self, ngrams: WordNgrams, vocabulary: Vocabulary, config: CtcSearchConfig) -> None:
        self.ngrams, self.config = ngrams, config
        (self.space,) = vocabulary.encode(SPACE)
        self.root: dict[Any, Any] = {}
        for word in ngrams.words:
            node = self.root
            for letter in vocabulary.encode(word):
                node = node.setdefault(letter, {})
            node["word"] = word

    def begin(self) -> Spelling:
        """Nothing is written."""
        return Spelling(self.root, (BEGIN,), 0.0)

    def write(self, spelling: Spelling, letter: int) -> Spelling | None:
        """One letter more; None where no word goes on so. A space ends a word."""
        if letter == self.space:
            return self._end_word(spelling) if "word" in spelling.node else None
        node = spelling.node.get(letter)
        return None if node is None else Spelling(node, spelling.history, spelling.score)

    def finish(self, spelling: Spelling) -> float | None:
        """The score of the whole text; None within a word."""
        if spelling.node is not self.root:
            if "word" not in spelling.node:
                return None
            spelling = self._end_word(spelling)
        return spelling.score + self.config.words_weight * self.ngrams.log_prob(spelling.history, END)

    def _end_word(self, spelling: Spelling) -> Spelling:
        word = spelling.node["word"]
        gain = self.config.words_weight * self.ngrams.log_prob(spelling.history, word) + self.config.word_bonus
        kept = (*spelling.history, word)[-max(1, self.ngrams.order - 1) :]
        return Spelling(self.root, kept, spelling.score + gain)


@dataclass(slots=True)
class _Beginning:
    """A beginning of a text: its last letter, the beginning before that, and the probability of its alignments.

    `now` and `later` are logarithms of the sums over alignments that end in a blank and in the last letter: up to the
    frame that was seen, and up to the one that is being looked at. What falls out of the beam may be reached again from
    the beginning before it; its old sums are then not looked at.
    """

    before: "_Beginning | None"
    letter: int
    spelling: Spelling | None
    now: tuple[float, float] = (_NEVER, _NEVER)
    later: list[float] = field(default_factory=lambda: [_NEVER, _NEVER])
    longer: dict[int, "_Beginning | None"] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Logarithm of the sum over all alignments."""
        return add_logs(*self.now)

    @property
    def score(self) -> float:
        """What beginnings are compared by."""
        return self.total + (self.spelling.score if self.spelling else 0.0)

    def letters(self) -> list[int]:
        """All its letters."""
        found, here = [], self
        while here.before is not None:
            found.append(here.letter)
            here = here.before
        return found[::-1]


def read_greedily(log_probs: np.ndarray, blank: int) -> list[int]:
    """The letters of the likeliest alignment of `log_probs` (V, T): runs become one, blanks go.

    Source: Graves et al. 2006, section 3.2, best path decoding.
    """
    path = log_probs.argmax(axis=0)
    begins = np.concatenate([[True], path[1:] != path[:-1]]) if len(path) else np.zeros(0, bool)
    return [int(letter) for letter in path[begins] if letter != blank]


def search_letters(
    log_probs: np.ndarray, blank: int, config: CtcSearchConfig, words: KnownWords | None = None
) -> list[int]:
    """The letters of the likeliest text, by a search that goes along the frames and sums over alignments.

    Args:
        log_probs: (V, T) natural logarithms for every frame.
        blank: id of the blank.
        config: how wide.
        words: texts that may be written and how likely they are; None for any.

    Source: Graves et al. 2006, section 3.2; frame by frame as in Hannun et al. 2014, algorithm 1.
    """
    root = _Beginning(None, blank, words.begin() if words else None, (0.0, _NEVER))
    beam = [root]
    least = math.log(config.least_prob) if config.least_prob else _NEVER
    for frame in log_probs.astype(np.float64).T:
        likely = np.flatnonzero(frame >= least)
        if not len(likely):
            likely = frame.argmax(keepdims=True)
        values = frame.tolist()
        beam = _look_at(values, [letter for letter in likely.tolist() if letter != blank], blank, beam, words)
        beam.sort(key=lambda one: -one.score)
        del beam[config.beam_size :]
    return _best(beam, words)


def _look_at(
    frame: Sequence[float], letters: Sequence[int], blank: int, beam: list[_Beginning], words: KnownWords | None
) -> list[_Beginning]:
    """All beginnings that one more frame leads to from `beam`."""
    reached: dict[int, _Beginning] = {id(one): one for one in beam}
    for one in beam:
        total = one.total
        one.later[0] = add_logs(one.later[0], total + frame[blank])
        if one.before is not None:  # its last letter goes on
            one.later[1] = add_logs(one.later[1], one.now[1] + frame[one.letter])
        for letter, longer in _longer(one, letters, words):
            # The same letter again is another one only after a blank.
            reaching = one.now[0] if one.before is not None and letter == one.letter else total
            if reaching > _NEVER:
                longer.later[1] = add_logs(longer.later[1], reaching + frame[letter])
                reached[id(longer)] = longer
    for one in reached.values():
        one.now, one.later = (one.later[0], one.later[1]), [_NEVER, _NEVER]
    return list(reached.values())


def _longer(one: _Beginning, letters: Sequence[int], words: KnownWords | None) -> Iterator[tuple[int, _Beginning]]:
    """The beginnings that have a letter more."""
    for letter in letters:
        if letter not in one.longer:
            spelling = words.write(one.spelling, letter) if words and one.spelling else None
            one.longer[letter] = _Beginning(one, letter, spelling) if spelling or not words else None
        longer = one.longer[letter]
        if longer is not None:
            yield letter, longer


def _best(beam: list[_Beginning], words: KnownWords | None) -> list[int]:
    """The letters of the best whole text; where none ends with a word, those of the best beginning up to its last."""
    if words is None:
        return beam[0].letters()
    whole = []
    for one in beam:
        assert one.spelling is not None
        ending = words.finish(one.spelling)
        if ending is not None:
            whole.append((one.total + ending, one))
    if whole:
        return max(whole, key=lambda pair: pair[0])[1].letters()
    letters = beam[0].letters()
    while letters and letters.pop() != words.space:
        pass
    return letters


def add_logs(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))
