"""How long a sound file is, and whether it is whole, without decoding it."""

from dataclasses import dataclass
from pathlib import Path

import soundfile

from optophone.core.errors import DataError

# Sizes from here on in a RIFF header stand for "unknown": a program wrote to a pipe.
_ENDLESS = 0x7FFF_0000
_RIFF_HEADER_BYTES = 8
_ID3_HEADER_BYTES = 10
# The first frame of an MP3 file holds this mark, flags, and perhaps the numbers of frames and of bytes.
_MP3_MARKS = (b"Xing", b"Info")
_MP3_HAS_FRAMES, _MP3_HAS_BYTES = 1, 2
_MP3_SEARCHED_BYTES = 256


@dataclass(frozen=True)
class SoundLength:
    """Samples of each channel, and samples a second."""

    n_samples: int
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """Seconds, to a tenth of a millisecond."""
        return round(self.n_samples / self.sample_rate, 4)


def sound_length(path: Path) -> SoundLength:
    """The length of a sound file, from its header. WAV, FLAC and MP3 files must be whole.

    Raises:
        DataError: the file is missing, no sound, empty, or ends before its header says.
    """
    try:
        with soundfile.SoundFile(path) as sound:
            length = SoundLength(sound.frames, sound.samplerate)
            is_cut = length.n_samples > 0 and _is_cut(path, sound)
    except (soundfile.SoundFileError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a readable sound file ({reason}); download it again.") from None
    if is_cut:
        raise DataError(f"{path}: cut off, its header promises more sound; download it again.")
    if length.n_samples <= 0:
        raise DataError(f"{path}: holds no sound; download it again.")
    return length


def _is_cut(path: Path, sound: soundfile.SoundFile) -> bool:
    if sound.format in ("WAV", "WAVEX"):
        return _is_cut_riff(path)
    if sound.format == "MP3":
        return _is_cut_mp3(path)
    try:
        sound.seek(sound.frames - 1)  # a FLAC file says its length in front, however much is there
        return len(sound.read(1)) != 1
    except soundfile.SoundFileError:
        return True


def _is_cut_riff(path: Path) -> bool:
    """Whether a WAV file is shorter than its header says; libsndfile takes what is there without a word."""
    with open(path, "rb") as file:
        header = file.read(_RIFF_HEADER_BYTES)
    promised = int.from_bytes(header[4:8], "little")
    # Some programs write the size of the whole file here, which is 8 bytes more than is meant.
    return path.stat().st_size < promised < _ENDLESS


def _is_cut_mp3(path: Path) -> bool:
    """Whether an MP3 file is shorter than its first frame says; seeking to its end makes the decoder complain."""
    with open(path, "rb") as file:
        tag = file.read(_ID3_HEADER_BYTES)
        start = 0
        if tag.startswith(b"ID3"):  # the size has seven bits a byte
            start = _ID3_HEADER_BYTES + sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
        file.seek(start)
        frame = file.read(_MP3_SEARCHED_BYTES)
    place = max(frame.find(mark) for mark in _MP3_MARKS)
    if place < 0:
        return False
    flags = int.from_bytes(frame[place + 4 : place + 8])
    if not flags & _MP3_HAS_BYTES:
        return False
    place += 12 if flags & _MP3_HAS_FRAMES else 8
    return path.stat().st_size < start + int.from_bytes(frame[place : place + 4])
