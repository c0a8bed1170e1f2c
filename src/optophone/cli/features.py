"""`optophone features`: photos → region features, for captioners that read these."""

from pathlib import Path

import click

from optophone.cli import options


@click.command("features", no_args_is_help=True)
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option(
    "--detector",
    required=True,
    metavar="DIR|NAME",
    help="A DETR or RT-DETR of transformers: its folder, or its name on the hub.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write.")
@click.option("--regions", type=click.IntRange(min=1), default=36, show_default=True, help="Regions of each photo.")
@click.option("--revision", metavar="NAME", help="Of the detector on the hub.  [default: main]")
@options.quiet_option
def features(
    photos: tuple[str, ...], detector: str, output: Path, regions: int, revision: str | None, quiet: bool
) -> int:
    """Find the objects in photos and write what a detector knows of each: PHOTO's name with .npz, in DIR.

    `optophone caption` takes these files with a model that was trained on features of the same detector, and
    `optophone prepare region-features` packs a folder of them for training. One bad photo does not stop the others; the
    exit status is then 2.

    \b
    Examples:
      optophone features photo.jpg --detector rtdetr_r50vd -o features
      optophone features holiday/*.jpg --detector PekingU/rtdetr_r50vd -o features --regions 50
    """
    import transformers

    from optophone.adapters.detector import DetectorRegions
    from optophone.cli.messages import printable, report_failure
    from optophone.cli.progress import Progress
    from optophone.core.errors import ConfigurationError, OptophoneError
    from optophone.core.picture import load_picture

    files = {photo: output / f"{Path(photo).stem}.npz" for photo in photos}
    if len(set(files.values())) < len(photos):
        raise ConfigurationError("Two photos have the same name; give each its own folder of features.")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    found = DetectorRegions(detector, regions, revision)
    status = 0
    with Progress(len(photos), quiet) as progress:
        for photo, path in files.items():
            try:
                seen = found.regions(load_picture(photo))
                seen.save(path)
                progress.clear()
                if not quiet:
                    surest = ", ".join(seen.labels[:3])
                    click.echo(f"{printable(str(path))}: {len(seen.features)} regions ({surest})")
            except OptophoneError as error:
                status = 2
                progress.clear()
                report_failure(photo, error)
            progress.advance()
    return status
