"""Texts from letters at frames, against sums over all alignments of tiny lattices."""

import itertools
import math

import numpy as np
import pytest

from optophone.core.ctc_search import CtcSearchConfig, KnownWords, read_greedily, search_letters
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.core.word_ngrams import END, count_ngrams

LETTERS = Vocabulary("characters", ("-", " ", "a", "b"))
WIDE = CtcSearchConfig(beam_size=10_000, least_prob=0.0)
SENTENCES = [["a", "ab"], ["a", "ba"], ["ab"]]


def lattice(seed: int, n_frames: int = 5) -> np.ndarray:
    """(V, T) log-probabilities, some of them sharp."""
    logits = np.random.default_rng(seed).normal(0, 2, (len(LETTERS), n_frames))
    return logits - np.log(np.exp(logits).sum(0))


def read_path(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(letter for letter, _ in itertools.groupby(path) if letter)


def all_texts(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every text with the logarithm of its probability, by looking at every alignment."""
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(len(log_probs)), repeat=log_probs.shape[1]):
        text = read_path(path)
        sums[text] = sums.get(text, 0.0) + math.exp(sum(log_probs[letter, t] for t, letter in enumerate(path)))
    return {text: math.log(value) for text, value in sums.items()}


@pytest.mark.parametrize("seed", range(20))
def test_the_likeliest_text_is_found(seed: int) -> None:
    log_probs = lattice(seed)
    texts = all_texts(log_probs)
    assert tuple(search_letters(log_probs, 0, WIDE)) == max(texts, key=lambda text: texts[text])


def test_it_sums_over_alignments() -> None:
    """The likeliest alignment is silent; the likeliest text is not (Graves et al. 2006, figure 2)."""
    log_probs = np.log(np.array([[0.6, 0.6], [0, 0], [0.4, 0.4], [0, 0]]) + 1e-12)
    assert read_greedily(log_probs, 0) == []
    assert search_letters(log_probs, 0, WIDE) == [2]


def spell(text: tuple[int, ...]) -> list[str]:
    return "".join(LETTERS.symbols[letter] for letter in text).split(" ")


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_known_words_are_weighed_with_the_sound(seed: int, order: int) -> None:
    ngrams, log_probs = count_ngrams(SENTENCES, order), lattice(seed)
    best, chosen = -math.inf, ["nothing"]
    for text, log_prob in all_texts(log_probs).items():
        words = spell(text)
        if words[-1] == "":  # nothing said, or a space at the end
            words = words[:-1]
        if not all(word in ngrams.words for word in words):
            continue
        said = [*words, END]
        score = log_prob + WIDE.word_bonus * len(words)
        score += WIDE.words_weight * sum(
            ngrams.log_prob(("<s>", *said[:i])[-max(1, order - 1) :], word) for i, word in enumerate(said)
        )
        if score > best:
            best, chosen = score, words
    found = search_letters(log_probs, 0, WIDE, KnownWords(ngrams, LETTERS, WIDE))
    assert [word for word in spell(tuple(found)) if word] == chosen


def test_a_narrow_beam_forgets_but_keeps_its_sums_right() -> None:
    """Every beginning that is kept has at most the probability that all its alignments have."""
    for seed in range(10):
        log_probs = lattice(seed, 6)
        texts = all_texts(log_probs)
        found = tuple(search_letters(log_probs, 0, CtcSearchConfig(beam_size=3)))
        assert texts[found] > sorted(texts.values())[-4]


def test_within_a_word_the_words_before_it_are_kept() -> None:
    sure = np.full((4, 4), -30.0)
    for t, letter in enumerate(LETTERS.encode("a ab")):
        sure[letter, t] = 0.0
    ngrams = count_ngrams([["a", "abb"]], 1)
    config = CtcSearchConfig(beam_size=1)
    assert search_letters(sure, 0, config, KnownWords(ngrams, LETTERS, config)) == LETTERS.encode("a")


def test_runs_become_one_and_blanks_part_them() -> None:
    path = [2, 2, 0, 2, 3, 3, 0, 0]
    log_probs = np.where(np.arange(4)[:, None] == np.array(path), 0.0, -9.0)
    assert read_greedily(log_probs, 0) == [2, 2, 3]
    assert search_letters(log_probs, 0, WIDE) == [2, 2, 3]
    assert read_greedily(np.zeros((4, 0)), 0) == []


def test_a_search_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="beam_size"):
        CtcSearchConfig(beam_size=0)
