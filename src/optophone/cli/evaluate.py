"""`optophone evaluate`: figures for a bundle, as a table and as a file."""

from pathlib import Path

import click

bundle_argument = click.argument("bundle", metavar="BUNDLE")
dataset_argument = click.argument("dataset", metavar="DATASET", type=click.Path(exists=True, path_type=Path))
split_option = click.option("--split", default="dev", show_default=True, help="Which part of the data set.")
output_option = click.option("-o", "--output", metavar="FILE.json", help="Write everything found to this file.")
jobs_option = click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="At the same time.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


@click.group("evaluate")
def evaluate() -> None:
    """Score what a bundle says on a prepared data set.

    BUNDLE is a folder or the name of an embedded bundle; what is scored is what is shipped.
    """


@evaluate.command("captions")
@bundle_argument
@dataset_argument
@split_option
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Only N pictures, drawn by chance but always the same."
)
@click.option(
    "--beam", type=click.IntRange(1), metavar="N", help="Sentences kept in the search.  [default: the bundle's]"
)
@click.option("--shuffled", is_flag=True, help="Control: score each caption against another picture's references.")
@click.option("--calibrate", is_flag=True, help="Fit the confidence, for `optophone export --confidence`.")
@output_option
@jobs_option
@quiet_option
def captions(
    bundle: str,
    dataset: Path,
    split: str,
    limit: int | None,
    beam: int | None,
    shuffled: bool,
    calibrate: bool,
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Describe every picture of DATASET and compare with its human captions.

    \b
    Example: optophone evaluate captions default data/flickr8k --calibrate -o results/dev.json
    """
    from optophone.cli.caption_evaluation import CaptionEvaluation

    if shuffled and calibrate:
        raise click.UsageError("--shuffled is a control; calibrate on the true references.")
    evaluation = CaptionEvaluation(bundle, dataset, split, limit, beam, jobs, quiet)
    click.echo(evaluation.run(shuffled, calibrate, output))


@evaluate.command("voice")
@bundle_argument
@dataset_argument
@split_option
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Captions, drawn by chance.")
@click.option("--voice", metavar="NAME", help="espeak-ng's voice.  [default: the one that the bundle learned from]")
@click.option("--speed", type=int, metavar="N", help="espeak-ng's words a minute.  [default: as the bundle learned]")
@output_option
@jobs_option
@quiet_option
def voice(
    bundle: str,
    dataset: Path,
    split: str,
    limit: int,
    voice: str | None,
    speed: int | None,
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Let a recogniser hear captions of DATASET from the bundle and from espeak-ng.

    The recogniser (pocketsphinx) knows the words of these captions and nothing else; a second pass also knows which
    words follow one another. A third voice, espeak-ng sent through the bundle's vocoder, shows what the vocoder costs.

    \b
    Example: optophone evaluate voice default data/flickr8k --limit 200 -o results/voice.json
    """
    from optophone.cli.voice_evaluation import VoiceEvaluation

    evaluation = VoiceEvaluation(bundle, dataset, split, limit, voice, speed, jobs, quiet)
    click.echo(evaluation.run(output))


command = evaluate
