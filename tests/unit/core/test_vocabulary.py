"""Vocabularies: ids, files, and what strangers may put into them."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest

from optophone.core.errors import VocabularyError
from optophone.core.vocabulary import Vocabulary, build_phones, build_units, build_words, tacotron2_characters

CAPTIONS = ["A dog runs.", "A dog's ball", "the dog and a cat", "A zebra"]


def _mapping(**changes: object) -> dict[str, object]:
    mapping: dict[str, object] = {
        "kind": "words", "symbols": ["<pad>", "dog", "cat"], "pad": 0, "start": None, "end": None, "unknown": None,
    }  # fmt: skip
    return {**mapping, **changes}


def test_words_come_by_count_then_alphabet() -> None:
    vocabulary = build_words(CAPTIONS)
    assert vocabulary.symbols[:4] == ("<pad>", "<start>", "<end>", "<unknown>")
    assert vocabulary.symbols[4:] == ("a", "dog", "'s", "and", "ball", "cat", "runs", "the", "zebra")
    assert (vocabulary.pad, vocabulary.start, vocabulary.end, vocabulary.unknown) == (0, 1, 2, 3)
    assert build_words(reversed(CAPTIONS)) == vocabulary


def test_rare_words_are_left_out() -> None:
    assert build_words(CAPTIONS, min_count=2).symbols[4:] == ("a", "dog")


def test_words_round_trip() -> None:
    vocabulary = build_words(CAPTIONS)
    ids = vocabulary.encode("The DOG's ball .")
    assert [vocabulary.symbols[i] for i in ids] == ["the", "dog", "'s", "ball"]
    assert vocabulary.decode(ids) == "the dog's ball"


def test_decode_drops_pad_and_start_and_stops_at_end() -> None:
    vocabulary = build_words(CAPTIONS)
    dog, cat = vocabulary.encode("dog cat")
    assert vocabulary.decode([1, dog, 0, cat, 2, dog, 0]) == "dog cat"
    assert vocabulary.decode([2, dog]) == ""
    assert vocabulary.decode([]) == ""


def test_one_id_may_be_start_end_and_pad() -> None:
    vocabulary = Vocabulary("words", ("<>", "dog", "cat"), pad=0, start=0, end=0)
    assert vocabulary.decode([0, 1, 2, 0, 1]) == "dog cat"
    assert vocabulary.decode([1, 2, 0, 0]) == "dog cat"
    assert vocabulary.decode([0, 0, 0]) == ""


def test_unknown_words() -> None:
    vocabulary = build_words(CAPTIONS)
    assert vocabulary.encode("dog wombat") == [vocabulary.encode("dog")[0], 3]
    with pytest.raises(VocabularyError, match="'wombat'"):
        Vocabulary("words", ("<pad>", "dog")).encode("dog wombat")


@pytest.mark.parametrize("number", [-1, 3, 10**9])
def test_decoding_a_foreign_id_is_an_error(number: int) -> None:
    with pytest.raises(VocabularyError, match=str(number)):
        Vocabulary("words", ("<pad>", "dog", "cat")).decode([1, number])


def test_tacotron2_symbols() -> None:
    vocabulary = tacotron2_characters()
    assert len(vocabulary) == 148
    assert vocabulary.symbols[0] == "_"
    assert vocabulary.symbols[1:12] == tuple("-!'(),.:;? ")
    assert vocabulary.symbols[11] == " "
    assert vocabulary.symbols[12] == "A"
    assert vocabulary.symbols[38] == "a"
    assert vocabulary.symbols[64:69] == ("@AA", "@AA0", "@AA1", "@AA2", "@AE")
    assert vocabulary.symbols[147] == "@ZH"
    assert vocabulary.encode("a dog") == [38, 11, 41, 52, 44]


def test_inline_phones() -> None:
    vocabulary = tacotron2_characters()
    ids = vocabulary.encode("a {HH AW1}!")
    assert [vocabulary.symbols[i] for i in ids] == ["a", " ", "@HH", "@AW1", "!"]
    assert vocabulary.decode(ids) == "a {HH AW1}!"
    assert Vocabulary("characters", ("_", "@", "a")).decode([1, 2]) == "@a"
    with pytest.raises(VocabularyError, match=r"'\{'"):
        vocabulary.encode("a {QQ}!")
    without_phones = Vocabulary("characters", ("_", "{", "}", "H"))
    assert without_phones.encode("{HH}") == [1, 3, 3, 2]


def test_text_never_becomes_a_special_symbol() -> None:
    with pytest.raises(VocabularyError, match="'_'"):
        tacotron2_characters().encode("_")
    with pytest.raises(VocabularyError, match="'<end>'"):
        build_units(4).encode("1 <end>")


def test_units() -> None:
    vocabulary = build_units(4)
    assert vocabulary.encode(" 0 3\n1 ") == [3, 6, 4]
    assert vocabulary.decode([1, 3, 6, 4, 2, 0]) == "0 3 1"
    with pytest.raises(VocabularyError, match="'4'"):
        vocabulary.encode("4")


def test_phones_stand_between_spaces() -> None:
    vocabulary = Vocabulary("phones", ("_", "HH", "AW1"))
    assert vocabulary.encode("HH AW1") == [1, 2]
    assert vocabulary.decode([1, 2]) == "HH AW1"


def test_decode_takes_numpy_ids() -> None:
    np = pytest.importorskip("numpy")
    assert build_units(4).decode(np.array([3, 4])) == "0 1"


def test_hash_follows_every_field() -> None:
    vocabulary = Vocabulary("words", ("<pad>", "dog", "cat"))
    others = [
        Vocabulary("units", ("<pad>", "dog", "cat")),
        Vocabulary("words", ("<pad>", "cat", "dog")),
        Vocabulary("words", ("<pad>", "dog", "cat"), pad=1),
        Vocabulary("words", ("<pad>", "dog", "cat"), start=0),
        Vocabulary("words", ("<pad>", "dog", "cat"), end=0),
        Vocabulary("words", ("<pad>", "dog", "cat"), unknown=0),
    ]
    assert len({vocabulary.hash, *(other.hash for other in others)}) == 7
    assert vocabulary.hash == Vocabulary("words", ("<pad>", "dog", "cat")).hash
    assert len(vocabulary.hash) == 64


def test_hash_is_the_same_on_every_machine() -> None:
    canonical = rb'{"end":null,"kind":"words","pad":0,"start":null,"symbols":["<pad>","\u00e9"],"unknown":null}'
    assert Vocabulary("words", ("<pad>", "é")).hash == hashlib.sha256(canonical).hexdigest()


@pytest.mark.parametrize("vocabulary", [build_words([*CAPTIONS, "naïve"]), tacotron2_characters(), build_units(3)])
def test_saves_and_loads_equal(vocabulary: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    assert Vocabulary.load(path).hash == vocabulary.hash
    assert [file.name for file in tmp_path.iterdir()] == ["vocabulary.json"]
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbols": ()}, "at least one"),
        ({"symbols": ("a", "b", "a")}, "'a' stands 2 times"),
        ({"symbols": ("a", "")}, "empty"),
        ({"symbols": ("a", "b" * 300)}, "too long"),
        ({"symbols": ("a", "b c")}, "white space"),
        ({"symbols": ("a", "b\n")}, "white space"),
        ({"kind": "syllables"}, "syllables"),
        ({"pad": 2}, "pad=2"),
        ({"pad": -1}, "pad=-1"),
        ({"start": 2}, "start=2"),
        ({"end": 7}, "end=7"),
        ({"unknown": -3}, "unknown=-3"),
    ],
)
def test_impossible_vocabularies(arguments: dict, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Vocabulary(**{"kind": "words", "symbols": ("a", "b"), **arguments})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no valid JSON"),
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[]", "JSON object"),
        (json.dumps(_mapping(colour="red")), "unknown key 'colour'"),
        (json.dumps({key: value for key, value in _mapping().items() if key != "end"}), "missing key 'end'"),
        (json.dumps(_mapping(symbols="abc")), "'symbols'"),
        (json.dumps(_mapping(symbols=["a", 1])), "1 is not a text"),
        (json.dumps(_mapping(kind=["words"])), "'kind'"),
        (json.dumps(_mapping(kind="cats")), "'cats'"),
        (json.dumps(_mapping(pad=None)), "'pad'"),
        (json.dumps(_mapping(pad="0")), "'pad'"),
        (json.dumps(_mapping(start=1.0)), "'start'"),
        (json.dumps(_mapping(end=True)), "'end'"),
        (json.dumps(_mapping(unknown=99)), "unknown=99"),
        (json.dumps(_mapping(symbols=["dog", "dog"])), "2 times"),
    ],
)
def test_refuses_what_it_did_not_write(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(text)
    with pytest.raises(VocabularyError, match=message) as caught:
        Vocabulary.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VocabularyError, match="UTF-8"):
        Vocabulary.load(tmp_path / "v.json")
    with pytest.raises(VocabularyError, match="cannot read"):
        Vocabulary.load(tmp_path / "missing.json")
    with pytest.raises(VocabularyError, match="cannot read"):
        Vocabulary.load(tmp_path)


def test_refuses_endless_files(tmp_path: Path) -> None:
    with open(tmp_path / "v.json", "wb") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(VocabularyError, match="too large"):
        Vocabulary.load(tmp_path / "v.json")


def test_saving_into_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="cannot write"):
        build_units(2).save(tmp_path / "missing" / "v.json")


def test_phones_of_transcriptions() -> None:
    vocabulary = build_phones(["ɐ | d ˈɔː ɡ", "ɐ | k ˈæ t"])
    assert vocabulary.symbols == ("<pad>", "<start>", "<end>", "|", "d", "k", "t", "ɐ", "ɡ", "ˈæ", "ˈɔː")
    assert vocabulary.decode([1, *vocabulary.encode("ɐ | d ˈɔː ɡ"), 2, 5]) == "ɐ | d ˈɔː ɡ"
    assert build_phones(["ɐ | k ˈæ t", "ɐ | d ˈɔː ɡ"]) == vocabulary
    with pytest.raises(VocabularyError, match="ʒ"):
        vocabulary.encode("ʒ")
