"""The vocabulary files of the originals."""

import json
from pathlib import Path

import pytest

from optophone.checkpoints.vocabularies import check_size, read_reference_vocabulary
from optophone.core.errors import VocabularyError
from optophone.core.vocabulary import build_words

WORDMAP = {"a": 1, "dog": 2, "<unk>": 3, "<start>": 4, "<end>": 5, "<pad>": 0}


def test_the_word_list_of_xlan_has_ids_from_1_and_one_id_for_start_end_and_padding(tmp_path: Path) -> None:
    path = tmp_path / "coco_vocabulary.txt"
    path.write_bytes(b"a\r\ndog\r\nUNK\r\ncaf\xc3\xa9\r\n")
    vocabulary = read_reference_vocabulary("xlan", path)
    assert vocabulary.symbols == (".", "a", "dog", "UNK", "café")
    assert (vocabulary.pad, vocabulary.start, vocabulary.end, vocabulary.unknown) == (0, 0, 0, 3)
    assert vocabulary.encode("a dog wombat") == [1, 2, 3]
    assert vocabulary.decode([0, 1, 2, 0, 1]) == "a dog"


def test_the_published_count(tmp_path: Path) -> None:
    path = tmp_path / "coco_vocabulary.txt"
    path.write_text("\n".join(f"w{i}" for i in range(9487)))  # the last line may lack its end
    vocabulary = read_reference_vocabulary("xlan", path)
    check_size(vocabulary, 9488, path)
    with pytest.raises(VocabularyError, match=r"coco_vocabulary\.txt: 9488 symbols.*the checkpoint has 9489"):
        check_size(vocabulary, 9489, path)


def test_the_word_map_of_sat(tmp_path: Path) -> None:
    path = tmp_path / "WORDMAP.json"
    path.write_text(json.dumps(WORDMAP))
    vocabulary = read_reference_vocabulary("sat", path)
    assert vocabulary.symbols == ("<pad>", "a", "dog", "<unk>", "<start>", "<end>")
    assert (vocabulary.pad, vocabulary.start, vocabulary.end, vocabulary.unknown) == (0, 4, 5, 3)


@pytest.mark.parametrize("reference", ["xlan", "sat", "tacotron2"])
def test_a_vocabulary_of_ours_is_read_for_any(tmp_path: Path, reference: str) -> None:
    vocabulary = build_words(["a dog"])
    vocabulary.save(tmp_path / "vocabulary.json")
    assert read_reference_vocabulary(reference, tmp_path / "vocabulary.json") == vocabulary


@pytest.mark.parametrize(("reference", "content", "says"), [
    ("xlan", b"a\n\ndog\n", "line 2 is empty"),
    ("xlan", b"a\ndog\na\n", "'a' stands 2 times"),
    ("xlan", b"a dog\n", "white space"),
    ("xlan", b"\xff\xfe", "no UTF-8"),
    ("xlan", json.dumps(WORDMAP).encode(), "not the vocabulary of xlan"),
    ("xlan", b"", "line 1 is empty"),
    ("sat", b"a\ndog\n", "not the vocabulary of sat"),
    ("sat", b'{"a": 1', "no valid JSON"),
    ("sat", json.dumps({**WORDMAP, "dog": 1}).encode(), "'dog' has the id 1"),
    ("sat", json.dumps({**WORDMAP, "dog": 9}).encode(), "'dog' has the id 9"),
    ("sat", json.dumps({**WORDMAP, "dog": True}).encode(), "'dog' has the id True"),
    ("sat", b'{"a": 0}', "no <start>"),
    ("sat", b"{}", "no <start>"),
    ("tacotron2", b"a\nb\n", "not the vocabulary of tacotron2"),
])  # fmt: skip
def test_other_files_are_one_line(tmp_path: Path, reference: str, content: bytes, says: str) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(VocabularyError) as caught:
        read_reference_vocabulary(reference, path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="cannot read"):
        read_reference_vocabulary("xlan", tmp_path / "none.txt")
