"""Whole caption sets: scales, tokenisation, variety, intervals, and refusing to score half a set."""

from dataclasses import asdict

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.bootstrap import bootstrap_interval
from optophone.evaluation.captions import evaluate_captions, score_captions

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
    scored = score_captions(hypotheses, references)
    intervals = scored.intervals(n_resamples=300)
    assert set(intervals) == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider", "cider_d"}
    for name, (low, high) in intervals.items():
        score = getattr(scores, name)
        assert low < score < high
        assert high - low < score
    assert scored.intervals(n_resamples=300) == intervals
    assert scored.intervals(n_resamples=300, seed=1) != intervals


def test_scores_of_single_pictures():
    scored = score_captions(HYPOTHESES, REFERENCES)
    assert scored.pictures == tuple(HYPOTHESES)
    by_picture = scored.picture_scores()
    assert by_picture["bleu_1"] == pytest.approx([100, 100, 100 * 2 / 6])  # "a" and "the" of "a dog runs ... beach"
    for name in ("rouge_l", "cider", "cider_d"):  # means over pictures
        assert by_picture[name].mean() == pytest.approx(getattr(scored.scores, name))


def test_what_was_not_measured_is_none_and_never_zero():
    scored = score_captions(HYPOTHESES, REFERENCES)
    assert scored.scores.meteor is None
    assert scored.scores.spice is None
    assert set(scored.not_measured) == {"meteor", "spice"}


def test_what_java_needs_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    scored = score_captions(HYPOTHESES, REFERENCES, with_java=True)
    assert scored.scores.meteor is None
    for reason in scored.not_measured.values():
        assert "Java 8 or newer" in reason or "pip install 'optophone[eval]'" in reason


def test_another_tokenizer_and_training_captions_are_used():
    letters = score_captions(HYPOTHESES, REFERENCES, tokenizer=lambda texts: [list(text) for text in texts])
    assert letters.diversity.mean_length > 20
    training = ["A dog runs along the beach!", "something else"]
    assert score_captions(HYPOTHESES, REFERENCES, training=training).scores.seen_in_training == pytest.approx(2 / 3)
    assert score_captions(HYPOTHESES, REFERENCES).scores.seen_in_training is None


def test_interval_of_a_mean_is_about_two_standard_errors_each_way():
    values = np.random.default_rng(0).normal(size=(400, 1))
    low, high = bootstrap_interval(values, lambda sums: sums[:, 0] / 400, n_resamples=4000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.06)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.01)
    narrow = bootstrap_interval(values, lambda sums: sums[:, 0] / 400, n_resamples=4000, level=0.5)
    assert low < narrow[0] < narrow[1] < high
    with pytest.raises(DataError, match="over nothing"):
        bootstrap_interval(values[:0], lambda sums: sums[:, 0])
