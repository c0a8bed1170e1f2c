"""LibriSpeech and LibriTTS from their official layout; and the real speakers where they are."""

import pytest

from optophone.core.errors import DataError
from optophone.data.prepare.librispeech import prepare_librispeech
from optophone.data.prepare.libritts import prepare_libritts
from optophone.data.prepare.speakers import split_speakers


def _counts(dataset):
    return {name: split.rows for name, split in dataset.splits.items()}


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_librispeech_in_its_official_layout(trees, tmp_path, suffix):
    dataset = prepare_librispeech(trees.librispeech(suffix=suffix).parent, tmp_path / "out")
    assert _counts(dataset) == {"train": 2, "dev": 1}
    rows = {row["id"]: row for split in dataset.splits for row in dataset.rows(split)}
    assert rows["84-121-0001"] == {
        "id": "84-121-0001",
        "audio": f"dev-clean/84/121/84-121-0001.{suffix}",
        "text": "go do you hear aa",
        "duration_s": 0.11,
        "sample_rate": 16000,
        "speaker": "84",
        "subset": "dev-clean",
        "sex": "F",
        "speaker_name": "A | B",
    }
    assert "sex" not in rows["7-121-0000"]
    assert len(dataset.wave(rows["84-121-0001"])[0]) == 1760
    assert dataset.rows("dev")[0]["speaker"] == "84"  # of a speaker with one utterance, nothing is held back


def test_libritts_in_its_official_layout(trees, tmp_path):
    source = trees.libritts()
    chapter = source / "train-clean-100" / "7" / "121"
    (chapter / "7_121_000000_000000.normalized.txt").unlink()
    dataset = prepare_libritts(source, tmp_path / "out", held_back_speakers=1)
    rows = {row["id"]: row for split in dataset.splits for row in dataset.rows(split)}
    assert rows["84_121_000000_000001"]["text"] == "mister bell, three!"
    assert rows["7_121_000000_000000"]["text"] == "mister seven, three!"
    assert rows["84_121_000000_000001"]["duration_s"] == 0.11
    assert {row["speaker"] for row in dataset.rows("train")} != {row["speaker"] for row in dataset.rows("dev")}
    assert len(rows) == 3


def test_official_sets_are_the_splits(trees, tmp_path):
    subsets = {
        "train-clean-100": {"1": 1},
        "train-other-500": {"2": 1},
        "dev-clean": {"3": 1},
        "test-other": {"4": 1},
    }
    source = trees.librispeech(subsets)
    dataset = prepare_librispeech(source, tmp_path / "out")
    assert {name: [row["speaker"] for row in dataset.rows(name)] for name in dataset.splits} == {
        "train": ["1", "2"],
        "dev": ["3"],
        "test": ["4"],
    }
    with pytest.raises(DataError, match="leave out the held-back"):
        prepare_librispeech(source, tmp_path / "other", held_back_speakers=1)


def test_a_tenth_of_every_speaker_is_held_back():
    rows = [{"id": f"{speaker}-{i}", "speaker": speaker} for speaker in "abc" for i in range(30)]
    splits = split_speakers("librispeech", {"train-clean-100": rows, "test-clean": rows[:1]})
    assert {name: len(part) for name, part in splits.items()} == {"train": 81, "dev": 9, "test": 1}
    assert [row["speaker"] for row in splits["dev"]] == list("aaabbbccc")
    alone = split_speakers("librispeech", {"dev-clean": rows[:30]})
    assert alone["dev"] == splits["dev"][:3]
    by_speaker = split_speakers("librispeech", {"dev-clean": rows}, held_back_speakers=2)
    assert len({row["speaker"] for row in by_speaker["dev"]}) == 2
    assert [len(by_speaker["train"]), len(by_speaker["dev"])] == [30, 60]
    with pytest.raises(DataError, match="3 speakers are here"):
        split_speakers("librispeech", {"dev-clean": rows}, held_back_speakers=3)


def _no_transcript(chapter):
    (chapter / "84-121.trans.txt").unlink()


def _no_line(chapter):
    (chapter / "84-121.trans.txt").write_text("84-121-0000 A\n")


def _no_sound(chapter):
    (chapter / "84-121-0000.flac").unlink()


def _cut_off(chapter):
    path = chapter / "84-121-0001.flac"
    path.write_bytes(path.read_bytes()[:-200])


def _not_a_sound(chapter):
    (chapter / "84-121-0001.flac").write_bytes(b"fLaC")


def _no_words(chapter):
    (chapter / "84-121.trans.txt").write_text("84-121-0000 A\n84-121-0001 --\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_transcript, r"84-121\.trans\.txt: missing"),
        (_no_line, r"84-121\.trans\.txt: has no line for 84-121-0001\.flac"),
        (_no_sound, r"1 of 2 sound files are missing, such as 84-121-0000"),
        (_cut_off, r"84-121-0001\.flac: cut off"),
        (_not_a_sound, r"84-121-0001\.flac: not a readable sound file"),
        (_no_words, r"84-121-0001\.flac: its transcript holds no words"),
    ],
)
def test_a_damaged_chapter_is_told_in_one_line(trees, tmp_path, damage, message):
    source = trees.librispeech()
    damage(source / "dev-clean" / "84" / "121")
    with pytest.raises(DataError, match=message) as failure:
        prepare_librispeech(source, tmp_path / "out")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_cut_and_empty_sounds_are_named(trees, tmp_path, suffix):
    source = trees.librispeech(suffix=suffix)
    path = source / "dev-clean" / "84" / "121" / f"84-121-0000.{suffix}"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"84-121-0000\.{suffix}: cut off"):
        prepare_librispeech(source, tmp_path / "out")
    trees.sound(path, 0)
    with pytest.raises(DataError, match=rf"84-121-0000\.{suffix}: (holds no sound|not a readable)"):
        prepare_librispeech(source, tmp_path / "out")


def test_libritts_without_text_or_sound_is_named(trees, tmp_path):
    chapter = trees.libritts() / "train-clean-100" / "84" / "121"
    name = "84_121_000000_000001"
    (chapter / f"{name}.original.txt").unlink()
    (chapter / f"{name}.normalized.txt").write_text("\n")
    with pytest.raises(DataError, match=rf"{name}\.normalized\.txt: empty"):
        prepare_libritts(trees.root, tmp_path / "out")
    (chapter / f"{name}.normalized.txt").unlink()
    with pytest.raises(DataError, match=rf"{name}\.wav: no transcript beside it"):
        prepare_libritts(trees.root, tmp_path / "out")
    (chapter / f"{name}.original.txt").write_text("Hello.")
    (chapter / f"{name}.wav").unlink()
    with pytest.raises(DataError, match=rf"{name}\.original\.txt: its sound file is missing"):
        prepare_libritts(trees.root, tmp_path / "out")


def test_another_folder_is_no_corpus(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError, match="no librispeech here"):
        prepare_librispeech(tmp_path / "source", tmp_path / "out")


@pytest.mark.shared_data
def test_the_real_speakers(shared_dir, tmp_path):
    dataset = prepare_librispeech(shared_dir / "data" / "librispeech", tmp_path / "out")
    rows = [row for split in dataset.splits for row in dataset.rows(split)]
    assert len({row["speaker"] for row in rows}) >= 6
    assert {row["speaker"] for row in dataset.rows("dev")} == {row["speaker"] for row in rows}
    assert all(row["sample_rate"] == 16000 and row["sex"] in "FM" and 0.5 < row["duration_s"] < 40 for row in rows)
    wave, _ = dataset.wave(rows[0])
    assert len(wave) / 16000 == pytest.approx(rows[0]["duration_s"], abs=1e-3)
