"""`optophone evaluate`: figures for a bundle, as a table and as a file."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from optophone.cli.options import search_options, use_one_numpy_thread

if TYPE_CHECKING:
    from optophone.cli.caption_scoring import ScoringOptions
    from optophone.cli.options import SearchOptions

bundle_argument = click.argument("bundle", metavar="BUNDLE")
dataset_argument = click.argument("dataset", metavar="DATASET", type=click.Path(exists=True, path_type=Path))
split_option = click.option("--split", default="dev", show_default=True, help="Which part of the data set.")
output_option = click.option("-o", "--output", metavar="FILE.json", help="Write everything found to this file.")
jobs_option = click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="At the same time.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
recognizer_option = click.option(
    "--recognizer",
    metavar="BUNDLE|pocketsphinx|whisper:PATH",
    default="pocketsphinx",
    show_default=True,
    help="Who listens: a bundle of kind recognizer; pocketsphinx, which knows the words; or a Whisper of transformers, "
    "in a folder or by its name on the hub.",
)
existing = click.Path(exists=True, path_type=Path)


@click.group("evaluate")
def evaluate() -> None:
    """Score what a bundle says on a prepared data set, or captions from a file.

    BUNDLE is a folder or the name of an embedded bundle; what is scored is what is shipped.
    """


def scoring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare how captions are scored and shown, and hand it to the command as one `options`."""

    @click.option(
        "--tokenizer",
        type=click.Choice(["words", "ptb"]),
        default="words",
        show_default=True,
        help="Cut captions by our own tokenizer, or by that of the COCO evaluation, which needs Java.",
    )
    @click.option(
        "--document-frequency",
        metavar="NAME",
        default="corpus",
        show_default=True,
        help="What CIDEr counts n-grams over: the references scored (corpus), a split of DATASET such as "
        "train, a .npz file that was kept of one, or a COCO captions_*.json.",
    )
    @click.option("--java/--no-java", default=True, help="Also METEOR and SPICE, where what they need is there.")
    @click.option(
        "--report",
        type=click.Path(path_type=Path),
        metavar="FILE.html",
        help="Write a page with pictures; a folder gets index.html.",
    )
    @click.option(
        "--report-pictures",
        type=click.IntRange(1, 1000),
        default=12,
        show_default=True,
        metavar="N",
        help="On the page: the N best, N worst and N random ones.",
    )
    @functools.wraps(command)
    def gathered(
        *,
        tokenizer: str,
        document_frequency: str,
        java: bool,
        report: Path | None,
        report_pictures: int,
        **others: Any,
    ) -> Any:
        from optophone.cli.caption_scoring import ScoringOptions

        return command(options=ScoringOptions(tokenizer, document_frequency, java, report, report_pictures), **others)

    return gathered


@evaluate.command("captions")
@bundle_argument
@dataset_argument
@split_option
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Only N pictures, drawn by chance but always the same."
)
@search_options
@click.option("--shuffled", is_flag=True, help="Control: score each caption against another picture's references.")
@click.option("--calibrate", is_flag=True, help="Fit the confidence, for `optophone export --confidence`.")
@click.option(
    "--variants",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    metavar="N",
    help="Captions per picture: the best is scored, all of them tell how varied they are.",
)
@click.option(
    "--regions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Prepared region features of the pictures, for a captioner that reads these.",
)
@click.option(
    "--units",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Units of the spoken captions (optophone units), for a captioner that writes units.",
)
@scoring_options
@output_option
@jobs_option
@quiet_option
def captions(
    bundle: str,
    dataset: Path,
    split: str,
    limit: int | None,
    search_options: "SearchOptions",
    shuffled: bool,
    calibrate: bool,
    variants: int,
    regions: Path | None,
    units: Path | None,
    options: "ScoringOptions",
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Describe every picture of DATASET and compare with its human captions, or with spoken ones in units.

    \b
    Examples:
      optophone evaluate captions default data/flickr8k --calibrate -o results/dev.json
      optophone evaluate captions default data/flickr8k --limit 100 --report dev.html
      optophone evaluate captions bundles/textless data/flickr8k --units work/units/flickr8k
    """
    from optophone.cli.caption_evaluation import CaptionEvaluation

    if shuffled and calibrate:
        raise click.UsageError("--shuffled is a control; calibrate on the true references.")
    evaluation = CaptionEvaluation(
        bundle, dataset, split, limit, search_options, jobs, quiet, options, variants, regions, units
    )
    click.echo(evaluation.run(shuffled, calibrate, output))


@evaluate.command("spoken-captions")
@click.argument("system", metavar="SYSTEM")
@dataset_argument
@split_option
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Only N pictures, drawn by chance but always the same."
)
@search_options
@click.option(
    "--control",
    "controls",
    multiple=True,
    metavar="NAME[=WHERE]",
    help="A row beside the system: speech=FOLDER, units=FOLDER, cascade=SYSTEM, shuffled, constant. Several times.",
)
@recognizer_option
@click.option(
    "--order",
    type=click.IntRange(0, 3),
    metavar="N",
    help="The recogniser knows the words of DATASET's train captions, N in a row; with 0 it writes any words.  "
    "[default: 0 where it can, else 2]",
)
@click.option(
    "--samples",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep the first waves of every row there, and what was heard of them.",
)
@click.option("--n-samples", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="So many.")
@click.option(
    "--heard-before",
    type=existing,
    metavar="FOLDER|FILE.heard.jsonl",
    help="Of other systems' evaluations: controls that are the same there are not heard again.",
)
@scoring_options
@output_option
@jobs_option
@quiet_option
def spoken_captions(
    system: str,
    dataset: Path,
    split: str,
    limit: int | None,
    search_options: "SearchOptions",
    controls: tuple[str, ...],
    recognizer: str,
    order: int | None,
    samples: Path | None,
    n_samples: int,
    heard_before: Path | None,
    options: "ScoringOptions",
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Let SYSTEM speak about every picture of DATASET, let a recogniser write it down, and score that as captions.

    What is heard is kept beside the result, in FILE.heard.jsonl, so that a run that was stopped goes on. Controls tell
    what the figures are worth: true speech heard by the same recogniser, its units said by the system's voice, a system
    that writes words, the captions of shuffled pictures, one caption for all.

    \b
    Examples:
      optophone evaluate spoken-captions bundles/textless data/flickr8k --recognizer work/ear -o textless.json \\
          --control speech=data/spoken-captions --control units=data/units-40ms --control cascade=default \\
          --control shuffled --control constant
      optophone evaluate spoken-captions default data/flickr8k --limit 100 --samples heard
    """
    from optophone.cli.caption_controls import read_controls
    from optophone.cli.spoken_caption_evaluation import SpokenCaptionEvaluation, SpokenCaptionOptions

    chosen = SpokenCaptionOptions(
        split, limit, search_options, recognizer, order, read_controls(controls), samples, n_samples, heard_before,
        jobs, quiet, options,
    )  # fmt: skip
    click.echo(SpokenCaptionEvaluation(system, dataset, chosen).run(output))


@evaluate.command("caption-file")
@click.argument("results", metavar="RESULTS", type=existing)
@click.argument("references", metavar="REFERENCES", type=existing)
@split_option
@click.option("--partial", is_flag=True, help="Leave out pictures of REFERENCES that have no caption in RESULTS.")
@click.option(
    "--pictures",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="The pictures that COCO's file names, for the page.",
)
@scoring_options
@output_option
def caption_file(
    results: Path,
    references: Path,
    split: str,
    partial: bool,
    pictures: Path | None,
    options: "ScoringOptions",
    output: str | None,
) -> None:
    """Score captions that anything has made.

    RESULTS is a file as the COCO evaluation takes it, [{"image_id": 42, "caption": "a dog"}, ...]. REFERENCES is COCO's
    captions_*.json, or the folder of a prepared data set, of which --split is taken.

    \b
    Example: optophone evaluate caption-file results.json captions_val2014.json --partial -o scores.json
    """
    from optophone.cli.caption_file_evaluation import CaptionFileEvaluation

    evaluation = CaptionFileEvaluation(results, references, split, partial, pictures, options)
    click.echo(evaluation.run(output))


@evaluate.command("compare")
@click.argument("first", metavar="FIRST.json", type=existing)
@click.argument("second", metavar="SECOND.json", type=existing)
@output_option
def compare(first: Path, second: Path, output: str | None) -> None:
    """Say how much SECOND is better than FIRST, and how sure that is.

    Both are files that `optophone evaluate captions -o` or `caption-file -o` wrote, on the same pictures.

    \b
    Example: optophone evaluate compare before.json after.json
    """
    from optophone.cli.caption_file_evaluation import compare as compare_files

    click.echo(compare_files(first, second, output))


@evaluate.command("doubt")
@bundle_argument
@dataset_argument
@click.option(
    "--non-photographs",
    "drawn",
    type=existing,
    default=Path("data/non-photographs"),
    show_default=True,
    metavar="FOLDER",
    help="Written by `optophone prepare non-photographs`.",
)
@split_option
@click.option("--limit", type=click.IntRange(20), metavar="N", help="Only N photographs, drawn by chance.")
@click.option("--per-family", type=click.IntRange(1), default=10, show_default=True, help="Drawn pictures of a kind.")
@click.option("--figures", type=click.Path(path_type=Path), metavar="DIR", help="Write two figures (SVG) there.")
@output_option
@jobs_option
@quiet_option
def doubt(
    bundle: str,
    dataset: Path,
    drawn: Path,
    split: str,
    limit: int | None,
    per_family: int,
    figures: Path | None,
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Find out whether BUNDLE knows when to doubt.

    Is every confidence as often right as it says? What is gained by leaving out the unsure? Are pictures that are no
    photographs told from the photographs of DATASET, also kinds that the detector was never shown?

    \b
    Example: optophone evaluate doubt default data/flickr8k -o results/doubt.json --figures docs/results/figures
    """
    from optophone.cli.doubt_evaluation import DoubtEvaluation, DoubtOptions

    options = DoubtOptions(split, limit, per_family, figures, jobs, quiet)
    click.echo(DoubtEvaluation(bundle, dataset, drawn, options).run(output))


@evaluate.command("voice")
@bundle_argument
@dataset_argument
@split_option
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Texts, drawn by chance.")
@click.option(
    "--baseline",
    type=click.Choice(["recordings", "espeak-ng"]),
    help="What to compare with.  [default: people's recordings where DATASET has them, else espeak-ng]",
)
@click.option("--voice", metavar="NAME", help="espeak-ng's voice.  [default: the one that the bundle learned from]")
@click.option("--speed", type=int, metavar="N", help="espeak-ng's words a minute.  [default: as the bundle learned]")
@recognizer_option
@output_option
@jobs_option
@quiet_option
def voice(
    bundle: str,
    dataset: Path,
    split: str,
    limit: int,
    baseline: Literal["recordings", "espeak-ng"] | None,
    voice: str | None,
    speed: int | None,
    recognizer: str,
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Let a recogniser hear texts of DATASET from the bundle, and from people or espeak-ng.

    Where DATASET has recordings of people, the voice is compared with these; where it has captions without sound, or
    speech of a synthesizer, with espeak-ng. A third voice, the same sent through the bundle's vocoder, shows what the
    vocoder costs.

    pocketsphinx knows the words of these texts and nothing else; a second pass also knows which words follow one
    another. A bundle of ours does the same, and before that writes any words it hears, as Whisper does.

    \b
    Examples:
      optophone evaluate voice default data/flickr8k --limit 200 -o results/voice.json
      optophone evaluate voice bundles/lj data/ljspeech --recognizer bundles/recognizer
    """
    from optophone.cli.voice_evaluation import VoiceEvaluation, VoiceEvaluationOptions

    chosen = VoiceEvaluationOptions(split, limit, baseline, voice, speed, jobs, quiet, recognizer)
    click.echo(VoiceEvaluation(bundle, dataset, chosen).run(output))


@evaluate.command("speech")
@bundle_argument
@dataset_argument
@split_option
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True, help="Recordings, drawn by chance.")
@click.option("--copy-synthesis", is_flag=True, help="The vocoder alone: copy the recordings by way of their mel.")
@click.option("--hard-sentences/--no-hard-sentences", default=True, help="Look at the attention over hard sentences.")
@click.option("--sentences", type=existing, metavar="FILE", help="Other hard sentences, one per line.")
@recognizer_option
@click.option("--no-recognizer", is_flag=True, help="Let no recogniser hear it.")
@output_option
@jobs_option
@quiet_option
def speech(
    bundle: str,
    dataset: Path,
    split: str,
    limit: int,
    copy_synthesis: bool,
    hard_sentences: bool,
    sentences: Path | None,
    recognizer: str,
    no_recognizer: bool,
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Say the texts of DATASET's recordings and compare with these.

    Mel-cepstral distortion and log-spectral distance along the path of best fit, pitch, voicing and length; a
    recogniser's word and character error rates, on the recordings too; faults of the attention over hard sentences.
    What cannot be measured is said to be, with the reason, and is never 0.

    \b
    Examples:
      optophone evaluate speech default data/ljspeech --limit 30 -o results/speech.json
      optophone evaluate speech bundles/waveglow data/ljspeech --copy-synthesis
    """
    from optophone.cli.speech_evaluation import SpeechEvaluation, SpeechEvaluationOptions

    ear = None if no_recognizer else recognizer
    options = SpeechEvaluationOptions(split, limit, copy_synthesis, hard_sentences, sentences, ear, jobs, quiet)
    click.echo(SpeechEvaluation(bundle, dataset, options).run(output))


@evaluate.command("recognizer")
@click.argument("recognizer", metavar="BUNDLE|pocketsphinx|whisper:PATH")
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path(exists=True, path_type=Path))
@split_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only N utterances of each, drawn by chance.")
@output_option
@jobs_option
@quiet_option
def recognizer(
    recognizer: str,
    datasets: tuple[Path, ...],
    split: str,
    limit: int | None,
    output: str | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Let a recogniser hear the recordings of every DATASET, and count its errors.

    What it judges is worth as much as it errs on true speech, so a bundle carries these figures along:
    `optophone export BUNDLE --metrics FILE.json -o BUNDLE`. pocketsphinx, and a bundle's later columns, know the words
    that are said.

    \b
    Example: optophone evaluate recognizer bundles/ear data/ljspeech data/librispeech -o results/ear.json
    """
    from optophone.cli.recognizer_evaluation import RecognizerEvaluation

    click.echo(RecognizerEvaluation(recognizer, datasets, split, limit, jobs, quiet).run(output))


@evaluate.command("units")
@bundle_argument
@dataset_argument
@click.option(
    "--alignments",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="When the words and phones of DATASET are said (optophone prepare alignments); without it half is measured.",
)
@click.option(
    "--quantizer", type=click.IntRange(1, 5), metavar="P", help="Which of a network's quantizers.  [default: the last]"
)
@split_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only N utterances, drawn by chance.")
@click.option("--triples", type=click.IntRange(1), default=10000, show_default=True, help="Of ABX, at most.")
@output_option
@quiet_option
def units(
    bundle: str,
    dataset: Path,
    alignments: Path | None,
    quantizer: int | None,
    split: str,
    limit: int | None,
    triples: int,
    output: str | None,
    quiet: bool,
) -> None:
    """Judge the units that BUNDLE writes DATASET's speech in.

    Which codes are used and the bits a second; ABX, whether phones can be told apart; what units know of phones, and
    whether they change where phones and words do; the code of each word; how far the speaker can be told. Beside each
    stands a control: shuffled or even units, log-mels, chance.

    \b
    Example: optophone evaluate units bundles/units data/spoken-captions --alignments data/alignments --limit 300
    """
    use_one_numpy_thread()
    from optophone.cli.unit_evaluation import UnitEvaluation, UnitEvaluationOptions

    chosen = UnitEvaluationOptions(alignments, quantizer, split, limit, triples, quiet)
    click.echo(UnitEvaluation(bundle, dataset, chosen).run(output))


command = evaluate
