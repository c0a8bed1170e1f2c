"""`optophone import`: checkpoints of the public reference implementations as bundles."""

from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from optophone.core.errors import ConfigurationError

REFERENCES = ("xlan", "sat", "tacotron2", "waveglow", "resdavenet-vq", "resnet")
# The references that take each option; of the others it would be ignored silently, so it is an error.
OPTION_OWNERS = {
    "vocabulary": ("xlan", "sat", "tacotron2"),
    "precision": ("xlan", "sat", "tacotron2", "waveglow"),
    "encoder": ("xlan", "sat"),
    "examples": ("xlan", "sat", "resdavenet-vq"),
    "vocoder": ("tacotron2",),
    "sigma": ("waveglow", "tacotron2"),
    "denoise": ("waveglow", "tacotron2"),
}


@click.command("import", no_args_is_help=True)
@click.argument("reference", type=click.Choice(REFERENCES), metavar="REFERENCE")
@click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, metavar="BUNDLE", type=click.Path(path_type=Path), help="Folder to write."
)
@click.option(
    "--vocabulary",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="xlan: coco_vocabulary.txt; sat: WORDMAP_*.json; or a vocabulary.json of ours.  [tacotron2: the 148 symbols]",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The original's options (.json or .yaml), where they are not the published ones.",
)
@click.option(
    "--encoder",
    metavar="BUNDLE|FILE",
    type=click.Path(path_type=Path),
    help="xlan, sat: a ResNet (bundle or checkpoint), so that the bundle takes photos instead of region features.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int8"]),
    default="fp32",
    show_default=True,
    help="int8 is a quarter of the size and faster, and not quite the same.",
)
@click.option(
    "--examples",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Photos, .npz files of region features, or sounds to check the graphs on; int8 with --encoder needs them.",
)
@click.option(
    "--vocoder",
    metavar="BUNDLE|FILE",
    type=click.Path(path_type=Path),
    help="tacotron2: a WaveGlow (bundle or checkpoint), so that the bundle is a whole voice.",
)
@click.option(
    "--sigma", type=float, default=0.666, show_default=True, metavar="X", help="waveglow: how loud the noise is."
)
@click.option(
    "--denoise", type=float, default=0.01, show_default=True, metavar="X", help="waveglow: strength of the denoiser."
)
@click.option("--name", help="Name of the bundle.  [default: of the folder]")
@click.option("--licence", default="", help="Licence of the weights, as SPDX names it.  [default: not stated]")
@click.pass_context
def import_checkpoint(
    context: click.Context,
    reference: str,
    checkpoint: Path,
    output: Path,
    vocabulary: Path | None,
    config: Path | None,
    encoder: Path | None,
    precision: Literal["fp32", "int8"],
    examples: Path | None,
    vocoder: Path | None,
    sigma: float,
    denoise: float,
    name: str | None,
    licence: str,
) -> None:
    """Turn CHECKPOINT of a public implementation into a bundle that runs without PyTorch.

    \b
    REFERENCE says whose it is:
      xlan           X-LAN of JDAI-CV/image-captioning; reads region features (.npz)
      sat            Show, Attend and Tell of sgrvinod's PyTorch tutorial; reads a ResNet's grid
      tacotron2      Tacotron 2 of NVIDIA: a voice
      waveglow       WaveGlow of NVIDIA, any of its three layouts: what makes a voice's spectrograms sound
      resdavenet-vq  ResDAVEnet-VQ of wnhsu: units of speech (its audio model, e.g. best_audio_model.pth)
      resnet         torchvision's ResNet: what --encoder takes

    The graphs are compared with the weights; nothing is written where they differ. Files that hold Python objects are
    refused, because loading them could run any code; the message says how to make plain weights of them.

    \b
    Examples:
      optophone import xlan caption_model.pth --vocabulary coco_vocabulary.txt -o bundles/xlan
      optophone caption features/123.npz -m bundles/xlan
      optophone import sat sat.weights.pt --vocabulary WORDMAP.json --encoder resnet101.pth -o bundles/sat
      optophone import tacotron2 tacotron2_statedict.pt -o bundles/voice
      optophone say "Hello there." -m bundles/voice
      optophone import waveglow waveglow.weights.pt -o bundles/waveglow
      optophone say "Hello there." -m bundles/voice --vocoder bundles/waveglow
      optophone import resdavenet-vq best_audio_model.pth -o bundles/units
      optophone units speech.wav -m bundles/units --quantizer 3
    """
    _refuse_foreign_options(context, reference)
    from optophone.cli.checkpoint_import import ImportOptions, run_import

    options = ImportOptions(
        reference,
        checkpoint,
        output,
        vocabulary,
        config,
        encoder,
        precision,
        examples,
        name,
        licence,
        sigma,
        denoise,
        vocoder,
    )
    for line in run_import(options):
        click.echo(line)


def _refuse_foreign_options(context: click.Context, reference: str) -> None:
    def is_given(name: str) -> bool:
        return context.get_parameter_source(name) is ParameterSource.COMMANDLINE

    for name, owners in OPTION_OWNERS.items():
        if reference not in owners and is_given(name):
            raise ConfigurationError(f"--{name} has no meaning for {reference}, only for {', '.join(owners)}.")
    for name in ("sigma", "denoise"):
        if reference == "tacotron2" and is_given(name) and not is_given("vocoder"):
            raise ConfigurationError(f"--{name} belongs to a vocoder; give one with --vocoder.")
