"""Random dictionary words spoken by espeak-ng: which words, how they are drawn, what is written."""

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.text import clean_text
from optophone.data.prepare import packed_speech
from optophone.data.prepare.spoken_words import SpokenWordsConfig, draw_utterances, prepare_spoken_words, read_words

DICTIONARY = """;;; a comment
a AH
Abbey AE B IY
abbey(2) AE B EY
b B IY
can't K AE N T
'em EH M
two-fold T UW F OW L D
3d TH R IY D IY
caf\xe9 K AE F EY
mr M IH S T ER
i AY
floccinaucinihilipilification F L AA K

zebra Z IY B R AH
ABBEY(1) AE B IY
"""
WORDS = ["a", "abbey", "can't", "i", "zebra"]


@pytest.fixture
def dictionary(tmp_path):
    """A pronouncing dictionary alone in its folder."""
    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / "tiny.dict"
    path.write_text(DICTIONARY, encoding="utf-8")
    return path


@pytest.fixture
def beeping(monkeypatch):
    """A voice that beeps 100 samples a character, in this process."""

    class Beeper:
        sample_rate = 22050
        version = "0"

        def speak(self, text):
            return np.full(100 * len(text), 1000, np.int16)

    monkeypatch.setattr(packed_speech, "load_espeak", lambda config: Beeper())
    monkeypatch.setattr(
        packed_speech, "_speak_missing", lambda shards, jobs, label: [packed_speech.speak_shard(s) for s in shards]
    )


def test_usable_words_are_read_once(dictionary, tmp_path):
    assert read_words(dictionary) == WORDS
    (tmp_path / "latin.txt").write_bytes("Caf\xe9\r\nZebra\r\nabbey\r\n".encode("latin-1"))
    assert read_words(tmp_path / "latin.txt") == ["zebra", "abbey"]


def test_all_words_come_before_any_comes_again():
    words = [chr(97 + i) + chr(97 + j) for i in range(20) for j in range(20)]
    rows = draw_utterances(words, SpokenWordsConfig(utterances=60, dev=10))
    assert [len(rows["train"]), len(rows["dev"])] == [60, 10]
    texts = [row["text"] for row in rows["train"] + rows["dev"]]
    assert all(clean_text(text) == text for text in texts)
    said = [text.strip(".?").replace(",", "").split() for text in texts]
    assert {len(sequence) for sequence in said} == {2, 3, 4, 5, 6, 7}
    drawn = [word for sequence in said for word in sequence]
    assert len(drawn) == len(set(drawn)) < 400
    inner = len(drawn) - len(texts)
    assert 0.05 < sum(text.count(",") for text in texts) / inner < 0.25
    assert 0 < sum(text.endswith("?") for text in texts) < 20
    assert not any(",." in text or ",?" in text for text in texts)
    assert draw_utterances(words, SpokenWordsConfig(utterances=60, dev=10, seed=1)) != rows


@pytest.mark.usefixtures("beeping")
def test_rows_are_those_of_a_voice(dictionary, tmp_path):
    config = SpokenWordsConfig(utterances=5, dev=2)
    dataset = prepare_spoken_words(dictionary.parent, tmp_path / "out", config, utterances_per_shard=3, margin_ms=0)
    assert {name: split.rows for name, split in dataset.splits.items()} == {"train": 5, "dev": 2}
    assert dataset.layout == "5 words of tiny.dict, spoken by espeak-ng 0"
    row = dataset.rows("train")[3]
    assert list(row) == [
        "id", "text", "audio", "offset", "n_samples", "sample_rate", "duration_s", "speaker"
    ]  # fmt: skip
    assert (row["audio"], row["offset"], row["speaker"]) == ("audio/train-00001.npy", 0, "espeak-ng en-us")
    assert len(dataset.wave(row)[0]) == 100 * len(row["text"])
    assert not list((tmp_path / "out" / "audio").glob("*.json"))
    assert prepare_spoken_words(dictionary, tmp_path / "out", config, utterances_per_shard=3, margin_ms=0) == dataset
    dictionary.write_text("other\nwords\n", encoding="utf-8")
    with pytest.raises(DataError, match="prepared differently"):
        prepare_spoken_words(dictionary, tmp_path / "out", config, utterances_per_shard=3, margin_ms=0)


def test_what_holds_no_words_is_told(tmp_path):
    (tmp_path / "numbers.txt").write_text("1\n2\n")
    with pytest.raises(DataError, match=r"numbers\.txt: no usable words"):
        prepare_spoken_words(tmp_path / "numbers.txt", tmp_path / "out")
    with pytest.raises(DataError, match=r"0 \*.dict files"):
        prepare_spoken_words(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="nowhere: no such file"):
        prepare_spoken_words(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match="needs at least 1"):
        SpokenWordsConfig(utterances=0)
    assert not (tmp_path / "out").exists()
