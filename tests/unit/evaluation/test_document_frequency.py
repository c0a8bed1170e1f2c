"""Document frequencies: counted, kept in a file, found again, and counted anew where the file is of no use."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.cider import CiderD
from optophone.evaluation.document_frequency import (
    cached_document_frequency,
    document_frequency,
    load_document_frequency,
    save_document_frequency,
)

HUMAN = [[["a", "dog", "runs", "a", "dog"], ["a", "dog"]], [["a", "cat", "é"], []], [["dog"]]]


def counts_of(references: list[list[list[str]]]) -> Counter:
    """The plain way."""
    counts: Counter = Counter()
    for captions in references:
        counts.update({tuple(c[i : i + n]) for c in captions for n in range(1, 5) for i in range(len(c) - n + 1)})
    return counts


def test_every_ngram_is_counted_once_a_picture():
    found, expected = document_frequency(HUMAN), counts_of(HUMAN)
    assert found.n_pictures == 3
    assert len(found.counts) == len(expected)
    assert {gram: found.count(gram) for gram in expected} == expected
    assert found.count(["dog"]) == 2
    assert found.count(["never"]) == found.count(["cat", "dog"]) == 0


def test_a_saved_file_scores_alike(tmp_path: Path):
    path = tmp_path / "x.npz"
    save_document_frequency(path, document_frequency(HUMAN), key="mine")
    found = load_document_frequency(path, key="mine")
    captions = [["a", "dog"], ["é", "cat"], ["dog", "new"]]
    np.testing.assert_array_equal(CiderD(HUMAN, found).score(captions), CiderD(HUMAN).score(captions))
    with pytest.raises(DataError, match="of 'mine'"):
        load_document_frequency(path, key="other")


def test_ids_stay_numbers(tmp_path: Path):
    ids = [[[4, 5, 0]], [[4, 0]]]
    save_document_frequency(tmp_path / "x.npz", document_frequency(ids))
    found = load_document_frequency(tmp_path / "x.npz")
    assert found.count([4, 5, 0]) == 1
    np.testing.assert_array_equal(CiderD(ids, found).score([[4, 5, 0], [4]]), CiderD(ids).score([[4, 5, 0], [4]]))


def test_the_references_need_not_be_those_that_were_counted():
    found = document_frequency([*HUMAN, [["a", "bird"]]])
    # "dog" comes in 2 of 4 pictures, "bird" in 1, "owl" in none; orders above the first match nothing
    scores = CiderD([[["dog", "owl"]]], found).score([["dog", "bird"]], [0])
    dog, rare = np.log(4 / 2), np.log(4)
    assert scores[0] == pytest.approx(10 / 4 * dog**2 / (dog**2 + rare**2))


def test_what_is_kept_is_counted_once(tmp_path: Path):
    calls = []

    def references() -> list[list[list[str]]]:
        calls.append(1)
        return HUMAN

    first = cached_document_frequency(tmp_path, "train words", references)
    again = cached_document_frequency(tmp_path, "train words", references)
    assert len(calls) == 1
    assert again.count(["a", "dog"]) == first.count(["a", "dog"]) == 1
    cached_document_frequency(tmp_path, "dev words", references)
    assert len(calls) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_counted_anew(tmp_path: Path):
    cached_document_frequency(tmp_path, "k", lambda: HUMAN)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="not a file of document frequencies"):
        load_document_frequency(path)
    assert cached_document_frequency(tmp_path, "k", lambda: HUMAN).n_pictures == 3
    assert load_document_frequency(path).n_pictures == 3


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path):
    assert cached_document_frequency(tmp_path / "missing", "k", lambda: HUMAN).n_pictures == 3


def test_a_file_without_sense_is_refused(tmp_path: Path):
    path = tmp_path / "x.npz"
    with pytest.raises(DataError, match="cannot read"):
        load_document_frequency(path)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"x\.npz: not a file of document frequencies"):
        load_document_frequency(path)
    found = document_frequency(HUMAN)
    np.savez(path, header=np.frombuffer(b'{"format": 1, "n_pictures": 3, "key": "", "tokens": ["a"]}', np.uint8),
             ngrams=found.ngrams, counts=found.counts)  # fmt: skip
    with pytest.raises(DataError, match="unknown tokens"):
        load_document_frequency(path)
    with pytest.raises(DataError, match="only n-grams of words"):
        save_document_frequency(path, document_frequency([[[("a", 1)]]]))
