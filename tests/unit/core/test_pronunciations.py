"""Text in phones by a pronouncing dictionary."""

from pathlib import Path

import pytest

from optophone.core.errors import BundleError
from optophone.core.pronunciations import Pronunciations
from optophone.core.text import clean_text

WORDS = {
    "a": "AH0", "an": "AH0 N", "ann": "AE1 N", "boss": "B AA1 S", "don't": "D OW1 N T", "i": "AY1", "max": "M AE1 K S",
    "rick": "R IH1 K", "zoo": "Z UW1",
}  # fmt: skip


@pytest.mark.parametrize(("text", "spelled"), [
    ("Ann, an A!", "{AE1 N}, {AH0 N} {AH0}!"),
    ("I don't ski.", "{AY1} {D OW1 N T} ski."),
    ("a zoo-max", "{AH0} {Z UW1}-{M AE1 K S}"),
    ("ann's, rick's, boss's, max's", "{AE1 N Z}, {R IH1 K S}, {B AA1 S IH0 Z}, {M AE1 K S IH0 Z}"),
    ("zoos", "zoos"),
    ("{HH AW1} an {AE1 N}", "{HH AW1} {AH0 N} {AE1 N}"),
    ("", ""),
])  # fmt: skip
def test_known_words_are_spelled(text: str, spelled: str) -> None:
    """Others keep their letters, and what is in phones already stays; a text once spelled is not changed again."""
    pronunciations = Pronunciations.of(WORDS)
    assert pronunciations.spell(clean_text(text)) == spelled
    assert pronunciations.spell(spelled) == spelled


def test_every_word_is_found() -> None:
    """The search by halves misses neither the first, nor the last, nor those that begin alike."""
    for n_words in range(1, len(WORDS) + 1):
        some = dict(list(WORDS.items())[:n_words])
        for notice in ((), ("z", "", "a")):
            pronunciations = Pronunciations.of(some, notice)
            assert pronunciations.n_words == n_words
            assert {word: " ".join(pronunciations.phones(word) or ()) for word in some} == some
    assert [pronunciations.phones(word) for word in ("", "aa", "don", "zoos")] == [None] * 4
    assert Pronunciations(b"").phones("a") is None


@pytest.mark.parametrize("line", [b"ann", b"ann ", b"ann AE1 Q", b"ann \xff\xfe"])
def test_damage_is_named(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pronunciations.txt"
    path.write_bytes(b"an AH0 N\n" + line + b"\n")
    pronunciations = Pronunciations.load(path)
    assert pronunciations.phones("an") == ("AH0", "N")
    if line == b"ann":
        assert pronunciations.phones("ann") is None
        return
    with pytest.raises(BundleError, match=r"pronunciations.txt: damaged at 'ann'"):
        pronunciations.phones("ann")


def test_what_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "pronunciations.txt"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(BundleError, match="larger than 64 MiB"):
        Pronunciations.load(path)
