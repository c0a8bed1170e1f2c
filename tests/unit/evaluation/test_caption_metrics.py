"""BLEU, CIDEr-D and ROUGE-L against figures computed once by pycocoevalcap, and on cases done by hand."""

import itertools
import json
import random
import time
from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.bleu import bleu_scores, bleu_statistics
from optophone.evaluation.cider import CiderD, plain_cider
from optophone.evaluation.document_frequency import document_frequency
from optophone.evaluation.rouge import rouge_l

REFERENCE = json.loads((Path(__file__).parent / "caption_metrics.json").read_text())
CAPTIONS = [caption.split() for caption in REFERENCE["hypotheses"]]
HUMAN = [[caption.split() for caption in captions] for captions in REFERENCE["references"]]


def made_up_set(n_pictures: int, seed: int = 0) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Captions and five references per picture of common and rare numbers."""
    generator = np.random.default_rng(seed)

    def caption() -> list[int]:
        return np.minimum(generator.zipf(1.4, generator.integers(6, 16)), 5000).tolist()

    return [caption() for _ in range(n_pictures)], [[caption() for _ in range(5)] for _ in range(n_pictures)]


def test_bleu_is_that_of_pycocoevalcap():
    scores = bleu_scores(bleu_statistics(CAPTIONS, HUMAN).sum(axis=0))
    np.testing.assert_allclose(scores, REFERENCE["bleu"], rtol=1e-9)


def test_cider_d_is_that_of_pycocoevalcap():
    np.testing.assert_allclose(CiderD(HUMAN).score(CAPTIONS), REFERENCE["cider_d"], rtol=1e-9, atol=1e-12)


def test_rouge_l_is_that_of_pycocoevalcap():
    np.testing.assert_allclose(rouge_l(CAPTIONS, HUMAN), REFERENCE["rouge_l"], rtol=1e-9)


def test_tokens_may_be_numbers():
    numbers = {word: i for i, word in enumerate(sorted({w for some in HUMAN for c in some for w in c} | {"zebra"}))}
    words = [[word for word in caption if word in numbers] for caption in CAPTIONS]
    ids = [[numbers[word] for word in caption] for caption in words]
    human = [[[numbers[word] for word in caption] for caption in captions] for captions in HUMAN]
    np.testing.assert_array_equal(bleu_statistics(ids, human), bleu_statistics(words, HUMAN))
    np.testing.assert_allclose(CiderD(human).score(ids), CiderD(HUMAN).score(words))
    np.testing.assert_allclose(rouge_l(ids, human)[1:4], rouge_l(words, HUMAN)[1:4])


def test_bleu_by_hand():
    (row,) = bleu_statistics(
        [["the", "the", "cat", "sat"]], [[["the", "cat"], ["the", "the", "cat", "on", "it", "now"]]]
    )
    # "the" twice and "cat"; "the the", "the cat"; "the the cat"; both references differ by 2, the shorter counts
    assert row.tolist() == [3, 2, 1, 0, 4, 3, 2, 1, 4, 2]
    np.testing.assert_allclose(bleu_scores(row)[:3], [0.75, 0.5**0.5, 0.25 ** (1 / 3)], rtol=1e-6)


def test_short_captions_are_punished_by_the_brevity_penalty():
    row = bleu_statistics([["a", "cat"]], [[["a", "cat", "sat", "down"]]]).sum(axis=0)
    np.testing.assert_allclose(bleu_scores(row)[0], np.exp(1 - 4 / 2), rtol=1e-6)


def test_rouge_finds_the_longest_common_subsequence():
    generator = random.Random(0)
    for _ in range(50):
        caption = [generator.choice("abcd") for _ in range(generator.randint(1, 7))]
        reference = [generator.choice("abcd") for _ in range(generator.randint(1, 90))]
        common = max(
            len(part)
            for n in range(len(caption) + 1)
            for part in itertools.combinations(caption, n)
            if is_subsequence(part, reference)
        )
        precision, recall = common / len(caption), common / len(reference)
        expected = 0 if not common else 2.44 * precision * recall / (recall + 1.44 * precision)
        assert rouge_l([caption], [[reference]])[0] == pytest.approx(expected)


def is_subsequence(part, whole) -> bool:
    rest = iter(whole)
    return all(token in rest for token in part)


def test_cider_of_a_perfect_caption_is_ten():
    captions, human = made_up_set(20)
    copied = [[caption] for caption in captions]
    np.testing.assert_allclose(CiderD(copied).score(captions), 10)
    assert CiderD(human).score(captions).max() < 10


def test_cider_scores_any_captions_against_any_pictures_alike():
    captions, human = made_up_set(30)
    cider = CiderD(human)
    once = cider.score(captions)
    pictures = np.array([7, 3, 7, 29, 0])
    np.testing.assert_allclose(cider.score([captions[i] for i in pictures], pictures), once[pictures])
    np.testing.assert_allclose([cider.score([captions[i]], [i])[0] for i in pictures], once[pictures])
    assert cider.score(captions[:1], [1])[0] != once[0]
    np.testing.assert_allclose(cider.score([["never", "seen"], []], [0, 1]), 0)


def test_given_document_frequencies_replace_those_of_the_references():
    captions, human = made_up_set(40)
    np.testing.assert_allclose(CiderD(human, document_frequency(human)).score(captions), CiderD(human).score(captions))
    other = CiderD(human[:10], document_frequency(human)).score(captions[:10])
    np.testing.assert_allclose(other, CiderD(human).score(captions)[:10])
    assert np.abs(other - CiderD(human[:10]).score(captions[:10])).max() > 1e-3


def test_common_ngrams_count_less():
    human = [[["a", "dog"]], [["a", "cat"]], [["a", "cow"]]]
    frequency = document_frequency(human)
    assert frequency.n_pictures == 3
    assert frequency.count(["a"]) == 3
    assert frequency.count(["a", "dog"]) == 1
    a, dog = CiderD(human).score([["a"], ["dog"]], [0, 0])
    assert a == 0
    assert dog > 0


def test_plain_cider_is_the_mean_of_cosines():
    """Written out as the paper defines it: no clipping, no penalty on length."""
    rarity = {gram: np.log(len(HUMAN) / len(having)) for gram, having in pictures_with_each_ngram().items()}

    def vector(caption: list[str], n: int) -> dict[tuple[str, ...], float]:
        grams = [tuple(caption[i : i + n]) for i in range(len(caption) - n + 1)]
        return {gram: grams.count(gram) * rarity.get(gram, np.log(len(HUMAN))) for gram in grams}

    def cosine(one: dict, other: dict) -> float:
        norms = [sum(value**2 for value in some.values()) ** 0.5 for some in (one, other)]
        return sum(one[gram] * other.get(gram, 0) for gram in one) / np.prod(norms) if all(norms) else 0.0

    expected = [
        10 * np.mean([cosine(vector(caption, n), vector(human, n)) for n in range(1, 5) for human in some])
        for caption, some in zip(CAPTIONS, HUMAN, strict=True)
    ]
    np.testing.assert_allclose(plain_cider(CAPTIONS, HUMAN), expected, rtol=1e-9, atol=1e-12)
    assert np.abs(plain_cider(CAPTIONS, HUMAN) - CiderD(HUMAN).score(CAPTIONS)).max() > 0.1


def pictures_with_each_ngram() -> dict[tuple[str, ...], set[int]]:
    having: dict[tuple[str, ...], set[int]] = {}
    for i, some in enumerate(HUMAN):
        for caption in some:
            for n in range(1, 5):
                for start in range(len(caption) - n + 1):
                    having.setdefault(tuple(caption[start : start + n]), set()).add(i)
    return having


def test_only_plain_cider_rewards_repetition():
    human = [[["a", "dog"]], [["a", "cat"]], [["a", "cow"]]]
    repeated = [["dog", "dog", "dog", "dog"]]
    # the words' cosine is 1, of pairs nothing fits: one of four orders; clipped, a quarter of that is left
    assert CiderD(human, sigma=np.inf, clip=False).score(repeated, [0])[0] == pytest.approx(10 / 4)
    assert CiderD(human, sigma=np.inf).score(repeated, [0])[0] == pytest.approx(10 / 4 / 4)
    assert CiderD(human).score(repeated, [0])[0] == pytest.approx(10 / 4 / 4 * np.exp(-(2**2) / 72))


def test_end_symbol_in_the_reward_prefers_captions_that_end():
    human = [[[5, 6, 7, 0]], [[8, 9, 0]]]
    whole, cut = CiderD(human).score([[5, 6, 7, 0], [5, 6, 7]], [0, 0])
    assert whole == pytest.approx(10)
    # the end itself is in every picture and weighs nothing; of three bigrams two are left, of two trigrams one
    cosines = 1 + 2 / (2 * 3) ** 0.5 + 1 / 2**0.5 + 0
    assert cut == pytest.approx(10 * cosines / 4 * np.exp(-(1**2) / (2 * 6**2)))


def test_nothing_to_score_is_an_error():
    for measure in (bleu_statistics, rouge_l):
        with pytest.raises(DataError, match="over nothing"):
            measure([], [])
        with pytest.raises(DataError, match="Picture number 1"):
            measure([["a"], ["b"]], [[["a"]], []])
    with pytest.raises(DataError, match="over nothing"):
        CiderD([])
    with pytest.raises(DataError, match="Picture number 0"):
        CiderD([[]])
    with pytest.raises(DataError, match="over nothing"):
        CiderD([[["a"]]]).score([])


def test_a_thousand_pictures_are_scored_quickly():
    captions, human = made_up_set(1000)
    began = time.perf_counter()
    bleu_statistics(captions, human)
    rouge_l(captions, human)
    cider = CiderD(human)
    cider.score(captions)
    assert time.perf_counter() - began < 3  # .2 s on an idle core; loops over n-grams in Python would take longer
