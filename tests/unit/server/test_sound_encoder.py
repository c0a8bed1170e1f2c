"""Sound files that leave while they are written."""

import io

import numpy as np
import pytest
import soundfile

from optophone.core.audio import pcm16, read_wave
from optophone.server.sound_encoder import STREAMED, encode_stream, media_type_of

RATE = 22050
WAVE = (0.5 * np.sin(2 * np.pi * 220 * np.arange(3 * RATE) / RATE)).astype(np.float32)
CHUNKS = np.array_split(WAVE, 17)


@pytest.mark.parametrize("format", ["wav", "ogg", "mp3", "flac"])
def test_what_was_streamed_can_be_read(format: str) -> None:
    content = b"".join(encode_stream(CHUNKS, RATE, format))
    assert soundfile.info(io.BytesIO(content)).format == format.upper()
    wave, rate = read_wave(content)
    assert rate == RATE
    assert len(wave) == pytest.approx(len(WAVE), abs=0.12 * RATE)
    power = np.abs(np.fft.rfft(wave[RATE : 2 * RATE]))
    assert power.argmax() == 220
    whole, _ = soundfile.read(io.BytesIO(content))
    assert len(whole) == len(wave)


def test_raw_samples_are_bare() -> None:
    assert b"".join(encode_stream(CHUNKS, RATE, "raw")) == pcm16(WAVE)


@pytest.mark.parametrize("format", ["wav", "ogg", "mp3", "raw"])
def test_the_first_bytes_need_one_chunk(format: str) -> None:
    taken = 0

    def chunks() -> object:
        nonlocal taken
        for chunk in CHUNKS:
            taken += 1
            yield chunk

    pieces = encode_stream(chunks(), RATE, format)  # type: ignore[arg-type]
    content = b""
    while not content:
        content = next(pieces)
    assert taken <= 1


def test_media_types() -> None:
    assert [media_type_of(format, 8000) for format in STREAMED] == [
        "audio/wav",
        "audio/flac",
        "audio/ogg",
        "audio/mpeg",
        "audio/pcm;rate=8000;channels=1",
    ]
