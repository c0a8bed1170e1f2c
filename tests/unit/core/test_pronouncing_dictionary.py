"""Dictionaries as people write them."""

from pathlib import Path

import pytest

from optophone.core.errors import DataError
from optophone.core.pronouncing_dictionary import read_pronunciations

DICTIONARY = """;;; as the CMU pronouncing dictionary is written
the DH AH0
the(2) DH IY0
was W AA1 Z # weak in a sentence
hand HH AE1 N D
hand(2) HH AE1 N
Read R EH1 D
a.m. EY1 EH1 M
'em AH0 M
"""


def test_the_first_way_to_say_a_word_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "words.dict"
    path.write_text(DICTIONARY)
    pronunciations = read_pronunciations(path)
    assert pronunciations.spell("the hand was read, and how.") == (
        "{DH AH0} {HH AE1 N D} {W AH0 Z} {R EH1 D}, and how."
    )
    assert pronunciations.content.decode().splitlines() == [
        "# as the CMU pronouncing dictionary is written",
        "hand HH AE1 N D",
        "read R EH1 D",
        "the DH AH0",
        "was W AH0 Z",
    ]


def test_all_weak_forms_are_in_phones(tmp_path: Path) -> None:
    """Every one of them is taken by a dictionary that has its word, and is said without stress."""
    from optophone.core.pronouncing_dictionary import WEAK

    path = tmp_path / "words.dict"
    path.write_text("".join(f"{word} HH AW1\n" for word in WEAK))
    pronunciations = read_pronunciations(path)
    for word in WEAK:
        phones = pronunciations.phones(word)
        assert phones is not None
        assert not any(phone.endswith(("1", "2")) for phone in phones)


@pytest.mark.parametrize(("content", "says"), [
    (b"", "has no words"),
    (b"# nothing\n", "has no words"),
    (b"hello\n", "line 1, 'hello', is none"),
    (b"an AH0 N\nhello h @ l @U\n", "line 2, 'hello h @ l @U', is none"),
    (b"\xff\xfe\x00", "no pronouncing dictionary"),
])  # fmt: skip
def test_what_is_no_dictionary_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "words.dict"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"words\.dict: ") as error:
        read_pronunciations(path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_dictionary_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.dict: no pronouncing dictionary"):
        read_pronunciations(tmp_path / "no.dict")
