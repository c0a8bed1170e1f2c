"""ABX over phones that are told apart perfectly, not at all, or in part."""

from itertools import pairwise

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.spans import Span
from optophone.evaluation.abx import ABXConfig, Token, Triples, abx_score, draw_triples, tokens_of


def token(phone: str, speaker: str = "s", context: tuple[str, str] = ("B", "D")) -> Token:
    return Token(phone, context, speaker, 0, 0.0, 0.3)


def many_tokens() -> list[Token]:
    """Six phones of three speakers in four contexts, five times each."""
    contexts = [("B", "D"), ("D", "B"), ("B", "B"), ("D", "D")]
    return [
        token(phone, speaker, context)
        for phone in ("AA", "EH", "IY", "OW", "UW", "S")
        for speaker in ("s", "t", "u")
        for context in contexts
        for _ in range(5)
    ]


def test_tokens_stand_between_neighbours_without_a_pause() -> None:
    ends = [0.0, 0.1, 0.2, 0.3, 0.4]
    phones = [Span(label, *times) for label, times in zip("ABCD", pairwise(ends), strict=True)]
    found = tokens_of(phones, "s", 7)
    assert found == [Token("B", ("A", "C"), "s", 7, 0.0, 0.3), Token("C", ("B", "D"), "s", 7, 0.1, 0.4)]
    later = [*phones[:2], *(Span(one.label, one.start_s + 0.05, one.end_s + 0.05) for one in phones[2:])]
    assert tokens_of(later, "s", 7) == []


@pytest.mark.parametrize("speakers", ["within", "across"])
def test_triples_are_minimal_pairs(speakers: str) -> None:
    tokens = many_tokens()
    triples = draw_triples(tokens, speakers, ABXConfig())  # type: ignore[arg-type]
    assert len(triples) == 6 * 5 * 3 * 4 * 10
    for a, b, x in zip(triples.a, triples.b, triples.x, strict=True):
        one, other, asked = tokens[a], tokens[b], tokens[x]
        assert one.context == other.context == asked.context
        assert one.phone == asked.phone != other.phone
        assert one.speaker == other.speaker
        assert (asked.speaker == one.speaker) == (speakers == "within")
        assert a != x
    assert len(set(zip(triples.a, triples.b, triples.x, strict=True))) == len(triples)
    assert len(np.unique(triples.pairs)) == 15


def test_triples_are_always_the_same_and_no_more_than_asked_for() -> None:
    first, second = (draw_triples(many_tokens(), "within", ABXConfig(n_triples=100)) for _ in range(2))
    assert len(first) == 100
    for one, other in zip(vars(first).values(), vars(second).values(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("speakers", ["within", "across"])
def test_nothing_to_ask_is_said(speakers: str) -> None:
    with pytest.raises(DataError, match="ABX"):
        draw_triples([token("AA"), token("EH")], speakers, ABXConfig())  # type: ignore[arg-type]
    with pytest.raises(DataError, match="ABX"):
        draw_triples([token("AA"), token("AA"), token("EH", context=("D", "D"))], speakers, ABXConfig())  # type: ignore[arg-type]


def test_perfect_units_make_no_mistakes_and_random_ones_every_second() -> None:
    tokens = many_tokens()
    phones = np.unique([one.phone for one in tokens], return_inverse=True)[1].astype(float)
    random = np.random.default_rng(0).random(len(tokens))
    triples = draw_triples(tokens, "across", ABXConfig())
    for places, low, high in ((phones, 0, 0), (-phones, 0, 0), (random, 0.45, 0.55), (0 * phones, 0.5, 0.5)):
        score = abx_score(triples, lambda first, second, at=places: np.abs(at[first] - at[second]))
        assert low <= score.error <= high
        assert score.interval[0] <= score.error <= score.interval[1]


def test_cells_and_pairs_count_alike_however_many_triples_they_have() -> None:
    # Pair 0: a cell of three triples, all wrong, and one of one triple, right: .5. Pair 1: one triple, a tie: .5.
    # Pair 2: right: 0.
    triples = Triples(
        a=np.array([0, 0, 0, 1, 2, 1]),
        b=np.array([1, 1, 1, 0, 2, 0]),
        x=np.array([1, 1, 1, 1, 2, 1]),
        cells=np.array([0, 0, 0, 1, 2, 3]),
        pairs=np.array([0, 0, 0, 0, 1, 2]),
    )
    score = abx_score(triples, lambda first, second: np.abs(first - second).astype(float))
    assert score.error == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert (score.n_triples, score.n_cells, score.n_pairs) == (6, 4, 3)
