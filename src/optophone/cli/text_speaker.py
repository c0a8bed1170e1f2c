"""The work of `optophone say`: loads the voice once, then speaks a text, or line after line."""

import io
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from optophone.cli.messages import printable, report_failure
from optophone.cli.sound_files import SoundFiles
from optophone.cli.sound_stream import StandardOutput, play
from optophone.core.errors import OptophoneError
from optophone.pipelines import check_speed
from optophone.runtime.load import load_voice


@dataclass(frozen=True)
class SayOptions:
    """The options of `optophone say`, as its help page explains them; an empty text or "-" is standard input."""

    text: str
    output: str | None
    bundle: str | None
    speed: float
    audio_format: str | None
    raw: bool
    play: bool
    as_json: bool
    threads: int | None
    quiet: bool
    vocoder: str | None = None


class TextSpeaker:
    """Speaks texts to files, to standard output or to the loudspeaker.

    Args:
        options: what and how.

    Raises:
        OptophoneError: the options do not go together, or the bundle cannot be loaded.
        click.UsageError: no text, and standard input is a terminal.
    """

    def __init__(self, options: SayOptions) -> None:
        check_speed(options.speed)
        self.options = options
        self.reads_lines = options.text in ("", "-")
        if self.reads_lines and sys.stdin.isatty():
            raise click.UsageError('Give a TEXT: optophone say "Hello there." (or send lines to standard input).')
        to_stdout = options.output == "-"
        self.files = SoundFiles(("speech",), None if to_stdout else options.output, options.audio_format, options.raw)
        self.file_per_line = self.reads_lines and self.files.output is not None and self.files.is_folder
        self.voice = load_voice(options.bundle, vocoder=options.vocoder, threads=options.threads)
        self.stdout: StandardOutput | None = None
        if to_stdout:
            self.stdout = StandardOutput(self.voice.sample_rate, options.audio_format or "wav", options.raw)
        self.spoken: list[np.ndarray] = []  # what goes into one file at the end

    def run(self) -> int:
        """Speak everything; 0, or 2 where a line failed."""
        status = 0
        for number, text in self._texts():
            try:
                self._speak(number, text)
            except OptophoneError as error:
                status = 2
                name = f"line {number}" if self.reads_lines else "say"
                report_failure(name, error)
                if self.options.as_json:
                    self._print_json({"text": printable(text), "error": str(error)})
        if self.stdout:
            self.stdout.close()
        elif self.spoken and (self.options.output is not None or not self.options.play):
            path = self.files.write(0, np.concatenate(self.spoken), self.voice.sample_rate)
            self._say_written(path, sum(map(len, self.spoken)))
        return status

    def _texts(self) -> Iterator[tuple[int, str]]:
        """Texts with their line numbers; blank lines are counted but not spoken."""
        if not self.reads_lines:
            yield 1, self.options.text
            return
        for number, line in enumerate(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace"), 1):
            if line.strip():
                yield number, line.strip()

    def _speak(self, number: int, text: str) -> None:
        """Speak one text to where it belongs."""
        speed = self.options.speed
        if self.stdout or self.options.play:
            chunks: Iterable[np.ndarray] = self.voice.stream_text(text, speed=speed)
        else:  # whole sentences at once sound a little better than chunks
            chunks = [self.voice.say(text, speed=speed).wave]
        if self.options.play:
            chunks = play(chunks, self.voice.sample_rate)
        if self.stdout:
            n_samples = self.stdout.write(self._with_silence(chunks, begun=self.stdout.began))
            self._report(text, n_samples, "-")
            return
        wave = np.concatenate(list(chunks))
        if self.file_per_line:
            assert self.files.output is not None
            path = Path(self.files.output) / f"{number:04}.{self.files.suffix}"
            self.files.write_to(path, wave, self.voice.sample_rate)
            self._report(text, len(wave), str(path))
            self._say_written(path, len(wave))
            return
        self.spoken.extend(self._with_silence([wave], begun=bool(self.spoken)))
        writes = self.options.output is not None or not self.options.play
        self._report(text, len(wave), str(self.files.path_for(0)) if writes else None)

    def _with_silence(self, chunks: Iterable[np.ndarray], begun: bool) -> Iterator[np.ndarray]:
        if begun:
            yield self.voice.silence(self.voice.config.sentence_silence_s)
        yield from chunks

    def _say_written(self, path: Path, n_samples: int) -> None:
        if not self.options.quiet:
            click.echo(f"wrote {printable(str(path))} ({n_samples / self.voice.sample_rate:.1f} s)", err=True)

    def _report(self, text: str, n_samples: int, output: str | None) -> None:
        if self.options.as_json:
            rate = self.voice.sample_rate
            record = {
                "text": printable(text),
                "output": output,
                "sample_rate": rate,
                "duration_s": round(n_samples / rate, 3),
            }
            self._print_json(record)

    def _print_json(self, record: dict[str, Any]) -> None:
        click.echo(json.dumps(record, ensure_ascii=False), err=self.stdout is not None)
