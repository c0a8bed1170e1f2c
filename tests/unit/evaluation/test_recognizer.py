"""What the recogniser is told and how its answers are counted; and that it hears a voice."""

from functools import partial

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.recognizer import (
    Recognizer,
    RecognizerConfig,
    hear_all,
    language_model,
    spoken_words,
    word_errors,
)

SENTENCES = [["a", "dog", "runs"], ["a", "dog", "sleeps"], ["two", "girls", "play", "ball"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog runs .", ["a", "dog", "runs"]),
        ("2 men, one in black-and-white !", ["two", "men", "one", "in", "black", "and", "white"]),
        ("The man's hat", ["the", "man's", "hat"]),
        ("Dr. Smith's  T-shirt", ["doctor", "smith's", "t", "shirt"]),
        ("the man 's hat isn't his", ["the", "man's", "hat", "isn't", "his"]),
        (" . ", []),
    ],
)
def test_words_are_those_that_a_voice_says(text: str, words: list[str]) -> None:
    assert spoken_words(text) == words


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("a dog runs", "a dog runs", 0),
        ("a dog runs", "a dog", 1),
        ("a dog runs", "the dog runs fast", 2),
        ("a dog runs", "", 3),
        ("", "a dog", 2),
        ("a b c d", "b c d a", 2),
    ],
)
def test_errors_are_the_fewest_changes(said: str, heard: str, errors: int) -> None:
    assert word_errors(said.split(), heard.split()) == errors


def grams(model: str, n: int) -> dict[str, list[float]]:
    """Of an ARPA model: n-gram to its logarithms."""
    section = model.split(f"\\{n}-grams:\n")[1].split("\n\n")[0]
    rows = [line.split() for line in section.splitlines()]
    return {" ".join(row[1 : n + 1]): [float(row[0]), *map(float, row[n + 1 :])] for row in rows}


def test_a_unigram_model_holds_the_shares_of_the_words() -> None:
    model = language_model(SENTENCES, 1)
    assert "ngram 1=10" in model  # eight words, beginning and end
    found = grams(model, 1)
    assert 10 ** found["dog"][0] == pytest.approx(2 / 13, rel=1e-3)
    assert sum(10 ** values[0] for values in found.values()) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("history", ["a", "dog", "<s>"])
def test_probabilities_after_a_word_sum_to_one(history: str) -> None:
    model = language_model(SENTENCES, 2)
    words, pairs = grams(model, 1), grams(model, 2)
    seen = {pair.split()[1]: 10 ** values[0] for pair, values in pairs.items() if pair.split()[0] == history}
    weight = 10 ** words[history][1]
    unseen = sum(10 ** values[0] for word, values in words.items() if word not in seen and word != "<s>")
    assert sum(seen.values()) + weight * unseen == pytest.approx(1, rel=1e-3)


def test_an_impossible_order_is_refused() -> None:
    with pytest.raises(DataError, match="order 4"):
        RecognizerConfig(order=4)


def test_level_and_noise_are_the_same_for_all() -> None:
    pytest.importorskip("pocketsphinx")
    recognizer = Recognizer(SENTENCES, RecognizerConfig())
    tone = np.sin(np.arange(16000) * 0.3).astype(np.float32)
    loud, quiet = recognizer.prepare(0.9 * tone, 16000), recognizer.prepare(0.01 * tone, 16000)
    np.testing.assert_allclose(loud, quiet, atol=1e-5)
    assert len(loud) == 16000 * 1.5
    assert loud[:3000].std() == pytest.approx(0.003, rel=0.1)
    assert np.sqrt(np.mean(loud[4000:20000] ** 2)) == pytest.approx(0.1, rel=0.01)


def test_a_word_without_pronunciation_is_named() -> None:
    pytest.importorskip("pocketsphinx")
    with pytest.raises(DataError, match="'plungles'"):
        Recognizer([["a", "plungles"]], RecognizerConfig())


def test_it_hears_a_voice_and_nothing_in_silence() -> None:
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader")
    from optophone.core.espeak import EspeakConfig
    from optophone.data.espeak import load_espeak

    espeak = load_espeak(EspeakConfig())
    waves = [(espeak.speak(" ".join(words)).astype(np.float32) / 32768, espeak.sample_rate) for words in SENTENCES]
    waves.append((np.zeros(8000, np.float32), 22050))
    done: list[int] = []
    build = partial(Recognizer, SENTENCES, RecognizerConfig(order=2))
    heard = hear_all(waves, build, jobs=2, advance=lambda: done.append(1))
    errors = [word_errors(said, found) for said, found in zip([*SENTENCES, []], heard, strict=True)]
    assert sum(errors) <= 2
    assert heard[3] == []
    assert len(done) == 4
