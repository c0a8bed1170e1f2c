"""`optophone say`: text → sound."""

import click

from optophone.cli import options


@click.command("say")
@click.argument("text", nargs=-1, metavar="[TEXT]...")
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR|-",
    help="Sound file, folder for a file per line, or - for standard output.  [default: speech.wav, here]",
)
@options.bundle_option
@click.option("--vocoder", metavar="BUNDLE", help="Vocoder to speak with.  [default: the voice's own]")
@options.speed_option
@options.format_option
@options.raw_option
@options.play_option
@options.json_option
@options.threads_option
@options.quiet_option
def say(
    text: tuple[str, ...],
    output: str | None,
    bundle: str | None,
    vocoder: str | None,
    speed: float,
    audio_format: str | None,
    raw: bool,
    play: bool,
    as_json: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Speak a text with the voice alone.

    Without TEXT, or with -, lines are read from standard input and spoken as they come: into one sound, or with -o DIR/
    into a file per line (0001.wav, 0002.wav, ...).

    \b
    Examples:
      optophone say "Hello there." -o hello.wav
      optophone say "Read this faster." --speed 1.5 --play
      optophone say "Hello there." -m bundles/voice --vocoder bundles/waveglow
      optophone say < story.txt -o - | aplay
      optophone say < captions.txt -o spoken/
    """
    options.use_one_numpy_thread()
    from optophone.cli.text_speaker import SayOptions, TextSpeaker

    return TextSpeaker(
        SayOptions(
            text=" ".join(text),
            output="-" if raw and output is None and not play else output,
            bundle=bundle,
            speed=speed,
            audio_format=audio_format,
            raw=raw,
            play=play,
            as_json=as_json,
            threads=threads,
            quiet=quiet,
            vocoder=vocoder,
        )
    ).run()
