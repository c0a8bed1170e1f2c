"""The work of `optophone say`: loads the voice once, then speaks a text, or line after line."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from optophone.cli.interrupts import interruptible
from optophone.cli.messages import collected_warnings, printable, report_failure
from optophone.cli.sound_files import SoundFiles
from optophone.cli.sound_stream import StandardOutput, play
from optophone.cli.text_requests import TextRequest, json_requests, stdin_lines, text_lines
from optophone.core.audio import WaveWriter
from optophone.core.errors import ConfigurationError, OptophoneError, TextError
from optophone.core.volume import parse_volume
from optophone.own_parts import load_voice
from optophone.pipelines import TextVoice, Voice, check_speed


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
    volume: str | None = None
    sentence_silence: float | None = None
    speaker: str | None = None
    phonemes: bool = False
    lines: bool = False
    json_lines: bool = False
    stream: bool = False
    vocoder: str | None = None
    voice: str | None = None


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
        volume = None if options.volume is None else parse_volume(options.volume)
        self.options = options
        self.reads_stdin = options.text in ("", "-")
        if self.reads_stdin and sys.stdin.isatty():
            raise click.UsageError('Give a TEXT: optophone say "Hello there." (or send lines to standard input).')
        self.many = self.reads_stdin or options.lines or options.json_lines
        to_stdout = options.output == "-"
        if options.lines and to_stdout:
            raise ConfigurationError("--lines writes a file for each line; -o - is one sound: leave one of them out.")
        output = _folder(options.output or ".") if options.lines else options.output
        self.files = SoundFiles(("speech",), None if to_stdout else output, options.audio_format, options.raw)
        self.file_per_line = self.many and self.files.output is not None and self.files.is_folder
        if options.bundle is not None and options.voice is not None:
            raise click.UsageError("-m names a voice too: leave it or --voice out.")
        voice = load_voice(options.bundle, voice=options.voice, vocoder=options.vocoder, threads=options.threads)
        self.voice = voice.adjusted(sentence_silence_s=options.sentence_silence, volume=volume, speaker=options.speaker)
        self.stdout: StandardOutput | None = None
        if to_stdout:
            self.stdout = StandardOutput(self.voice.sample_rate, options.audio_format or "wav", options.raw)
        self.writer: WaveWriter | None = None  # of the one file that everything goes into
        self.writes = options.output is not None or not options.play

    def run(self) -> int:
        """Speak everything; 0, or 2 where a line failed."""
        status = 0
        with ExitStack() as stack:
            for request in interruptible(self._requests()):
                try:
                    self._speak(request, stack)
                except OptophoneError as error:
                    status = 2
                    message = report_failure(f"line {request.number}" if self.many else "say", error)
                    if self.options.as_json:
                        self._print_json({"text": printable(request.text), "error": message})
            if self.stdout:
                self.stdout.close()
        if self.writer and self.writer.n_samples:
            self._say_written(self.writer.path, self.writer.n_samples)
        return status

    def _requests(self) -> Iterator[TextRequest]:
        """What to say, in order."""
        if not self.many:
            return iter([TextRequest(1, self.options.text)])
        lines = stdin_lines() if self.reads_stdin else text_lines(self.options.text)
        return json_requests(lines) if self.options.json_lines else lines

    def _speak(self, request: TextRequest, stack: ExitStack) -> None:
        """Speak one text to where it belongs."""
        if request.error:
            raise TextError(request.error)
        voice = self.voice.adjusted(speaker=request.speaker)
        with collected_warnings() as warned:
            chunks = self._chunks(request, voice)
            if self.options.play:
                chunks = play(chunks, self.voice.sample_rate)
            if request.output_file or self.file_per_line:
                self._speak_to_file(request, chunks, warned)
            elif self.stdout:
                n_samples = self.stdout.write(self._with_silence(chunks, begun=self.stdout.began))
                self._report(request, n_samples, "-", warned)
            elif self.writes:
                self._speak_to_the_end_of_the_file(request, chunks, stack, warned)
            else:
                self._report(request, sum(map(len, chunks)), None, warned)

    def _chunks(self, request: TextRequest, voice: Voice | TextVoice) -> Iterable[np.ndarray]:
        """The sound of a text, at once by chunks where somebody waits for it; else by sentences, which sound better.

        What cannot be spelled is refused here, before there is any sound of it.
        """
        options = self.options
        speed = options.speed if request.speed is None else request.speed
        check_speed(speed)
        utterances = voice.spell(request.text, phonemes=options.phonemes)
        if self.stdout or options.play or options.stream:
            return interruptible(voice.stream(utterances, speed=speed))
        return (spoken.wave for spoken in interruptible(voice.speak_each(utterances, speed=speed)))

    def _speak_to_file(self, request: TextRequest, chunks: Iterable[np.ndarray], warned: list[str]) -> None:
        """A file of its own for one text; it is whole or not there."""
        folder = Path(self.files.output) if self.file_per_line and self.files.output else Path()
        path = folder / (request.output_file or f"{request.number:04}.{self.files.suffix}")
        named = SoundFiles((), str(path), self.options.audio_format, self.options.raw)
        with named.writer(path, self.voice.sample_rate) as writer:
            for chunk in chunks:
                writer.write(chunk)
        self._report(request, writer.n_samples, str(path), warned)
        self._say_written(path, writer.n_samples)

    def _speak_to_the_end_of_the_file(
        self, request: TextRequest, chunks: Iterable[np.ndarray], stack: ExitStack, warned: list[str]
    ) -> None:
        """Add one text to the file that all go into; it appears when `stack` closes."""
        if self.writer is None:
            self.writer = stack.enter_context(self.files.writer(self.files.path_for(0), self.voice.sample_rate))
        n_samples = 0
        for chunk in self._with_silence(chunks, begun=bool(self.writer.n_samples)):
            self.writer.write(chunk)
            n_samples += len(chunk)
        self._report(request, n_samples, str(self.writer.path), warned)

    def _with_silence(self, chunks: Iterable[np.ndarray], begun: bool) -> Iterator[np.ndarray]:
        if begun:
            yield self.voice.silence(self.voice.config.sentence_silence_s)
        yield from chunks

    def _say_written(self, path: Path, n_samples: int) -> None:
        if not self.options.quiet:
            click.echo(f"wrote {printable(str(path))} ({n_samples / self.voice.sample_rate:.1f} s)", err=True)

    def _report(self, request: TextRequest, n_samples: int, output: str | None, warned: list[str]) -> None:
        if self.options.as_json:
            rate = self.voice.sample_rate
            record = {
                "text": printable(request.text),
                "output": None if output is None else printable(output),
                "sample_rate": rate,
                "duration_s": round(n_samples / rate, 3),
                "warnings": list(warned),
            }
            self._print_json(record)

    def _print_json(self, record: dict[str, Any]) -> None:
        click.echo(json.dumps(record, ensure_ascii=False), err=self.stdout is not None)


def _folder(output: str) -> str:
    """`output` as the name of a folder."""
    return output if output.endswith("/") else output + "/"
