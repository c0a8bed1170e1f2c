"""`optophone caption`: photos → words."""

import json
from typing import Any

import click

from optophone.cli import options
from optophone.cli.options import SearchOptions
from optophone.cli.picture_sources import desktop_options, read_source, with_desktop
from optophone.core.errors import OptophoneError


@click.command("caption", no_args_is_help=True)
@click.argument("photos", nargs=-1, metavar="PHOTO...")
@desktop_options
@options.bundle_option
@options.captioner_option
@options.variants_option
@options.json_option
@options.search_options
@options.force_option
@options.threads_option
@options.quiet_option
def caption(
    photos: tuple[str, ...],
    screen: bool,
    clipboard: bool,
    camera: bool,
    bundle: str | None,
    captioner: str | None,
    variants: int,
    as_json: bool,
    search_options: SearchOptions,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Describe photos in words only, or in units where the model has no words.

    Of pictures that are no photographs (pages, windows, charts, noise) it says that it cannot tell.

    PHOTO is a file, or - for standard input. One bad photo does not stop the others; the exit status is then 2. Models
    that read region features instead of photos (such as imported X-LAN) take their .npz or .npy files.

    \b
    Examples:
      optophone caption photo.jpg
      optophone caption *.jpg --json > captions.jsonl
      optophone caption --clipboard
      optophone caption photo.jpg --variants 5
      optophone caption photo.jpg --sample --temperature 0.8 --seed 3
      optophone caption features/123.npz -m bundles/xlan
      optophone caption photo.jpg --captioner transformers:Salesforce/blip-image-captioning-base
    """
    options.use_one_numpy_thread()
    from optophone.cli.interrupts import interruptible
    from optophone.cli.messages import caption_line, printable, report_failure
    from optophone.cli.progress import Progress
    from optophone.own_parts import load_describer

    photos = with_desktop(photos, screen, clipboard, camera)
    if bundle is not None and captioner is not None:
        raise click.UsageError("-m names a captioner too: leave it or --captioner out.")
    describer = load_describer(bundle, captioner=captioner, threads=threads)
    search = search_options.apply(describer.search)
    status = 0
    with Progress(len(photos), quiet) as progress:
        for photo in interruptible(photos):
            record: dict[str, Any] = {"picture": printable(photo)}
            lines = []
            try:
                descriptions = describer.caption(
                    read_source(photo), variants=variants, search=search, hedge=False, force=force
                )
                found = [description.to_json() for description in descriptions]
                record |= {**found[0], "variants": found}
                lines = [caption_line(one, photo if len(photos) > 1 else None) for one in descriptions]
                progress.clear()
            except OptophoneError as error:
                status = 2
                progress.clear()
                record["error"] = report_failure(photo, error)
            for line in [json.dumps(record, ensure_ascii=False)] if as_json else lines:
                click.echo(line)
            progress.advance()
    return status
