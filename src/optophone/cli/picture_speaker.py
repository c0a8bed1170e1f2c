"""The work of `optophone speak`: loads once, then speaks one photo after the other."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from optophone.cli.interrupts import interruptible
from optophone.cli.messages import caption_line, collected_warnings, printable, report_failure
from optophone.cli.options import SearchOptions
from optophone.cli.picture_sources import read_source
from optophone.cli.progress import Progress
from optophone.cli.sound_files import SoundFiles
from optophone.cli.sound_stream import StandardOutput, play
from optophone.core.errors import OptophoneError
from optophone.core.volume import parse_volume
from optophone.own_parts import load
from optophone.pipelines import Description, check_speed


@dataclass(frozen=True)
class SpeakOptions:
    """The options of `optophone speak`, as its help page explains them."""

    output: str | None
    bundle: str | None
    speed: float
    variants: int
    audio_format: str | None
    raw: bool
    play: bool
    as_json: bool
    search: SearchOptions
    hedge: bool
    force: bool
    threads: int | None
    quiet: bool
    volume: str | None = None
    sentence_silence: float | None = None
    speaker: str | None = None
    captioner: str | None = None
    voice: str | None = None


class PictureSpeaker:
    """Speaks photos to files, to standard output or to the loudspeaker.

    Args:
        photos: file names; "-" is standard input.
        options: how.

    Raises:
        OptophoneError: the options do not go together, or the bundle cannot be loaded.
    """

    def __init__(self, photos: tuple[str, ...], options: SpeakOptions) -> None:
        check_speed(options.speed)
        volume = None if options.volume is None else parse_volume(options.volume)
        self.photos = photos
        self.options = options
        self.files: SoundFiles | None = None
        if options.output != "-":
            self.files = SoundFiles(photos, options.output, options.audio_format, options.raw)
        pipeline = load(options.bundle, captioner=options.captioner, voice=options.voice, threads=options.threads)
        self.describe = pipeline.adjusted(
            sentence_silence_s=options.sentence_silence, volume=volume, speaker=options.speaker
        )
        self.search = options.search.apply(self.describe.search)
        self.stdout: StandardOutput | None = None
        if options.output == "-":
            self.stdout = StandardOutput(self.describe.sample_rate, options.audio_format or "wav", options.raw)

    def run(self) -> int:
        """Speak all photos; 0, or 2 where one of them failed."""
        status = 0
        with Progress(len(self.photos), self.options.quiet or self.options.play) as progress:
            for number, photo in enumerate(interruptible(self.photos)):
                try:
                    self._speak(number, photo, progress)
                except OptophoneError as error:
                    status = 2
                    progress.clear()
                    message = report_failure(photo, error)
                    if self.options.as_json:
                        self._print_json({"picture": printable(photo), "error": message})
                progress.advance()
        if self.stdout:
            self.stdout.close()
        return status

    def _speak(self, number: int, photo: str, progress: Progress) -> None:
        """Describe one photo, send its sound where it belongs, and say what was done."""
        options = self.options
        began = time.perf_counter()
        descriptions = self.describe.caption(
            read_source(photo), variants=options.variants, search=self.search, hedge=options.hedge, force=options.force
        )
        if self.stdout or options.play:  # the words first: the sound takes as long as it lasts
            self._print_captions(photo, descriptions)
        captioned = time.perf_counter()
        with collected_warnings() as warned:
            record = self._deliver(number, descriptions)
        record["warnings"] = list(warned)
        voiced = time.perf_counter()
        seconds = {"caption_s": captioned - began, "voice_s": voiced - captioned, "total_s": voiced - began}
        record["timings"] = {stage: round(value, 4) for stage, value in seconds.items()}
        progress.clear()
        if options.as_json:
            self._print_json({"picture": printable(photo), **record})
            return
        if not (self.stdout or options.play):
            self._print_captions(photo, descriptions)
        if "output" in record and not (self.stdout or options.quiet):
            click.echo(f"wrote {record['output']} ({record['duration_s']:.1f} s)", err=True)

    def _deliver(self, number: int, descriptions: list[Description]) -> dict[str, Any]:
        """Turn descriptions into sound; what to report about it."""
        options, describe = self.options, self.describe
        if not (self.stdout or options.play):
            assert self.files is not None
            spoken = describe.speak(descriptions, speed=options.speed)
            path = self.files.write(number, spoken.wave, spoken.sample_rate)
            return {**spoken.to_json(), "output": printable(str(path))}
        chunks: Iterable[np.ndarray] = describe.stream_descriptions(descriptions, speed=options.speed)
        if options.play:
            chunks = play(chunks, describe.sample_rate)
        record: dict[str, Any] = {}
        if self.stdout:
            n_samples = self.stdout.write(chunks)
            record["output"] = "-"
        else:
            wave = np.concatenate(list(chunks))
            n_samples = len(wave)
            if self.files and options.output is not None:
                record["output"] = printable(str(self.files.write(number, wave, describe.sample_rate)))
        best = descriptions[0]
        return {
            "text": best.text,
            "confidence": None if best.confidence is None else round(best.confidence, 4),
            "photograph": None if best.photograph is None else round(best.photograph, 4),
            "refused": best.refused,
            "variants": [description.to_json() for description in descriptions],
            "sample_rate": describe.sample_rate,
            "duration_s": round(n_samples / describe.sample_rate, 3),
            **record,
        }

    def _print_captions(self, photo: str, descriptions: list[Description]) -> None:
        """What is said in writing; nothing of a model that goes without."""
        if not self.options.as_json:
            name = photo if len(self.photos) > 1 else None
            for description in descriptions:
                if description.text:
                    click.echo(caption_line(description, name), err=self.stdout is not None)

    def _print_json(self, record: dict[str, Any]) -> None:
        click.echo(json.dumps(record, ensure_ascii=False), err=self.stdout is not None)
