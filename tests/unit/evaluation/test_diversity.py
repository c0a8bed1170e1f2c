"""Variety: counts done by hand, and self-BLEU against BLEU with the others as references."""

import random

import pytest

from optophone.core.errors import DataError
from optophone.evaluation.bleu import bleu_scores, bleu_statistics
from optophone.evaluation.diversity import diversity, self_bleu


def words(*captions: str) -> list[list[str]]:
    return [caption.split() for caption in captions]


def test_counts_by_hand():
    found = diversity(words("a dog runs", "a dog sits", "a dog runs"), training=words("a dog sits", "a cat"))
    assert found.n_distinct_captions == 2
    assert found.vocabulary_used == 4
    assert found.distinct_1 == pytest.approx(4 / 9)
    assert found.distinct_2 == pytest.approx(3 / 6)
    assert found.mean_length == 3
    assert found.seen_in_training == pytest.approx(1 / 3)


def test_captions_of_one_word_have_no_pairs():
    found = diversity(words("dog"))
    assert (found.distinct_1, found.distinct_2, found.self_bleu, found.seen_in_training) == (1, 0, 0, None)


def test_self_bleu_by_hand():
    same = words("a dog runs on the grass", "a dog runs on the grass")
    assert self_bleu([same]) == pytest.approx(1)
    assert diversity(same).self_bleu == pytest.approx(100)
    assert self_bleu([words("a dog runs on the grass", "two cats sleep in deep snow")]) < 1e-3
    # of each caption's five words four are in the other: 4/5; then 3/4, 2/3 and 1/2
    close = self_bleu([words("a dog runs on grass", "a dog runs on snow")])
    assert close == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25, rel=1e-6)


def test_only_captions_of_the_same_group_are_compared():
    groups = [words("a dog runs on grass", "two cats sleep in deep snow"), words("a dog runs on grass", "no no")]
    assert self_bleu(groups) < 1e-3
    assert self_bleu([[*groups[0], *groups[1]]]) > 0.3
    assert self_bleu([*groups, words("alone")]) == self_bleu(groups)


def test_self_bleu_is_bleu_with_the_others_as_references():
    generator = random.Random(0)
    groups = [
        [[generator.choice("abc") for _ in range(generator.randint(0, 8))] for _ in range(generator.randint(2, 5))]
        for _ in range(30)
    ]
    captions = [caption for group in groups for caption in group]
    others = [group[:i] + group[i + 1 :] for group in groups for i in range(len(group))]
    assert self_bleu(groups) == pytest.approx(bleu_scores(bleu_statistics(captions, others).sum(axis=0))[3])


def test_nothing_to_compare_is_an_error():
    with pytest.raises(DataError, match="no variety of nothing"):
        diversity([])
    with pytest.raises(DataError, match="self-BLEU"):
        self_bleu([words("a dog"), words("a cat")])
