"""`optophone say`: text → sound."""

import click

from optophone.cli import options


@click.command("say")
@click.argument("text", nargs=-1, metavar="[TEXT]...")
@click.option(
    "-o",
    "-f",
    "--output",
    metavar="FILE|DIR|-",
    help="Sound file, folder for a file per line, or - for standard output.  [default: speech.wav, here]",
)
@options.bundle_option
@options.voice_option
@click.option("--vocoder", metavar="BUNDLE", help="Vocoder to speak with.  [default: the voice's own]")
@options.speaker_option
@options.speed_option
@options.volume_option
@options.sentence_silence_option
@click.option("--phonemes", is_flag=True, help="TEXT is a pronunciation: ARPAbet, or the phones that the voice reads.")
@click.option("--lines", is_flag=True, help="A file for each line, into the folder -o (0001.wav, 0002.wav, ...).")
@click.option(
    "--json-lines",
    "--json-input",
    is_flag=True,
    help='Each line is {"text": ..., "output_file": ...}, if wanted with "speed" and "speaker".',
)
@click.option("--stream", is_flag=True, help="Send sound on while it is being spoken; without -o to standard output.")
@options.format_option
@options.raw_option
@options.play_option
@options.json_option
@options.threads_option
@options.quiet_option
@options.piper_options
def say(
    text: tuple[str, ...],
    output: str | None,
    bundle: str | None,
    voice: str | None,
    vocoder: str | None,
    speaker: str | None,
    speed: float,
    volume: str | None,
    sentence_silence: float | None,
    phonemes: bool,
    lines: bool,
    json_lines: bool,
    stream: bool,
    audio_format: str | None,
    raw: bool,
    play: bool,
    as_json: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Speak a text with the voice alone.

    Without TEXT, or with -, lines are read from standard input and spoken as they come: into one sound, or with -o DIR/
    into a file per line. Long text is cut into sentences. Where the voice stumbles, a warning says so. Words in braces
    are ARPAbet, "the {R EY1 D AA2 R}", for voices that have learned it, as the embedded one has. piper's --output-file,
    --output-dir, --output-raw and --length-scale work too.

    \b
    Examples:
      optophone say "Hello there." -o hello.wav
      optophone say "Read this faster." --speed 1.5 --volume +3dB --play
      optophone say "One. Two." --sentence-silence 1
      optophone say "Hello there." -m bundles/voice --vocoder bundles/waveglow
      optophone say "Hello there." -m bundles/voices --speaker 1
      optophone say --phonemes "HH AH0 L OW1 | W ER1 L D"
      optophone say "Hello there." --voice piper:en_US-lessac-medium.onnx
      optophone say "Bonjour." --voice espeak:fr
    \b
    Streams and lines:
      optophone say --stream < story.txt | aplay
      optophone say --raw < story.txt | aplay -r 22050 -f S16_LE
      optophone say --lines -o spoken/ --format mp3 < captions.txt
      echo '{"text": "Hi.", "output_file": "hi.ogg"}' | optophone say --json-lines
    """
    options.use_one_numpy_thread()
    from optophone.cli.text_speaker import SayOptions, TextSpeaker

    to_stdout = (raw or stream) and output is None and not (play or lines)
    return TextSpeaker(
        SayOptions(
            text=" ".join(text),
            output="-" if to_stdout else output,
            bundle=bundle,
            speed=speed,
            audio_format=audio_format,
            raw=raw,
            play=play,
            as_json=as_json,
            threads=threads,
            quiet=quiet,
            volume=volume,
            sentence_silence=sentence_silence,
            speaker=speaker,
            phonemes=phonemes,
            lines=lines,
            json_lines=json_lines,
            stream=stream,
            vocoder=vocoder,
            voice=voice,
        )
    ).run()
