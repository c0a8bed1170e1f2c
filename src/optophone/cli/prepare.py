"""`optophone prepare`: turn a downloaded data set into manifests and packed arrays to train on."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from optophone.core.errors import ConfigurationError

if TYPE_CHECKING:
    from optophone.data.manifest import Dataset

CAPTIONED = ("coco-karpathy", "flickr8k-karpathy", "flickr30k", "coco")
SPEAKERS = ("librispeech", "libritts")
RECORDED = ("places-audio", "spokencoco", "speechcoco", "flickr8k-audio")
SPOKEN = ("spoken-captions", "spoken-words")
DATASETS = (
    "flickr8k",
    "coco-karpathy",
    "coco",
    "flickr8k-karpathy",
    "flickr30k",
    "tiny-imagenet",
    "ljspeech",
    "librispeech",
    "libritts",
    *RECORDED,
    "spoken-captions",
    "spoken-words",
    "region-features",
    "phones",
    "alignments",
    "shards",
    "non-photographs",
)
# The data sets that each option belongs to.
OPTION_OWNERS: dict[str, tuple[str, ...]] = {
    "count": ("non-photographs",),
    "seed": ("non-photographs", "spoken-words", "phones"),
    "size": ("flickr8k", *CAPTIONED, "places-audio"),
    "features_only": CAPTIONED,
    "year": ("coco",),
    "voices": SPOKEN,
    "share": ("spoken-captions", "phones"),
    "speed": SPOKEN,
    "pitch": SPOKEN,
    "margin": SPOKEN,
    "jobs": (*SPOKEN, "alignments", "shards"),
    "splits": ("alignments", "shards"),
    "limit": ("alignments",),
    "utterances": ("spoken-words",),
    "dev": ("spoken-words",),
    "held_back_speakers": SPEAKERS,
    "pictures": RECORDED,
    "skip_damaged": (*RECORDED, "shards"),
    "precision": ("region-features",),
    "pronunciations": ("phones",),
}


@click.command("prepare")
@click.argument("dataset", type=click.Choice(DATASETS), metavar="DATASET")
@click.argument("sources", type=click.Path(path_type=Path), nargs=-1, metavar="SOURCE...")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--size", default=192, show_default=True, help="coco, flickr…, places-audio: side of the packed pictures."
)
@click.option("--features-only", is_flag=True, help="coco, flickr30k, …-karpathy: captions without their pictures.")
@click.option("--year", type=click.Choice(["2014", "2017"]), help="coco: which captions.  [default: those there]")
@click.option(
    "--voice",
    "voices",
    multiple=True,
    default=("en-us",),
    show_default=True,
    metavar="NAME[:SPEED[:PITCH]]",
    help="spoken-…: voice of espeak-ng. spoken-captions: give several, and they take turns.",
)
@click.option(
    "--share",
    default=1.0,
    show_default=True,
    help="spoken-captions: only this share of the captions. phones: of the words.",
)
@click.option("--speed", default=175, show_default=True, help="spoken-…: words a minute.")
@click.option("--pitch", default=50, show_default=True, help="spoken-…: pitch of the voice, 0 to 99.")
@click.option("--margin", default=50, show_default=True, help="spoken-…: silence at both ends, ms.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="spoken-…, alignments, shards: processes.  [default: all cores]"
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="NAME[=GLOB]",
    help="alignments: only this split. shards: NAME=GLOB, which shards are its; the first that fits counts. Give "
    "several.  [default: what shards or their folders are called after: train, val, test]",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="alignments: N utterances of each split.")
@click.option("--utterances", default=6000, show_default=True, help="spoken-words: utterances of train.")
@click.option("--dev", default=100, show_default=True, help="spoken-words: utterances of dev.")
@click.option(
    "--held-back-speakers",
    type=click.IntRange(0),
    default=0,
    help="libri…: speakers that make up dev where no set is there for it.  [default: a tenth of every speaker]",
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    help="flickr8k-audio, spokencoco, speechcoco: take the splits of these prepared pictures. places-audio: the folder "
    "of Places205, to be packed.",
)
@click.option(
    "--skip-damaged",
    is_flag=True,
    help="Of the same corpora: leave out missing and damaged sound files. shards: damaged samples and shards.",
)
@click.option("--count", default=40, show_default=True, help="non-photographs: pictures of each family.")
@click.option("--seed", default=0, show_default=True, help="non-photographs, spoken-words, phones: draws others.")
@click.option(
    "--precision",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="region-features: of the numbers.",
)
@click.option(
    "--pronunciations",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="phones: a dictionary, lines such as hello HH AH0 L OW1, instead of espeak-ng.",
)
@click.pass_context
def prepare(
    context: click.Context,
    dataset: str,
    sources: tuple[Path, ...],
    out: Path,
    size: int,
    features_only: bool,
    year: str | None,
    voices: tuple[str, ...],
    share: float,
    speed: int,
    pitch: int,
    margin: int,
    jobs: int | None,
    splits: tuple[str, ...],
    limit: int | None,
    utterances: int,
    dev: int,
    held_back_speakers: int,
    pictures: Path | None,
    skip_damaged: bool,
    count: int,
    seed: int,
    precision: Literal["float16", "float32"],
    pronunciations: Path | None,
) -> None:
    """Read DATASET in its official layout at SOURCE, write manifests and packed arrays to OUT.

    Of shards, SOURCE are several: tar files, or folders of them.

    \b
    DATASET is one of
      flickr8k          photographs with five captions each
      flickr8k-karpathy the same in the splits of Karpathy's dataset_flickr8k.json
      flickr30k         31,000 photographs, in the splits of dataset_flickr30k.json
      coco-karpathy     123,000 photographs, in the splits of dataset_coco.json
      coco              the same in COCO's own splits of 2014 or 2017
      tiny-imagenet     64 × 64 pictures of 200 classes
      ljspeech          one voice reading, with text
      librispeech       many voices reading, with text
      libritts          the same, cut at sentences, with punctuation
      places-audio      photographs of places, described aloud
      spokencoco        the captions of COCO, read aloud by many voices
      speechcoco        the captions of COCO, said by eight synthetic voices
      flickr8k-audio    the captions of Flickr8k, read aloud by many voices
      spoken-captions   every caption of a prepared flickr8k (SOURCE), said by espeak-ng
      spoken-words      random words of a pronouncing dictionary or word list (SOURCE), said by espeak-ng
      region-features   a bottom-up TSV, or a folder of .tsv, .npz or .npy files, of any pictures
      phones            prepared speech (SOURCE) with words of its text spelled in ARPAbet
      alignments        when each word and phone of prepared speech (SOURCE) is said, by pocketsphinx
      shards            where the captioned pictures lie in WebDataset shards, to train on them as they are
      non-photographs   pages, windows, charts, noise and more, drawn by this program: give OUT alone

    Nothing is downloaded. An interrupted run continues when it is started again; a finished one does nothing.
    """
    _refuse_foreign_options(context, dataset)
    source = _only_source(dataset, sources, out)
    finished_before = (out / "dataset.json").is_file()
    if dataset == "spoken-captions":
        from optophone.core.espeak import read_voice
        from optophone.data.prepare.spoken_captions import prepare_spoken_captions

        spoken_by = [read_voice(voice, speed, pitch) for voice in voices]
        result = prepare_spoken_captions(source, out, spoken_by, margin_ms=margin, jobs=jobs, share=share)
    elif dataset == "spoken-words":
        from optophone.core.espeak import read_voice
        from optophone.data.prepare.spoken_words import SpokenWordsConfig, prepare_spoken_words

        words = SpokenWordsConfig(utterances, dev, seed)
        if len(voices) > 1:
            raise click.UsageError("spoken-words are said by one voice: give --voice once.")
        voice = read_voice(voices[0], speed, pitch)
        result = prepare_spoken_words(source, out, words, voice, margin_ms=margin, jobs=jobs)
    elif dataset in SPEAKERS:
        result = _prepare_speakers(dataset, source, out, held_back_speakers)
    elif dataset in RECORDED:
        result = _prepare_recordings(dataset, source, out, pictures, size, skip_damaged)
    elif dataset == "shards":
        result = _prepare_shards(sources, out, splits, skip_damaged, jobs)
    elif dataset == "region-features":
        from optophone.data.prepare.region_features import prepare_region_features

        result = prepare_region_features(source, out, precision)
    elif dataset == "phones":
        from optophone.data.prepare.phones import prepare_phones

        result = prepare_phones(source, out, share, seed, pronunciations)
    elif dataset == "alignments":
        from optophone.cli.alignment_writing import left_out_line, write_alignments

        column = write_alignments(source, out, splits, limit, jobs or os.cpu_count() or 1)
        result = column.dataset
        click.echo(f"{out}: {left_out_line(column)}")
    elif dataset == "non-photographs":
        from optophone.data.prepare.non_photographs import prepare_non_photographs

        result = prepare_non_photographs(out, count, seed)
    else:
        result = _prepare_download(dataset, source, out, size, features_only, year)
    if skip_damaged:
        _tell_of_damage(out)
    counts = ", ".join(f"{split.rows} {name}" for name, split in result.splits.items())
    click.echo(
        f"{out}: {dataset} {'was prepared already, nothing to do' if finished_before else 'is ready'} ({counts})"
    )


def _tell_of_damage(out: Path) -> None:
    from optophone.data.prepare.recordings import DAMAGED_FILE

    if (out / DAMAGED_FILE).is_file():
        n_damaged = (out / DAMAGED_FILE).read_bytes().count(b"\n")
        click.echo(f"{out}: left out {n_damaged} that are damaged, see {DAMAGED_FILE}")


def _only_source(dataset: str, sources: Sequence[Path], out: Path) -> Path:
    """SOURCE of a data set that has one; what stands in for it of one that has several or none.

    Raises:
        UsageError: too few or too many are given.
    """
    if dataset == "non-photographs":
        if sources:
            raise click.UsageError("non-photographs are drawn: give OUT alone.")
        return out
    if not sources or (len(sources) > 1 and dataset != "shards"):
        raise click.UsageError(f"{dataset} needs SOURCE and OUT" + (", and nothing else." if sources else "."))
    return sources[0]


def _prepare_shards(
    sources: Sequence[Path], out: Path, splits: Sequence[str], skip_damaged: bool, jobs: int | None
) -> "Dataset":
    from optophone.data.prepare.caption_shards import prepare_caption_shards

    patterns = []
    for given in splits:
        name, equals, pattern = given.partition("=")
        if not (name and equals and pattern):
            raise click.UsageError(f"--split {given}: shards need NAME=GLOB, for instance train='coco-0*.tar'.")
        patterns.append((name, pattern))
    return prepare_caption_shards(sources, out, patterns, skip_damaged, jobs)


def _prepare_speakers(dataset: str, source: Path, out: Path, held_back_speakers: int) -> "Dataset":
    if dataset == "librispeech":
        from optophone.data.prepare.librispeech import prepare_librispeech

        return prepare_librispeech(source, out, held_back_speakers)
    from optophone.data.prepare.libritts import prepare_libritts

    return prepare_libritts(source, out, held_back_speakers)


def _prepare_recordings(
    dataset: str, source: Path, out: Path, pictures: Path | None, size: int, skip_damaged: bool
) -> "Dataset":
    if dataset == "places-audio":
        from optophone.data.prepare.places_audio import prepare_places_audio

        return prepare_places_audio(source, out, pictures, size, skip_damaged)
    if dataset == "spokencoco":
        from optophone.data.prepare.spokencoco import prepare_spokencoco

        return prepare_spokencoco(source, out, pictures, skip_damaged)
    if dataset == "speechcoco":
        from optophone.data.prepare.speechcoco import prepare_speechcoco

        return prepare_speechcoco(source, out, pictures, skip_damaged)
    from optophone.data.prepare.flickr8k_audio import prepare_flickr8k_audio

    return prepare_flickr8k_audio(source, out, pictures, skip_damaged)


def _prepare_download(
    dataset: str, source: Path, out: Path, size: int, features_only: bool, year: str | None
) -> "Dataset":
    if dataset == "coco":
        from optophone.data.prepare.coco import prepare_coco

        return prepare_coco(source, out, size, features_only, year)
    if dataset in CAPTIONED:
        from optophone.data.prepare.karpathy import prepare_karpathy

        return prepare_karpathy(dataset, source, out, size, features_only)
    if dataset == "flickr8k":
        from optophone.data.prepare.flickr8k import prepare_flickr8k

        return prepare_flickr8k(source, out, size)
    if dataset == "tiny-imagenet":
        from optophone.data.prepare.tiny_imagenet import prepare_tiny_imagenet

        return prepare_tiny_imagenet(source, out)
    from optophone.data.prepare.ljspeech import prepare_ljspeech

    return prepare_ljspeech(source, out)


def _refuse_foreign_options(context: click.Context, dataset: str) -> None:
    """An option of another data set would be ignored silently, so it is an error."""
    for name, owners in OPTION_OWNERS.items():
        if dataset not in owners and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = {"voices": "voice", "splits": "split"}.get(name, name).replace("_", "-")
            raise ConfigurationError(f"--{option} is an option of {', '.join(owners)}, not of {dataset}; leave it out.")
    if context.params["features_only"] and context.get_parameter_source("size") is ParameterSource.COMMANDLINE:
        raise ConfigurationError("--features-only packs no pictures, so --size has no meaning; leave one of them out.")


command = prepare
