"""`optophone speak`: photos → sound."""

import os

import click

from optophone.cli import options
from optophone.cli.options import SearchOptions
from optophone.cli.picture_sources import desktop_options, with_desktop


@click.command("speak", no_args_is_help=True)
@click.argument("photos", nargs=-1, metavar="PHOTO|DIR...")
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR|-",
    help="Sound file, folder for several, or - for standard output.  [default: PHOTO's name with .wav, here]",
)
@click.option("--list", "listed", metavar="FILE", help="Many: the photos named in FILE, one a line; - reads the names.")
@click.option("--glob", "pattern", metavar="PATTERN", help="Many: the photos of a pattern, quoted: 'album/**/*.jpg'.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Many: processes.  [default: the cores]")
@desktop_options
@options.bundle_option
@options.captioner_option
@options.voice_option
@options.speed_option
@options.volume_option
@options.sentence_silence_option
@options.speaker_option
@options.variants_option
@options.format_option
@options.raw_option
@options.play_option
@options.json_option
@options.search_options
@options.hedge_option
@options.force_option
@options.threads_option
@options.quiet_option
def speak(
    photos: tuple[str, ...],
    output: str | None,
    listed: str | None,
    pattern: str | None,
    workers: int | None,
    screen: bool,
    clipboard: bool,
    camera: bool,
    bundle: str | None,
    captioner: str | None,
    voice: str | None,
    speed: float,
    volume: str | None,
    sentence_silence: float | None,
    speaker: str | None,
    variants: int,
    audio_format: str | None,
    raw: bool,
    play: bool,
    as_json: bool,
    search_options: SearchOptions,
    hedge: bool,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Describe photos aloud.

    Prints what each photo shows, with how sure the model is, and writes a sound file that says it. Of pictures that
    are no photographs (pages, windows, charts, noise) it says that it cannot tell. PHOTO is a file, or
    - for standard input. One bad photo does not stop the others; the exit status is then 2.

    Of folders, of --list and of --glob, all photos are spoken by several processes: a sound for each in the folder
    given by -o, and a line of JSON for each in its report.jsonl (caption, confidence, audio, seconds; or error). A
    run that was stopped or killed goes on with what is missing: give the same command again.

    \b
    Examples:
      optophone speak photo.jpg                      writes photo.wav
      optophone speak photo.jpg -o beach.mp3         the format follows the name
      optophone speak holiday/*.jpg -o spoken/       a file for each
      optophone speak photo.jpg --variants 3         three different descriptions
      optophone speak photo.jpg --speed 1.5 --play   aloud and faster
      optophone speak photo.jpg -o - | aplay         heard while it is being spoken
      optophone speak photo.jpg --raw | aplay -r 22050 -f S16_LE
      optophone speak *.jpg --json -o out/           a line of JSON for each photo
      optophone speak --clipboard --play             what was just copied
      optophone speak album/ -o spoken/              thousands, on all cores, resumable
      optophone speak photo.jpg --voice piper:en_US-lessac-medium.onnx
    """
    options.use_one_numpy_thread()
    from optophone.cli.picture_speaker import PictureSpeaker, SpeakOptions

    chosen = SpeakOptions(
        output="-" if raw and output is None and not play else output,
        bundle=bundle,
        speed=speed,
        variants=variants,
        audio_format=audio_format,
        raw=raw,
        play=play,
        as_json=as_json,
        search=search_options,
        hedge=hedge,
        force=force,
        threads=threads,
        quiet=quiet,
        volume=volume,
        sentence_silence=sentence_silence,
        speaker=speaker,
        captioner=captioner,
        voice=voice,
    )
    if listed is not None or pattern is not None or workers is not None or any(map(os.path.isdir, photos)):
        from optophone.cli.many_pictures import ManyPictures

        if screen or clipboard or camera:
            raise click.UsageError("--screen, --clipboard and --camera do not go with folders, --list or --glob.")
        return ManyPictures(photos, listed, pattern, chosen, workers).run()
    return PictureSpeaker(with_desktop(photos, screen, clipboard, camera), chosen).run()
