"""From a YAML file to a run: read, override, check, save beside the weights, train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.data.manifest import write_atomically
from optophone.training.processes import count, is_first, joined_processes

SHARED_KINDS = ("captioner",)  # those that several processes can train together


def read_configuration(path: str | Path, overrides: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The mapping in the YAML file `path`, with dotted `overrides` (("trainer.max_steps", "100"), …) put in.

    Raises:
        ConfigurationError: no such file, no YAML mapping, or an override that goes through a plain value.
    """
    path = Path(path)
    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read the configuration ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(mapping, dict):
        raise ConfigurationError(f"{path}: expected options as a YAML mapping.")
    for key, text in overrides:
        _override(mapping, key, _parse_value(key, text))
    return mapping


def _parse_value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigurationError(f"--{key}: {text!r} is no YAML value.") from None


def _override(mapping: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        mapping = mapping.setdefault(parent, {})
        if not isinstance(mapping, dict):
            raise ConfigurationError(f"--{key}: {parent!r} is a value and has no options below it.")
    mapping[last] = value


def build_experiment(mapping: dict[str, Any], where: str) -> tuple[Any, Any]:
    """The typed experiment of `mapping`, and the function that runs it; imports only what its kind needs."""
    kind = mapping.get("kind")
    if kind == "encoder":
        from optophone.training.classification import ClassificationExperiment, run_classification

        return from_mapping(ClassificationExperiment, mapping, where), run_classification
    if kind == "captioner":
        from optophone.training.captioning import CaptioningExperiment, run_captioning

        return from_mapping(CaptioningExperiment, mapping, where), run_captioning
    if kind == "acoustic":
        from optophone.training.synthesis import SynthesisExperiment, run_synthesis

        return from_mapping(SynthesisExperiment, mapping, where), run_synthesis
    if kind in ("parallel-acoustic", "unit-to-mel"):
        from optophone.training.parallel_synthesis import ParallelExperiment, run_parallel_synthesis

        return from_mapping(ParallelExperiment, mapping, where), run_parallel_synthesis
    if kind == "aligner":
        from optophone.training.aligning import AligningExperiment, run_aligning

        return from_mapping(AligningExperiment, mapping, where), run_aligning
    if kind == "photograph":
        from optophone.training.photograph import PhotographExperiment, run_photograph

        return from_mapping(PhotographExperiment, mapping, where), run_photograph
    if kind == "vocoder":
        from optophone.training.vocoding import VocoderExperiment, run_vocoding

        return from_mapping(VocoderExperiment, mapping, where), run_vocoding
    if kind == "vocos":
        from optophone.training.vocos_training import VocosExperiment, run_vocos_training

        return from_mapping(VocosExperiment, mapping, where), run_vocos_training
    if kind == "units":
        from optophone.training.unit_learning import UnitLearningExperiment, run_unit_learning

        return from_mapping(UnitLearningExperiment, mapping, where), run_unit_learning
    if kind == "k-means-units":
        from optophone.training.k_means_learning import KMeansLearningExperiment, run_k_means_learning

        return from_mapping(KMeansLearningExperiment, mapping, where), run_k_means_learning
    if kind == "wavenet-units":
        from optophone.training.wavenet_units import WaveNetUnitsExperiment, run_wavenet_units

        return from_mapping(WaveNetUnitsExperiment, mapping, where), run_wavenet_units
    if kind == "recognizer":
        from optophone.training.recognizing import RecognizingExperiment, run_recognizing

        return from_mapping(RecognizingExperiment, mapping, where), run_recognizing
    if kind == "direct":
        from optophone.training.direct_speech import DirectExperiment, run_direct

        return from_mapping(DirectExperiment, mapping, where), run_direct
    known = "encoder, captioner, acoustic, parallel-acoustic, aligner, unit-to-mel, photograph, vocoder"
    known += ", vocos, units, k-means-units, wavenet-units, recognizer, direct"
    raise ConfigurationError(f"{where}: kind {kind!r} is not one of {known}.")


def train(path: str | Path, overrides: Sequence[tuple[str, str]] = (), out: str | Path | None = None) -> Path:
    """Train what the YAML file `path` describes; goes on where an earlier call with the same folder stopped.

    Args:
        path: the configuration.
        overrides: dotted option and YAML value.
        out: the run's folder; `work/<name>` when None.

    Returns:
        The run's folder: `configuration.yaml` (resolved), `last.ckpt`, `curves/`, the weights.

    Raises:
        ConfigurationError: the configuration is wrong, or `torchrun` started several processes for a kind that trains
            in one.
    """
    experiment, run = build_experiment(read_configuration(path, overrides), str(path))
    n_processes = count()
    if n_processes > 1 and experiment.kind not in SHARED_KINDS:
        raise ConfigurationError(f"{path}: kind {experiment.kind!r} trains in one process; start it without torchrun.")
    folder = Path(out) if out else Path("work") / experiment.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot make the run's folder ({error.strerror}).") from None
    resolved = yaml.safe_dump(to_mapping(experiment), sort_keys=False, allow_unicode=True)
    with joined_processes(experiment.trainer.accelerator if n_processes > 1 else "cpu"):
        if is_first():
            write_atomically(folder / "configuration.yaml", resolved.encode())
        run(experiment, folder)
    return folder
