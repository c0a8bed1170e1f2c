"""Words of phones, and the phone error."""

import pytest

from optophone.core.errors import DataError
from optophone.evaluation.captions import score_captions
from optophone.evaluation.phone_error import phone_error_rate, tokenize_phones


def test_phones_are_put_together_to_words() -> None:
    assert tokenize_phones(["ɐ | d ˈɔː ɡ", "| ɡ | |", ""]) == [["ɐ", "dˈɔːɡ"], ["ɡ"], []]
    assert tokenize_phones(["d ˈɔː ɡ"]) != tokenize_phones(["d ˈɔ ɡ"]), "marks of length count"


def test_scores_count_words_of_phones() -> None:
    human = {"a": ["ɐ | d ˈɔː ɡ | ɹ ˈʌ n z | f ˈæ s t"], "b": ["ɐ | k ˈæ t | s l ˈiː p s | h ˈɪ ɹ"]}
    same = {name: found[0] for name, found in human.items()}
    assert score_captions(same, human, tokenizer=tokenize_phones).scores.bleu_4 == pytest.approx(100)
    other = {**same, "b": "ɐ | k ˈæ t | ɹ ˈʌ n z | h ˈɪ ɹ"}
    scores = score_captions(other, human, tokenizer=tokenize_phones).scores
    assert scores.bleu_1 == pytest.approx(100 * 7 / 8)
    assert scores.mean_length == 4


def test_the_error_is_to_the_nearest_caption() -> None:
    human = {"a": ["k ˈæ t", "ɐ | d ˈɔː ɡ"], "b": ["ɐ | k ˈæ t"]}
    assert phone_error_rate({"a": "ɐ | d ˈɔː ɡ", "b": "ɐ k ˈæ t"}, human) == 0
    assert phone_error_rate({"a": "ɐ | d ˈɔː", "b": "ɐ | k ˈæ p s"}, human) == pytest.approx((1 + 2) / 8)
    assert phone_error_rate({"a": "", "b": "ɐ | k ˈæ t"}, human) == pytest.approx(3 / 7)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(DataError, match="no metric over nothing"):
        phone_error_rate({}, {})
    with pytest.raises(DataError, match="'a' has a caption but no phones"):
        phone_error_rate({"a": "ɐ"}, {"a": ["", "|"]})
