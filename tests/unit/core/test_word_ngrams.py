"""What follows what, in sentences."""

import math

import pytest

from optophone.core.word_ngrams import BEGIN, END, count_ngrams

SENTENCES = [["a", "dog", "runs"], ["a", "dog", "sleeps"], ["two", "girls", "play", "ball"]]


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("history", [(BEGIN,), (BEGIN, "a"), ("a", "dog"), ("dog", "girls"), ("play",)])
def test_what_may_follow_adds_up_to_one(order: int, history: tuple[str, ...]) -> None:
    ngrams = count_ngrams(SENTENCES, order)
    total = sum(math.exp(ngrams.log_prob(history, word)) for word in [*ngrams.words, END])
    assert total == pytest.approx(1.0)


def test_what_was_said_is_likelier() -> None:
    ngrams = count_ngrams(SENTENCES, 2)
    assert ngrams.log_prob((BEGIN, "a"), "dog") > ngrams.log_prob((BEGIN, "a"), "ball") + 1
    assert ngrams.log_prob((BEGIN,), "a") > ngrams.log_prob((BEGIN,), "two") > ngrams.log_prob((BEGIN,), "dog")
    with pytest.raises(KeyError):
        ngrams.log_prob((BEGIN,), "cat")


def test_it_knows_its_words() -> None:
    ngrams = count_ngrams(SENTENCES, 3)
    assert (ngrams.words, ngrams.order) == (["a", "ball", "dog", "girls", "play", "runs", "sleeps", "two"], 3)
