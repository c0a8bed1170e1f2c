"""`optophone train`: a configuration in, trained weights out; resumes by itself."""

from pathlib import Path

import click

from optophone.core.errors import ConfigurationError


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="Example: optophone train configs/encoder/tiny-imagenet.yaml --trainer.max_steps 500",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: work/NAME]")
@click.pass_context
def train(context: click.Context, config: Path, out: Path | None) -> None:
    """Train what CONFIG (a YAML file) describes.

    Any option of the file can be changed as --section.option VALUE. A run that was stopped or killed goes on where its
    last checkpoint stands: give the same command again. Curves, samples and sounds: tensorboard --logdir FOLDER.

    Captioners train on several processes or machines too, each with its portion of every batch, to the same weights:
    torchrun --nproc_per_node 2 -m optophone train CONFIG.
    """
    overrides = _pairs(context.args)
    from optophone.training.processes import is_first
    from optophone.training.run import train as train_experiment

    folder = train_experiment(config, overrides, out)
    if is_first():
        click.echo(f"trained: {folder}")


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    """["--a.b", "1", "--c=2"] → [("a.b", "1"), ("c", "2")]."""
    pairs = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise ConfigurationError(f"{argument!r}: expected --section.option VALUE.")
        key, equals, value = argument[2:].partition("=")
        if not equals:
            following = next(rest, None)
            if following is None:
                raise ConfigurationError(f"--{key}: a value is missing.")
            value = following
        pairs.append((key, value))
    return pairs
