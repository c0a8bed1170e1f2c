"""Captions spoken by espeak-ng: alignment, silence, interruption."""

import shutil

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.core.espeak import EspeakConfig, read_voice
from optophone.core.text import clean_text
from optophone.data.manifest import read_dataset
from optophone.data.prepare import packed_speech
from optophone.data.prepare.flickr8k import prepare_flickr8k
from optophone.data.prepare.packed_speech import speak_shard, trim_silence
from optophone.data.prepare.spoken_captions import prepare_spoken_captions

MODULE = "optophone.data.prepare.packed_speech"


@pytest.fixture
def captions(trees, tmp_path):
    """A prepared caption data set with one picture in train and one in dev."""
    prepare_flickr8k(trees.flickr8k(n=1), tmp_path / "captions", size=8)
    return tmp_path / "captions"


@pytest.fixture
def needs_espeak():
    """Skips where neither the library nor the program is installed."""
    try:
        import espeakng_loader  # noqa: F401
    except ImportError:
        if shutil.which("espeak-ng") is None:
            pytest.skip("espeak-ng is not installed")


def test_trim_keeps_an_exact_margin():
    wave = np.zeros(100, np.int16)
    wave[30:60] = 1000
    assert (trim_silence(wave, 5) == wave[25:65]).all()
    padded = trim_silence(wave, 50)
    assert len(padded) == 130
    assert (padded[50:80] == 1000).all()
    assert not padded[:50].any()
    assert not padded[80:].any()


def test_trim_keeps_soft_sounds_and_empties_silence():
    wave = np.array([0, 3, -40, -32768, 3, 0], np.int16)
    assert trim_silence(wave, 0).tolist() == [-40, -32768]
    assert not len(trim_silence(np.zeros(10, np.int16), 5))


@pytest.mark.usefixtures("needs_espeak")
def test_speaks_every_caption(captions, tmp_path, snapshot, killer):
    """One preparation, looked at from all sides, because every array costs a new process."""
    whole = prepare_spoken_captions(captions, tmp_path / "whole", captions_per_shard=3, jobs=2)
    source = read_dataset(captions)
    rows = whole.rows("train")
    expected = [clean_text(caption) for row in source.rows("train") for caption in row["captions"]]
    assert [row["text"] for row in rows] == expected
    assert {row["picture_id"] for row in rows} == {row["id"] for row in source.rows("train")}
    assert [row["caption_index"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[4]["audio"] == "audio/train-00001.npy"
    for row in rows:
        wave, sample_rate = whole.wave(row)
        margin = round(0.05 * sample_rate)
        assert len(wave) / sample_rate == pytest.approx(row["duration_s"], abs=1e-3)
        assert 0.3 < row["duration_s"] < 5
        assert np.abs(wave).max() > 0.1
        assert np.abs(wave[:margin]).max() <= 0.0011
        assert np.abs(wave[-margin:]).max() <= 0.0011
        assert abs(wave[margin]) > 0.001
        assert abs(wave[-margin - 1]) > 0.001
    assert rows[1]["duration_s"] > rows[2]["duration_s"]  # the longer caption takes longer

    killer.arm(MODULE, 2)
    with pytest.raises(killer.killed):
        prepare_spoken_captions(captions, tmp_path / "out", captions_per_shard=3, jobs=1)
    assert (tmp_path / "out" / "audio" / "train-00000.npy").is_file()
    with pytest.raises(DataError, match="no finished data set"):
        read_dataset(tmp_path / "out")
    with pytest.raises(DataError, match="speed 175 there, 150 asked for"):
        prepare_spoken_captions(captions, tmp_path / "out", EspeakConfig(speed=150), captions_per_shard=3)
    prepare_spoken_captions(captions, tmp_path / "out", captions_per_shard=3, jobs=1)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")


def test_a_second_run_does_nothing(captions, tmp_path, monkeypatch):
    calls = []

    def speak_here(shards, jobs, label):
        calls.append(len(shards))
        for shard in shards:
            packed_speech.speak_shard(shard)

    monkeypatch.setattr(packed_speech, "_speak_missing", speak_here)
    monkeypatch.setattr(packed_speech, "load_espeak", lambda config: _Beeper())
    first = prepare_spoken_captions(captions, tmp_path / "out")
    assert calls == [2]
    assert prepare_spoken_captions(captions, tmp_path / "out") == first
    assert calls == [2]
    assert first.layout == "captions of flickr8k, spoken by espeak-ng 0"
    assert sorted(path.name for path in (tmp_path / "out" / "audio").iterdir()) == ["dev-00000.npy", "train-00000.npy"]


def test_voices_take_turns(captions, tmp_path, monkeypatch):
    heights = {"en-gb": 1000, "en-us+f3": 2000}
    monkeypatch.setattr(packed_speech, "_speak_missing", lambda shards, jobs, label: [*map(speak_shard, shards)])
    monkeypatch.setattr(packed_speech, "load_espeak", lambda config: _Beeper(heights[config.voice] + config.pitch))
    voices = [EspeakConfig("en-gb", 160, 40), EspeakConfig("en-us+f3", 175, 60)]
    spoken = prepare_spoken_captions(captions, tmp_path / "out", voices, captions_per_shard=2)
    rows = spoken.rows("train")
    assert [row["caption_index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["speaker"].split()[1] for row in rows] == ["en-gb", "en-us+f3", "en-gb", "en-us+f3", "en-gb"]
    assert [row["audio"] for row in rows][::2] == [f"audio/train-00-0000{i}.npy" for i in (0, 0, 1)]
    for row, height in zip(rows, [1040, 2060, 1040, 2060, 1040], strict=True):
        wave, _ = spoken.wave(row)
        assert np.abs(wave).max() * 32768 == height
        assert len(wave) == 100 * len(row["text"]) + 2 * 1102
    assert spoken.options["voices"] == ["en-gb:160:40", "en-us+f3:175:60"]
    assert prepare_spoken_captions(captions, tmp_path / "out", voices, captions_per_shard=2) == spoken
    with pytest.raises(DataError, match="prepared differently"):
        prepare_spoken_captions(captions, tmp_path / "out", voices[:1], captions_per_shard=2)


def test_a_share_is_spread_over_the_captions(captions, tmp_path, monkeypatch):
    monkeypatch.setattr(packed_speech, "_speak_missing", lambda shards, jobs, label: [*map(speak_shard, shards)])
    monkeypatch.setattr(packed_speech, "load_espeak", lambda config: _Beeper())
    spoken = prepare_spoken_captions(captions, tmp_path / "out", share=0.4)
    assert [row["caption_index"] for row in spoken.rows("train")] == [0, 2]
    assert spoken.options["share"] == 0.4
    assert spoken.options["voice"] == "en-us"


@pytest.mark.parametrize("voices", [[], [EspeakConfig(), EspeakConfig()]])
def test_voices_come_once(captions, tmp_path, voices):
    with pytest.raises(DataError, match="each only once"):
        prepare_spoken_captions(captions, tmp_path / "out", voices)
    with pytest.raises(DataError, match="share 0"):
        prepare_spoken_captions(captions, tmp_path / "out", share=0)


def test_a_voice_is_named_with_speed_and_pitch():
    assert read_voice("en-gb", 150, 40) == EspeakConfig("en-gb", 150, 40)
    assert read_voice("en-us+f3:190", 150, 40) == EspeakConfig("en-us+f3", 190, 40)
    assert read_voice("en-us+f3:190:61") == EspeakConfig("en-us+f3", 190, 61)
    for wrong in ("en-gb:fast", "en-gb:1:2:3", "en-gb:100:"):
        with pytest.raises(DataError, match="NAME:SPEED:PITCH"):
            read_voice(wrong)


def test_a_silent_voice_is_told(captions, tmp_path, monkeypatch):
    shard = packed_speech.Shard(tmp_path / "a.npy", ("a dog.",), EspeakConfig(), 50)
    monkeypatch.setattr(packed_speech, "load_espeak", lambda config: _Beeper(0))
    with pytest.raises(DataError, match="says nothing for 'a dog"):
        packed_speech.speak_shard(shard)
    assert not (tmp_path / "a.npy").exists()


def test_a_data_set_without_captions_is_refused(trees, tmp_path):
    from optophone.data.prepare.tiny_imagenet import prepare_tiny_imagenet

    prepare_tiny_imagenet(trees.tiny_imagenet_shards(), tmp_path / "pictures")
    with pytest.raises(DataError, match="rows of train have no captions"):
        prepare_spoken_captions(tmp_path / "pictures", tmp_path / "out")
    with pytest.raises(DataError, match="no finished data set"):
        prepare_spoken_captions(tmp_path / "nowhere", tmp_path / "out")


class _Beeper:
    """A voice that beeps once for every character."""

    sample_rate = 22050
    version = "0"

    def __init__(self, loudness: int = 1000) -> None:
        self.loudness = loudness

    def speak(self, text: str) -> np.ndarray:
        return np.full(100 * len(text), self.loudness, np.int16)
