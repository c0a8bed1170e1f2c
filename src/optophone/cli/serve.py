"""`optophone serve`: the server and its page."""

import click

from optophone.cli import options


@click.command("serve")
@options.bundle_option
@options.captioner_option
@options.voice_option
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, metavar="N", help="0: any.  [default: 8080]")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Requests that are worked on at the same time.  [default: the cores, at most 4]",
)
@click.option(
    "--max-queue", type=click.IntRange(min=0), default=32, metavar="N", help="Requests that may wait.  [default: 32]"
)
@click.option(
    "--max-megabytes", type=click.FloatRange(0.001), default=24.0, metavar="X", help="Of a picture.  [default: 24]"
)
@click.option(
    "--max-megapixels", type=click.FloatRange(0.001), default=50.0, metavar="X", help="Of a picture.  [default: 50]"
)
@click.option(
    "--max-text", type=click.IntRange(min=1), default=4096, metavar="N", help="Characters to speak.  [default: 4096]"
)
@click.option(
    "--max-variants", type=click.IntRange(min=1), default=8, metavar="N", help="Descriptions at once.  [default: 8]"
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(0.1),
    default=30.0,
    metavar="S",
    help="To send a request, to wait for a worker, to begin the answer, each.  [default: 30]",
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="Answer to this name too; * to all. Repeatable.")
@click.option(
    "--allow-origin", multiple=True, metavar="URL", help="Let this origin's web pages call; * all. Repeatable."
)
@options.speaker_option
@options.volume_option
@options.sentence_silence_option
@options.threads_option
@options.quiet_option
def serve(
    bundle: str | None,
    captioner: str | None,
    voice: str | None,
    host: str,
    port: int,
    workers: int | None,
    max_queue: int,
    max_megabytes: float,
    max_megapixels: float,
    max_text: int,
    max_variants: int,
    max_seconds: float,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    speaker: str | None,
    volume: str | None,
    sentence_silence: float | None,
    threads: int | None,
    quiet: bool,
) -> None:
    """Describe pictures for a browser, for programs and for screen readers.

    Open the address that it prints: the page takes a photo and speaks. Nothing leaves this machine, and no other
    machine can call it unless --host says so; there is no password, so put a proxy with one before it on a network.
    Programs find the addresses under /docs. Ctrl-C, or SIGTERM, finishes what was begun and stops.

    \b
    Examples:
      optophone serve                                   then open http://127.0.0.1:8080
      optophone serve -m bundles/system --port 9000
      optophone serve --captioner transformers:blip --voice piper:voice.onnx
      optophone serve --host 0.0.0.0                    for the whole network
      optophone serve --port 11435                      where NVDA's AI Content Describer looks for Seer
    \b
    Calls, while it runs:
      curl --data-binary @photo.jpg http://127.0.0.1:8080/v1/describe
      curl -F picture=@photo.jpg "http://127.0.0.1:8080/v1/describe?response_format=mp3" -o photo.mp3
      curl --data-binary @photo.jpg -H "Accept: audio/wav" http://127.0.0.1:8080/v1/describe | aplay
      curl --json '{"input": "Hello there."}' http://127.0.0.1:8080/v1/audio/speech -o hello.mp3
    """
    options.use_one_numpy_thread()
    from optophone.core.volume import parse_volume
    from optophone.own_parts import load, name_of
    from optophone.runtime.session import default_threads
    from optophone.server.options import ServerOptions
    from optophone.server.serve import serve as run_server

    limits = ServerOptions(
        host=host,
        port=port,
        workers=workers or default_threads(),
        queue=max_queue,
        max_bytes=int(max_megabytes * 2**20),
        max_pixels=int(max_megapixels * 1e6),
        max_text=max_text,
        max_variants=max_variants,
        timeout_s=max_seconds,
        allowed_hosts=allow_host,
        allowed_origins=allow_origin,
    )
    loudness = None if volume is None else parse_volume(volume)
    pipeline = load(bundle, captioner=captioner, voice=voice, threads=threads).adjusted(
        sentence_silence_s=sentence_silence, volume=loudness, speaker=speaker
    )
    if not (quiet or limits.is_local):
        click.echo(f"optophone: warning: {host} can be reached from other machines; there is no password.", err=True)
    run_server(pipeline, limits, name_of(bundle, captioner), lambda line: None if quiet else click.echo(line))
