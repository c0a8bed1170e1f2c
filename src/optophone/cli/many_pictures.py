"""The work of `optophone speak` of a folder, a list or a pattern: many pictures in several processes."""

import glob
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from optophone.cli.messages import collected_warnings, printable, report_failure
from optophone.cli.output_folder import (
    REPORT_FILE,
    REQUEST_FILE,
    Report,
    as_line,
    claim_folder,
    fingerprint,
)
from optophone.cli.picture_speaker import SpeakOptions
from optophone.cli.progress import Progress
from optophone.cli.sound_files import SoundFiles
from optophone.cli.worker_pool import Failure, WorkerPool, count_cores
from optophone.core.bundle import Bundle
from optophone.core.errors import ConfigurationError, DataError, OptophoneError
from optophone.core.volume import parse_volume
from optophone.core.whole_file import collect_unfinished, why_unwritten
from optophone.own_parts import load
from optophone.pipelines import Description, Pipeline, Spoken, check_speed
from optophone.runtime.load import open_part, open_speaking

PICTURES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".jp2")
REGIONS = (".npz", ".npy")
DEFAULT_FOLDER = "spoken"


@dataclass(frozen=True)
class Job:
    """A picture, and the file its sound goes to."""

    picture: str
    audio: str


@dataclass(frozen=True)
class SpeakingWork:
    """How pictures are spoken; called in each process, where it loads the models, which stay."""

    options: SpeakOptions

    def __call__(self) -> "PictureToFile":
        """What speaks a picture to a file."""
        return PictureToFile(self.options)


class Speaking:
    """A pipeline with the options of the command line: pictures in, sound out."""

    def __init__(self, options: SpeakOptions) -> None:
        volume = None if options.volume is None else parse_volume(options.volume)
        self.options = options
        threads = options.threads or 1  # the processes are what shares the work
        pipeline = load(options.bundle, captioner=options.captioner, voice=options.voice, threads=threads)
        self.describe: Pipeline = pipeline.adjusted(
            sentence_silence_s=options.sentence_silence, volume=volume, speaker=options.speaker
        )
        self.search = options.search.apply(self.describe.search)

    def speak(self, picture: Any) -> tuple[list[Description], Spoken]:
        """What is seen, and its sound; `picture` is a path or bytes.

        Raises:
            OptophoneError: it cannot be described.
        """
        options = self.options
        found = self.describe.caption(
            picture, variants=options.variants, search=self.search, hedge=options.hedge, force=options.force
        )
        return found, self.describe.speak(found, speed=options.speed)


class PictureToFile:
    """Pictures to sound files, one after the other."""

    def __init__(self, options: SpeakOptions) -> None:
        self.speaking = Speaking(options)
        self.files = SoundFiles((), None, options.audio_format, options.raw)

    def __call__(self, job: Job) -> dict[str, Any]:
        """What the report says of a picture; its sound is written then, whole."""
        began = time.perf_counter()
        with collected_warnings() as warned:
            found, spoken = self.speaking.speak(job.picture)
            self.files.write_to(Path(job.audio), spoken.wave, spoken.sample_rate)
        record = {**spoken_record(found, spoken), "seconds": round(time.perf_counter() - began, 3)}
        return {**record, "warnings": list(warned)} if warned else record


def spoken_record(found: Sequence[Description], spoken: Spoken) -> dict[str, Any]:
    """What reports say of a spoken picture."""
    record: dict[str, Any] = {
        "caption": spoken.text,
        "confidence": None if spoken.confidence is None else round(spoken.confidence, 4),
        "duration_s": round(spoken.duration_s, 3),
    }
    if spoken.refused:
        record["refused"] = True
    if len(found) > 1:
        record["variants"] = [description.text for description in found]
    return record


def find_pictures(places: Sequence[str], listed: str | None, pattern: str | None, suffixes: Sequence[str]) -> list[str]:
    """All pictures of the files and folders in `places`, of the list in a file and of a pattern, each once.

    Args:
        places: files, and folders with all that is below them; hidden files are left out, and links to folders.
        listed: a file with a name on each line, or - for standard input.
        pattern: as of the shell, ** for folders below folders.
        suffixes: in lower case; of the files that are taken from folders.

    Raises:
        DataError: the list cannot be read, or there is no picture at all in one of the places.
    """
    names: list[str] = []
    for place in places:
        found = sorted(_below(place, suffixes)) if os.path.isdir(place) else [place]
        if not found:
            raise DataError(f"{printable(place)}: no pictures in this folder (no {', '.join(suffixes[:4])}, ...).")
        names += found
    if listed is not None:
        names += _listed(listed)
    if pattern is not None:
        found = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
        if not found:
            raise DataError(f"{pattern}: no files of this pattern; put it between quotation marks.")
        names += found
    return list(dict.fromkeys(names))


def _below(folder: str, suffixes: Sequence[str]) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:
                yield os.path.join(parent, name)


def _listed(path: str) -> list[str]:
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the list ({error.strerror}).") from None
    names = [os.fsdecode(line.rstrip(b"\r")) for line in content.split(b"\n") if line.strip()]
    if not names:
        raise DataError(f"{path}: the list is empty; write the name of a picture on each line.")
    return names


class ManyPictures:
    """Speaks pictures to a folder, in several processes, and reports on each in a line.

    The folder holds a sound for each picture, under the same folders and name; `request.json`, what was asked for; and
    `report.jsonl`. A run that was stopped or killed goes on with what has no sound yet.

    Args:
        places: files and folders.
        listed: a file of names, or None.
        pattern: of names, or None.
        options: how pictures are spoken.
        n_workers: processes; None for as many as there are cores.

    Raises:
        OptophoneError: nothing to speak, options that do not go together, or the output folder is another run's.
    """

    def __init__(
        self,
        places: Sequence[str],
        listed: str | None,
        pattern: str | None,
        options: SpeakOptions,
        n_workers: int | None = None,
    ) -> None:
        _check_options(places, options)
        opened = open_chosen(options)
        self.options, self.folder = options, Path(options.output or DEFAULT_FOLDER)
        self.pictures = find_pictures(places, listed, pattern, _suffixes(opened, options))
        if self.folder.is_file():
            raise ConfigurationError(f"{self.folder}: is a file; many sounds need a folder: -o DIR.")
        claim_folder(self.folder, request_of(options, opened))
        self.report = Report(self.folder / REPORT_FILE, "picture")
        self.n_workers = n_workers or count_cores()
        self.roots = [os.path.normpath(place) for place in places if os.path.isdir(place)]

    def run(self) -> int:
        """Speak what is not spoken yet; 0, or 2 where a picture failed."""
        jobs = [job for job in self._all_jobs() if not self._is_done(job)]
        began, options = time.perf_counter(), self.options
        _make_folders(jobs)
        with (
            Progress(len(jobs), options.quiet) as progress,
            WorkerPool(SpeakingWork(options), max(1, min(self.n_workers, len(jobs)))) as pool,
        ):
            for job, result in pool.run(jobs):
                self._note(job, result, progress)
        collect_unfinished(self.folder)
        self.report.finish(map(printable, self.pictures))
        return self._summary(len(jobs), time.perf_counter() - began)

    def _note(self, job: Job, result: dict[str, Any] | Failure, progress: Progress) -> None:
        name = printable(job.picture)
        progress.clear()
        if isinstance(result, Failure):
            record = {"picture": name, "error": report_failure(job.picture, OptophoneError(result.message))}
        else:
            audio = printable(os.path.relpath(job.audio, self.folder))
            record = {"picture": name, "caption": result["caption"], "confidence": result["confidence"]}
            record |= {"audio": audio} | result
        self.report.add(record)
        if self.options.as_json:
            click.echo(as_line(record).decode(), nl=False)
        progress.advance()

    def _summary(self, n_tried: int, seconds: float) -> int:
        lines = [self.report.lines.get(printable(name), {}) for name in self.pictures]
        n_failed = sum("audio" not in line for line in lines)
        if not self.options.quiet:
            done = f"{len(lines) - n_failed} of {len(lines)} pictures are spoken in {self.folder}"
            speed = f", {n_tried} now in {seconds:.1f} s" if n_tried else ", nothing was left to do"
            failed = f"; failed: {n_failed}, see {self.report.path}" if n_failed else ""
            click.echo(printable(f"{done}{speed}{failed}"), err=True)
        return 2 if n_failed else 0

    def _is_done(self, job: Job) -> bool:
        return "audio" in self.report.lines.get(printable(job.picture), {}) and os.path.isfile(job.audio)

    def _all_jobs(self) -> list[Job]:
        """A file for every picture; those that the report knows keep theirs."""
        known = {name: line["audio"] for name, line in self.report.lines.items() if "audio" in line}
        taken = {*known.values(), REPORT_FILE, REQUEST_FILE}
        jobs = []
        for picture in self.pictures:
            audio = known.get(printable(picture)) or self._free_name(picture, taken)
            taken.add(audio)
            jobs.append(Job(picture, os.path.join(self.folder, audio)))
        return jobs

    def _free_name(self, picture: str, taken: set[str]) -> str:
        """`holiday/beach.jpg` → `beach.wav`; where that is taken `beach.jpg.wav`, `beach.jpg-2.wav` and so on."""
        root = next((root for root in self.roots if _is_below(picture, root)), os.path.dirname(picture))
        stem, suffix = os.path.splitext(printable(os.path.relpath(picture, root or ".")))
        kind = "pcm" if self.options.raw else self.options.audio_format or "wav"
        count, name = 1, f"{stem}.{kind}"
        while name in taken:
            name = f"{stem}{suffix}.{kind}" if count == 1 else f"{stem}{suffix}-{count}.{kind}"
            count += 1
        return name


def _make_folders(jobs: Sequence[Job]) -> None:
    for folder in {os.path.dirname(job.audio) for job in jobs}:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{folder}: cannot make this folder ({why_unwritten(error)}).") from None


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([os.path.abspath(path), os.path.abspath(folder)]) == os.path.abspath(folder)


def open_chosen(options: SpeakOptions) -> Bundle | None:
    """The bundle; None where both of its parts are replaced by others."""
    own_both = options.bundle is None and options.captioner is not None and options.voice is not None
    return None if own_both else open_speaking(options.bundle)


def _suffixes(opened: Bundle | None, options: SpeakOptions) -> tuple[str, ...]:
    if opened is None or options.captioner is not None:
        return PICTURES
    if "captioner" in opened.manifest.parts and open_part(opened, "captioner").manifest.picture is None:
        return REGIONS
    return PICTURES


def _check_options(places: Sequence[str], options: SpeakOptions) -> None:
    check_speed(options.speed)
    if "-" in places:
        raise ConfigurationError("-: standard input holds one picture; name files, or give --list -.")
    if options.play or options.output == "-":
        raise ConfigurationError("Many pictures go to a folder: give -o DIR, without --play.")


def request_of(options: SpeakOptions, opened: Bundle | None) -> dict[str, Any]:
    """What changes a sound, as it is kept in the folder: a run goes on with the same only."""
    return {
        "what": "speech",
        "bundle": None if opened is None else fingerprint(opened),
        "captioner": options.captioner,
        "voice": options.voice,
        "format": "raw" if options.raw else options.audio_format or "wav",
        "speed": options.speed,
        "variants": options.variants,
        "volume": options.volume,
        "sentence_silence": options.sentence_silence,
        "speaker": options.speaker,
        "hedge": options.hedge,
        "force": options.force,
        "search": {name: value for name, value in vars(options.search).items() if value not in (None, False)},
    }
