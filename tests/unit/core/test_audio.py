"""Sound in and out: every format, every mistake a user can make, and nothing half-written."""

import errno
import io
import os
import subprocess
import sys
import wave as standard_wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from optophone.core.audio import (
    FORMATS,
    MEDIA_TYPES,
    AudioLimits,
    WaveWriter,
    encode_wave,
    format_for,
    pcm16,
    read_wave,
    resample,
    stream_wav,
    wav_header,
    write_wave,
)
from optophone.core.errors import AudioError


def _tone(hz: float = 440.0, n_samples: int = 22050, sample_rate: int = 22050, level: float = 0.4) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(n_samples) / sample_rate)).astype(np.float32)


@pytest.mark.parametrize(("format", "error"), [("wav", 2e-5), ("flac", 2e-5), ("ogg", 0.05), ("mp3", 0.05)])
def test_every_format_comes_back(tmp_path: Path, format: str, error: float) -> None:
    path = tmp_path / f"tone.{format}"
    wave = _tone()
    write_wave(path, wave, 22050)
    assert soundfile.info(str(path)).format == FORMATS[format][0]
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        back, sample_rate = read_wave(source)
        assert (sample_rate, back.dtype, back.shape) == (22050, np.float32, wave.shape)
        inner = slice(2000, -2000)  # lossy coders ring at a hard edge
        np.testing.assert_allclose(back[inner], wave[inner], atol=error)
    assert os.listdir(tmp_path) == [path.name]


def test_formats_and_media_types_name_the_same() -> None:
    assert FORMATS.keys() == MEDIA_TYPES.keys()


def test_a_copy_of_a_copy_is_the_same() -> None:
    first, _ = read_wave(encode_wave(_tone(), 22050, "wav"))
    second, _ = read_wave(encode_wave(first, 22050, "flac"))
    np.testing.assert_array_equal(first, second)


def test_channels_are_mixed_down() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.stack([_tone(), np.zeros(22050, np.float32)], axis=1), 22050, "FLOAT", format="WAV")
    wave, _ = read_wave(file.getvalue())
    np.testing.assert_allclose(wave, _tone() / 2, atol=1e-7)


def test_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as end:
        end.write(encode_wave(_tone(n_samples=1000), 22050, "wav"))
    with open(reading, "rb") as end:
        assert read_wave(end)[0].shape == (1000,)


def test_reading_resamples() -> None:
    wave, sample_rate = read_wave(encode_wave(_tone(), 22050, "wav"), sample_rate=16000)
    assert (sample_rate, wave.shape) == (16000, (16000,))
    np.testing.assert_allclose(wave[500:-500], _tone(440.0, 16000, 16000)[500:-500], atol=1e-4)


@pytest.mark.parametrize(
    ("from_rate", "to_rate"),
    [(44100, 22050), (48000, 16000), (22050, 16000), (16000, 22050), (22050, 44100), (48000, 22050), (8000, 7999)],
)
def test_resampling_keeps_what_both_rates_can_hold(from_rate: int, to_rate: int) -> None:
    n_out = -(-from_rate * to_rate // from_rate)
    for part in (0.0, 0.02, 0.3, 0.85):
        hz = part * min(from_rate, to_rate) / 2
        phase = 0.7
        wave = np.cos(2 * np.pi * hz * np.arange(from_rate) / from_rate + phase).astype(np.float32)
        expected = np.cos(2 * np.pi * hz * np.arange(n_out) / to_rate + phase)
        result = resample(wave, from_rate, to_rate)
        assert (result.dtype, result.shape) == (np.float32, (n_out,))
        inner = slice(n_out // 20, -(n_out // 20))
        np.testing.assert_allclose(result[inner], expected[inner], atol=3e-4)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 22050), (48000, 16000), (22050, 16000)])
def test_resampling_removes_what_would_alias(from_rate: int, to_rate: int) -> None:
    hz = 1.1 * to_rate / 2
    result = resample(_tone(hz, from_rate, from_rate, level=1.0), from_rate, to_rate)
    assert np.abs(result[1000:-1000]).max() < 1e-4


@pytest.mark.parametrize("n_samples", [0, 1, 2, 5])
def test_resampling_of_a_few_samples(n_samples: int) -> None:
    assert resample(np.ones(n_samples, np.float32), 22050, 16000).shape == (-(-n_samples * 320 // 441),)
    np.testing.assert_array_equal(resample(np.ones(n_samples, np.float32), 8000, 8000), np.ones(n_samples))


def _float_wav(wave: np.ndarray, sample_rate: int = 22050) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, sample_rate, "FLOAT", format="WAV")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (b"no sound at all, only words " * 20, "no sound in a known format"),
        (encode_wave(_tone(), 22050, "flac")[:9000], "damaged"),
        (encode_wave(_tone(), 22050, "ogg")[:60], "damaged"),
        (wav_header(22050, 0), "0 samples"),
        (_float_wav(np.array([0.0, np.nan, 0.1])), "no numbers"),
        (_float_wav(np.zeros(100), 300), "300 Hz"),
    ],
    ids=["empty", "text", "cut-flac", "cut-ogg", "no-samples", "not-a-number", "few-hertz"],
)
def test_what_is_no_good_sound_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        read_wave(data)
    assert "\n" not in str(caught.value)


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"missing\.wav.*no such file"):
        read_wave(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="is a folder"):
        read_wave(tmp_path)
    (tmp_path / "samples.raw").write_bytes(bytes(1000))
    with pytest.raises(AudioError, match=r"samples\.raw.*known format"):
        read_wave(tmp_path / "samples.raw")


def test_limits_hold() -> None:
    data = encode_wave(_tone(), 22050, "wav")
    with pytest.raises(AudioError, match=r"longer than 0\.5 s"):
        read_wave(data, limits=AudioLimits(max_duration_s=0.5))
    for source in (data, io.BytesIO(data)):
        with pytest.raises(AudioError, match="larger than"):
            read_wave(source, limits=AudioLimits(max_bytes=1000))


def test_pcm16_is_clipped_and_little_endian() -> None:
    assert pcm16(np.array([0.0, 0.5, -1.0, 1.0, 7.0, -7.0])) == b"\0\0\0\x40\0\x80\xff\x7f\xff\x7f\0\x80"


def test_loud_waves_are_clipped_not_wrapped() -> None:
    wave, _ = read_wave(encode_wave(_tone(level=3.0), 22050, "wav"))
    assert np.abs(wave).max() <= 1.0
    np.testing.assert_allclose(wave, np.clip(_tone(level=3.0), -1.0, 1.0), atol=4e-5)


def test_a_header_is_that_of_the_standard() -> None:
    data = wav_header(16000, 500) + pcm16(_tone(n_samples=500))
    with standard_wave.open(io.BytesIO(data)) as sound:
        assert sound.getparams()[:4] == (1, 2, 16000, 500)
    assert len(wav_header(16000)) == 44


def test_a_stream_of_unknown_length_is_read_to_its_end() -> None:
    wave = _tone(n_samples=3000)
    pieces = list(stream_wav([wave[:100], wave[100:]], 22050))
    assert len(pieces) == 3
    back, sample_rate = read_wave(b"".join(pieces))
    assert sample_rate == 22050
    np.testing.assert_allclose(back, wave, atol=2e-5)


def test_the_format_comes_from_the_suffix_or_by_name(tmp_path: Path) -> None:
    assert format_for("a.b.FLAC") == "flac"
    assert format_for("out.bin", "WAV") == "wav"
    write_wave(tmp_path / "out.bin", _tone(), 22050, format="ogg")
    assert soundfile.info(str(tmp_path / "out.bin")).format == "OGG"
    with pytest.raises(AudioError, match=r"'aac'.*wav, flac, ogg, mp3"):
        write_wave(tmp_path / "out.aac", _tone(), 22050)
    with pytest.raises(AudioError, match=r"no suffix.*wav, flac, ogg, mp3"):
        write_wave(tmp_path / "out", _tone(), 22050)
    with pytest.raises(AudioError, match="'aiff'"):
        encode_wave(_tone(), 22050, "aiff")


@pytest.mark.parametrize(("wave", "message"), [(np.zeros(0), "0 samples"), (np.array([0.0, np.inf]), "no numbers")])
def test_what_cannot_be_written_is_an_error(tmp_path: Path, wave: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        write_wave(tmp_path / "out.wav", wave, 22050)
    assert os.listdir(tmp_path) == []


def test_a_sample_rate_the_format_lacks_is_an_error() -> None:
    with pytest.raises(AudioError, match="mp3 cannot hold a sample rate of 96000 Hz"):
        encode_wave(_tone(), 96000, "mp3")


def test_long_vorbis_is_written_in_parts() -> None:
    wave = _tone(n_samples=1_500_000)
    assert read_wave(encode_wave(wave, 22050, "ogg"))[0].shape == wave.shape


def test_places_that_cannot_be_written_to_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nowhere does not exist: create it"):
        write_wave(tmp_path / "nowhere" / "out.wav", _tone(), 22050)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match=r"folder\.wav.*is a folder"):
        write_wave(tmp_path / "folder.wav", _tone(), 22050)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "out.wav"
    write_wave(path, _tone(), 22050)
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(AudioError, match=r"out\.wav cannot be written: no space left"):
        write_wave(path, _tone(220.0), 22050)
    assert os.listdir(tmp_path) == ["out.wav"]
    assert path.read_bytes() == before


def test_an_interrupt_leaves_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_wave(tmp_path / "out.wav", _tone(), 22050)
    assert os.listdir(tmp_path) == []


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    target = tmp_path / "target.wav"
    write_wave(target, _tone(), 22050)
    link = tmp_path / "link.wav"
    link.symlink_to(target)
    write_wave(link, _tone(n_samples=10), 22050)
    assert link.is_symlink()
    assert read_wave(target)[0].shape == (10,)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_device_is_written_to_not_replaced() -> None:
    with pytest.raises(AudioError, match="no space left"):
        write_wave("/dev/full", _tone(), 22050, format="wav")
    assert Path("/dev/full").is_char_device()
    write_wave(os.devnull, _tone(), 22050, format="wav")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "raw"])
def test_a_wave_written_in_pieces_is_the_whole(tmp_path: Path, kind: str) -> None:
    wave = 0.5 * np.sin(np.arange(50_000) * 0.05).astype(np.float32)
    path = tmp_path / f"x.{kind}"
    with WaveWriter(path, 22050, kind) as writer:
        for start in range(0, len(wave), 7777):
            writer.write(wave[start : start + 7777])
            assert not path.exists()
    assert writer.n_samples == len(wave)
    if kind == "raw":
        assert path.read_bytes() == pcm16(wave)
    else:
        read, rate = soundfile.read(path)
        assert rate == 22050
        np.testing.assert_allclose(read[: len(wave)], wave, atol=0.05)  # as lossy kinds have it
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


FULL = """
import resource, sys
import numpy as np
from optophone.core.audio import WaveWriter
from optophone.core.errors import AudioError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0).uniform(-1, 1, 20_000).astype(np.float32)
try:
    with WaveWriter(sys.argv[1], 22050) as writer:
        for _ in range(9):
            writer.write(noise)
except AudioError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_a_disk_that_fills_while_it_is_spoken_is_told(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("resource")
    path = tmp_path / f"x.{kind}"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{path} cannot be written: ")
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_nothing_that_is_written_calls_back_into_python(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C in there would be swallowed, and a piece of the sound with it."""
    monkeypatch.setattr(soundfile.SoundFile, "_init_virtual_io", lambda self, file: pytest.fail("it calls back"))
    write_wave(tmp_path / f"whole.{kind}", _tone(), 22050)
    with WaveWriter(tmp_path / f"pieces.{kind}", 22050) as writer:
        writer.write(_tone())
    assert {path.stem for path in tmp_path.iterdir()} == {"whole", "pieces"}


def test_a_wave_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), WaveWriter(tmp_path / "x.wav", 22050) as writer:  # noqa: PT012
        writer.write(np.zeros(100, np.float32))
        raise KeyboardInterrupt
    with WaveWriter(tmp_path / "empty.flac", 22050):
        pass
    with pytest.raises(AudioError, match="NaN"), WaveWriter(tmp_path / "x.mp3", 22050) as writer:
        writer.write(np.full(9, np.nan, np.float32))
    with pytest.raises(AudioError, match="cannot be written"):
        WaveWriter(tmp_path / "no" / "x.wav", 22050)
    assert not list(tmp_path.iterdir())
