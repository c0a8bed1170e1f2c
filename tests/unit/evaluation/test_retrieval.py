"""Retrieval recalls."""

import numpy as np
import pytest

from optophone.evaluation.retrieval import retrieval_scores


def test_recalls_equal_a_sort() -> None:
    scores = np.random.default_rng(0).normal(size=(30, 30)) + 1.5 * np.eye(30)
    found = retrieval_scores(scores)
    for rank in (1, 5, 10):
        to_speech = np.mean([i in np.argsort(-scores[i])[:rank] for i in range(30)])
        to_picture = np.mean([i in np.argsort(-scores[:, i])[:rank] for i in range(30)])
        assert found.to_speech[rank] == pytest.approx(to_speech)
        assert found.to_picture[rank] == pytest.approx(to_picture)
        assert found.mean(rank) == pytest.approx((to_speech + to_picture) / 2)
    assert found.chance(10) == pytest.approx(1 / 3)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_model_that_says_the_same_of_all_recalls_nothing(value: float) -> None:
    assert retrieval_scores(np.full((20, 20), value)).mean(10) == 0


def test_no_pairs_have_no_recall() -> None:
    with pytest.raises(AssertionError):
        retrieval_scores(np.zeros((0, 0)))
