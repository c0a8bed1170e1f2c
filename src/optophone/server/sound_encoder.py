"""Sound files that leave while they are being written."""

import io
from collections.abc import Iterable, Iterator

import numpy as np
import soundfile

from optophone.core.audio import FORMATS, MEDIA_TYPES, encode_wave, pcm16, wav_header

STREAMED = (*MEDIA_TYPES, "raw")
"""What can be asked for: sound files, and bare 16-bit little-endian samples."""

_BLOCK = 8192  # samples that an encoder takes at once
# At a variable bit rate readers guess the length wrongly where the first frame does not tell it; so a constant one,
# of about 64 kbit/s at 22,050 Hz (libsndfile: 0 is its most, 1 its least).
_MP3 = {"bitrate_mode": "CONSTANT", "compression_level": 0.63}


def media_type_of(format: str, sample_rate: int) -> str:
    """The media type of a format of `STREAMED`."""
    return MEDIA_TYPES.get(format, f"audio/pcm;rate={sample_rate};channels=1")


def encode_stream(waves: Iterable[np.ndarray], sample_rate: int, format: str) -> Iterator[bytes]:
    """A sound file piece by piece, as the waves (n,) float32 come.

    What a format writes at its beginning once its length is known stays open: players read such files to their end.
    Of FLAC they do not; it comes whole, when all is said.
    """
    assert format in STREAMED, format
    if format in ("wav", "raw"):
        if format == "wav":
            yield wav_header(sample_rate)
        for wave in waves:
            yield pcm16(wave)
        return
    if format == "flac":
        yield encode_wave(np.concatenate(list(waves)), sample_rate, format)
        return
    sink = _Sink()
    container, coding = FORMATS[format]
    how = _MP3 if format == "mp3" else {}
    with soundfile.SoundFile(sink, "w", sample_rate, 1, coding, format=container, **how) as sound:
        for wave in waves:
            for start in range(0, len(wave), _BLOCK):
                sound.write(np.clip(wave[start : start + _BLOCK], -1.0, 1.0))
            yield sink.take()
    yield sink.take()


class _Sink:
    """A file that is sent as it grows: what would be written over later is sent already, and stays as it is."""

    def __init__(self) -> None:
        self._at = 0
        self._length = 0
        self._pending = io.BytesIO()

    def take(self) -> bytes:
        """What was added since the last call."""
        content = self._pending.getvalue()
        self._pending = io.BytesIO()
        return content

    def write(self, data: bytes) -> int:
        skipped = min(len(data), self._length - self._at)
        self._pending.write(bytes(data)[skipped:])
        self._at += len(data)
        self._length = max(self._length, self._at)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        return b""

    def flush(self) -> None:
        """Nothing waits here but what `take` takes."""
