"""Captions as phones: made once, kept beside the data set, made again when the captions are others."""

from pathlib import Path

import pytest

from optophone.core.errors import DataError
from optophone.data import phones
from optophone.data.manifest import Dataset, write_dataset, write_manifest
from optophone.data.phones import caption_rows

CAPTIONS = [["A dog.", "..."], ["The dog runs"]]


class Speller:
    """Spells words instead of saying them."""

    def phones(self, text: str) -> list[list[str]]:
        return [list(word) for word in text.lower().replace(".", "").split()]


@pytest.fixture
def spelled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every voice that was loaded; it spells."""
    voices: list[str] = []
    monkeypatch.setattr(phones, "load_espeak", lambda config: voices.append(config.voice) or Speller())
    return voices


def write(folder: Path, captions: list[list[str]]) -> Dataset:
    folder.mkdir(exist_ok=True)
    rows = [{"id": f"{i}", "picture": f"{i}.jpg", "captions": found} for i, found in enumerate(captions)]
    write_manifest(folder / "dev.jsonl", rows)
    return write_dataset(folder, "tiny", splits=["dev"], options={}, source="here", layout="here", licence="none")


def test_words_and_characters_are_left_as_they_are(tmp_path: Path, spelled: list[str]) -> None:
    dataset = write(tmp_path, CAPTIONS)
    assert caption_rows(dataset, "dev", "words") == caption_rows(dataset, "dev", "characters") == dataset.rows("dev")
    assert spelled == []


def test_phones_are_made_once(tmp_path: Path, spelled: list[str]) -> None:
    dataset = write(tmp_path, CAPTIONS)
    rows = caption_rows(dataset, "dev", "phones")
    assert rows[0] == {"id": "0", "picture": "0.jpg", "captions": ["a | d o g"]}
    assert rows[1]["captions"] == ["t h e | d o g | r u n s"]
    assert caption_rows(dataset, "dev", "phones") == rows
    assert spelled == ["en-us"]
    changed = write(tmp_path, [["A cat"], ["A cow"]])
    assert caption_rows(changed, "dev", "phones")[1]["captions"] == ["a | c o w"]
    assert len(spelled) == 2


def test_a_folder_that_cannot_be_written_to_costs_time_only(
    tmp_path: Path, spelled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(phones, "write_whole", refuse)
    dataset = write(tmp_path, CAPTIONS)
    assert caption_rows(dataset, "dev", "phones") == caption_rows(dataset, "dev", "phones")
    assert len(spelled) == 2


def test_a_damaged_file_is_told(tmp_path: Path, spelled: list[str]) -> None:
    dataset = write(tmp_path, CAPTIONS)
    (tmp_path / "dev.phones.json").write_text("{")
    with pytest.raises(DataError, match=r"dev\.phones\.json: damaged"):
        caption_rows(dataset, "dev", "phones")


def test_with_the_real_voice(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    rows = caption_rows(write(tmp_path, CAPTIONS), "dev", "phones")
    assert rows[0]["captions"] == ["ɐ | d ˈɑː ɡ"]
