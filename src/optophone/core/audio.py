"""Sound in and out: files and bytes to mono waves and back, nothing half-written, and one resampler."""

import contextlib
import io
import math
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from optophone.core.errors import AudioError
from optophone.core.whole_file import Unfinished, why_unwritten, write_whole

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
"""What is written, by suffix: libsndfile's names of the container and of the coding."""

MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "mp3": "audio/mpeg"}

_UNKNOWN_FORMAT = 1  # libsndfile's SF_ERR_UNRECOGNISED_FORMAT
_READ_VALUES = 1 << 22  # of all channels; few blocks, as soundfile seeks after each and MP3 decoders dislike that
_MAX_WAV_BYTES = 0xFFFF_FF00  # its header counts in 32 bits
_WRITE_SAMPLES = 1 << 16  # libsndfile's Vorbis encoder overflows the stack on long blocks
_ZERO_CROSSINGS = 48  # of the resampling sinc on each side: a transition band of a tenth of the spectrum
_KAISER_BETA = 7.857  # 80 dB of stop band attenuation (Kaiser 1974)
_CUTOFF = 0.95  # of the lower of the two Nyquist frequencies: the middle of the transition band


@dataclass(frozen=True)
class AudioLimits:
    """What is refused before it fills the memory.

    Args:
        max_bytes: of the encoded sound.
        max_duration_s: seconds of the decoded sound.
        min_sample_rate: Hz; below, a header is damaged rather than a recording slow.
        max_sample_rate: Hz.
    """

    max_bytes: int = 512 * 1024 * 1024
    max_duration_s: float = 3600.0
    min_sample_rate: int = 1000
    max_sample_rate: int = 768_000


def read_wave(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    sample_rate: int | None = None,
    limits: AudioLimits | None = None,
) -> tuple[np.ndarray, int]:
    """Read a sound in any format libsndfile knows (WAV, FLAC, OGG, Opus, MP3, AIFF, ...).

    Args:
        source: path, encoded bytes, or an open binary file (also a pipe).
        sample_rate: Hz to resample to; as recorded when None.
        limits: what is too big.

    Returns:
        wave (N,) float32 mono, the mean of all channels, N > 0; its sample rate in Hz.

    Raises:
        AudioError: missing, no sound, damaged, empty, over a limit, or values that are no numbers.
    """
    limits = limits or AudioLimits()
    name, opened = _open_source(source, limits)
    try:
        with soundfile.SoundFile(opened) as sound:
            rate = sound.samplerate
            _check_rate(name, rate, limits)
            wave = _read_mono(sound, name, limits)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a path that ends in .raw
        known = isinstance(error, soundfile.LibsndfileError) and error.code != _UNKNOWN_FORMAT
        what = "is damaged: copy it again, or" if known else "is no sound in a known format:"
        raise AudioError(f"{name} {what} convert it to WAV, FLAC, OGG or MP3") from error
    if len(wave) == 0:
        raise AudioError(f"{name} holds no sound (0 samples): record it again")
    if not np.isfinite(wave).all():
        raise AudioError(f"{name} holds values that are no numbers (NaN or infinity): convert it again")
    if sample_rate is None or sample_rate == rate:
        return wave, rate
    return resample(wave, rate, sample_rate), sample_rate


class _SoundBytes:
    """Encoded sound as libsndfile reads it.

    Damaged files have it seek to before the beginning; an exception would be printed with its traceback, as it is
    raised inside a callback. It stays where it is instead, and libsndfile finds the file damaged.
    """

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.read, self.readinto, self.tell = self._file.read, self._file.readinto, self._file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere, as far as there is such a place; returns where it is."""
        with contextlib.suppress(ValueError, OverflowError):
            self._file.seek(offset, whence)
        return self._file.tell()


def _open_source(
    source: str | os.PathLike[str] | bytes | BinaryIO, limits: AudioLimits
) -> tuple[str, str | _SoundBytes]:
    """Name for messages, and what soundfile opens; the size is checked."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise AudioError(f"{path} cannot be read: {(error.strerror or 'not there').lower()}") from error
        if path.is_dir():
            raise AudioError(f"{path} is a folder: name a sound file in it")
        if not os.access(path, os.R_OK):
            raise AudioError(f"{path} cannot be read: permission denied")
        _check_size(str(path), size, limits)
        return str(path), str(path)
    data = bytes(source) if isinstance(source, bytes | bytearray | memoryview) else source.read(limits.max_bytes + 1)
    _check_size("the sound", len(data), limits)
    return "the sound", _SoundBytes(data)


def _check_size(name: str, size: int, limits: AudioLimits) -> None:
    if size == 0:
        raise AudioError(f"{name} holds no sound (0 bytes): record it again")
    if size > limits.max_bytes:
        raise AudioError(f"{name} is larger than {limits.max_bytes / 2**20:.0f} MiB: give a shorter recording")


def _check_rate(name: str, rate: int, limits: AudioLimits) -> None:
    if not limits.min_sample_rate <= rate <= limits.max_sample_rate:
        raise AudioError(
            f"{name} has a sample rate of {rate} Hz; from {limits.min_sample_rate} to {limits.max_sample_rate} Hz "
            "can be read: convert it"
        )


def _read_mono(sound: soundfile.SoundFile, name: str, limits: AudioLimits) -> np.ndarray:
    """Decode block by block, because a header may lie about the length."""
    max_samples = int(limits.max_duration_s * sound.samplerate)
    blocks = [np.zeros(0, dtype=np.float32)]
    n_samples = 0
    while len(block := sound.read(_READ_VALUES // sound.channels, dtype="float32", always_2d=True)):
        n_samples += len(block)
        if n_samples > max_samples:
            raise AudioError(f"{name} is longer than {limits.max_duration_s:g} s: cut it into shorter recordings")
        blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
    if sound.format == "FLAC" and n_samples < sound.frames:
        raise AudioError(f"{name} is damaged: only {n_samples} of {sound.frames} samples decode; copy it again")
    return np.concatenate(blocks)


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate by a polyphase windowed sinc, for any pair of rates.

    Args:
        wave: (N,) at `from_rate` Hz.
        from_rate: Hz.
        to_rate: Hz.

    Returns:
        (ceil(N * to_rate / from_rate),) float32; frequencies beyond either Nyquist are 80 dB down.

    Source: Smith, Digital Audio Resampling, 2002; window after Kaiser 1974.
    """
    assert wave.ndim == 1, f"a wave has one axis, this one {wave.shape}"
    assert min(from_rate, to_rate) > 0, (from_rate, to_rate)
    wave = np.asarray(wave, dtype=np.float32)
    if from_rate == to_rate or len(wave) == 0:
        return wave
    divisor = math.gcd(from_rate, to_rate)
    up, down = to_rate // divisor, from_rate // divisor
    cutoff = _CUTOFF * min(1.0, up / down)
    half = math.ceil(_ZERO_CROSSINGS / cutoff)
    n_out = -(-len(wave) * up // down)
    padded = np.concatenate([np.zeros(half - 1, np.float32), wave, np.zeros(half + down + 1, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)
    result = np.empty(n_out, dtype=np.float32)
    n_phases = min(up, n_out)
    for start in range(0, n_phases, 1024):  # a table of all phases of a strange pair of rates would be large
        phases = np.arange(start, min(start + 1024, n_phases))
        kernels = _sinc_kernels(phases * down % up / up, half, cutoff)
        for phase, kernel in zip(phases, kernels, strict=True):
            n_here = -(-(n_out - phase) // up)
            result[phase::up] = windows[phase * down // up :: down][:n_here] @ kernel
    return result


def _sinc_kernels(fractions: np.ndarray, half: int, cutoff: float) -> np.ndarray:
    """Kernels (K, 2 * half) float32 that read a signal `fractions` (K,) of a sample after their middle; gain 1."""
    distances = fractions[:, None] - np.arange(1 - half, half + 1)
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - np.square(distances / half))))
    kernels = np.sinc(cutoff * distances) * window
    return (kernels / kernels.sum(axis=1, keepdims=True)).astype(np.float32)


def format_for(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format to write: `format` where given, else by the suffix of `path`.

    Raises:
        AudioError: unknown; the message names the known ones.
    """
    chosen = format if format is not None else Path(path).suffix.removeprefix(".")
    if chosen.lower() in FORMATS:
        return chosen.lower()
    known = ", ".join(FORMATS)
    if chosen:
        raise AudioError(f"the sound format {chosen!r} is not known: use one of {known}")
    raise AudioError(f"{path} has no suffix to tell its format: end it in one of {known}")


def pcm16(wave: np.ndarray) -> bytes:
    """Signed 16-bit little-endian samples of a wave (N,) in -1..1; what lies beyond is clipped."""
    return _to_int16(wave).astype("<i2").tobytes()


def _to_int16(wave: np.ndarray) -> np.ndarray:
    """The scale 2^15 with which libsndfile reads them back, so that a copy of a copy is the same."""
    return np.clip(np.rint(np.asarray(wave, dtype=np.float32) * 32768.0), -32768, 32767).astype(np.int16)


def encode_wave(wave: np.ndarray, sample_rate: int, format: str) -> bytes:
    """A whole sound file in memory.

    Args:
        wave: (N,) in -1..1, N > 0; what lies beyond is clipped.
        sample_rate: Hz.
        format: a key of `FORMATS`.

    Raises:
        AudioError: unknown format, no samples, values that are no numbers, or a sample rate the format lacks.
    """
    container, coding = FORMATS[format_for("", format)]
    wave = np.asarray(wave, dtype=np.float32)
    assert wave.ndim == 1, f"a wave has one axis, this one {wave.shape}"
    if len(wave) == 0:
        raise AudioError("there is no sound to write (0 samples)")
    if not np.isfinite(wave).all():
        raise AudioError("the sound to write holds values that are no numbers (NaN or infinity)")
    if container == "WAV":
        return wav_header(sample_rate, len(wave)) + pcm16(wave)
    samples = _to_int16(wave) if coding == "PCM_16" else np.clip(wave, -1.0, 1.0)
    with _scratch_file() as file:
        try:
            sound = _open_to_write(file, sample_rate, container, coding)
        except soundfile.SoundFileError as error:
            raise AudioError(f"{format} cannot hold a sample rate of {sample_rate} Hz: use wav") from error
        try:
            with sound:
                for start in range(0, len(samples), _WRITE_SAMPLES):
                    sound.write(samples[start : start + _WRITE_SAMPLES])
        except soundfile.SoundFileError as error:
            raise AudioError(f"the sound cannot be written as {format}: {str(error).lower()}") from error
        file.seek(0)
        return file.read()


def _scratch_file() -> BinaryIO:
    """A file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("sound"), "wb+")
    return tempfile.TemporaryFile()


def _open_to_write(file: BinaryIO, sample_rate: int, container: str, coding: str) -> soundfile.SoundFile:
    """libsndfile over the descriptor of `file`, which stays open.

    Given a Python object, it would call back into Python for every block; a Ctrl-C in there is swallowed, the block is
    missing, and nobody hears of it.
    """
    endian = "LITTLE" if container == "RAW" else None
    return soundfile.SoundFile(file.fileno(), "w", sample_rate, 1, coding, endian, container, closefd=False)


def write_wave(path: str | os.PathLike[str], wave: np.ndarray, sample_rate: int, format: str | None = None) -> None:
    """Write a sound file that is either whole or not there.

    Args:
        path: file to write or replace; a device or pipe is written to as it is.
        wave: (N,) in -1..1, N > 0; what lies beyond is clipped.
        sample_rate: Hz.
        format: a key of `FORMATS`; by the suffix of `path` when None.

    Raises:
        AudioError: as `encode_wave`, or the file cannot be written (missing folder, full disk, no permission).
    """
    path = Path(path)
    data = encode_wave(wave, sample_rate, format_for(path, format))
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
        else:
            _replace_file(path.resolve(), data)
    except OSError as error:
        raise AudioError(f"{path} cannot be written: {why_unwritten(error).lower()}") from error


def _replace_file(path: Path, data: bytes) -> None:
    """Write the whole file or nothing of it."""
    if path.is_dir():
        raise IsADirectoryError(0, "it is a folder: name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(0, f"the folder {path.parent} does not exist: create it")
    write_whole(path, data)


class WaveWriter:
    """A sound file that is written as it is spoken, and is there only once it is whole.

    A context manager: leaving it puts the file in its place; leaving it by an exception, or without a sample, leaves
    nothing behind. Memory does not grow with the length.

    Args:
        path: file to write or replace.
        sample_rate: Hz.
        format: a key of `FORMATS`, or "raw" for bare 16-bit little-endian samples; by the suffix of `path` when None.

    Raises:
        AudioError: unknown format, a sample rate the format lacks, a file that cannot be written or grows too large.
    """

    def __init__(self, path: str | os.PathLike[str], sample_rate: int, format: str | None = None) -> None:
        self.path = Path(path)
        self.format = "raw" if format == "raw" else format_for(path, format)
        self.sample_rate = sample_rate
        self.n_samples = 0
        container, coding = ("RAW", "PCM_16") if self.format == "raw" else FORMATS[self.format]
        if self.path.is_dir():
            raise AudioError(f"{self.path} cannot be written: it is a folder: name a file in it")
        try:
            self._part = Unfinished(self.path)
            try:
                self._file = open(self._part.path, "wb+")  # noqa: SIM115 - closed on leaving
            except OSError:
                self._part.discard()
                raise
        except OSError as error:
            raise AudioError(f"{self.path} cannot be written: {why_unwritten(error).lower()}") from error
        try:
            self._sound = _open_to_write(self._file, sample_rate, container, coding)
        except (soundfile.SoundFileError, ValueError) as error:
            self._discard()
            raise AudioError(f"{self.format} cannot hold a sample rate of {sample_rate} Hz: use wav") from error

    def __enter__(self) -> "WaveWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if kind is not None or not self.n_samples:
            with contextlib.suppress(soundfile.SoundFileError):
                self._sound.close()
            self._discard()
            return
        try:
            self._sound.close()
            self._file.close()
            self._part.put_in_place()
        except (OSError, soundfile.SoundFileError) as failure:
            self._discard()
            told = why_unwritten(failure) if isinstance(failure, OSError) else str(failure)
            raise AudioError(f"{self.path} cannot be written: {told.lower()}") from failure

    def write(self, wave: np.ndarray) -> None:
        """Add samples (n,) float32 in -1..1; what lies beyond is clipped."""
        wave = np.asarray(wave, dtype=np.float32)
        if not np.isfinite(wave).all():
            raise AudioError("the sound to write holds values that are no numbers (NaN or infinity)")
        if self.format == "wav" and 2 * (self.n_samples + len(wave)) > _MAX_WAV_BYTES:
            raise AudioError(f"{self.path}: a WAV file cannot hold more than 4 GiB; write flac, ogg or mp3")
        samples = np.clip(wave, -1.0, 1.0) if self.format in ("ogg", "mp3") else _to_int16(wave)
        try:
            for start in range(0, len(samples), _WRITE_SAMPLES):
                self._sound.write(samples[start : start + _WRITE_SAMPLES])
        except (OSError, soundfile.SoundFileError) as error:
            raise AudioError(f"{self.path} cannot be written: {str(error).lower()}") from error
        self.n_samples += len(wave)

    def _discard(self) -> None:
        self._file.close()
        self._part.discard()


def wav_header(sample_rate: int, n_samples: int | None = None) -> bytes:
    """The 44 bytes before mono 16-bit samples in a WAV file.

    Args:
        sample_rate: Hz.
        n_samples: samples that follow; None while that is unknown: the lengths are then the largest possible, which
            players and libsndfile read as "until the end".
    """
    largest = 0xFFFF_FFFF
    n_bytes = largest if n_samples is None else min(2 * n_samples, largest - 36)
    whole = largest if n_samples is None else n_bytes + 36
    head = struct.pack("<4sI4s", b"RIFF", whole, b"WAVE")
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return head + layout + struct.pack("<4sI", b"data", n_bytes)


def stream_wav(waves: Iterable[np.ndarray], sample_rate: int) -> Iterator[bytes]:
    """A WAV file of unknown length, piece by piece: the header at once, then each wave (n,) as it comes."""
    yield wav_header(sample_rate)
    for wave in waves:
        yield pcm16(wave)
