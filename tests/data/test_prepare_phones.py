"""Prepared speech with words spelled in phones: which words, by whom, and that sound and ids stay."""

import json
from pathlib import Path

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.data.manifest import read_dataset, read_manifest, write_dataset, write_manifest
from optophone.data.prepare import phones
from optophone.data.prepare.phones import Speller, prepare_phones
from tiny_datasets import write_speech

# What a speaker of American English says, with "in the" in one, as espeak-ng gives it.
SAID = {
    "the man in the hat": [["ð", "ə"], ["m", "ˈæ", "n"], ["ɪ", "n", "ð", "ə"], ["h", "ˈæ", "t"]],
    "a dog": [["ɐ"], ["d", "ˈɑː", "ɡ"]],
    "the": [["ð", "ə"]],
    "hat": [["h", "ˈæ", "t"]],
    "man": [["m", "ˈæ", "n"]],
    "in": [["ˈɪ", "n"]],
    "for the dog": [["f", "ɚ", "ð", "ə"], ["d", "ˈɑː", "ɡ"]],
    "dr": [["d", "ˈɑː", "k", "t", "ɚ"], ["s", "ˈeɪ"]],
    "genre": [["ʒ", "ɑ̃", "ʁ"]],
}


class Reader:
    """espeak-ng for the phrases above."""

    version = "0"

    def phones(self, text: str) -> list[list[str]]:
        return SAID.get(text.strip(), [["x"]] * len(text.split()))


@pytest.fixture
def speller() -> Speller:
    return Speller(Reader())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("the man in the hat, a dog.", "{DH AH0} {M AE1 N} {IH0 N} {DH AH0} {HH AE1 T}, {AH0} {D AA1 G}."),
        ("a dog (the man in the hat) - a dog!", "{AH0} {D AA1 G} ({DH AH0} {M AE1 N} {IH0 N} {DH AH0} {HH AE1 T}) - "
         "{AH0} {D AA1 G}!"),
        ("for the dog", "{F ER0} {DH AH0} {D AA1 G}"),
        ("dr, a dog", "dr, {AH0} {D AA1 G}"),  # said as two words: whose phones are whose cannot be told
        ("genre", "genre"),
        ("{M AE1 N} a dog", "{M AE1 N} a dog"),
    ],
)  # fmt: skip
def test_words_are_spelled_as_they_are_said(speller: Speller, text: str, spelled: str) -> None:
    assert speller.spell(text, lambda: True) == spelled
    assert speller.spell(text, lambda: False) == text


def test_some_words_alone(speller: Speller) -> None:
    turns = iter([False, True, False, False, True])
    assert speller.spell("the man in the hat", lambda: next(turns)) == "the {M AE1 N} in the {HH AE1 T}"


@pytest.fixture
def speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny data set of speech about a dog, and of a genre that cannot be spelled."""
    monkeypatch.setattr(phones, "load_espeak", lambda config: Reader())
    folder = tmp_path / "speech"
    write_speech(folder)
    dataset = read_dataset(folder)
    for split in dataset.splits:
        rows = [{**row, "text": "a dog" if i % 2 else "genre"} for i, row in enumerate(dataset.rows(split))]
        write_manifest(folder / f"{split}.jsonl", rows)
    write_dataset(
        folder, dataset.name, splits=list(dataset.splits), options={}, source="", layout="", licence="free", roots={}
    )
    return folder


def test_sound_and_ids_stay(speech: Path, tmp_path: Path) -> None:
    spoken, spelled = read_dataset(speech), prepare_phones(speech, tmp_path / "out")
    assert spelled.name == f"{spoken.name}-phones"
    assert spelled.licence == "free"
    rows, before = spelled.rows("train"), {row["id"]: row for row in spoken.rows("train")}
    assert {row["text"] for row in rows} == {"{AH0} {D AA1 G}."}
    assert len(rows) == sum(row["text"] == "a dog" for row in before.values())
    assert all(row["speaker"] == (before[row["id"]].get("speaker") or spoken.name) for row in rows)
    for row in rows:
        np.testing.assert_array_equal(spelled.wave(row)[0], spoken.wave(before[row["id"]])[0])
    again = prepare_phones(speech, tmp_path / "out")
    assert again.hash() == spelled.hash()


def test_a_dictionary_spells_instead(speech: Path, tmp_path: Path) -> None:
    """Every word that it has, and another dictionary is another data set."""
    path = tmp_path / "words.dict"
    path.write_text("genre ZH AA1 N R AH0\ndog D AO1 G\n")
    spelled = prepare_phones(speech, tmp_path / "out", pronunciations=path)
    assert {row["text"] for row in spelled.rows("train")} == {"a {D AO1 G}.", "{ZH AA1 N R AH0}."}
    assert "words.dict" in json.loads((tmp_path / "out/dataset.json").read_text())["layout"]
    again = prepare_phones(speech, tmp_path / "out", pronunciations=path)
    assert again.hash() == spelled.hash()
    path.write_text("dog D AO1 G Z\n")
    with pytest.raises(DataError, match="out"):
        prepare_phones(speech, tmp_path / "out", pronunciations=path)


def test_a_share_is_drawn_by_the_seed(speech: Path, tmp_path: Path) -> None:
    texts: list[list[tuple[str, str]]] = []
    for seed in (0, 0, 1):
        out = tmp_path / f"out-{len(texts)}"
        prepare_phones(speech, out, 0.5, seed)
        texts.append([(row["id"], row["text"]) for row in read_manifest(out / "train.jsonl")])
    assert texts[0] == texts[1] != texts[2]
    assert any("a {D" in text or "} dog" in text for _, text in texts[0] + texts[2])


def test_what_cannot_be_spelled_is_said(speech: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="share 0: give more than 0"):
        prepare_phones(speech, tmp_path / "out", 0)
    for split in ("train", "dev"):
        rows = [{**row, "text": "genre"} for row in read_manifest(speech / f"{split}.jsonl")]
        write_manifest(speech / f"{split}.jsonl", rows)
    write_dataset(speech, "tiny", splits=["train", "dev"], options={}, source="", layout="", licence="", roots={})
    with pytest.raises(DataError, match="no row has a text that can be spelled in phones"):
        prepare_phones(speech, tmp_path / "out")
