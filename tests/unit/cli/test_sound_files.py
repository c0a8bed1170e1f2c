"""Names of sound files: one per input, never an input, never the same twice."""

import time
from pathlib import Path

import numpy as np
import pytest

from optophone.cli.sound_files import SoundFiles
from optophone.core.errors import AudioError


def names(*inputs: str, output: str | None = None, audio_format: str | None = None, raw: bool = False) -> list[str]:
    files = SoundFiles(inputs, output, audio_format, raw)
    return [str(files.path_for(number)) for number in range(len(inputs))]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_names_follow_the_inputs() -> None:
    assert names("photos/beach.jpg") == ["beach.wav"]
    assert names("photos/beach.jpg", audio_format="ogg") == ["beach.ogg"]
    assert names("beach.jpg", raw=True, output="sound/") == ["sound/beach.pcm"]
    assert names("-") == ["picture.wav"]
    assert names(".jpg", "a.b.jpg") == ["jpg.wav", "a.b.wav"]


def test_equal_names_are_counted() -> None:
    assert names("a/x.jpg", "b/x.jpg", "x-2.jpg", "c/x.png") == ["x.wav", "x-2.wav", "x-2-2.wav", "x-3.wav"]


def test_an_input_is_never_overwritten() -> None:
    Path("x.wav").write_bytes(b"a picture")
    assert names("x.wav") == ["x-2.wav"]
    assert names("y.jpg", "x.wav") == ["y.wav", "x-2.wav"]
    with pytest.raises(AudioError, match="the picture itself"):
        names("x.wav", output="x.wav")


def test_a_folder_is_one_by_its_slash_or_its_being() -> None:
    Path("there").mkdir()
    assert names("x.jpg", output="there") == ["there/x.wav"]
    assert names("x.jpg", output="new/") == ["new/x.wav"]
    assert names("x.jpg", "y.jpg", output="new") == ["new/x.wav", "new/y.wav"]
    with pytest.raises(AudioError, match="one file cannot hold 2"):
        names("x.jpg", "y.jpg", output="new.wav")


def test_thousands_of_equal_names_take_no_time() -> None:
    files = SoundFiles(tuple(f"{i}/x.jpg" for i in range(5000)), None, None)
    began = time.perf_counter()
    found = {files.path_for(number) for number in range(5000)}
    assert len(found) == 5000
    assert time.perf_counter() - began < 2


def test_nothing_partial_is_left_where_writing_fails() -> None:
    Path("file").write_text("not a folder")
    files = SoundFiles(("x.jpg",), "file/x.wav", None)
    with pytest.raises(AudioError, match="file"):
        files.write(0, np.zeros(10, np.float32), 8000)
    raw = SoundFiles(("x.jpg",), "x.pcm", None, raw=True)
    assert raw.write(0, np.full(3, 0.5, np.float32), 8000).read_bytes() == b"\x00\x40" * 3
    assert sorted(path.name for path in Path().iterdir()) == ["file", "x.pcm"]
