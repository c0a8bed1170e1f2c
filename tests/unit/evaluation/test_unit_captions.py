"""What is measured of captions in units."""

import pytest

from optophone.core.errors import DataError
from optophone.evaluation.unit_captions import unit_agreement, unit_figures

TRUE = {"a": ["1 2 3 4 5 6", "1 2 3 4"], "b": ["7 8 9 7 8 9"], "c": ["4 4 4 4"]}


def test_captions_by_themselves() -> None:
    captions = {"a": "1 2 3", "b": "1 2 1 2 1 2 5", "c": "1 2 3", "d": "9 9 9"}
    found = unit_figures(captions, [True, False, None, True])
    assert found.mean_length == 4
    assert found.n_distinct == 3
    assert found.loop_rate == 1 / 4
    assert found.no_end_rate == pytest.approx(1 / 3), "of those that are known"
    assert unit_figures(captions, [None] * 4).no_end_rate is None
    with pytest.raises(DataError, match="over nothing"):
        unit_figures({}, [])


def test_captions_beside_spoken_ones() -> None:
    said = {name: texts[0] for name, texts in TRUE.items()}
    exchanged = {"a": TRUE["b"], "b": TRUE["c"], "c": TRUE["a"]}
    found = unit_agreement(said, TRUE, exchanged)
    assert found.bleu_4 == pytest.approx(100)
    assert found.unit_error_rate == 0
    assert found.length_ratio == pytest.approx(16 / 15), "the first picture's two are 5 units long in the mean"
    assert found.shuffled_bleu_4 == pytest.approx(0, abs=1)
    assert found.more_than_shuffled is not None
    assert found.more_than_shuffled.difference == pytest.approx(100, abs=1)
    assert found.intervals["bleu_4"] == pytest.approx((100, 100))
    assert unit_agreement(said, TRUE, None).shuffled_bleu_4 is None
