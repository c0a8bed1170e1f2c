"""A recogniser from a bundle: any words and known ones, silence, and bundles that are none."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.errors import BundleError, VocabularyError
from optophone.core.vocabulary import Vocabulary
from optophone.runtime.load import load_recognizer
from optophone.runtime.onnx_recognizer import RECOGNIZER_GRAPH, OnnxRecognizer
from tiny_recognizers import LETTERS, SPEC, sing, write_recognizer


@pytest.fixture
def ear(tmp_path: Path) -> Path:
    return write_recognizer(tmp_path / "ear")


@pytest.mark.parametrize("sample_rate", [16000, 22050, 44100])
def test_it_writes_what_it_hears(ear: Path, sample_rate: int) -> None:
    recognizer = load_recognizer(ear)
    for text in ("a dog runs", "it's a zoo", "bee"):
        assert recognizer.hear(sing(text, sample_rate), sample_rate) == text.split()


def test_it_hears_nothing_in_silence_and_in_hardly_any_sound(ear: Path) -> None:
    recognizer = load_recognizer(ear)
    assert recognizer.hear(np.zeros(8000, np.float32), 16000) == []
    assert recognizer.hear(np.zeros(0, np.float32), 16000) == []
    assert recognizer.hear(np.full(3, 0.1, np.float32), 16000) == []


def test_known_words_are_all_it_writes(ear: Path) -> None:
    sentences = [["a", "dog", "runs"], ["the", "dog", "sat"]]
    for order in (1, 2):
        recognizer = load_recognizer(ear, sentences, order=order)
        assert recognizer.hear(sing("a dog sat"), 16000) == ["a", "dog", "sat"]
        assert set(recognizer.hear(sing("a cat"), 16000)) <= {"a", "dog", "runs", "the", "sat"}


def test_words_in_other_letters_are_refused(ear: Path) -> None:
    with pytest.raises(VocabularyError, match="é"):
        load_recognizer(ear, [["café"]])


def test_the_search_is_read_from_the_bundle(ear: Path) -> None:
    path = ear / "bundle.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "configuration": {"search": {"beam_size": 7}}}))
    assert OnnxRecognizer(open_bundle(ear)).search.beam_size == 7
    path.write_text(json.dumps({**manifest, "configuration": {"search": {"beam": 7}}}))
    with pytest.raises(BundleError, match="beam"):
        load_recognizer(ear)


@pytest.mark.parametrize("wrong", ["kind", "bands", "mel", "letters", "space"])
def test_bundles_that_do_not_fit_are_refused(ear: Path, tmp_path: Path, wrong: str) -> None:
    vocabulary, mel, kind = LETTERS, SPEC, "recognizer"
    if wrong == "letters":
        vocabulary = Vocabulary("characters", LETTERS.symbols[:-1])
    if wrong == "space":
        vocabulary = Vocabulary("characters", tuple("-'abcdefghijklmnopqrstuvwxyz_"))
    if wrong == "bands":
        mel = replace(SPEC, n_mels=39)
    if wrong == "kind":
        kind = "acoustic"
    with BundleWriter(
        tmp_path / "other",
        kind=kind,  # type: ignore[arg-type]
        cls="ctc",
        name="other",
        vocabulary=vocabulary,
        mel=None if wrong == "mel" else mel,
    ) as writer:
        writer.path(RECOGNIZER_GRAPH).write_bytes((ear / RECOGNIZER_GRAPH).read_bytes())
    with pytest.raises(BundleError) as caught:
        load_recognizer(tmp_path / "other").hear(sing("a"), 16000)
    assert "\n" not in str(caught.value)
