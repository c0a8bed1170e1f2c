"""ABX: is a phone nearer to another instance of itself than to another phone between the same neighbours?"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from optophone.core.errors import DataError
from optophone.core.spans import Span
from optophone.evaluation.bootstrap import bootstrap_interval

Speakers = Literal["within", "across"]
# (P,) and (P,) numbers of tokens → (P,) distances.
Distances = Callable[[np.ndarray, np.ndarray], np.ndarray]
_LONGEST_GAP_S = 1e-3  # between phones that follow one another; a pause is longer


@dataclass(frozen=True)
class Token:
    """A phone between its neighbours, in one place of the speech.

    Attributes:
        phone: the one in the middle.
        context: the ones before and after it.
        speaker: who says it.
        utterance: number of the utterance.
        start_s, end_s: of all three together.
    """

    phone: str
    context: tuple[str, str]
    speaker: Hashable
    utterance: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class ABXConfig:
    """Which triples are asked about.

    Args:
        n_triples: at most so many.
        per_cell: of those that share speaker, context and both phones, at most so many.
        seed: of the drawing.
    """

    n_triples: int = 10000
    per_cell: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Triples:
    """A and X are the same phone, B another one, all three between the same neighbours.

    Attributes:
        a, b, x: (T,) numbers of tokens.
        cells: (T,) triples of one cell share speaker, context and both phones.
        pairs: (T,) number of the pair of phones, in either direction.
    """

    a: np.ndarray
    b: np.ndarray
    x: np.ndarray
    cells: np.ndarray
    pairs: np.ndarray

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True)
class ABXScore:
    """Share of wrong answers, 0 to 1: .5 for answers by chance.

    Attributes:
        error: mean over pairs of phones of the mean over their cells.
        interval: ends of its 95 % interval, from drawing the pairs of phones again.
        n_triples, n_cells, n_pairs: asked about.
    """

    error: float
    interval: tuple[float, float]
    n_triples: int
    n_cells: int
    n_pairs: int


def tokens_of(phones: Sequence[Span], speaker: Hashable, utterance: int) -> list[Token]:
    """Every phone of an utterance that has another one immediately before and after it."""
    found = []
    for before, middle, after in zip(phones, phones[1:], phones[2:], strict=False):
        gap = max(middle.start_s - before.end_s, after.start_s - middle.end_s)
        if gap <= _LONGEST_GAP_S:
            context = (before.label, after.label)
            found.append(Token(middle.label, context, speaker, utterance, before.start_s, after.end_s))
    return found


def draw_triples(tokens: Sequence[Token], speakers: Speakers, config: ABXConfig) -> Triples:
    """Triples, always the same: all three of one speaker ("within"), or X of another one than A and B ("across").

    Raises:
        DataError: there are none.
    """
    groups: dict[tuple[str, str], dict[Hashable, dict[str, list[int]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for number, token in enumerate(tokens):
        groups[token.context][token.speaker][token.phone].append(number)
    rng = np.random.default_rng(config.seed)
    rows: list[tuple[int, int, int, int, int]] = []
    pair_numbers: dict[frozenset[str], int] = {}
    n_cells = 0
    for by_speaker in groups.values():
        for speaker, by_phone in by_speaker.items():
            for phone, instances in by_phone.items():
                others = instances if speakers == "within" else _of_others(by_speaker, speaker, phone)
                for rival in by_phone:
                    if rival == phone:
                        continue
                    drawn = _draw(instances, by_phone[rival], others, speakers, config.per_cell, rng)
                    pair = pair_numbers.setdefault(frozenset((phone, rival)), len(pair_numbers)) if drawn else 0
                    rows += [(*triple, n_cells, pair) for triple in drawn]
                    n_cells += bool(drawn)
    if not rows:
        raise DataError("ABX: no phone occurs twice where another one stands too; give more speech.")
    kept = np.array(rows)
    if len(kept) > config.n_triples:
        kept = kept[np.sort(rng.permutation(len(kept))[: config.n_triples])]
    return Triples(*kept.T)


def abx_score(triples: Triples, distances: Distances) -> ABXScore:
    """How often X is nearer to B than to A; half a mistake where both are equally near.

    Source: Schatz et al. 2013, "Evaluating speech features with the minimal-pair ABX task".
    """
    n = len(triples)
    both = distances(np.concatenate((triples.a, triples.b)), np.concatenate((triples.x, triples.x)))
    assert np.isfinite(both).all(), "a distance that is no number would count as right"
    to_a, to_b = both[:n], both[n:]
    wrong = np.where(to_a > to_b, 1.0, np.where(to_a == to_b, 0.5, 0.0))
    cells, first, of_triple = np.unique(triples.cells, return_index=True, return_inverse=True)
    by_cell = np.bincount(of_triple, wrong) / np.bincount(of_triple)
    _, of_cell = np.unique(triples.pairs[first], return_inverse=True)
    by_pair = np.bincount(of_cell, by_cell) / np.bincount(of_cell)
    columns = np.stack((by_pair, np.ones(len(by_pair))), axis=1)
    interval = bootstrap_interval(columns, lambda sums: sums[:, 0] / sums[:, 1])
    return ABXScore(float(by_pair.mean()), interval, n, len(cells), len(by_pair))


def _of_others(by_speaker: Mapping[Hashable, Mapping[str, list[int]]], speaker: Hashable, phone: str) -> list[int]:
    return [number for other, phones in by_speaker.items() if other != speaker for number in phones.get(phone, ())]


def _draw(
    a: list[int], b: list[int], x: list[int], speakers: Speakers, n: int, rng: np.random.Generator
) -> list[tuple[int, int, int]]:
    """At most `n` different triples; within one speaker X is another token than A."""
    n_x = len(x) - 1 if speakers == "within" else len(x)
    possible = len(a) * len(b) * n_x
    drawn = []
    for code in rng.choice(possible, min(n, possible), replace=False) if possible else ():
        i, rest = divmod(int(code), len(b) * n_x)
        j, k = divmod(rest, n_x)
        if speakers == "within":
            k += k >= i  # `x` is `a`: leave its i-th out
        drawn.append((a[i], b[j], x[k]))
    return drawn
