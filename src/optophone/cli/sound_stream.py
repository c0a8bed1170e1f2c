"""Sound that leaves while it is being spoken: to standard output, or to the loudspeaker."""

import sys
from collections.abc import Iterable, Iterator
from types import ModuleType

import click
import numpy as np

from optophone.cli.interrupts import interruptible
from optophone.core.audio import encode_wave, pcm16, wav_header
from optophone.core.errors import AudioError


class StandardOutput:
    """One sound on standard output, chunk by chunk; flac, ogg and mp3 come at the end, in one piece.

    Args:
        sample_rate: Hz.
        audio_format: wav, flac, ogg or mp3.
        raw: bare 16-bit samples, without a header.

    Raises:
        AudioError: standard output is a terminal.
    """

    def __init__(self, sample_rate: int, audio_format: str, raw: bool) -> None:
        if sys.stdout.isatty():
            raise AudioError("-: sound is not for a terminal; send it on, for instance: optophone ... -o - | aplay")
        self.sample_rate = sample_rate
        self.audio_format = audio_format
        self.raw = raw
        self.waiting: list[np.ndarray] = []
        self.began = False

    def write(self, chunks: Iterable[np.ndarray]) -> int:
        """Send `chunks`, each (n,) float32, as they come; the number of samples."""
        n_samples = 0
        for chunk in interruptible(chunks):
            n_samples += len(chunk)
            header_due, self.began = not (self.began or self.raw), True
            if not self.raw and self.audio_format != "wav":
                self.waiting.append(chunk)
                continue
            if header_due:
                sys.stdout.buffer.write(wav_header(self.sample_rate))
            sys.stdout.buffer.write(pcm16(chunk))
            sys.stdout.buffer.flush()
        return n_samples

    def close(self) -> None:
        """Send what had to wait for the end."""
        if self.waiting:
            content = encode_wave(np.concatenate(self.waiting), self.sample_rate, self.audio_format)
            sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def play(chunks: Iterable[np.ndarray], sample_rate: int) -> Iterator[np.ndarray]:
    """Send `chunks` to the loudspeaker as they come, and pass them on.

    Raises:
        AudioError: there is no loudspeaker, or the package or library for it is missing.
    """
    sounddevice = _import_sounddevice()
    try:
        with sounddevice.OutputStream(samplerate=sample_rate, channels=1, dtype="float32") as device:
            for chunk in interruptible(chunks):
                device.write(np.ascontiguousarray(chunk[:, None]))
                yield chunk
    except sounddevice.PortAudioError as error:
        raise AudioError(f"cannot play: {error}; write a file instead with -o.") from None


def _import_sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise AudioError("to play, install the player: pip install 'optophone[play]', or use -o.") from None
    except OSError:  # the package is there but not the library it speaks to
        raise AudioError("to play, the PortAudio library is needed (Debian: apt install libportaudio2).") from None
    return sounddevice


def standard_input() -> bytes:
    """All bytes of standard input.

    Raises:
        click.UsageError: it is a terminal, where nobody types a picture.
    """
    if sys.stdin.isatty():
        raise click.UsageError("'-' reads a picture from standard input: cat photo.jpg | optophone speak -")
    return sys.stdin.buffer.read()
