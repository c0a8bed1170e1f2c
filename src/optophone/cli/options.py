"""Options that several commands share, so that each is declared once."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optophone.core.search import SearchConfig

Command = Callable[..., Any]

bundle_option = click.option(
    "-m",
    "--model",
    "bundle",
    metavar="BUNDLE",
    help="Folder of a bundle, or the name of an embedded one (see `optophone models`).  [default: default]",
)
captioner_option = click.option(
    "--captioner",
    metavar="PART",
    help="Who looks: transformers:FOLDER|NAME (ViT-GPT-2, BLIP, GIT, ...), or a bundle.  [default: the model's]",
)
voice_option = click.option(
    "--voice",
    metavar="PART",
    help="Who speaks: piper:FILE.onnx, espeak:NAME, or a bundle.  [default: the model's]",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Processor threads.  [default: the cores, at most 4]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for programs.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors beside the result.")
speed_option = click.option(
    "--speed", type=float, default=1.0, metavar="X", help="2 is twice as fast, same pitch; 0.25 to 4.  [default: 1]"
)
variants_option = click.option(
    "--variants", type=click.IntRange(min=1), default=1, metavar="N", help="Up to N different descriptions."
)
format_option = click.option(
    "--format",
    "audio_format",
    type=click.Choice(["wav", "flac", "ogg", "mp3"]),
    help="Kind of sound file.  [default: by the name given to -o, else wav]",
)
raw_option = click.option("--raw", is_flag=True, help="Bare samples (16 bit, little-endian, mono) instead of a file.")
volume_option = click.option(
    "--volume", metavar="X|XdB", help="Factor (0.5) or decibels (+6dB); loud peaks are bent, not cut.  [default: 1]"
)
sentence_silence_option = click.option(
    "--sentence-silence", type=float, metavar="S", help="Seconds between sentences.  [default: the bundle's, .2]"
)
speaker_option = click.option(
    "--speaker", metavar="NAME|NUMBER", help="Who speaks, where the voice has several.  [default: the first]"
)
play_option = click.option("--play", is_flag=True, help="Play the sound; writes a file only with -o.")


def use_one_numpy_thread() -> None:
    """Keep NumPy to one thread; call it before NumPy is imported.

    Its products here are small. A second thread wins nothing on an idle machine, and beside busy processes the two
    spend their time waiting for each other: Griffin-Lim took 5 times as long.
    """
    for library in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(library, "1")


@dataclass(frozen=True)
class SearchOptions:
    """What the user said about the search; None means: as the bundle does it."""

    beam: int | None = None
    sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    diverse: int | None = None
    diversity: float | None = None
    length_penalty: float | None = None
    block_ngram: int | None = None
    forbid_repeats: bool | None = None
    guidance: float | None = None

    def apply(self, search: "SearchConfig") -> "SearchConfig":
        """The bundle's `search` with these options; temperature, top-k and top-p imply sampling.

        Raises:
            ConfigurationError: a value is out of range.
        """
        sampling = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        either = {
            "seed": self.seed,
            "length_penalty": self.length_penalty,
            "block_ngram": self.block_ngram,
            "forbid_repeats": self.forbid_repeats,
            "guidance": self.guidance,
        }
        chosen: dict[str, Any] = {name: value for name, value in {**sampling, **either}.items() if value is not None}
        if self.sample or any(value is not None for value in sampling.values()):
            if (self.beam, self.diverse, self.diversity) != (None, None, None):
                raise click.UsageError("--beam and --diverse search, --sample draws: choose one of them.")
            chosen.update(method="sample", groups=1)
        elif (self.beam, self.diverse, self.diversity) != (None, None, None):
            chosen.update(self._beams(search))
        return replace(search, n_results=1, **chosen)

    def _beams(self, search: "SearchConfig") -> dict[str, Any]:
        """Size and groups of the beam; each group has the same size, so the whole is rounded up."""
        groups = self.diverse or search.groups
        size = -(-(self.beam or search.beam_size) // groups) * groups
        chosen: dict[str, Any] = {"method": "beam", "beam_size": size, "groups": groups}
        if groups > 1:
            chosen["finished"] = "aside"
        if self.diversity is not None:
            chosen["diversity"] = self.diversity
        return chosen


def search_options(command: Command) -> Command:
    """Declare --beam, --sample and the rest, and hand them to the command as one `search_options`."""
    group_help = "Search in N groups that avoid each other's words; --variants does so by itself."
    repeats_help = "Say nothing twice in a row.  [default: as the units: forbidden where runs of them are collapsed]"
    guidance_help = "Count what only this picture has so many times more; 1 is a good try, 0 is none."
    diversity_help = "How strongly groups avoid each other's words; 0 makes --variants the plain N best.  [default: .7]"

    @click.option("--beam", type=click.IntRange(min=1), metavar="N", help="Keep the N best sentences while searching.")
    @click.option("--diverse", type=click.IntRange(min=1), metavar="N", help=group_help)
    @click.option("--diversity", type=float, metavar="X", help=diversity_help)
    @click.option("--length-penalty", type=float, metavar="A", help="0 favours short sentences, 1 long ones.")
    @click.option("--block-ngram", type=int, metavar="N", help="Say no N words in a row twice; 0 allows it.")
    @click.option("--forbid-repeats/--allow-repeats", default=None, help=repeats_help)
    @click.option("--sample", is_flag=True, help="Draw words by chance instead of searching the likeliest.")
    @click.option("--temperature", type=float, metavar="T", help="Sampling: above 1 bolder, below 1 safer.")
    @click.option("--top-k", type=int, metavar="K", help="Sampling: only among the K likeliest words.")
    @click.option("--top-p", type=float, metavar="P", help="Sampling: only among the likeliest words that sum to P.")
    @click.option("--seed", type=int, metavar="N", help="Sampling: the same number draws the same words.")
    @click.option("--guidance", type=float, metavar="X", help=guidance_help)
    @functools.wraps(command)
    def gathered(
        *,
        beam: int | None,
        diverse: int | None,
        diversity: float | None,
        length_penalty: float | None,
        block_ngram: int | None,
        forbid_repeats: bool | None,
        sample: bool,
        temperature: float | None,
        top_k: int | None,
        top_p: float | None,
        seed: int | None,
        guidance: float | None,
        **others: Any,
    ) -> Any:
        chosen = SearchOptions(
            beam,
            sample,
            temperature,
            top_k,
            top_p,
            seed,
            diverse,
            diversity,
            length_penalty,
            block_ngram,
            forbid_repeats,
            guidance,
        )
        return command(search_options=chosen, **others)

    return gathered


def piper_options(command: Command) -> Command:
    """Take piper's names of our options too, unseen on the help page: their values come in as ours."""

    @click.option("--output-file", "--output_file", metavar="FILE", hidden=True)
    @click.option("--output-dir", "--output_dir", metavar="DIR", hidden=True)
    @click.option("--output-raw", "--output_raw", is_flag=True, hidden=True)
    @click.option("--length-scale", "--length_scale", type=click.FloatRange(0, min_open=True), hidden=True)
    @functools.wraps(command)
    def translated(
        *,
        output_file: str | None,
        output_dir: str | None,
        output_raw: bool,
        length_scale: float | None,
        output: str | None,
        speed: float,
        raw: bool,
        lines: bool,
        **others: Any,
    ) -> Any:
        return command(
            output=output or output_file or output_dir,
            speed=speed if length_scale is None else 1.0 / length_scale,
            raw=raw or output_raw,
            lines=lines or output_dir is not None,
            **others,
        )

    return translated


force_option = click.option(
    "--force", is_flag=True, help="Describe even what does not look like a photograph; the words are then a guess."
)


def hedge_option(command: Command) -> Command:
    """Declare --hedge/--no-hedge."""
    return click.option(
        "--hedge/--no-hedge", default=True, help="Speak words of doubt before an unsure description.  [default: hedge]"
    )(command)
