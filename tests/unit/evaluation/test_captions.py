"""Whole caption sets: scales, tokenisation, variety, intervals, and refusing to score half a set."""

from dataclasses import asdict

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.bootstrap import bootstrap_interval
from optophone.evaluation.captions import caption_intervals, evaluate_captions

REFERENCES = {
    "sea.jpg": ["A dog runs along the beach.", "The brown dog is running by the sea!"],
    "hill.jpg": ["Two cyclists climb a steep hill.", "Two people ride up the hill"],
    "roof.jpg": ["Snow falls on the roofs of the village."],
}
HYPOTHESES = {
    "roof.jpg": "snow falls on the roofs of the village",
    "sea.jpg": "a dog runs along the beach",
    "hill.jpg": "a dog runs along the beach",
}


def test_scores_are_on_the_documented_scales():
    perfect = evaluate_captions({name: captions[0] for name, captions in REFERENCES.items()}, REFERENCES)
    for name in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l"):
        assert getattr(perfect, name) == pytest.approx(100)
    assert 500 < perfect.cider_d < 1000
    scores = evaluate_captions(HYPOTHESES, REFERENCES)
    assert scores.bleu_1 == pytest.approx(100 * 16 / 20)  # of the hill's six words only "a" and "the" are right
    assert all(value < getattr(perfect, name) for name, value in asdict(scores).items() if name.startswith("bleu"))


def test_order_of_pictures_does_not_matter():
    backwards = dict(reversed(REFERENCES.items()))
    assert evaluate_captions(HYPOTHESES, REFERENCES) == evaluate_captions(HYPOTHESES, backwards)


def test_variety_is_counted():
    scores = evaluate_captions(HYPOTHESES, REFERENCES)
    assert scores.n_pictures == 3
    assert scores.n_distinct_captions == 2
    assert scores.vocabulary_used == 12  # seven and six, and "the" is in both
    assert scores.mean_length == pytest.approx(20 / 3)
    assert scores.distinct_1 == pytest.approx(12 / 20)
    assert scores.distinct_2 == pytest.approx(12 / 17)


def test_half_a_set_is_refused():
    with pytest.raises(DataError, match="over nothing"):
        evaluate_captions({}, {})
    with pytest.raises(DataError, match=r"sea\.jpg"):
        evaluate_captions(HYPOTHESES, {name: c for name, c in REFERENCES.items() if name != "sea.jpg"})
    with pytest.raises(DataError, match=r"hill\.jpg"):
        evaluate_captions({name: c for name, c in HYPOTHESES.items() if name != "hill.jpg"}, REFERENCES)


def test_intervals_hold_the_score_and_repeat():
    references = {f"{name}{i}": captions for i in range(40) for name, captions in REFERENCES.items()}
    hypotheses = {f"{name}{i}": caption for i in range(40) for name, caption in HYPOTHESES.items()}
    scores = evaluate_captions(hypotheses, references)
    intervals = caption_intervals(hypotheses, references, n_resamples=300)
    for low, score, high in (
        (intervals.bleu_4[0], scores.bleu_4, intervals.bleu_4[1]),
        (intervals.cider_d[0], scores.cider_d, intervals.cider_d[1]),
    ):
        assert low < score < high
        assert high - low < score
    assert caption_intervals(hypotheses, references, n_resamples=300) == intervals
    assert caption_intervals(hypotheses, references, n_resamples=300, seed=1) != intervals


def test_interval_of_a_mean_is_about_two_standard_errors_each_way():
    values = np.random.default_rng(0).normal(size=(400, 1))
    low, high = bootstrap_interval(values, lambda sums: sums[:, 0] / 400, n_resamples=4000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.06)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.01)
    narrow = bootstrap_interval(values, lambda sums: sums[:, 0] / 400, n_resamples=4000, level=0.5)
    assert low < narrow[0] < narrow[1] < high
    with pytest.raises(DataError, match="over nothing"):
        bootstrap_interval(values[:0], lambda sums: sums[:, 0])
