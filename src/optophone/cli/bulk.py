"""`optophone bulk`: shards of pictures or sounds → shards, on one machine or many."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from optophone.cli import options

if TYPE_CHECKING:
    from optophone.cli.shard_work import SampleWork

Command = Callable[..., Any]


@click.group("bulk", no_args_is_help=True)
def bulk() -> None:
    """Work through shards: tar files of samples, as WebDataset lays them out.

    Of every shard x.tar become x.jsonl in the folder given by -o, a line for each sample, and for sounds and features
    an x.tar of them. Bad samples are reported there and stop nothing; the exit status is then 2. Shards that are done
    are not done again: give the same command once more after a kill.

    Without --ray the processes are this machine's. With it they are Ray's, on this machine or on a cluster (--address),
    whose machines see the same files; the results are the same, byte for byte.
    """


def shard_options(command: Command) -> Command:
    """Declare what all three commands take."""
    for decorate in (
        click.argument("shards", nargs=-1, required=True, metavar="SHARD|DIR..."),
        click.option(
            "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of results."
        ),
        click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: the cores]"),
        click.option("--ray", "on_ray", is_flag=True, help="Hand the shards out by Ray Data (the extra ray)."),
        click.option("--address", metavar="HOST:PORT|auto", help="Ray: a running cluster.  [default: this machine]"),
        options.quiet_option,
    ):
        command = decorate(command)
    return command


@bulk.command("speak", no_args_is_help=True)
@options.bundle_option
@options.captioner_option
@options.voice_option
@options.speed_option
@options.volume_option
@options.sentence_silence_option
@options.speaker_option
@options.variants_option
@options.format_option
@options.search_options
@options.hedge_option
@options.force_option
@shard_options
def bulk_speak(
    shards: tuple[str, ...],
    output: Path,
    workers: int | None,
    on_ray: bool,
    address: str | None,
    quiet: bool,
    bundle: str | None,
    captioner: str | None,
    voice: str | None,
    speed: float,
    volume: str | None,
    sentence_silence: float | None,
    speaker: str | None,
    variants: int,
    audio_format: str | None,
    search_options: options.SearchOptions,
    hedge: bool,
    force: bool,
) -> int:
    """Describe the pictures in shards aloud.

    \b
    Examples:
      optophone bulk speak coco-{000000..000099}.tar -o spoken/
      optophone bulk speak shards/ -o spoken/ --ray --address auto
    """
    options.use_one_numpy_thread()
    from optophone.cli.many_pictures import open_chosen, request_of
    from optophone.cli.picture_speaker import SpeakOptions
    from optophone.cli.shard_work import SpeakSamples

    chosen = SpeakOptions(
        output=None,
        bundle=bundle,
        speed=speed,
        variants=variants,
        audio_format=audio_format,
        raw=False,
        play=False,
        as_json=False,
        search=search_options,
        hedge=hedge,
        force=force,
        threads=1,
        quiet=quiet,
        volume=volume,
        sentence_silence=sentence_silence,
        speaker=speaker,
        captioner=captioner,
        voice=voice,
    )
    request = request_of(chosen, open_chosen(chosen))
    return _run(SpeakSamples(chosen), request, shards, output, workers, on_ray, address, quiet)


@bulk.command("units", no_args_is_help=True)
@click.option(
    "-m", "--model", "bundle", required=True, metavar="BUNDLE", help="Folder of a bundle of kind units; or hubert:..."
)
@click.option(
    "--quantizer", type=click.IntRange(1, 5), metavar="P", help="Which of a network's quantizers.  [default: the last]"
)
@click.option(
    "--run-length",
    type=click.Choice(["collapsed", "lossless", "off"]),
    default="lossless",
    show_default=True,
    help="A lasting unit: once, once with its frames, or every frame.",
)
@shard_options
def bulk_units(
    shards: tuple[str, ...],
    output: Path,
    workers: int | None,
    on_ray: bool,
    address: str | None,
    quiet: bool,
    bundle: str,
    quantizer: int | None,
    run_length: Literal["collapsed", "lossless", "off"],
) -> int:
    """Write down the sounds in shards in units.

    \b
    Examples:
      optophone bulk units spokencoco-{000000..000599}.tar -m bundles/units -o units/
      optophone bulk units shards/ -m hubert:facebook/hubert-base-ls960,layer=6,centres=km100.npy -o units/
    """
    options.use_one_numpy_thread()
    from optophone.cli.shard_work import UnitsOfSamples
    from optophone.cli.unit_writing import name_and_content
    from optophone.own_parts import load_unit_encoder

    content = name_and_content(bundle, load_unit_encoder(bundle, quantizer=quantizer, threads=1))["content"]
    request = {"what": "units", "bundle": content, "quantizer": quantizer, "run_length": run_length}
    work = UnitsOfSamples(bundle, quantizer, run_length)
    return _run(work, request, shards, output, workers, on_ray, address, quiet)


@bulk.command("features", no_args_is_help=True)
@click.option(
    "--detector",
    required=True,
    metavar="DIR|NAME",
    help="A DETR or RT-DETR of transformers: its folder, or its name on the hub.",
)
@click.option("--regions", type=click.IntRange(min=1), default=36, show_default=True, help="Regions of each photo.")
@click.option("--revision", metavar="NAME", help="Of the detector on the hub.  [default: main]")
@shard_options
def bulk_features(
    shards: tuple[str, ...],
    output: Path,
    workers: int | None,
    on_ray: bool,
    address: str | None,
    quiet: bool,
    detector: str,
    regions: int,
    revision: str | None,
) -> int:
    """Find the objects in the pictures of shards: region features.

    \b
    Example:
      optophone bulk features coco-{000000..000099}.tar --detector rtdetr_r50vd -o features/
    """
    import transformers  # noqa: F401  # missing, it is missed here and not in every process

    from optophone.cli.shard_work import FeaturesOfSamples

    request = {"what": "features", "detector": detector, "regions": regions, "revision": revision}
    work = FeaturesOfSamples(detector, regions, revision)
    return _run(work, request, shards, output, workers, on_ray, address, quiet)


def _run(
    work: "SampleWork",
    request: dict[str, Any],
    shards: tuple[str, ...],
    output: Path,
    workers: int | None,
    on_ray: bool,
    address: str | None,
    quiet: bool,
) -> int:
    from optophone.cli.bulk_run import BulkRun

    ray = on_ray or address is not None
    return BulkRun(work, request, shards, output, workers, quiet, ray, address).run()
