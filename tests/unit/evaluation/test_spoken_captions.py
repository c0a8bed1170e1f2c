"""How heard captions are counted: words, errors, captions held out, and the one caption for all pictures."""

import pytest

from optophone.core.errors import DataError
from optophone.evaluation.captions import tokenize_words
from optophone.evaluation.constant_caption import ConstantCaptionConfig, constant_caption
from optophone.evaluation.spoken_captions import chosen_place, normalised, without_said, word_error_rate


def test_captions_get_the_form_of_what_is_heard() -> None:
    assert normalised("Two T-shirts , 2 dogs & the man's hat .") == "two t shirts two dogs and the man's hat"


def test_errors_are_counted_over_all_words() -> None:
    said = {"a": "A dog runs .", "b": "two cats", "c": "2 cats"}
    found = word_error_rate(said, {"a": "a dog", "b": "", "c": "two cats"})
    assert found.rate == pytest.approx(3 / 7)
    assert found.n_words == 7
    assert found.interval[0] < 3 / 7 < found.interval[1]
    assert word_error_rate(said, {name: normalised(text) for name, text in said.items()}).interval == (0, 0)
    with pytest.raises(DataError, match="over nothing"):
        word_error_rate({"a": " . "}, {"a": ""})


def test_the_caption_that_is_said_is_no_reference() -> None:
    references = {"a": ["one", "two", "three"], "b": ["four", "four"], "c": ["five"]}
    assert without_said(references, {"a": 1, "b": 0}) == {"a": ["one", "three"], "b": ["four"]}
    with pytest.raises(DataError, match="'c' has one caption"):
        without_said(references, {"c": 0})


def test_the_utterance_of_a_picture_is_always_the_same() -> None:
    places = [chosen_place(f"picture {i}", 5) for i in range(200)]
    assert places == [chosen_place(f"picture {i}", 5) for i in range(200)]
    assert all(places.count(place) > 20 for place in range(5)), "each caption has its turn"


def test_the_one_caption_fits_most_pictures() -> None:
    dogs = [["a dog runs on grass", "the dog runs on the grass"], ["a dog runs in grass", "the dog runs on grass"]]
    captions = [*dogs * 10, *([f"a red kite number {i} above some hill"] for i in range(5))]
    found = constant_caption(captions, tokenize_words)
    assert "dog runs" in found.text
    assert found.cider_d > 0
    assert found == constant_caption(captions, tokenize_words), "drawn by chance, but always the same"
    hurried = ConstantCaptionConfig(n_candidates=6, n_pictures=4, n_first=2, n_kept=3)
    assert constant_caption(captions, tokenize_words, hurried).cider_d >= 0
    with pytest.raises(DataError, match="two pictures"):
        constant_caption([["a dog"]], tokenize_words)


def test_the_one_caption_was_not_written_for_the_pictures_it_is_tried_on() -> None:
    pair = [["a dog runs fast here"], ["a cat sleeps long there"]]
    assert constant_caption(pair, tokenize_words).cider_d == pytest.approx(0, abs=1), "one is tried on the other"
