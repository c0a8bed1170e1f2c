"""The work of `optophone units`: lines of units of sounds, and the column of units of a data set."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from optophone.cli.interrupts import interruptible
from optophone.cli.messages import printable, report_failure
from optophone.cli.progress import Progress
from optophone.cli.sound_stream import standard_input
from optophone.core.audio import read_wave
from optophone.core.bundle import open_bundle
from optophone.core.errors import ConfigurationError, DataError, OptophoneError
from optophone.core.protocols import UnitEncoder
from optophone.core.whole_file import why_unwritten, write_whole
from optophone.data.manifest import read_dataset
from optophone.data.unit_column import RunLength, unit_fields
from optophone.data.unit_extraction import Part, Share, UnitExtraction, refuse_silence
from optophone.export.results import content_hash
from optophone.own_parts import is_speech_model, load_unit_encoder
from optophone.runtime.load import find_bundle
from optophone.runtime.onnx_units import OnnxUnitEncoder


@dataclass(frozen=True)
class UnitOptions:
    """The options of `optophone units`, as its help page explains them."""

    bundle: str
    output: Path | None = None
    quantizer: int | None = None
    run_length: RunLength | None = None
    as_json: bool = False
    skip_bad: bool = False
    threads: int | None = None
    quiet: bool = False


def write_lines(sounds: Sequence[str], options: UnitOptions) -> int:
    """Print a line of units for each sound, or write the lines to a file; returns the exit status."""
    if options.output is not None and (options.output.is_dir() or not options.output.resolve().parent.is_dir()):
        raise ConfigurationError(f"{options.output}: cannot write the units there; name a file in an existing folder.")
    encoder = load_unit_encoder(options.bundle, quantizer=options.quantizer, threads=options.threads)
    lines, status = [], 0
    with Progress(len(sounds), options.quiet) as progress:
        for sound in interruptible(sounds):
            record: dict[str, Any] = {"audio": printable(sound)}
            line = None
            try:
                record |= units_of(sound, encoder, options.run_length or "collapsed")
                line = _line(record, len(sounds) > 1)
                progress.clear()
            except OptophoneError as error:
                status = 2
                progress.clear()
                record["error"] = report_failure(sound, error)
            line = json.dumps(record, ensure_ascii=False) if options.as_json else line
            if line is not None and options.output is None:
                click.echo(line)
            elif line is not None:
                lines.append(line)
            progress.advance()
    if options.output is not None and lines:
        _write_file(options.output, lines)
    return status


def _write_file(path: Path, lines: Sequence[str]) -> None:
    try:
        write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({why_unwritten(error)}).") from None


def units_of(sound: str, encoder: UnitEncoder, run_length: RunLength) -> dict[str, Any]:
    """{"units", "unit_s", "n_frames"}, with "lengths" where they are asked for, of a sound file or of "-".

    Raises:
        AudioError: it cannot be read, is silent or too short.
    """
    wave, _ = read_wave(standard_input() if sound == "-" else sound, encoder.sample_rate)
    refuse_silence(wave)
    ids = encoder.units(wave)
    return {**unit_fields(ids, encoder.vocabulary, run_length), "unit_s": encoder.unit_s, "n_frames": len(ids)}


def _line(record: dict[str, Any], is_named: bool) -> str:
    """`12 7*3 5`, after the sound's name where there are several."""
    units = record["units"]
    if "lengths" in record:
        runs = zip(units.split(), record["lengths"], strict=True)
        units = " ".join(unit if length == 1 else f"{unit}*{length}" for unit, length in runs)
    return f"{record['audio']}: {units}" if is_named else units


def write_column(folders: Sequence[str], options: UnitOptions, share: Share | None) -> int:
    """Write the units of a speech data set, or the share of it; returns the exit status."""
    if len(folders) > 1 or options.output is None or options.as_json:
        raise click.UsageError("of a data set give its folder alone, -o for the folder of its units, and no --json.")
    encoder = load_unit_encoder(options.bundle, quantizer=options.quantizer, threads=options.threads)
    origin = {
        "unit_s": encoder.unit_s,
        "quantizer": encoder.quantizer if isinstance(encoder, OnnxUnitEncoder) else None,
        **name_and_content(options.bundle, encoder),
    }
    speech = read_dataset(folders[0])
    extraction = UnitExtraction(speech, options.output, encoder, origin, options.run_length or "lossless")
    was_finished = extraction.is_finished
    bad = sum(_write_parts(extraction, share, options)) if not was_finished else 0
    if bad and not options.skip_bad:
        raise DataError(
            f"{speech.folder}: sounds without units: {bad}; mend them, or give --skip-bad to leave them out."
        )
    if share is not None and not was_finished:
        left = len(extraction.missing())
        rest = f"parts left to others: {left}" if left else "all parts are there; join them without --shard"
        click.echo(f"{options.output}: share {share.number}/{share.count} is done; {rest}")
        return 0
    column = extraction.finish()
    counts = ", ".join(f"{split.rows} {name}" for name, split in column.dataset.splits.items())
    done = "were written already, nothing to do" if was_finished else "are ready"
    click.echo(f"{options.output}: units {done} ({counts})")
    return 0


def name_and_content(bundle: str, encoder: UnitEncoder) -> dict[str, str]:
    """What tells units of one encoder from those of another: {"encoder", "content"}."""
    if is_speech_model(bundle):
        from optophone.adapters.speech_model_units import SpeechModelUnits

        assert isinstance(encoder, SpeechModelUnits)
        return {"encoder": f"{Path(encoder.name).name}, layer {encoder.layer}", "content": encoder.content}
    manifest = open_bundle(find_bundle(bundle)).manifest
    return {"encoder": manifest.name, "content": content_hash(manifest)}


def _write_parts(extraction: UnitExtraction, share: Share | None, options: UnitOptions) -> Iterator[int]:
    """Write the missing parts; yields 1 for each bad sound."""
    missing = extraction.missing(share)
    with Progress(sum(len(part.rows) for part in missing), options.quiet) as progress:
        for part in interruptible(missing):
            yield from _write_part(extraction, part, options.skip_bad, progress)


def _write_part(extraction: UnitExtraction, part: Part, skip_bad: bool, progress: Progress) -> Iterator[int]:
    for row, error in extraction.write(part, skip_bad):
        if error is not None:
            progress.clear()
            path = str(extraction.speech.path("audio", row))
            report_failure(row["id"] if path in str(error) else f"{path}, {row['id']}", error)
            yield 1
        progress.advance()
