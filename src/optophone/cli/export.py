"""`optophone export`: finished trainings as bundles that run without PyTorch."""

from pathlib import Path

import click


@click.command("export")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", required=True, metavar="BUNDLE", type=click.Path(path_type=Path), help="Folder to write."
)
@click.option(
    "--precision",
    type=click.Choice(["int8", "fp32"]),
    help="int8 is a quarter of the size and several times as fast.  [default: int8; of units and direct models fp32]",
)
@click.option("--speaker", metavar="NAME|NUMBER", help="Of a RUN with several speakers, this one alone.")
@click.option(
    "--metrics", multiple=True, metavar="FILE", help="Result of optophone evaluate to put in; may be repeated."
)
@click.option("--confidence", metavar="FILE", help="Result of optophone evaluate captions --calibrate to put in.")
@click.option("--photograph", metavar="FILE", help="Detector that lets a captioner refuse: photograph.npz of a run.")
@click.option(
    "--pronunciations", metavar="FILE", help="Dictionary by which a voice speaks: lines such as hello HH AH0 L OW1."
)
@click.option(
    "--pace", metavar="FILE", help="Result of optophone evaluate voice: a parallel voice gets the recordings' lengths."
)
@click.option("--name", help="Name of the bundle.  [default: of the run; of a system, of the folder]")
@click.option("--licence", default="Apache-2.0", show_default=True, help="Licence of the bundle, as SPDX names it.")
def export(
    runs: tuple[Path, ...],
    output: Path,
    precision: str | None,
    speaker: str | None,
    metrics: tuple[str, ...],
    confidence: str | None,
    photograph: str | None,
    pronunciations: str | None,
    pace: str | None,
    name: str | None,
    licence: str,
) -> None:
    """Turn RUN, the folder of a finished training, into a bundle.

    The graphs are compared with the model on real data; nothing is written where they differ. A RUN may also be a
    bundle, which is copied as it is: this is how results are put into it. A captioner and an acoustic model together
    become a system that speaks photos, with a vocoder as the third or with Griffin-Lim; so do a direct model and a
    vocoder. An acoustic model and a vocoder become a voice.

    \b
    Examples:
      optophone export work/captioner -o bundles/captioner
      optophone export work/voices -o bundles/ann --speaker Ann
      optophone export work/voice -o bundles/voice --pronunciations cmudict.dict
      optophone export bundles/captioner -o bundles/described --metrics dev.json --confidence dev.json
      optophone export bundles/voice -o bundles/slower --pace voice-beside-recordings.json
      optophone export bundles/captioner bundles/voice -o bundles/mine
      optophone export bundles/captioner bundles/voice bundles/waveglow -o bundles/mine
      optophone export bundles/direct bundles/waveglow -o bundles/mine
      optophone export bundles/voice bundles/waveglow -o bundles/whole-voice
    """
    import tempfile

    from optophone.core.bundle import open_bundle
    from optophone.core.pronouncing_dictionary import read_pronunciations
    from optophone.export.part import (
        Additions,
        check_pronunciations,
        check_results,
        export_system,
        finish_part,
        is_bundle,
    )
    from optophone.export.results import read_result

    results = [read_result(path) for path in metrics]
    fitted = read_result(confidence) if confidence else None
    if speaker is not None:
        _check_takes_speaker(runs)
    dictionary = read_pronunciations(Path(pronunciations)) if pronunciations else None
    paced = read_result(pace) if pace else None
    detector = Path(photograph) if photograph else None
    additions = Additions(results, fitted, licence, name, detector, dictionary, paced)
    with tempfile.TemporaryDirectory(prefix="optophone-export-") as scratch:
        parts = []
        for number, run in enumerate(runs):
            if is_bundle(run):
                parts.append(open_bundle(run))
                continue
            from optophone.cli.trained_run import export_run

            exported, measured = export_run(run, Path(scratch) / f"{number}", precision, speaker)  # type: ignore[arg-type]
            finished = Path(scratch) / f"{number}" / "finished"
            finish_part(exported, finished, Additions(), measured)
            parts.append(open_bundle(finished))
            for key, value in measured.items():
                click.echo(f"{run}: {key} {value:.4g}" if isinstance(value, float) else f"{run}: {key} {value}")
        check_results(parts, additions)
        check_pronunciations(parts, additions)
        if len(parts) == 1:
            finish_part(parts[0], output, additions)
        else:
            export_system(output, name or output.name, parts, additions)
    n_bytes = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    click.echo(f"{output}: written ({n_bytes / 1e6:.1f} MB)")


def _check_takes_speaker(runs: tuple[Path, ...]) -> None:
    """Refuse --speaker where there is no run that it could choose from.

    Raises:
        ConfigurationError: no run of an acoustic model is among `runs`.
    """
    from optophone.core.errors import ConfigurationError
    from optophone.export.part import is_bundle
    from optophone.training.configuration_file import read_configuration

    paths = [run / "configuration.yaml" for run in runs if not is_bundle(run)]
    kinds = {read_configuration(path).get("kind") for path in paths if path.is_file()}
    if not kinds & {"acoustic", "parallel-acoustic"}:
        raise ConfigurationError("--speaker chooses from the run of an acoustic model, and none is given.")


command = export
