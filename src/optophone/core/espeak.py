"""The espeak-ng speech synthesizer, as a library (the espeakng-loader wheel) or as the installed program.

It makes the speech for captions that have none, speaks as a voice, and spells for voices that read phones. espeak-ng is
under the GPL and stays a separate, optional program: it is loaded when it is asked for, from what the user has
installed. `data.espeak` and `adapters.espeak` find the wheel.
"""

import ctypes
import functools
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from optophone.core.errors import DataError

# Constants of espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_CHARACTERS_UTF8 = 1
_POSITION_CHARACTER = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_WAV_HEADER_BYTES = 44
_PHONE_SEPARATOR = "_"
_IPA = 0x02 | ord(_PHONE_SEPARATOR) << 8
_LANGUAGE_MARK = re.compile(r"\([a-z-]+\)")  # "(fr)" before a word that is said as in French, "(en)" after it
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

INSTALL_HINT = "espeak-ng is not installed; run: pip install 'optophone[voices]', or install the program espeak-ng."


class _Voice(ctypes.Structure):
    """espeak_VOICE of speak_lib.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class EspeakConfig:
    """How espeak-ng speaks.

    Attributes:
        voice: a voice of espeak-ng ("en-us", "en-gb", "en-us+f3"); `espeak-ng --voices` lists them.
        speed: words a minute, 80..450.
        pitch: 0..99.
    """

    voice: str = "en-us"
    speed: int = 175
    pitch: int = 50

    def __post_init__(self) -> None:
        if not 80 <= self.speed <= 450:
            raise DataError(f"speed {self.speed}: espeak-ng speaks 80 to 450 words a minute.")
        if not 0 <= self.pitch <= 99:
            raise DataError(f"pitch {self.pitch}: espeak-ng takes 0 to 99.")
        if not self.voice or self.voice.startswith("-") or not self.voice.isprintable():
            raise DataError(f"voice {self.voice!r}: no voice of espeak-ng; espeak-ng --voices lists them.")


def read_voice(text: str, speed: int = 175, pitch: int = 50) -> EspeakConfig:
    """The configuration that "en-gb", "en-gb:160" or "en-gb:160:40" names: voice, words a minute and pitch.

    Args:
        text: what the user typed.
        speed, pitch: where `text` does not say.

    Raises:
        DataError: no numbers after the name, or too many.
    """
    name, *numbers = text.split(":")
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise DataError(f"voice {text!r}: expected NAME, NAME:SPEED or NAME:SPEED:PITCH.")
    return EspeakConfig(name, *[int(number) for number in numbers], *(speed, pitch)[len(numbers) :])


class Espeak(Protocol):
    """A voice that is ready to speak."""

    sample_rate: int
    version: str

    def speak(self, text: str) -> np.ndarray:
        """`text` as (N,) int16 samples, with the silence that espeak-ng puts around it."""

    def phones(self, text: str) -> list[list[str]]:
        """`text` as the voice would say it: for each word its phones in the International Phonetic Alphabet.

        The stress stands before the vowel that bears it ("ˈæ"). Short words may be said as one ("in the", ɪnðə).
        """

    def choose(self, config: EspeakConfig) -> None:
        """Speak like this from now on; DataError where there is no such voice."""


class EspeakLibrary:
    """espeak-ng in this process: 1 to 2 ms a sentence.

    The library keeps one voice a process: of several objects the one made last gives the voice. Not for use by several
    threads at once. It also keeps the phase of its small random pitch changes from one sentence to the next, so the
    same text sounds a little different each time, but the same sequence in a new process is the same to the sample.
    """

    def __init__(self, config: EspeakConfig, library_path: str, data_path: str) -> None:
        self._library, self.sample_rate = _open_library(library_path, data_path)
        self._chunks: list[np.ndarray] = []
        self._callback = _CALLBACK(self._receive)  # held here, because the library calls it later
        self.version = self._library.espeak_Info(None).decode().split()[0]
        self.choose(config)

    def choose(self, config: EspeakConfig) -> None:
        """Speak like this from now on; DataError where there is no such voice."""
        self._choose_voice(config.voice)
        self._library.espeak_SetParameter(_PARAMETER_RATE, config.speed, 0)
        self._library.espeak_SetParameter(_PARAMETER_PITCH, config.pitch, 0)

    def speak(self, text: str) -> np.ndarray:
        """`text` as (N,) int16 samples, with the silence that espeak-ng puts around it."""
        self._chunks = []
        self._library.espeak_SetSynthCallback(self._callback)
        content = text.encode() + b"\0"
        status = self._library.espeak_Synth(
            content, len(content), 0, _POSITION_CHARACTER, 0, _CHARACTERS_UTF8, None, None
        )
        if status != 0 or self._library.espeak_Synchronize() != 0:
            raise DataError(f"espeak-ng could not speak {text[:60]!r} (status {status}).")
        return np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)

    def phones(self, text: str) -> list[list[str]]:
        """`text` as the voice would say it: for each word its phones in the International Phonetic Alphabet."""
        content = ctypes.create_string_buffer(text.encode())
        rest = ctypes.c_void_p(ctypes.addressof(content))
        words: list[list[str]] = []
        while rest.value:  # each call takes a clause, and at last there is nothing left to point to
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARACTERS_UTF8, _IPA)
            words += _split_phones(clause.decode())
        return words

    def _receive(self, samples: Any, n_samples: int, events: Any) -> int:
        if samples and n_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        return 0  # 1 would stop it

    def _choose_voice(self, voice: str) -> None:
        """By name, else by language, as the program does ("en-gb" is a language only)."""
        by_language = _Voice(languages=voice.encode())
        if self._library.espeak_SetVoiceByName(voice.encode()) == 0:
            return
        if self._library.espeak_SetVoiceByProperties(ctypes.byref(by_language)) != 0:
            raise DataError(f"voice {voice!r}: espeak-ng {self.version} has no such voice; en-us is one.")


class EspeakProgram:
    """The installed program `espeak-ng`, started once a sentence: about 10 ms each."""

    def __init__(self, config: EspeakConfig) -> None:
        program = shutil.which("espeak-ng")
        if program is None:
            raise DataError(INSTALL_HINT)
        self._program = program
        self.choose(config)
        self.version = self._version(program)
        header = self._run("a")
        self.sample_rate = int.from_bytes(header[24:28], "little")

    def choose(self, config: EspeakConfig) -> None:
        """Speak like this from now on; a voice that is missing is told when it is to speak."""
        options = ["-v", config.voice, "-s", str(config.speed), "-p", str(config.pitch), "-b", "1"]
        self._command = [self._program, *options]

    def speak(self, text: str) -> np.ndarray:
        """`text` as (N,) int16 samples, with the silence that espeak-ng puts around it."""
        # The sizes in the header are those of an endless stream, so it is skipped rather than trusted.
        content = self._run(text)[_WAV_HEADER_BYTES:]
        return np.frombuffer(content[: len(content) // 2 * 2], dtype="<i2").astype(np.int16)

    def phones(self, text: str) -> list[list[str]]:
        """`text` as the voice would say it: for each word its phones in the International Phonetic Alphabet."""
        command = [*self._command, "-q", "--ipa", f"--sep={_PHONE_SEPARATOR}", "--stdin"]
        done = subprocess.run(command, input=text.encode(), capture_output=True)
        if done.returncode != 0:
            raise DataError(f"espeak-ng could not transcribe {text[:60]!r}: {_reason(done)}.")
        return _split_phones(done.stdout.decode())

    def _run(self, text: str) -> bytes:
        done = subprocess.run([*self._command, "--stdin", "--stdout"], input=text.encode(), capture_output=True)
        if done.returncode != 0 or not done.stdout.startswith(b"RIFF"):
            raise DataError(f"espeak-ng could not speak {text[:60]!r}: {_reason(done)}.")
        return done.stdout

    @staticmethod
    def _version(program: str) -> str:
        """The version out of a line such as "eSpeak NG text-to-speech: 1.52.0  Data at: …"."""
        words = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()
        return next((word for word in words if word[0].isdigit()), "of unknown version")


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(done.stderr.decode(errors="replace").split())[:200] or f"status {done.returncode}"


def _split_phones(transcription: str) -> list[list[str]]:
    """Words of phones from espeak-ng's own writing of them, in which phones are joined by the separator."""
    words = _LANGUAGE_MARK.sub("", transcription).split()
    spelled = ([phone for phone in word.split(_PHONE_SEPARATOR) if phone] for word in words)
    return [word for word in spelled if word]


@functools.cache
def _open_library(library_path: str, data_path: str) -> tuple[Any, int]:
    """The library, initialized, and its sample rate; initializing twice in a process is not safe."""
    library = ctypes.CDLL(library_path)
    library.espeak_Info.restype = ctypes.c_char_p
    library.espeak_Info.argtypes = [ctypes.c_void_p]
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetSynthCallback.argtypes = [_CALLBACK]
    library.espeak_SetSynthCallback.restype = None
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.POINTER(ctypes.c_uint),
        ctypes.c_void_p,
    ]
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    sample_rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), _DO_NOT_EXIT)
    if sample_rate <= 0:
        raise DataError(f"{library_path}: espeak-ng does not start; reinstall it: pip install espeakng-loader.")
    return library, sample_rate
