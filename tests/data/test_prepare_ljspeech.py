"""LJSpeech from its official layout; and the real clips where they are."""

import pytest

from optophone.core.errors import DataError
from optophone.data.prepare import ljspeech
from optophone.data.prepare.ljspeech import prepare_ljspeech, split_ljspeech


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_reads_the_official_layout(trees, tmp_path, suffix):
    dataset = prepare_ljspeech(trees.ljspeech(suffix=suffix), tmp_path / "out")
    assert {name: split.rows for name, split in dataset.splits.items()} == {"train": 2, "dev": 1}
    row = dataset.rows("train")[1]
    assert row == {
        "id": "LJ001-0001",
        "audio": f"wavs/LJ001-0001.{suffix}",
        "text": "he said no, one!",
        "duration_s": 0.12,
        "sample_rate": 22050,
        "speaker": "LJ",
    }
    wave, sample_rate = dataset.wave(row)
    assert (len(wave), sample_rate) == (2646, 22050)


def test_the_folder_above_is_taken_too(trees, tmp_path):
    dataset = prepare_ljspeech(trees.ljspeech().parent, tmp_path / "out")
    assert dataset.path("audio", dataset.rows("dev")[0]).is_file()


def test_a_part_gives_its_last_tenth_to_dev():
    rows = [{"id": f"LJ{i}"} for i in range(40)]
    assert split_ljspeech(rows) == {"train": rows[:36], "dev": rows[36:]}


def test_the_whole_is_divided_as_published():
    rows = [{"id": f"LJ{i:05d}"} for i in range(13_100)]
    splits = split_ljspeech(rows)
    assert {name: len(part) for name, part in splits.items()} == {"train": 12_500, "dev": 100, "test": 500}
    assert sorted(row["id"] for part in splits.values() for row in part) == [row["id"] for row in rows]
    assert splits == split_ljspeech(rows)
    assert splits["test"] == sorted(splits["test"], key=lambda row: row["id"])


def test_continues_after_a_kill_and_a_second_run_does_nothing(trees, tmp_path, snapshot, killer, monkeypatch):
    source = trees.ljspeech()
    first = prepare_ljspeech(source, tmp_path / "whole")
    killer.arm("optophone.data.prepare.ljspeech", 1)
    with pytest.raises(killer.killed):
        prepare_ljspeech(source, tmp_path / "out")
    prepare_ljspeech(source, tmp_path / "out")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")
    monkeypatch.setattr(ljspeech, "clean_text", None)
    assert prepare_ljspeech(source, tmp_path / "whole") == first


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("LJ001-0000|a|a\nLJ001-0009|b|b\n", r"1 of 2 clips are missing: LJ001-0009"),
        ("LJ001-0000|a|a\nno bars\n", r"metadata\.csv:2: expected ID\|text\|normalized text"),
        ("LJ001-0000|a|a\n../LJ001-0001|b|b\n", r"metadata\.csv:2: expected ID"),
        ("LJ001-0000|a|a\nLJ001-0000|a|a\n", r"metadata\.csv:2: LJ001-0000 occurs twice"),
        ("LJ001-0000|a|a\nLJ001-0001||\n", r"metadata\.csv:2: LJ001-0001 has no text"),
        ("\n", "names no clips"),
        ("LJ001-0000|a|a\n", "at least 2"),
    ],
)
def test_a_damaged_metadata_file_is_told_in_one_line(trees, tmp_path, metadata, message):
    source = trees.ljspeech()
    (source / "metadata.csv").write_text(metadata)
    with pytest.raises(DataError, match=message) as failure:
        prepare_ljspeech(source, tmp_path / "out")
    assert "\n" not in str(failure.value)


def test_a_damaged_clip_is_named(trees, tmp_path):
    source = trees.ljspeech()
    (source / "wavs" / "LJ001-0001.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"LJ001-0001\.wav: not a readable sound file"):
        prepare_ljspeech(source, tmp_path / "out")


@pytest.mark.shared_data
def test_the_real_clips(shared_dir, tmp_path):
    dataset = prepare_ljspeech(shared_dir / "data" / "ljspeech", tmp_path / "out")
    rows = [row for split in dataset.splits for row in dataset.rows(split)]
    assert len(rows) >= 300
    assert all(row["sample_rate"] == 22050 and 0.5 < row["duration_s"] < 15 for row in rows)
    wave, _ = dataset.wave(rows[0])
    assert len(wave) / 22050 == pytest.approx(rows[0]["duration_s"], abs=1e-3)
