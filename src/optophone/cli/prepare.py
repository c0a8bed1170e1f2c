"""`optophone prepare`: turn a downloaded data set into manifests and packed arrays to train on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optophone.core.errors import ConfigurationError

if TYPE_CHECKING:
    from optophone.data.manifest import Dataset

DATASETS = ("flickr8k", "tiny-imagenet", "ljspeech", "spoken-captions")
# The data set that each option belongs to.
OPTION_OWNERS = {
    "size": "flickr8k",
    "voice": "spoken-captions",
    "speed": "spoken-captions",
    "pitch": "spoken-captions",
    "margin_ms": "spoken-captions",
    "jobs": "spoken-captions",
}


@click.command("prepare")
@click.argument("dataset", type=click.Choice(DATASETS), metavar="DATASET")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--size", type=click.IntRange(1, 4096), help="flickr8k: side of the packed pictures.  [default: 192]")
@click.option("--voice", help="spoken-captions: voice of espeak-ng.  [default: en-us]")
@click.option("--speed", type=click.IntRange(80, 450), help="spoken-captions: words a minute.  [default: 175]")
@click.option("--pitch", type=click.IntRange(0, 99), help="spoken-captions: pitch of the voice.  [default: 50]")
@click.option(
    "--margin",
    "margin_ms",
    type=click.IntRange(0, 1000),
    help="spoken-captions: silence at both ends, ms.  [default: 50]",
)
@click.option("--jobs", type=click.IntRange(1, 256), help="spoken-captions: processes.  [default: processors]")
def prepare(dataset: str, source: Path, out: Path, **options: Any) -> None:
    """Read DATASET in its official layout at SOURCE, write manifests and packed arrays to OUT.

    \b
    DATASET is one of
      flickr8k          photographs with five captions each
      tiny-imagenet     64 × 64 pictures of 200 classes
      ljspeech          one voice reading, with text
      spoken-captions   every caption of a prepared flickr8k (SOURCE), said by espeak-ng

    Nothing is downloaded. An interrupted run continues when it is started again; a finished one does nothing.
    """
    given = {name: value for name, value in options.items() if value is not None}
    _refuse_foreign_options(dataset, given)
    finished_before = (out / "dataset.json").is_file()
    result = _prepare(dataset, source, out, given)
    counts = ", ".join(f"{split.rows} {name}" for name, split in result.splits.items())
    click.echo(
        f"{out}: {dataset} {'was prepared already, nothing to do' if finished_before else 'is ready'} ({counts})"
    )


def _prepare(dataset: str, source: Path, out: Path, given: dict[str, Any]) -> "Dataset":
    """Call the function of `dataset` with the options that were given; the others keep its defaults."""
    if dataset == "flickr8k":
        from optophone.data.prepare.flickr8k import prepare_flickr8k

        return prepare_flickr8k(source, out, **given)
    if dataset == "tiny-imagenet":
        from optophone.data.prepare.tiny_imagenet import prepare_tiny_imagenet

        return prepare_tiny_imagenet(source, out)
    if dataset == "ljspeech":
        from optophone.data.prepare.ljspeech import prepare_ljspeech

        return prepare_ljspeech(source, out)
    from optophone.data.espeak import EspeakConfig
    from optophone.data.prepare.spoken_captions import prepare_spoken_captions

    voice = EspeakConfig(**{name: given.pop(name) for name in ("voice", "speed", "pitch") if name in given})
    return prepare_spoken_captions(source, out, voice, **given)


def _refuse_foreign_options(dataset: str, given: dict[str, Any]) -> None:
    """An option of another data set would be ignored silently, so it is an error."""
    for name in given:
        if OPTION_OWNERS[name] != dataset:
            option = "margin" if name == "margin_ms" else name
            raise ConfigurationError(
                f"--{option} is an option of {OPTION_OWNERS[name]}, not of {dataset}; leave it out."
            )


command = prepare
