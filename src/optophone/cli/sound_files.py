"""Where the sound of each input goes when it goes to files."""

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optophone.core.audio import FORMATS, WaveWriter, pcm16, write_wave
from optophone.core.errors import AudioError
from optophone.core.whole_file import why_unwritten, write_whole


@dataclass(frozen=True)
class SoundFiles:
    """One sound file per input, never on top of an input.

    Args:
        inputs: names as the user gave them.
        output: -o, a file for one input, a folder for many; None for the current folder.
        audio_format: --format; None takes it from the name of the file, or wav.
        raw: write bare samples instead of a sound file.

    Raises:
        AudioError: one file for several inputs, or a format that contradicts the name.
    """

    inputs: tuple[str, ...]
    output: str | None
    audio_format: str | None
    raw: bool = False

    def __post_init__(self) -> None:
        if self.output is None or self.is_folder:
            return
        if len(self.inputs) > 1:
            raise AudioError(f"{self.output}: one file cannot hold {len(self.inputs)} results; give a folder: -o DIR/")
        named = Path(self.output).suffix.lower().removeprefix(".")
        if self.raw:
            return
        if self.audio_format is None and named not in FORMATS:
            raise AudioError(
                f"{self.output}: the name ends in none of .{', .'.join(FORMATS)}; add one, or / for a folder."
            )
        if self.audio_format and named in FORMATS and named != self.audio_format:
            raise AudioError(f"{self.output}: the name says {named} but --format says {self.audio_format}.")

    @property
    def is_folder(self) -> bool:
        """Whether -o is a folder: it exists as one, ends with a slash, or must be one to hold several results."""
        assert self.output is not None
        if self.output.endswith(("/", os.sep)) or os.path.isdir(self.output):
            return True
        return len(self.inputs) > 1 and not Path(self.output).suffix

    @property
    def format(self) -> str:
        """The kind of sound file."""
        if self.audio_format:
            return self.audio_format
        named = Path(self.output or "").suffix.lower().removeprefix(".")
        return named if named in FORMATS else "wav"

    @property
    def suffix(self) -> str:
        """What names made here end in."""
        return "pcm" if self.raw else self.format

    def path_for(self, number: int) -> Path:
        """The file for input `number`; where the name is taken, by an input or by another's sound, `-2` and so on."""
        if self.output is not None and not self.is_folder:
            path = Path(self.output)
            if _same_as_any(path, self.inputs):
                raise AudioError(f"{path}: this is the picture itself; choose another name with -o.")
            return path
        return Path(self.output or "") / self._names[number]

    @functools.cached_property
    def _names(self) -> list[str]:
        """A file name for every input, no two alike and none that of an input."""
        taken = {os.path.realpath(name) for name in self.inputs if os.path.exists(name)}
        folder = os.path.realpath(self.output or "")
        counts: dict[str, int] = {}
        names: list[str] = []
        for stem in map(_stem, self.inputs):
            while True:
                count = counts[stem] = counts.get(stem, 0) + 1
                name = f"{stem}.{self.suffix}" if count == 1 else f"{stem}-{count}.{self.suffix}"
                path = os.path.join(folder, name)
                if path not in taken:
                    break
            taken.add(path)
            names.append(name)
        return names

    def write(self, number: int, wave: np.ndarray, sample_rate: int) -> Path:
        """Write the sound of input `number` whole or not at all, and return the file.

        Raises:
            AudioError: the file cannot be written.
        """
        path = self.path_for(number)
        self.write_to(path, wave, sample_rate)
        return path

    def write_to(self, path: Path, wave: np.ndarray, sample_rate: int) -> None:
        """Write one sound whole or not at all; missing folders are made.

        Raises:
            AudioError: the file cannot be written.
        """
        _make_folder(path.parent)
        if self.raw:
            _write_raw(path, pcm16(wave))
        else:
            write_wave(path, wave, sample_rate, self.format)

    def writer(self, path: Path, sample_rate: int) -> WaveWriter:
        """What writes one sound to `path` bit by bit, whole or not at all; missing folders are made.

        Raises:
            AudioError: the file cannot be written.
        """
        _make_folder(path.parent)
        return WaveWriter(path, sample_rate, "raw" if self.raw else self.format)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"{folder}: cannot make this folder ({why_unwritten(error)}).") from None


def _stem(name: str) -> str:
    """A file name's stem; "picture" for standard input and for names that have none."""
    return "picture" if name == "-" else re.sub(r"^\.+", "", Path(name).stem) or "picture"


def _same_as_any(path: Path, inputs: Sequence[str]) -> bool:
    return os.path.exists(path) and any(os.path.exists(name) and os.path.samefile(path, name) for name in inputs)


def _write_raw(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise AudioError(f"{path}: cannot write ({why_unwritten(error)}).") from None
