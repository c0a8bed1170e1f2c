"""`optophone units`: speech → units."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from optophone.cli import options

if TYPE_CHECKING:
    from optophone.data.unit_extraction import Share


def _shard(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Two numbers of a text such as 2/4."""
    if value is None:
        return None
    number, slash, count = value.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= 100_000):
        raise click.BadParameter("expected I/N, I from 1 to N, for instance 2/4.")
    return int(number), int(count)


@click.command("units", no_args_is_help=True)
@click.argument("audio", nargs=-1, required=True, metavar="AUDIO...")
@click.option(
    "-m", "--model", "bundle", required=True, metavar="BUNDLE", help="Folder of a bundle of kind units; or hubert:..."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE|DIR", help="Write to this instead of printing."
)
@click.option(
    "--quantizer", type=click.IntRange(1, 5), metavar="P", help="Which of a network's quantizers.  [default: the last]"
)
@click.option(
    "--run-length",
    type=click.Choice(["collapsed", "lossless", "off"]),
    help="A lasting unit: once, once with its frames (12*3), or every frame.  [default: collapsed; data set: lossless]",
)
@options.json_option
@click.option("--shard", callback=_shard, metavar="I/N", help="Data set: do the I-th of N shares, on each machine one.")
@click.option("--skip-bad", is_flag=True, help="Data set: leave out the sounds that cannot be read.")
@options.threads_option
@options.quiet_option
def units(
    audio: tuple[str, ...],
    bundle: str,
    output: Path | None,
    quantizer: int | None,
    run_length: Literal["collapsed", "lossless", "off"] | None,
    as_json: bool,
    shard: tuple[int, int] | None,
    skip_bad: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Write down speech in units: a line for each sound.

    AUDIO is a sound file, or - for standard input, at any sample rate. One bad sound does not stop the others; the exit
    status is then 2.

    Instead of sounds, AUDIO may be the folder of a prepared speech data set. Its units then become a column for
    training, in the folder -o names. A run that was stopped or killed goes on with what is missing: give the same
    command again. With --shard several processes or machines share the work; when all are done, the command without
    --shard joins their shares.

    \b
    Examples:
      optophone units speech.wav -m bundles/units
      optophone units *.flac -m bundles/units --quantizer 2 --run-length lossless --json > units.jsonl
      optophone units data/spoken-captions -m bundles/units -o data/units-40ms
      optophone units data/spoken-captions -m bundles/units -o data/units-40ms --shard 1/4
      optophone units speech.wav -m hubert:facebook/hubert-base-ls960,layer=6,centres=km100.npy
    """
    options.use_one_numpy_thread()
    from optophone.cli.unit_writing import UnitOptions, write_column, write_lines

    chosen = UnitOptions(bundle, output, quantizer, run_length, as_json, skip_bad, threads, quiet)
    folders = [name for name in audio if Path(name).is_dir()]
    if folders:
        return write_column(audio, chosen, _share(shard))
    if shard is not None or skip_bad:
        raise click.UsageError("--shard and --skip-bad belong to data sets; AUDIO is no folder of one.")
    return write_lines(audio, chosen)


def _share(shard: tuple[int, int] | None) -> "Share | None":
    from optophone.data.unit_extraction import Share

    return None if shard is None else Share(*shard)
